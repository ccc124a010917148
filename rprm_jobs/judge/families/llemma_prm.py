"""Llemma-7B-PRM-PRM800K: the sigmoid of the mean of all logits at the blank line behind each step."""

from __future__ import annotations

from rprm_jobs.judge.families.family import KnownBy, Published
from rprm_jobs.judge.families.scoring import Head, Layout, Place, RewardRule, ScoreFamily

ROW = Published(
    ScoreFamily(
        name="llemma-prm",
        head=Head.VOCABULARY_MEAN,
        outputs=1,
        good=(0,),
        reading=RewardRule.SIGMOID,
        layout=Layout.TEXT,
        question="# Question\n\n{problem}\n\n# Solution\n\n",
        tag="\n\n",
        place=Place.TAG_START,
        strip=True,
        no_blank_lines=True,
    ),
    KnownBy(("LlamaForCausalLM",), names=r"llemma.*prm800k"),
    "mean of all logits at blank lines: llemma-7b-prm-prm800k",
)
