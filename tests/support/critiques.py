"""The thirteen critiques on which the published filters were run, and words for making others."""

from __future__ import annotations

from itertools import count

from rprm_jobs.judge.verdict import MARKER
from rprm_jobs.pairs.summary import CritiqueSummary, VerdictForm, read_critique

_ENDINGS = (
    f"{MARKER} Yes",
    f"{MARKER} Yes.",
    f"{MARKER} Yes..",
    f"{MARKER} No",
    f"{MARKER} No because of 3",
    f"{MARKER} Yes\n{MARKER} No",
    "and so on",
    f"{MARKER} Yes\n{MARKER} Yes",
    f"{MARKER} No. ",
    f"{MARKER[0].lower()}{MARKER[1:]} Yes",
    f"{MARKER} Yes, it is",
    f"{MARKER} **Yes**",
    f"{MARKER} Yes\n",
)
# T[i] is the text of number i.
T = tuple(f"A{i} analysis.\n{ending}" for i, ending in enumerate(_ENDINGS))


def readings(*texts: str) -> list[CritiqueSummary]:
    """The texts as training reads them."""
    return [read_critique(text) for text in texts]


def reading(form: VerdictForm, length: int = 100, digest: int | None = None) -> CritiqueSummary:
    """A reading without a text; its digest differs from all others unless it is given."""
    return CritiqueSummary(form, length, next(_digests) if digest is None else digest)


_digests = count(1000)
