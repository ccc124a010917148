"""Who works on what: leases of shards, what becomes of failed ones, workers that are alive, dependent jobs.

Services and workers import its modules; every lease is decided here and nowhere else.
"""
