"""Options of the training program that change nothing beside the others are refused before anything is opened."""

from __future__ import annotations

import sys

import pytest

from rprm_jobs.errors import ConfigError
from training.entry import run
from training.options import training_parser


@pytest.mark.parametrize(
    ("words", "without_effect"),
    [
        ("dpo --data pairs.jsonl --off-policy", "--off-policy has no effect with --data"),
        ("sft --lora-alpha 32", "--lora-alpha has no effect without --lora-rank"),
        ("sft --steps 10 --epochs 2", "--epochs has no effect with --steps"),
        ("sft --decay 5", "--decay has no effect without --schedule warmup_stable_decay"),
        ("sft --floor=0.1", "--floor has no effect without --schedule warmup_stable_decay"),
    ],
)
def test_an_option_without_effect_is_refused(words: str, without_effect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["training", *words.split()])
    with pytest.raises(ConfigError) as refused:
        run(training_parser().parse_args(words.split()))
    assert refused.value.what.startswith(without_effect)
    assert refused.value.hint == f"leave out {without_effect.split()[0]}"


def test_options_that_belong_together_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["sft", "--schedule", "warmup_stable_decay", "--decay", "5", "--floor", "0.1", "--check"]
    monkeypatch.setattr(sys, "argv", ["training", *words])
    checked = run(training_parser().parse_args(words))
    assert checked is not None
    assert (checked["recipe"]["decay"], checked["recipe"]["floor"]) == (5, 0.1)
