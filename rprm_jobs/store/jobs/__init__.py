"""Jobs from intake to deletion: storing a submission, looking jobs up, extending them, the plans they stop by.

Services import its modules.
"""
