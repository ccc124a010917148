"""Recorded votes: rows of results and rows of votes give the same shares; what is neither is named."""

from __future__ import annotations

from typing import Any

import pytest

from rprm_jobs.errors import InputError
from rprm_jobs.stopping.recorded import read_votes


def test_votes_by_step_or_of_one_step() -> None:
    assert read_votes({"votes": [[True, 0, None], [0.25]]}) == [[1.0, 0.0, None], [0.25]]
    assert read_votes({"votes": [1, 0.5, False]}) == [[1.0, 0.5, 0.0]]


def test_rows_of_results() -> None:
    critiques = [
        {"k": 0, "verdict": "yes", "p_yes": 0.9, "text": None},
        {"k": 1, "verdict": "no", "p_yes": None, "text": "no"},
        {"k": 2, "verdict": "unparsed", "p_yes": None, "text": "?"},
        {"k": 3, "verdict": "truncated", "p_yes": None, "text": "?"},
    ]
    assert read_votes({"id": "a", "status": "ok", "critiques": [critiques, [], None]}) == [
        [0.9, 0.0, None, None],
        [],
        [],
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({}, "neither votes nor critiques"),
        ({"critiques": [{"verdict": "yes"}]}, "neither votes nor critiques"),
        ({"votes": "yes"}, "not a list"),
        ({"votes": [["yes"]]}, "a vote is 'yes'"),
        ({"votes": [[1.5]]}, "a vote is 1.5"),
        ({"critiques": [[{"p_yes": 0.5}]]}, "no verdict"),
        ({"critiques": [["yes"]]}, "no verdict"),
        ({"critiques": [[{"verdict": "yes", "p_yes": 3}]]}, "a vote is 3"),
    ],
)
def test_rows_of_another_shape_are_refused(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_votes(row)
