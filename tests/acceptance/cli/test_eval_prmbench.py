"""PRMBench whole, from files of all nine classes by one command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.evaluation.prmbench_rows import CLASSES
from tests.support.command_line import Cli

pytestmark = pytest.mark.acceptance


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_all_nine_classes_of_prmbench_from_their_files(tmp_path: Path) -> None:
    """Two items a class: one is scored rightly, of the other the wrong step (of multi_solutions a right one) is not."""
    folder = tmp_path / "prmbench"
    folder.mkdir()
    predictions = []
    for name in CLASSES:
        plain = name == "multi_solutions"
        rows = [
            {
                "idx": f"own_{n}",
                "classification": name,
                "original_question": "P?",
                "modified_question": "P?",
                "original_process": ["1. One.", "2. Two."],
                "modified_process": ["1. One.", "2. Two or three."],
                "error_steps": [] if plain else [2],
            }
            for n in range(2)
        ]
        write(folder / f"{name}.jsonl", rows)
        called = [[True, True], [True, False]] if plain else [[True, False], [True, True]]
        for n, labels in enumerate(called):
            scores = {"step_level_validity_labels": labels}
            if name in ("redundency", "circular"):
                # They are scored by what is redundant, inverted.
                scores = {"step_level_validity_labels": [True, True],
                          "step_level_redundancy_labels": [not label for label in labels]}  # fmt: skip
            predictions.append({"idx": f"{name}_own_{n}", "scores": scores})
    files = [str(path) for path in sorted(folder.glob("*.jsonl"))]
    report = Cli({"PATH": "/usr/bin:/bin", "RPRM_HOME": str(tmp_path / "home")}, tmp_path).json(
        "eval", "prmbench", *files, "--predictions", write(tmp_path / "p.jsonl", predictions)
    )
    # Of a class: 2 valid steps called so, an invalid one called invalid and one called valid.
    score, plain_f1 = (100 * 4 / 5 + 100 * 2 / 3) / 2, 100 * 6 / 7
    assert set(report["classes"]) == set(CLASSES)
    assert report["classes"] == pytest.approx({**dict.fromkeys(CLASSES, score), "multi_solutions": plain_f1})
    assert report["dimensions"] == pytest.approx(
        {"simplicity": score, "soundness": score, "sensitivity": (2 * score + plain_f1) / 3}
    )
    # Pooled: 19 valid called so and one not; 8 invalid called so and 8 not.
    assert report["overall"] == pytest.approx((100 * 38 / 47 + 100 * 16 / 25) / 2)
    assert (report["n_items"], report["n_steps"], report["missing"]) == (18, 36, 0)
