"""One training from its parts to a judge's folder, entered in the store as it goes."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rprm_jobs.errors import RprmError, StoreError
from rprm_jobs.judge.resolve import Judge
from rprm_jobs.services.context import Context
from rprm_jobs.services.training.runs import RunRecord, place
from rprm_jobs.store.training.runs import NewRun, Phase
from training.begun import begin, check_folder, checkpoints
from training.folder import keep_trained, load_model, load_tokenizer
from training.preferences import train_dpo
from training.recipe import TrainingRecipe
from training.sft import train_sft
from training.source import TRAIN, VALIDATION, RowSource
from training.trainer import Log, TrainingPlan, check_names, has_bf16


@dataclass(frozen=True, slots=True)
class Training:
    """What is to be trained: a judge, on rows, by a recipe, into the folder `out`. `prompt` is what judging will show.

    `dtype` is that of the weights written, "" for the judge's own. `resume` goes on from the last checkpoint in `out`,
    `restart` removes what is there.
    """

    phase: Phase
    judge: Judge
    source: RowSource
    recipe: TrainingRecipe
    prompt: str
    out: Path
    resume: bool = False
    restart: bool = False
    dtype: str = ""


def train(training: Training, context: Context | None) -> dict[str, Any] | None:
    """Train, write the judge, and say what it took; with a `context` the run is a row in Postgres as well.

    Every process of a training calls this; all but the first get None and leave nothing.
    """
    check_names(training.recipe)
    check_folder(training.out, resume=training.resume, restart=training.restart)
    plan = TrainingPlan(training.source, training.recipe, checkpoints(training.out), training.resume)
    if _is_main():
        begin(training.out, _what(training), resume=training.resume)
    else:
        context = None
    record = None if context is None else RunRecord(context, _new_run(training, plan), resumed=training.resume)
    began = time.monotonic()
    try:
        log = _train(training, _watched(plan, record))
        summary = _written(training, plan, log, time.monotonic() - began) if _is_main() else None
    except BaseException as error:
        if record is not None:
            # The error that ended the training is the one to report.
            with suppress(StoreError):
                record.finish(_said(error))
        raise
    if record is not None:
        record.finish()
    if summary is None:
        return None
    return summary | {"out": str(training.out), "run": None if record is None else record.id}


def _what(training: Training) -> dict[str, Any]:
    """What a checkpoint belongs to."""
    recipe = asdict(training.recipe)
    return {**recipe, "judge": training.judge.fingerprint, "data": training.source.digest}


def _train(training: Training, plan: TrainingPlan) -> Log:
    judge, tokenizer = training.judge, load_tokenizer(training.judge)
    load: Callable[[], Any] = lambda: load_model(judge.location, revision=judge.revision)  # noqa: E731
    if training.phase is Phase.SFT:
        trainer, log = train_sft(load(), tokenizer, plan)
    else:
        # The adapter's base is the reference.
        reference = None if training.recipe.lora_rank else load()
        trainer, log = train_dpo(load(), reference, tokenizer, plan)
    keep_trained(trainer, tokenizer, judge, training.prompt, training.out, training.dtype)
    return log


def _is_main() -> bool:
    from accelerate import PartialState

    return bool(PartialState().is_main_process)


def _watched(plan: TrainingPlan, record: RunRecord | None) -> TrainingPlan:
    if record is None:
        return plan
    log = record.log
    from transformers import TrainerCallback

    class Watcher(TrainerCallback):
        """Hands every log entry to the record."""

        def on_log(self, args: Any, state: Any, control: Any, **entry: Any) -> None:  # noqa: ARG002
            log(state.global_step, {k: v for k, v in entry["logs"].items() if isinstance(v, int | float)})

    return replace(plan, watchers=(Watcher(),))


def _new_run(training: Training, plan: TrainingPlan) -> NewRun:
    host, folder = place(training.out)
    return NewRun(
        phase=training.phase,
        judge=training.judge.name,
        judge_digest=training.judge.fingerprint,
        data=training.source.name,
        data_digest=training.source.digest,
        recipe=asdict(training.recipe),
        total_steps=plan.steps,
        n_train=training.source.counts[TRAIN],
        n_validation=training.source.counts[VALIDATION],
        host=host,
        folder=folder,
    )


def _written(training: Training, plan: TrainingPlan, log: Log, seconds: float) -> dict[str, Any]:
    """What the run says of itself, in its folder; checkpoints are of no more use then."""
    source = training.source
    summary = {
        "phase": training.phase.value,
        "judge": training.judge.name,
        "data": {"name": source.name, "digest": source.digest, **source.counts},
        "recipe": asdict(training.recipe),
        "rows_per_step": plan.rows_per_step,
        "bf16": training.recipe.bf16 and has_bf16(),
        "minutes": round(seconds / 60, 2),
        "log": log,
    }
    (training.out / "run.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(plan.out, ignore_errors=True)
    return summary


def _said(error: BaseException) -> str:
    return error.what if isinstance(error, RprmError) else f"{type(error).__name__}: {error}"
