"""Starting processes: workers, fleets of them, training, and the improve loop that chains them.

Commands import its modules and hand in how to speak (`say`) and how to wait.
"""
