"""Supervised fine-tuning: loss on the critique alone, prompts as judging encodes them, and a loss that falls."""

from __future__ import annotations

import math
import random
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.errors import ConfigError
from rprm_jobs.judge.encode import PromptEncoder
from training.recipe import SftRecipe
from training.sft import Example, by_length, encode_record, train_sft
from training.splits import TRAINING_SEED
from training.tiny_base import PROMPT, Shape, generated, new_model, recipe_for, training_records
from training.tokenizer import build_tokenizer
from training.trainer import TrainingPlan


def example(length: int) -> Example:
    return {"input_ids": list(range(length)), "labels": [length] * length}


def test_examples_are_grouped_by_length_and_none_is_lost() -> None:
    rng = random.Random(1)
    lengths = [rng.randint(1, 500) for _ in range(1000)]
    grouped = [len(each["input_ids"]) for each in by_length(map(example, lengths), 10, rng)]
    assert sorted(grouped) == sorted(lengths)
    spreads = [max(batch) - min(batch) for batch in zip(*[iter(grouped)] * 10, strict=True)]
    assert sum(spreads) / len(spreads) < 60


def test_a_recipe_that_cannot_be_is_refused() -> None:
    for wrong, words in (
        ({"batch": 0}, "--batch 0 is not at least 1"),
        ({"steps": -1}, "--steps -1 is not at least 0"),
        ({"epochs": math.inf}, "--epochs inf is not above 0"),
        ({"seed": -1}, "--seed -1 is not in 0..4294967295"),
        ({"pad_to": -2}, "--pad-to -2 is not at least 0"),
    ):
        with pytest.raises(ConfigError, match=words) as refused:
            SftRecipe(**wrong)  # type: ignore[arg-type]
        assert words.split()[0] in refused.value.hint


def test_training_records_are_the_same_at_every_call() -> None:
    assert list(islice(training_records(7), 50)) == list(islice(training_records(7), 50))


def test_decay_and_warmup_fit_in_a_short_recipe() -> None:
    recipe = recipe_for(40)
    assert recipe.warmup + recipe.decay <= recipe.steps


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer(PROMPT)


@pytest.mark.engine
def test_only_the_critique_and_the_end_of_its_turn_carry_loss(tokenizer: Any) -> None:
    encoder = PromptEncoder(tokenizer)
    record = next(training_records(TRAINING_SEED))
    encoded = encode_record(record, tokenizer, encoder)
    prompt = encoder.encode(record["prompt"])
    assert encoded["input_ids"][: len(prompt)] == prompt
    assert encoded["labels"][: len(prompt)] == [-100] * len(prompt)
    learnt = encoded["labels"][len(prompt) :]
    assert learnt == encoded["input_ids"][len(prompt) :]
    assert encoder.decode(learnt) == record["completion"]
    assert learnt[-1] == tokenizer.eos_token_id


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_short_run_makes_the_loss_fall(tokenizer: Any, tmp_path: Path) -> None:
    recipe = SftRecipe(steps=30, batch=8, accumulation=1, learning_rate=2e-3, bf16=False, log_every=10, seed=3)
    model = new_model(tokenizer, Shape(width=64, layers=2, heads=2, feed_forward=128), recipe.seed)
    source = generated(lambda: training_records(recipe.seed), recipe)
    _, log = train_sft(model, tokenizer, TrainingPlan(source, recipe, tmp_path))
    losses = [entry["loss"] for entry in log if "loss" in entry]
    assert losses[0] > 4.5
    assert losses[-1] < losses[0] - 1.0
