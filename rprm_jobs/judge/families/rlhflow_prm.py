"""RLHFlow Llama3.1-8B-PRM-Mistral-Data and -Deepseek-Data: each step a user turn that is answered with `+`.

The logits of `+` and `-` are read where the answer would begin.
"""

from __future__ import annotations

from rprm_jobs.judge.families.family import KnownBy, Published
from rprm_jobs.judge.families.scoring import Head, Layout, Place, ScoreFamily

ROW = Published(
    ScoreFamily(
        name="rlhflow-prm",
        head=Head.VOCABULARY,
        labels=("+", "-"),
        good=(0,),
        layout=Layout.TURNS,
        question="{problem} ",
        tag="+",
        place=Place.BEFORE_TAG,
    ),
    KnownBy(("LlamaForCausalLM",), names=r"llama3\.1-8b-prm-(mistral|deepseek)-data"),
    "logits of + and - before each answer: RLHFlow Llama3.1-8B-PRM-Mistral-Data, -Deepseek-Data",
)
