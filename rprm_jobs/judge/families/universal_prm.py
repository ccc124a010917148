"""Universal-PRM-7B: Qwen's two-class head and tag, with the tokenizer's own system message."""

from __future__ import annotations

from rprm_jobs.judge.families.family import KnownBy, Published
from rprm_jobs.judge.families.scoring import ScoreFamily

ROW = Published(
    ScoreFamily(name="universal-prm", tag="<extra_0>"),
    KnownBy(("Qwen2ForProcessRewardModel", "Qwen2ForRewardModel"), names=r"universal-prm"),
    "two-class head at step tags: Universal-PRM-7B",
)
