"""Math-PSA (OpenR): the logits of ` +` and ` -` at five line breaks behind each step."""

from __future__ import annotations

from rprm_jobs.judge.families.family import KnownBy, Published
from rprm_jobs.judge.families.scoring import Head, Layout, ScoreFamily

ROW = Published(
    ScoreFamily(
        name="math-psa",
        head=Head.VOCABULARY,
        labels=(" +", " -"),
        good=(0,),
        layout=Layout.TEXT,
        question="{problem} ",
        step="Step {number}: {step}",
        tag=" \n\n\n\n\n",
        joint=" ",
        strip_number=True,
    ),
    KnownBy(("Qwen2ForCausalLM",), names=r"math-psa"),
    "logits of + and - at line breaks: Math-PSA-7B, merged into its base",
)
