"""What keeps the queue going without a user: the sweep, plans fitted again, dependent jobs, the audit.

Workers and commands import its modules.
"""
