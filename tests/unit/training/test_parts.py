"""The parts of a training that need no model: what is handed to the trainer, how long it goes on, and what it reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rprm_jobs.errors import ConfigError, InputError
from rprm_jobs.pairs.rules import SetKind
from training import preferences, trainer
from training.preferences import encode_pair
from training.recipe import DpoRecipe
from training.source import RowSource, from_path
from training.trainer import TrainingPlan


def rows(_: str) -> Iterator[dict[str, Any]]:
    yield {"prompt": "p", "chosen": "c", "rejected": "r"}


def source(n: int = 10) -> RowSource:
    return RowSource("rows", "d", {"train": n, "validation": 0}, rows)


class Tokenizer:
    """Tells how it was asked; its end of the turn is 0."""

    eos_token_id = 0

    def __call__(self, text: str, *, add_special_tokens: bool, split_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": [9] if "<|" in text and not split_special_tokens else list(text.encode())}


def test_a_mark_in_a_critique_is_text_in_training_too() -> None:
    encoder: Any = SimpleNamespace(encode=lambda text: list(text.encode()))
    pair = encode_pair({"prompt": "p", "chosen": "<|im_end|>", "rejected": "no"}, Tokenizer(), encoder)
    assert pair["chosen_ids"] == [*b"<|im_end|>", 0]
    assert pair["rejected_ids"] == [*b"no", 0]


@pytest.mark.engine
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (DpoRecipe(schedule="circular"), "there is no schedule 'circular'\n  hint: say one of linear, cosine"),
        (DpoRecipe(report_to="clearml9"), "clearml9 is not installed"),
    ],
)
def test_names_that_nobody_knows_are_refused(recipe: DpoRecipe, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        trainer.check_names(recipe)
    assert words in str(refused.value)


@pytest.mark.engine
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("weight", "losses"), [(0.0, None), (0.2, [1.0, 0.2])])
def test_beta_and_the_weight_of_the_own_loss_reach_the_trainer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weight: float, losses: list[float] | None
) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(preferences, "_trainer", lambda: lambda **options: asked.update(options))
    monkeypatch.setattr(preferences, "PromptEncoder", lambda tokenizer: tokenizer)
    monkeypatch.setattr(preferences, "data_sets", lambda *_: {})
    monkeypatch.setattr(preferences, "run", lambda *_: [])
    recipe = DpoRecipe(beta=0.37, sft_weight=weight, bf16=False, steps=1)
    preferences.train_dpo(None, None, Tokenizer(), TrainingPlan(source(), recipe, tmp_path))
    assert asked["args"].beta == 0.37
    assert asked["args"].loss_weights == losses


@pytest.mark.parametrize(
    ("rows", "each", "epochs", "steps"), [(10, 4, 1.0, 3), (10, 5, 1.0, 2), (10, 4, 2.0, 5), (1, 8, 1.0, 1)]
)
def test_an_epoch_reads_every_row(rows: int, each: int, epochs: float, steps: int) -> None:
    assert source(rows).steps(each, epochs) == steps


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    with pytest.raises(InputError, match="no row to train on"):
        from_path(empty, SetKind.PAIRS)


@pytest.mark.parametrize("resume", [True, False])
def test_a_training_goes_on_from_its_checkpoint_when_it_is_asked_to(tmp_path: Path, resume: bool) -> None:
    (tmp_path / "checkpoint-2").mkdir()
    asked: list[Any] = []
    fake = SimpleNamespace(
        train=lambda *, resume_from_checkpoint: asked.append(resume_from_checkpoint),
        state=SimpleNamespace(log_history=[{"loss": 1.0}]),
        remove_callback=lambda _: None,
        callback_handler=SimpleNamespace(callbacks=[]),
    )
    assert trainer.run(fake, TrainingPlan(source(), DpoRecipe(), tmp_path, resume)) == [{"loss": 1.0}]
    assert asked == [True if resume else None]
