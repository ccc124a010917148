"""EurusPRM-Stage1 and -Stage2: the log-ratio of the model and a reference, summed up to the end of each step.

The reward is the sigmoid of `scale` times the sum; `reference` is the model of the card.
"""

from __future__ import annotations

from rprm_jobs.judge.families.family import KnownBy, Published
from rprm_jobs.judge.families.scoring import Head, Place, RewardRule, ScoreFamily

ROW = Published(
    ScoreFamily(
        name="eurus-prm",
        threshold=0.5005,
        head=Head.LOG_RATIO,
        outputs=1,
        good=(0,),
        reading=RewardRule.SIGMOID,
        scale=0.001,
        joint="\n\n",
        place=Place.STEP_END,
        reference="Qwen/Qwen2.5-Math-7B-Instruct",
    ),
    KnownBy(("Qwen2ForCausalLM",), names=r"eurusprm-stage"),
    "log-ratio of two language models at step ends: EurusPRM-Stage1, -Stage2",
)
