"""What must be zero in a healthy database, and how damage is repaired.

The services of upkeep import its modules.
"""
