"""Direct preference optimisation of a judge with TRL's DPOTrainer, from rows of `prompt`, `chosen` and `rejected`.

The prompt is encoded by the judge's own encoder, so training sees the token ids that judging sees; only the critiques
and the ends of their turns carry loss.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from rprm_jobs.errors import ConfigError
from rprm_jobs.judge.encode import PromptEncoder
from training.source import VALIDATION, Source


class Pair(TypedDict):
    """Token ids; both critiques end with the end of the turn."""

    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]


@dataclass(frozen=True, slots=True)
class DpoRecipe:
    """How to train; the defaults are the paper's (section 4): batch 128, 1 epoch, learning rate 5e-7.

    An optimiser step sees `batch * accumulation` pairs on each process. With a validation split it is evaluated every
    `evaluate_every` steps, training stops when its loss has not fallen `patience` times, and the best weights are kept.
    """

    epochs: float = 1.0
    batch: int = 1
    accumulation: int = 128
    learning_rate: float = 5e-7
    beta: float = 0.1
    warmup: int = 0
    schedule: str = "cosine"
    seed: int = 42
    bf16: bool = True
    evaluate_every: int = 50
    patience: int = 3
    log_every: int = 10
    report_to: str = "none"

    def __post_init__(self) -> None:
        if min(self.batch, self.accumulation, self.evaluate_every, self.patience, self.log_every) < 1:
            raise ConfigError("batch, accumulation, evaluate_every, patience and log_every must be at least 1")
        if self.epochs <= 0 or self.learning_rate <= 0 or self.beta <= 0:
            raise ConfigError("epochs, learning_rate and beta must be above 0")


def train_dpo(
    model: Any, reference: Any, tokenizer: Any, source: Source, recipe: DpoRecipe, out: Path, *, resume: bool = False
) -> list[dict[str, float]]:
    """Train `model` in place against the frozen `reference`; returns the log, one dict per logging or evaluation.

    Checkpoints go to `out`; `resume` goes on from the last one there.
    """
    from transformers import EarlyStoppingCallback

    encoder = PromptEncoder(tokenizer)
    held = list(_encoded(source.rows(VALIDATION), tokenizer, encoder))
    trainer = _trainer()(
        model=model,
        ref_model=reference,
        args=_arguments(recipe, source.steps(recipe.batch * recipe.accumulation, recipe.epochs), bool(held), out),
        train_dataset=_stream(source.name, lambda: _encoded(source.endless(), tokenizer, encoder)),
        eval_dataset=_table(held) if held else None,
        processing_class=tokenizer,
        callbacks=[EarlyStoppingCallback(recipe.patience)] if held else [],
    )
    # The trainer prints its log; standard output is kept for the caller's own.
    with redirect_stdout(sys.stderr):
        trainer.train(resume_from_checkpoint=resume or None)
    return [dict(entry) for entry in trainer.state.log_history]


def _trainer() -> Any:
    from trl.trainer.dpo_trainer import DPOTrainer

    class Encoded(DPOTrainer):
        """Takes token ids as they are: TRL's own tokenisation would read marks in a rollout as special tokens."""

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    return Encoded


def encode_pair(row: dict[str, Any], tokenizer: Any, encoder: PromptEncoder) -> Pair:
    """Token ids of the framed prompt, and of both critiques with the end of the turn."""

    def ended(text: str) -> list[int]:
        ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return [*ids, tokenizer.eos_token_id]

    return {
        "prompt_ids": encoder.encode(row["prompt"]),
        "chosen_ids": ended(row["chosen"]),
        "rejected_ids": ended(row["rejected"]),
    }


def _encoded(rows: Iterable[dict[str, Any]], tokenizer: Any, encoder: PromptEncoder) -> Iterator[Pair]:
    return (encode_pair(row, tokenizer, encoder) for row in rows)


class _Stream:
    """A generator that `datasets` can take: it would pickle what it is given for a fingerprint, connections too."""

    def __init__(self, name: str, pairs: Callable[[], Iterator[Pair]]) -> None:
        self._name, self._pairs = name, pairs

    def __call__(self) -> Iterator[Pair]:
        return self._pairs()

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (self._name,)


def _stream(name: str, pairs: Callable[[], Iterator[Pair]]) -> Any:
    from datasets import IterableDataset

    return IterableDataset.from_generator(_Stream(name, pairs))


def _table(pairs: list[Pair]) -> Any:
    from datasets import Dataset

    return Dataset.from_list([dict(pair) for pair in pairs])


def _arguments(recipe: DpoRecipe, steps: int, validated: bool, out: Path) -> Any:
    import torch
    from trl.trainer.dpo_config import DPOConfig

    every = min(recipe.evaluate_every, steps)
    watched: dict[str, Any] = {
        "eval_strategy": "steps",
        "eval_steps": every,
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "per_device_eval_batch_size": recipe.batch,
    }
    return DPOConfig(
        output_dir=str(out),
        max_steps=steps,
        per_device_train_batch_size=recipe.batch,
        gradient_accumulation_steps=recipe.accumulation,
        learning_rate=recipe.learning_rate,
        beta=recipe.beta,
        warmup_steps=recipe.warmup,
        lr_scheduler_type=recipe.schedule,
        seed=recipe.seed,
        bf16=recipe.bf16,
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=False,
        logging_steps=recipe.log_every,
        save_steps=every,
        save_total_limit=2,
        report_to=recipe.report_to,
        disable_tqdm=True,
        max_length=None,
        **(watched if validated else {}),
    )
