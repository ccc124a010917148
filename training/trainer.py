"""Between a recipe and TRL: a trainer's arguments, rows as a stream, and the run itself.

Rows are never held as a whole: both splits are read from their source as training goes.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rprm_jobs.errors import ConfigError
from training.progress import progress_callback
from training.recipe import TrainingRecipe
from training.source import TRAIN, VALIDATION, Row, RowSource

Log = list[dict[str, float]]
Encode = Callable[[Iterator[Row]], Iterator[Any]]


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """One training: what on, how, and where its checkpoints go. `watchers` are callbacks of transformers' Trainer."""

    source: RowSource
    recipe: TrainingRecipe
    out: Path
    resume: bool = False
    watchers: Sequence[Any] = ()

    @property
    def processes(self) -> int:
        """Processes that train together."""
        return world_size()

    @property
    def rows(self) -> int:
        """Rows to train on."""
        return self.source.counts[TRAIN]

    @property
    def batch(self) -> int:
        """The recipe's batch, or less where there are not so many rows: a step must not see one twice."""
        return min(self.recipe.batch, math.ceil(self.rows / self.processes))

    @property
    def accumulation(self) -> int:
        """The recipe's accumulation, or less for the same reason."""
        return min(self.recipe.accumulation, math.ceil(self.rows / (self.batch * self.processes)))

    @property
    def rows_per_step(self) -> int:
        """Rows that one optimiser step sees."""
        return self.batch * self.accumulation * self.processes

    @property
    def lowered(self) -> bool:
        """Whether there are too few rows for one step of the recipe."""
        return (self.batch, self.accumulation) != (self.recipe.batch, self.recipe.accumulation)

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return self.recipe.steps or self.source.steps(self.rows_per_step, self.recipe.epochs)


def world_size() -> int:
    """Processes that train together, as their launcher says."""
    from accelerate import PartialState

    return int(PartialState().num_processes)


class _Stream:
    """A generator that `datasets` can take: it would pickle what it is given for a fingerprint, connections too."""

    def __init__(self, name: str, rows: Callable[[], Iterator[Any]]) -> None:
        self._name, self._rows = name, rows

    def __call__(self) -> Iterator[Any]:
        return self._rows()

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (self._name,)


def data_sets(plan: TrainingPlan, encode: Encode) -> dict[str, Any]:
    """The trainer's `train_dataset` and `eval_dataset` (None without a validation split)."""
    from datasets import IterableDataset

    source, most = plan.source, plan.recipe.evaluate_rows
    train = _Stream(source.name, lambda: encode(source.endless()))
    held = _Stream(f"{source.name}/{VALIDATION}", lambda: encode(islice(source.rows(VALIDATION), most)))
    return {
        "train_dataset": IterableDataset.from_generator(train),
        "eval_dataset": IterableDataset.from_generator(held) if source.counts[VALIDATION] else None,
    }


def arguments(plan: TrainingPlan) -> dict[str, Any]:
    """What TRL's configurations of every phase take from the recipe."""
    import torch

    recipe, validated = plan.recipe, bool(plan.source.counts[VALIDATION])
    every = min(recipe.evaluate_every, plan.steps)
    watched: dict[str, Any] = {
        "eval_strategy": "steps",
        "eval_steps": every,
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_loss",
        "per_device_eval_batch_size": plan.batch,
    }
    return {
        "output_dir": str(plan.out),
        "max_steps": plan.steps,
        "per_device_train_batch_size": plan.batch,
        "gradient_accumulation_steps": plan.accumulation,
        "learning_rate": recipe.learning_rate,
        "weight_decay": recipe.weight_decay,
        "adam_beta2": recipe.beta2,
        "warmup_steps": recipe.warmup,
        "lr_scheduler_type": recipe.schedule,
        "seed": recipe.seed,
        "bf16": recipe.bf16 and has_bf16(),
        "use_cpu": not torch.cuda.is_available(),
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "logging_steps": recipe.log_every,
        "save_steps": every,
        "save_total_limit": 2,
        "report_to": recipe.report_to,
        "disable_tqdm": True,
        "max_length": None,
        **(watched if validated else {}),
    }


def has_bf16() -> bool:
    """Whether this machine computes in bfloat16. CPUs that only emulate it are many times slower at it."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def check_names(recipe: TrainingRecipe) -> None:
    """Raise ConfigError for a name that transformers does not know, before anything is loaded or spent."""
    from transformers import integrations
    from transformers.trainer_utils import SchedulerType

    library: Any = integrations
    schedules = [schedule.value for schedule in SchedulerType]
    if recipe.schedule not in schedules:
        raise ConfigError(f"there is no schedule {recipe.schedule!r}", hint=f"say one of {', '.join(schedules)}")
    reporters = ["none", *library.get_available_reporting_integrations()]
    if recipe.report_to not in reporters:
        raise ConfigError(
            f"{recipe.report_to} is not installed, or is no place that transformers reports to",
            hint=f"pip install it, or say one of {', '.join(reporters)}",
        )


def callbacks(plan: TrainingPlan) -> list[Any]:
    """The watchers, and the one that stops early."""
    from transformers import EarlyStoppingCallback

    early = [EarlyStoppingCallback(plan.recipe.patience)] if plan.source.counts[VALIDATION] else []
    return [*early, *plan.watchers]


def adapter(recipe: TrainingRecipe) -> Any:
    """PEFT's configuration of the recipe's LoRA adapter, None without one. Raises ConfigError without PEFT."""
    if not recipe.lora_rank:
        return None
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ConfigError("LoRA needs the package peft", hint="pip install 'rprm-jobs[lora]'") from error
    return LoraConfig(
        r=recipe.lora_rank, lora_alpha=recipe.lora_alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )


def run(trainer: Any, plan: TrainingPlan) -> Log:
    """Train to the end; the log has one dict per logging or evaluation. Raises ConfigError with nothing to resume."""
    if plan.resume and not any(plan.out.glob("checkpoint-*")):
        raise ConfigError("there is no checkpoint to go on from", where=str(plan.out), hint="leave out --resume")
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    # First of all, so that the others see true epochs.
    trainer.callback_handler.callbacks.insert(0, progress_callback(plan))
    # Libraries may print; standard output is kept for the caller's own.
    with redirect_stdout(sys.stderr):
        trainer.train(resume_from_checkpoint=plan.resume or None)
    return [dict(entry) for entry in trainer.state.log_history]
