"""Answers compared by mathematics, in a process that no expression can hang."""

from __future__ import annotations

import time

import pytest

from rprm_jobs.evaluation.verify import Sameness, Verifier

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize(
    ("correct", "answer", "found"),
    [
        (["72"], "72", Sameness.SAME),
        (["72"], "+72", Sameness.SAME),
        (["72"], "73", Sameness.DIFFERENT),
        (["7", "72"], "072", Sameness.SAME),
    ],
)
def test_plain_numbers_need_no_process(correct: list[str], answer: str, found: Sameness) -> None:
    with Verifier() as verifier:
        assert verifier.compare(correct, answer) is found
        assert verifier._pool is None


def test_expressions_are_compared_and_what_hangs_is_killed() -> None:
    with Verifier(seconds=20) as verifier:
        assert verifier.compare(["1/2"], "0.5") is Sameness.SAME
        assert verifier.compare(["2\\sqrt{3}"], "\\sqrt{12}") is Sameness.SAME
        assert verifier.compare(["x+1"], "x-1") is Sameness.DIFFERENT
        verifier._seconds = 2
        began = time.monotonic()
        assert verifier.compare(["3"], "9^{9^{9^{9}}}") is Sameness.UNDECIDED
        assert time.monotonic() - began < 60
        verifier._seconds = 20
        # The process after it works as the one before.
        assert verifier.compare(["1/3"], "2/6") is Sameness.SAME
