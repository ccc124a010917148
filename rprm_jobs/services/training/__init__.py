"""Training sets: built from judged jobs, refused, listed, exported; and the records of training runs.

Commands and `training` import its modules.
"""
