"""PQM: the raw value of a value head at `[PRM]` behind each step. No threshold is published; 0 is the middle."""

from __future__ import annotations

from rprm_jobs.judge.families.family import KnownBy, Published
from rprm_jobs.judge.families.scoring import Head, Layout, RewardRule, ScoreFamily

ROW = Published(
    ScoreFamily(
        name="pqm",
        threshold=0.0,
        lowest=None,
        highest=None,
        head=Head.VALUE,
        outputs=1,
        good=(0,),
        reading=RewardRule.RAW,
        layout=Layout.TEXT,
        question="{problem} ",
        step="Step {number}: {step} ",
        tag="[PRM]",
        joint="\n",
        strip_number=True,
    ),
    KnownBy(("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM"), names=r"(^|[/_-])pqm"),
    "raw value head at step tags: PQM",
)
