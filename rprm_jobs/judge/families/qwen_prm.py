"""Qwen2.5-Math-PRM-7B and -72B, and Qwen2.5-Math-7B-PRM800K: a two-class head at `<extra_0>` behind each step.

Threshold 0.5, as ProcessBench has it. PRMBench first takes "Step i." from each step: `strip_number=true` does.
"""

from __future__ import annotations

from rprm_jobs.judge.families.family import KnownBy, Published
from rprm_jobs.judge.families.scoring import ScoreFamily

ROW = Published(
    ScoreFamily(
        name="qwen-prm",
        system="Please reason step by step, and put your final answer within \\boxed{}.",
        tag="<extra_0>",
    ),
    KnownBy(
        ("Qwen2ForProcessRewardModel",),
        names=r"qwen2\.5-math(-prm-\d+b|-7b-prm800k)",
        by_architecture=True,
    ),
    "two-class head at step tags: Qwen2.5-Math-PRM-7B, -72B, Qwen2.5-Math-7B-PRM800K",
)
