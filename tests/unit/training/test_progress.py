"""What is said of a training before and while it goes: what one step sees, true epochs, and the metrics to watch."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from training.progress import describe, progress_callback, shown
from training.recipe import DpoRecipe
from training.source import TRAIN, VALIDATION, RowSource
from training.trainer import TrainingPlan


def plan(rows: int, **recipe: Any) -> TrainingPlan:
    return TrainingPlan(
        RowSource("rows", "", {TRAIN: rows, VALIDATION: 0}, lambda _: iter(())), DpoRecipe(**recipe), Path()
    )


@pytest.mark.parametrize(
    ("rows", "batch", "accumulation", "seen", "steps"),
    [(13, 1, 128, 13, 1), (13, 4, 32, 16, 1), (13, 128, 1, 13, 1), (300, 1, 128, 128, 3), (128, 1, 128, 128, 1)],
)
def test_a_step_sees_no_row_twice_where_rows_are_few(
    rows: int, batch: int, accumulation: int, seen: int, steps: int
) -> None:
    few = plan(rows, batch=batch, accumulation=accumulation)
    assert (few.rows_per_step, few.steps) == (seen, steps)
    assert seen < rows + few.batch


def test_it_says_what_one_step_sees() -> None:
    assert describe(plan(13)) == (
        "13 rows; one step sees 13 of them, all there are (batch 1 x accumulation 13 x 1 process); 1 step, which see"
        " every row 1 times"
    )


def test_a_log_entry_is_a_line_off_a_terminal_and_its_epoch_counts_passes(capsys: pytest.CaptureFixture[str]) -> None:
    few = plan(8, batch=2, accumulation=2, epochs=2.0)
    callback = progress_callback(few)
    state = SimpleNamespace(global_step=1, is_world_process_zero=True, log_history=[{"epoch": 0.25, "loss": 0.5}])
    callback.on_train_begin(None, state, None)
    logs = {"epoch": 0.25, "loss": 0.5, "logps/chosen": -120.3, "grad_norm": 3.0}
    callback.on_log(None, state, None, logs=logs)
    assert (logs["epoch"], state.log_history[-1]["epoch"]) == (0.5, 0.5)
    assert capsys.readouterr().err.splitlines()[-1] == "step 1 of 4: loss 0.5, logps/chosen -120.3"


def test_the_metrics_to_watch() -> None:
    assert shown({"eval_loss": 0.25, "loss": 1}) == "loss 1, validation loss 0.25"
    assert shown({"train_runtime": 3.0}) == ""
