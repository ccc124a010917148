"""Where the validation loss rises a training ends early, and ends with the weights that were best."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.judge.resolve import Judge, resolve_judge
from tests.support.judges import build_drilled_judge, render
from training.folder import load_model, load_tokenizer
from training.sft import SftRecipe, train_sft
from training.source import RowSource
from training.trainer import TrainingPlan

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.filterwarnings("default")]
VERDICT = "Verification: Is the step correct (Yes/No)?"
STEPS, PATIENCE = 12, 2


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    return resolve_judge(str(build_drilled_judge(tmp_path_factory.mktemp("judge") / "drilled")))


def rows(split: str) -> Iterator[dict[str, Any]]:
    """What training teaches is the opposite of what validation wants."""
    for i in range(16 if split == "train" else 4):
        answer = "No" if split == "train" else "Yes"
        prompt = render(f"What is {i} + 1?", f"{i} + 1 = {i + 1}")
        yield {"prompt": prompt, "completion": f"{i}\n{VERDICT} {answer}"}


def train(judge: Judge, out: Path) -> tuple[Any, list[float]]:
    """The trainer, and the validation losses as training went."""
    recipe = SftRecipe(
        steps=STEPS, batch=4, accumulation=1, learning_rate=3e-3, bf16=False, evaluate_every=1, log_every=1,
        patience=PATIENCE, schedule="constant",
    )  # fmt: skip
    source = RowSource("rows", "d", {"train": 16, "validation": 4}, rows)
    trainer, log = train_sft(load_model(judge.location), load_tokenizer(judge), TrainingPlan(source, recipe, out))
    return trainer, [entry["eval_loss"] for entry in log if "eval_loss" in entry]


def test_it_ends_after_its_patience_and_with_the_best_weights(judge: Judge, tmp_path: Path) -> None:
    trainer, losses = train(judge, tmp_path)
    best = losses.index(min(losses))
    assert len(losses) == best + 1 + PATIENCE < STEPS
    assert losses[-1] > losses[best]
    assert trainer.evaluate()["eval_loss"] == pytest.approx(losses[best])
