"""PRMBench's own rows are solutions to be judged, unchanged; what is wrong with one is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rprm_jobs.errors import BadLine
from rprm_jobs.formats import InputRow, ReadOptions, read_solutions
from rprm_jobs.settings import Limits


def read(*paths: Path) -> list[InputRow | BadLine]:
    return list(read_solutions([str(path) for path in paths], ReadOptions(), Limits()))


def test_a_row_becomes_a_solution_with_its_key_and_labels(tmp_path: Path) -> None:
    raw = {
        "idx": "prm_test_p1_0", "classification": "circular", "modified_question": "what?",
        "modified_process": ["a", "b"], "error_steps": [2], "question": "old?", "reason": "why",
    }  # fmt: skip
    (tmp_path / "a.jsonl").write_text(json.dumps(raw) + "\n" + json.dumps({**raw, "error_steps": None}) + "\n")
    good, bad = read(tmp_path / "a.jsonl")
    assert isinstance(good, InputRow)
    solution = good.solution
    assert (solution.id, solution.problem, solution.steps) == ("circular_prm_test_p1_0", "what?", ("a", "b"))
    assert (solution.label, solution.step_labels) == (1, (1, -1))
    assert solution.metadata == {"classification": "circular", "error_steps": [2], "question": "old?", "reason": "why"}
    assert bad == BadLine(str(tmp_path / "a.jsonl"), 2, "error_steps is not a list of whole numbers")


@pytest.mark.parametrize("name", ["circular", "counterfactual", "multi_solutions", "redundency", "correct"])
def test_every_real_row_is_a_solution(test_data: Path, name: str) -> None:
    found = read(test_data / "prmbench" / f"{name}.jsonl")
    assert len(found) > 150
    assert [one for one in found if isinstance(one, BadLine)] == []
