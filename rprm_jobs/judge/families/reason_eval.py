"""ReasonEval-7B and -34B: three classes at the end of each step; validity is p(neutral) + p(positive).

The published code reads the last token of each step of the 34B model. Of the 7B model it reads the token before that
one, since the position is counted before the text's first token is put back; its published numbers were made so.
"""

from __future__ import annotations

from rprm_jobs.judge.families.family import KnownBy, Published
from rprm_jobs.judge.families.scoring import Layout, Place, ScoreFamily


def _family(name: str, place: Place) -> ScoreFamily:
    return ScoreFamily(
        name=name,
        outputs=3,
        good=(1, 2),
        layout=Layout.TEXT,
        question="Question:\n{problem}\nAnswer:\nLet's think step by step.\n{pad}",
        tag="{pad}",
        place=place,
        drop_tag=True,
        strip_number=True,
    )


ROWS = (
    Published(
        _family("reason-eval", Place.BEFORE_STEP_END),
        KnownBy(("ReasonEval_7B",), names=r"reasoneval-7b", by_architecture=True),
        "three-class head before the last token of each step: ReasonEval-7B",
    ),
    Published(
        _family("reason-eval-34b", Place.BEFORE_TAG),
        KnownBy(("ReasonEval_34B",), names=r"reasoneval-34b", by_architecture=True),
        "three-class head at step ends: ReasonEval-34B",
    ),
)
