"""What a worker does with a shard: judge steps, write rollouts, or search; and what the three share.

`dispatch` picks one; only `workers/attempt.py` and `workers/process.py` import from here.
"""
