"""Sampling policies: how many critiques of a step to buy, decided from the verdicts so far.

Pure objects: the runtime asks them live, simulations ask the same objects about recorded votes.
"""

from rprm_jobs.sampling.policy import FixedK, Policy, make_policy, resolve_options

__all__ = ["FixedK", "Policy", "make_policy", "resolve_options"]
