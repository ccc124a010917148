"""GenPRM: one chat a solution, in which each step is a turn and its critique the answer; Yes or No in a box at its end.

Step t is judged with the judge's own critiques of steps 1..t-1 before it, so steps come strictly one after the other.
With `code` the judge writes Python that is run in a sandbox (GenPRM src/prm_evaluation/genprm_inference.py).
"""

from __future__ import annotations

from typing import ClassVar

from rprm_jobs.errors import ConfigError
from rprm_jobs.judge.families.family import Family, KnownBy, Published, Unit
from rprm_jobs.judge.prompt import ONE_STEP
from rprm_jobs.types import Sampling


class GenPrmFamily(Family, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="genprm"):
    """Judges that critique the steps of a solution in one chat; a reward is the mean P(Yes) over K chats."""

    code: bool = False

    unit: ClassVar[Unit] = Unit.STEP
    default_k: ClassVar[int] = 1
    default_sampling: ClassVar[Sampling] = Sampling(temperature=0.6, top_p=0.95, max_new_tokens=2048)
    forms: ClassVar[tuple[tuple[str, ...], ...]] = (ONE_STEP,)

    @property
    def prompt_name(self) -> str:
        return "genprm.json"

    def check_recipe(self, *, stopping: str, until_first_error: bool) -> None:  # noqa: ARG002
        """Raise ConfigError for a rule that would end some chats of a solution earlier than others."""
        if stopping != "fixed":
            raise ConfigError(
                f"--stopping {stopping} has no meaning for {self.name}: every chat needs its critiques of all steps",
                hint="leave out --stopping; --until-first-error ends all chats of a solution at its first error",
            )


GENPRM = GenPrmFamily(name="genprm")
GENPRM_CODE = GenPrmFamily(name="genprm-code", code=True)
_NAMES = r"(^|/)GenPRM-"
ROWS = (
    Published(
        GENPRM, KnownBy(("Qwen2ForCausalLM",), _NAMES), "a chat with a turn for each step, without code (GenPRM)"
    ),
    Published(GENPRM_CODE, KnownBy(()), "the same with the judge's Python run in a sandbox (GenPRM as published)"),
)
