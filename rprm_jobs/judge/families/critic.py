"""Language models as critics of whole solutions: one critique names the first wrong step, or rates every step.

Two protocols (ProcessBench code/run_eval.py, PRMBench mr_eval/models/openai_models.py). `boxed`: paragraphs in tags and
the index of the first wrong one in the last `\\boxed{}`; of K votes the most common answer counts, the one seen first
among equals. `scores`: a JSON object with a validity in [-1, 1] a step; above 0 is valid.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from rprm_jobs.errors import ConfigError
from rprm_jobs.judge.families.family import Family, KnownBy, Published, Unit
from rprm_jobs.judge.prompt import NUMBERED, TAGGED
from rprm_jobs.types import Sampling

BOXED: Literal["boxed"] = "boxed"
SCORES: Literal["scores"] = "scores"


class CriticFamily(Family, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="critic"):
    """Judges that read a whole solution at once; `protocol` is how they answer.

    A reward is a share of votes: of the critiques that say something of the step, those that call it right. A critique
    that names step i calls the earlier ones right and says nothing of the later ones. With `scores` it is the mean
    validity v as (v + 1) / 2.
    """

    protocol: Literal["boxed", "scores"] = BOXED

    unit: ClassVar[Unit] = Unit.SOLUTION
    default_k: ClassVar[int] = 1
    greedy_alone: ClassVar[bool] = True
    default_sampling: ClassVar[Sampling] = Sampling(temperature=1.0, top_p=0.9, max_new_tokens=8192)
    forms: ClassVar[tuple[tuple[str, ...], ...]] = (TAGGED, NUMBERED)

    @property
    def prompt_name(self) -> str:
        return "critic" if self.protocol == BOXED else "critic-scores.json"

    @property
    def reward_source(self) -> str:
        return "votes" if self.protocol == BOXED else "ratings"

    @property
    def votes_for_first_error(self) -> bool:
        return self.protocol == BOXED

    def check_recipe(self, *, stopping: str, until_first_error: bool) -> None:
        """Raise ConfigError for options that have no effect on a critic of whole solutions."""
        if stopping not in (("fixed", "exact") if self.protocol == BOXED else ("fixed",)):
            hint = "use --stopping exact, which ends a vote that is decided" if self.protocol == BOXED else ""
            raise ConfigError(
                f"--stopping {stopping} has no meaning for {self.name}: its critiques are of whole solutions",
                hint=hint or "leave out --stopping",
            )
        if until_first_error:
            raise ConfigError(
                f"--until-first-error has no effect: {self.name} reads a whole solution at once",
                hint="leave out --until-first-error",
            )


CRITIC = CriticFamily(name="critic")
# Labels are `validity > 0`: a validity of 0 is a reward of 0.5, and must be below the threshold.
CRITIC_SCORES = CriticFamily(name="critic-scores", protocol=SCORES, threshold=math.nextafter(0.5, 1.0))
ROWS = (
    Published(
        CRITIC, KnownBy(()), "whole solutions, the first wrong paragraph in a box, voted (ProcessBench's critics)"
    ),
    Published(CRITIC_SCORES, KnownBy(()), "whole solutions, a validity for each step in JSON (PRMBench's critics)"),
)
