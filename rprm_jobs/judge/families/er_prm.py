"""ER-PRM (llama3.1-math-prm): the logits of ` +` and ` -` at ` \u043a\u0438` behind each step."""

from __future__ import annotations

from rprm_jobs.judge.families.family import KnownBy, Published
from rprm_jobs.judge.families.scoring import Head, Layout, ScoreFamily

ROW = Published(
    ScoreFamily(
        name="er-prm",
        head=Head.VOCABULARY,
        labels=(" +", " -"),
        good=(0,),
        layout=Layout.TEXT,
        question="{problem} ",
        step="Step {number}: {step}",
        tag=" \u043a\u0438",
        strip_number=True,
    ),
    KnownBy(("LlamaForCausalLM",), names=r"llama-?3\.1-math-prm"),
    "logits of + and - at step tags: ER-PRM llama3.1-math-prm",
)
