"""Stopping rules: how many critiques of a step to sample, decided from the verdicts so far.

Pure objects: the runtime asks them live, simulations ask the same objects about recorded votes.
"""

from rprm_jobs.stopping.context import NO_CONTEXT, StepContext
from rprm_jobs.stopping.rule import FixedK, StoppingRule, make_rule, resolve_options

__all__ = ["NO_CONTEXT", "FixedK", "StepContext", "StoppingRule", "make_rule", "resolve_options"]
