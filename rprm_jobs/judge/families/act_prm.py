"""ActPRM and ActPRM-X: an ensemble of small heads at `<extra_0>`; the reward is the mean of their sigmoids."""

from __future__ import annotations

from rprm_jobs.judge.families.family import KnownBy, Published
from rprm_jobs.judge.families.scoring import Head, RewardRule, ScoreFamily

ROW = Published(
    ScoreFamily(
        name="act-prm",
        head=Head.ENSEMBLE,
        outputs=8,
        good=(0,),
        reading=RewardRule.SIGMOID,
        system=(
            "You are a helpful and harmless assistant. You should think step-by-step and put your final answer within"
            " \\boxed{}."
        ),
        tag="<extra_0>",
        open_end=True,
    ),
    KnownBy(("Qwen2ForEnsemblePRM",), names=r"actprm", by_architecture=True),
    "mean of an ensemble of heads at step tags: ActPRM, ActPRM-X",
)
