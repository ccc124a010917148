"""A training that is interrupted and resumed ends with the weights of one that was not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.errors import ConfigError
from rprm_jobs.judge.resolve import Judge, resolve_judge
from tests.support.judges import build_drilled_judge, render
from training.folder import load_model, load_tokenizer
from training.preferences import train_dpo
from training.recipe import DpoRecipe, SftRecipe
from training.sft import train_sft
from training.source import RowSource
from training.trainer import TrainingPlan

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.filterwarnings("default")]
VERDICT = "Verification: Is the step correct (Yes/No)?"
SHORT: dict[str, Any] = {
    "steps": 4, "batch": 2, "accumulation": 2, "learning_rate": 1e-3, "bf16": False, "evaluate_every": 2,
    "log_every": 1, "warmup": 1,
}  # fmt: skip


class PowerCut(Exception):
    pass


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    return resolve_judge(str(build_drilled_judge(tmp_path_factory.mktemp("judge") / "drilled")))


def rows(split: str) -> Iterator[dict[str, Any]]:
    for i in range(20 if split == "train" else 4):
        prompt = render(f"What is {i} + 1?", f"{i} + 1 = {i + 1}")
        both = {"chosen": f"{VERDICT} Yes", "rejected": f"{VERDICT} No"}
        yield {"prompt": prompt, "completion": f"{i}\n{VERDICT} Yes", **both}


SOURCE = RowSource("rows", "d", {"train": 20, "validation": 4}, rows)


def cut_at(step: int) -> Any:
    """A callback that fails the training at the beginning of a step."""
    from transformers import TrainerCallback

    class Cut(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            if state.global_step == step:
                raise PowerCut

    return Cut()


def train(judge: Judge, phase: str, out: Path, **more: Any) -> tuple[dict[str, Any], Any]:
    """Weights by name, and the log."""
    model, tokenizer = load_model(judge.location), load_tokenizer(judge)
    if phase == "sft":
        _, log = train_sft(model, tokenizer, TrainingPlan(SOURCE, SftRecipe(**SHORT), out, **more))
    else:
        reference = load_model(judge.location)
        _, log = train_dpo(model, reference, tokenizer, TrainingPlan(SOURCE, DpoRecipe(**SHORT), out, **more))
    return dict(model.state_dict()), log


@pytest.mark.parametrize("phase", ["sft", "dpo"])
def test_resumed_is_as_good_as_uninterrupted(judge: Judge, phase: str, tmp_path: Path) -> None:
    import torch

    whole, log = train(judge, phase, tmp_path / "whole")
    with pytest.raises(PowerCut):
        train(judge, phase, tmp_path / "cut", watchers=(cut_at(3),))
    resumed, resumed_log = train(judge, phase, tmp_path / "cut", resume=True)
    assert [e["step"] for e in resumed_log if "loss" in e] == [e["step"] for e in log if "loss" in e] == [1, 2, 3, 4]
    for name, weights in whole.items():
        torch.testing.assert_close(resumed[name], weights)
    start = load_model(judge.location).state_dict()
    assert any(not torch.equal(start[name], weights) for name, weights in whole.items())


def test_without_a_checkpoint_there_is_nothing_to_resume(judge: Judge, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no checkpoint"):
        train(judge, "dpo", tmp_path / "none", resume=True)
