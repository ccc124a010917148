"""PURE-PRM-7B: a token classifier read at the blank line behind each step; p(1) - p(0), in [-1, 1]."""

from __future__ import annotations

from rprm_jobs.judge.families.family import KnownBy, Published
from rprm_jobs.judge.families.scoring import Layout, RewardRule, ScoreFamily

ROW = Published(
    ScoreFamily(
        name="pure-prm",
        threshold=0.0,
        lowest=-1.0,
        reading=RewardRule.MARGIN,
        layout=Layout.TEXT,
        tag="\n\n",
        pieces=True,
    ),
    KnownBy(("Qwen2ForTokenClassification",), names=r"pure-prm|jinachris/qwen2\.5-math-7b-prm800k"),
    "two-class head at blank lines, p1 - p0: PURE-PRM-7B",
)
