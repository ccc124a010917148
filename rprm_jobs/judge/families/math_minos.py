"""MATH-Minos: a token classifier with one raw logit at `\u043a\u0438` behind each step, called wrong below 0."""

from __future__ import annotations

from rprm_jobs.judge.families.family import KnownBy, Published
from rprm_jobs.judge.families.scoring import Layout, RewardRule, ScoreFamily

ROW = Published(
    ScoreFamily(
        name="math-minos",
        threshold=0.0,
        lowest=None,
        highest=None,
        outputs=1,
        good=(0,),
        reading=RewardRule.RAW,
        layout=Layout.TEXT,
        question="Human: {problem}\n\nAssistant:",
        step="Step {number}: {step}",
        # One token with its space, or two.
        tag=" \u043a\u0438",
        joint="\n",
        strip_number=True,
    ),
    KnownBy(("MistralForTokenClassification",), names=r"minos"),
    "one raw logit at step tags: MATH-Minos",
)
