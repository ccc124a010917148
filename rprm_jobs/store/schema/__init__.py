"""Tables, the partitions of one job, and the migrations that bring a database to them.

Other rooms of the store import `partitions`; commands and workers import `migrations`.
"""
