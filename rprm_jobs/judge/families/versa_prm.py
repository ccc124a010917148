"""VersaPRM, Llama-PRM800K and Qwen-PRM800K (UW-Madison): ids 12 and 10 at four line breaks, 10 is right."""

from __future__ import annotations

from rprm_jobs.judge.families.family import KnownBy, Published
from rprm_jobs.judge.families.scoring import Head, Layout, ScoreFamily

ROW = Published(
    ScoreFamily(
        name="versa-prm",
        head=Head.VOCABULARY,
        label_tokens=(12, 10),
        layout=Layout.TEXT,
        question="{problem} ",
        tag=" \n\n\n\n",
        strip=True,
    ),
    KnownBy(("LlamaForCausalLM", "Qwen2ForCausalLM"), names=r"versaprm|(llama|qwen)-prm800k"),
    "logits of two tokens at line breaks: VersaPRM, Llama-PRM800K, Qwen-PRM800K",
)
