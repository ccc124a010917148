"""ReasonFlux-PRM-7B: Qwen's two-class head and tag, without a system message of its own.

ReasonFlux-PRM-1.5B is another model (one score for the whole response) and is not of this family.
"""

from __future__ import annotations

from rprm_jobs.judge.families.family import KnownBy, Published
from rprm_jobs.judge.families.scoring import ScoreFamily

ROW = Published(
    ScoreFamily(name="reasonflux-prm", tag="<extra_0>"),
    KnownBy(("Qwen2ForProcessRewardModel", "Qwen2ForRewardModel"), names=r"reasonflux-prm-7b"),
    "two-class head at step tags: ReasonFlux-PRM-7B",
)
