"""Reward functions that trainers take as they are: `trl`, `verl`, `ms_swift`, `verifiers`. Each asks a running service.

None of them scores a judge's outage or a solution that cannot be judged: it gives what its trainer has for no reward.
"""
