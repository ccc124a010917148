"""Supervised fine-tuning on critiques with TRL's SFTTrainer, from records of `prompt` and `completion`.

The prompt is encoded by the judge's own encoder, so training sees the token ids that judging sees; only the
critique and the end of the turn carry loss.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypedDict

from rprm_jobs.errors import ConfigError
from rprm_jobs.judge.encode import PromptEncoder


class Record(TypedDict):
    """One example: the user message as the judge's prompt renders it, and the critique to learn."""

    prompt: str
    completion: str


class Example(TypedDict):
    """A tokenised record; labels are -100 where there is no loss."""

    input_ids: list[int]
    labels: list[int]


@dataclass(frozen=True, slots=True)
class SftRecipe:
    """How to train. The defaults are the paper's (section 4) except `steps`, which has to fit the data.

    An optimiser step sees `batch * accumulation` examples. `schedule` is one of transformers' scheduler names.
    `bf16` computes in bfloat16 over float32 weights.
    """

    steps: int
    batch: int = 8
    accumulation: int = 16
    learning_rate: float = 5e-6
    weight_decay: float = 0.0
    warmup: int = 0
    schedule: str = "cosine"
    schedule_options: dict[str, Any] | None = None
    beta2: float = 0.999
    seed: int = 42
    bf16: bool = True
    pad_to: int | None = None
    log_every: int = 50
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.accumulation) < 1:
            raise ConfigError("steps, batch and accumulation must be at least 1")


def train_sft(
    model: Any,
    tokenizer: Any,
    records: Callable[[], Iterable[Record]],
    recipe: SftRecipe,
    out: Path,
    *,
    resume: bool = False,
) -> list[dict[str, float]]:
    """Train `model` in place and return the log: one dict per `log_every` steps (loss, learning rate, ...).

    `records` starts a stream that is the same at every call and long enough for all steps. Checkpoints go to
    `out`; `resume` goes on from the last one there.
    """
    from datasets import IterableDataset
    from trl.trainer.sft_trainer import SFTTrainer

    encoder = PromptEncoder(tokenizer)

    def stream() -> Iterator[Example]:
        examples = (encode_record(record, tokenizer, encoder) for record in records())
        return by_length(examples, recipe.batch, random.Random(recipe.seed))

    trainer = SFTTrainer(
        model=model,
        args=_arguments(recipe, out),
        train_dataset=IterableDataset.from_generator(stream),
        processing_class=tokenizer,
    )
    # The trainer prints its log; standard output is kept for the caller's own.
    with redirect_stdout(sys.stderr):
        trainer.train(resume_from_checkpoint=resume or None)
    return [dict(entry) for entry in trainer.state.log_history]


def encode_record(record: Record, tokenizer: Any, encoder: PromptEncoder) -> Example:
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


def _arguments(recipe: SftRecipe, out: Path) -> Any:
    import torch
    from trl.trainer.sft_config import SFTConfig

    return SFTConfig(
        output_dir=str(out),
        max_steps=recipe.steps,
        per_device_train_batch_size=recipe.batch,
        gradient_accumulation_steps=recipe.accumulation,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        adam_beta2=recipe.beta2,
        warmup_steps=recipe.warmup,
        lr_scheduler_type=recipe.schedule,
        lr_scheduler_kwargs=recipe.schedule_options or {},
        seed=recipe.seed,
        bf16=recipe.bf16,
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=False,
        logging_steps=recipe.log_every,
        save_steps=recipe.checkpoint_every,
        save_total_limit=3,
        report_to="none",
        disable_tqdm=True,
        max_length=None,
        pad_to_multiple_of=recipe.pad_to,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
