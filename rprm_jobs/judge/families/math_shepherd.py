"""Math-Shepherd: the logits of `+` and `-` at `\u043a\u0438` behind each step, no chat frame."""

from __future__ import annotations

from rprm_jobs.judge.families.family import KnownBy, Published
from rprm_jobs.judge.families.scoring import Head, Layout, ScoreFamily

ROW = Published(
    ScoreFamily(
        name="math-shepherd",
        head=Head.VOCABULARY,
        labels=("+", "-"),
        good=(0,),
        layout=Layout.TEXT,
        question="{problem} ",
        step="Step {number}: {step}",
        # One token with its space, or two.
        tag=" \u043a\u0438",
        joint="\n",
        strip_number=True,
    ),
    KnownBy(("MistralForCausalLM",), names=r"math-shepherd.*prm"),
    "logits of + and - at step tags: math-shepherd-mistral-7b-prm",
)
