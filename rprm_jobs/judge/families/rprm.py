"""R-PRM: K sampled critiques of each step, each ending in a verdict; the reward is the mean P(Yes) at the verdict.

The default. Its prompt and the grammar of its verdict are in `rprm_jobs.judge.prompt` and `rprm_jobs.judge.verdict`.
"""

from __future__ import annotations

from typing import ClassVar

from rprm_jobs.judge.families.family import Family, KnownBy, Published, Unit


class CritiqueFamily(Family, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="critique"):
    """Judges that critique one step at a time and end in a verdict."""

    unit: ClassVar[Unit] = Unit.STEP


RPRM = CritiqueFamily(name="rprm")
# Every language model that no other family claims is asked in this way.
ROW = Published(RPRM, KnownBy(()), "a critique of each step that ends in Yes or No; any model that writes")
