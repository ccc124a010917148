"""What TRL is told of a recipe: bfloat16 only where the machine computes in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.recipe import SftRecipe
from training.source import TRAIN, VALIDATION, RowSource
from training.trainer import TrainingPlan, arguments


@pytest.mark.parametrize(("asked", "there", "used"), [(True, True, True), (True, False, False), (False, True, False)])
def test_bfloat16_is_used_where_it_is_asked_for_and_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: bool, there: bool, used: bool
) -> None:
    monkeypatch.setattr("training.trainer.has_bf16", lambda: there)
    source = RowSource("none", "", {TRAIN: 4, VALIDATION: 0}, lambda _: iter(()))
    assert arguments(TrainingPlan(source, SftRecipe(steps=1, bf16=asked), tmp_path))["bf16"] is used
