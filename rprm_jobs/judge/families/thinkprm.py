"""ThinkPRM: one long chain that verifies the solution up to a step, then yes or no (ThinkPRM prm/thinkprm_api.py).

The reward of a step is that of the solution up to it: softmax over the log-probabilities of yes and no, divided by the
decision's temperature, as a mean over K chains.
"""

from __future__ import annotations

import re
from typing import ClassVar

from rprm_jobs.judge.families.family import Family, KnownBy, Published, Unit
from rprm_jobs.judge.prompt import NUMBERED
from rprm_jobs.types import Sampling

OPENING = "\nLet's verify step by step:"
QUESTION = "\nIs the solution correct? "
_NUMBER = re.compile(r"Step \d+:")


def without_number(step: str) -> str:
    """The step without "Step i:", wherever it stands in it, and without white space around it."""
    return _NUMBER.sub("", step).strip()


class ThinkPrmFamily(Family, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="thinkprm"):
    """Judges that verify a prefix of the solution; `decision_temperature` > 0 flattens the choice of yes or no."""

    decision_temperature: float = 1.0

    unit: ClassVar[Unit] = Unit.PREFIX
    default_k: ClassVar[int] = 1
    greedy_alone: ClassVar[bool] = True
    default_sampling: ClassVar[Sampling] = Sampling(temperature=0.4, top_p=1.0, max_new_tokens=4096)
    forms: ClassVar[tuple[tuple[str, ...], ...]] = (NUMBERED,)

    def __post_init__(self) -> None:
        if self.decision_temperature <= 0:
            raise ValueError("decision_temperature must be above 0")

    @property
    def prompt_name(self) -> str:
        return "thinkprm"

    @staticmethod
    def stop_strings(n_steps: int) -> tuple[str, ...]:
        """Where a chain over `n_steps` steps ends, besides at its end of text."""
        return ("Is the solution correct?", "</think>", f"Step {n_steps + 1}:")


THINKPRM = ThinkPrmFamily(name="thinkprm")
ROW = Published(
    THINKPRM,
    KnownBy(("Qwen2ForCausalLM",), r"(^|/)ThinkPRM-"),
    "a long chain over the solution up to each step, then yes or no (ThinkPRM)",
)
