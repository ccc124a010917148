"""Training sets with their rows, and training runs with their metrics.

The services of training import its modules.
"""
