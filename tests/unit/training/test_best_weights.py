"""Training stops when the validation loss no longer falls, and what it leaves are the best weights, not the last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.judge.resolve import Judge, resolve_judge
from tests.support.judges import render
from training.folder import load_model, load_tokenizer
from training.preferences import train_dpo
from training.recipe import DpoRecipe, SftRecipe
from training.sft import train_sft
from training.source import VALIDATION, RowSource
from training.trainer import TrainingPlan

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.filterwarnings("default")]
VERDICT = "Verification: Is the step correct (Yes/No)?"
MOST, PATIENCE = 12, 2
RECIPE: dict[str, Any] = {
    "batch": 2, "accumulation": 1, "learning_rate": 1e-3, "bf16": False, "evaluate_every": 1, "log_every": 1,
    "warmup": 0, "schedule": "constant", "patience": PATIENCE,
}  # fmt: skip


@pytest.fixture(scope="module")
def judge() -> Judge:
    return resolve_judge("tiny")


def rows(split: str) -> Iterator[dict[str, Any]]:
    """What is learnt from the training split is wrong in the validation split, whose loss rises."""
    learnt, other = ("Yes", "No") if split == "train" else ("No", "Yes")
    for i in range(30 if split == "train" else 4):
        prompt = render(f"What is {i} + 1?", f"{i} + 1 = {i + 1}")
        both = {"chosen": f"{VERDICT} {learnt}", "rejected": f"{VERDICT} {other}"}
        yield {"prompt": prompt, "completion": f"{VERDICT} {learnt}", **both}


def train(judge: Judge, phase: str, out: Path) -> tuple[Any, list[float]]:
    """The trainer, and the validation losses as training went."""
    model, tokenizer = load_model(judge.location), load_tokenizer(judge)
    source = RowSource("rows", "d", {"train": 30, VALIDATION: 4}, rows)
    if phase == "sft":
        trainer, log = train_sft(model, tokenizer, TrainingPlan(source, SftRecipe(steps=MOST, **RECIPE), out))
    else:
        reference = load_model(judge.location)
        plan = TrainingPlan(source, DpoRecipe(steps=MOST, **RECIPE), out)
        trainer, log = train_dpo(model, reference, tokenizer, plan)
    return trainer, [entry["eval_loss"] for entry in log if "eval_loss" in entry]


@pytest.mark.parametrize("phase", ["sft", "dpo"])
def test_a_loss_that_rises_ends_the_training_and_the_best_weights_stay(
    judge: Judge, phase: str, tmp_path: Path
) -> None:
    trainer, losses = train(judge, phase, tmp_path)
    best = losses.index(min(losses))
    assert len(losses) == best + 1 + PATIENCE < MOST
    assert losses[-1] > losses[best]
    assert trainer.evaluate()["eval_loss"] == pytest.approx(losses[best])
