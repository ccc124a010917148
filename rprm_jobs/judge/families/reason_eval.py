"""ReasonEval-7B and -34B: three classes at the last token of each step; validity is p(neutral) + p(positive)."""

from __future__ import annotations

from rprm_jobs.judge.families.family import KnownBy, Published
from rprm_jobs.judge.families.scoring import Layout, Place, ScoreFamily

ROW = Published(
    ScoreFamily(
        name="reason-eval",
        outputs=3,
        good=(1, 2),
        layout=Layout.TEXT,
        question="Question:\n{problem}\nAnswer:\nLet's think step by step.\n{pad}",
        tag="{pad}",
        place=Place.BEFORE_TAG,
        drop_tag=True,
        strip_number=True,
    ),
    KnownBy(("ReasonEval_7B", "ReasonEval_34B"), names=r"reasoneval-\d+b", by_architecture=True),
    "three-class head at step ends: ReasonEval-7B, -34B",
)
