"""A job as its user sees it: submit, estimate, query, read, cancel, retry, extend, delete.

Commands import its modules.
"""
