"""Skywork-o1-Open-PRM-Qwen-2.5-1.5B and -7B: the sigmoid of a value head at a line break behind each step.

Line breaks inside a step stay in its text and are not read.
"""

from __future__ import annotations

from rprm_jobs.judge.families.family import KnownBy, Published
from rprm_jobs.judge.families.scoring import Head, Layout, RewardRule, ScoreFamily

ROW = Published(
    ScoreFamily(
        name="skywork-prm",
        head=Head.VALUE,
        outputs=1,
        good=(0,),
        reading=RewardRule.SIGMOID,
        layout=Layout.TEXT,
        question="{bos}{problem}\n",
        tag="\n",
        pieces=True,
    ),
    KnownBy(("Qwen2ForPrmModel", "Qwen2ForCausalLM"), names=r"skywork-o1-open-prm"),
    "value head at line breaks: Skywork-o1-Open-PRM-Qwen-2.5-1.5B, -7B",
    prmbench_change=-0.05,
)
