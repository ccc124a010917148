"""Supervised fine-tuning on critiques with TRL's SFTTrainer, from rows of `prompt` and `completion`.

The prompt is encoded by the judge's own encoder, so training sees the token ids that judging sees; only the
critique and the end of the turn carry loss.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypedDict

from rprm_jobs.judge.encode import PromptEncoder
from training.recipe import SftRecipe
from training.trainer import Log, TrainingPlan, adapter, arguments, callbacks, data_sets, run


class Record(TypedDict):
    """One example: the user message as the judge's prompt renders it, and the critique to learn."""

    prompt: str
    completion: str


class Example(TypedDict):
    """A tokenised record; labels are -100 where there is no loss."""

    input_ids: list[int]
    labels: list[int]


def train_sft(model: Any, tokenizer: Any, plan: TrainingPlan) -> tuple[Any, Log]:
    """Train `model` in place; returns the trainer, and the log. The plan's recipe is an SftRecipe."""
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    recipe = plan.recipe
    if not isinstance(recipe, SftRecipe):
        raise TypeError("SFT wants an SftRecipe")
    encoder = PromptEncoder(tokenizer)

    def encode(rows: Iterator[dict[str, Any]]) -> Iterator[Example]:
        examples = (encode_record(row, tokenizer, encoder) for row in rows)
        return by_length(examples, recipe.batch, random.Random(recipe.seed))

    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            **arguments(plan),
            pad_to_multiple_of=recipe.pad_to or None,
            lr_scheduler_kwargs={"num_decay_steps": recipe.decay, "min_lr_ratio": recipe.floor} if recipe.decay else {},
            dataset_kwargs={"skip_prepare_dataset": True},
        ),
        processing_class=tokenizer,
        callbacks=callbacks(plan),
        peft_config=adapter(recipe),
        **data_sets(plan, encode),
    )
    return trainer, run(trainer, plan)


def encode_record(record: Record | dict[str, Any], tokenizer: Any, encoder: PromptEncoder) -> Example:
    """Token ids of the framed prompt, the critique and the end of the turn."""
    prompt = encoder.encode(record["prompt"])
    completion = tokenizer(record["completion"], add_special_tokens=False, split_special_tokens=True)["input_ids"]
    completion = [*completion, tokenizer.eos_token_id]
    return {"input_ids": prompt + completion, "labels": [-100] * len(prompt) + completion}


def by_length(examples: Iterable[Example], batch: int, rng: random.Random, pool: int = 16) -> Iterator[Example]:
    """Reorder `examples` so that each run of `batch` is of like length (little padding), in pools of `pool` batches."""
    source = iter(examples)
    while drawn := list(islice(source, batch * pool)):
        drawn.sort(key=lambda example: len(example["input_ids"]))
        batches = [drawn[at : at + batch] for at in range(0, len(drawn), batch)]
        rng.shuffle(batches)
        for each in batches:
            yield from each
