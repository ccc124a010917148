"""How a training is seen while it goes: a bar in a terminal, otherwise a line for each log entry; and true epochs."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rprm_jobs.words import counted

if TYPE_CHECKING:
    from training.trainer import TrainingPlan

_SHOWN = ("loss", "eval_loss", "rewards/margins", "logps/chosen", "mean_token_accuracy")


def describe(plan: TrainingPlan) -> str:
    """What one optimiser step sees, and how often the rows are seen in all."""
    rows, seen = plan.rows, plan.rows_per_step
    lowered = ", all there are" if plan.lowered else ""
    passes = plan.steps * seen / rows
    return (
        f"{counted(rows, 'row')}; one step sees {seen:,} of them{lowered} (batch {plan.batch} x accumulation"
        f" {plan.accumulation} x {plan.processes} process{'es' if plan.processes > 1 else ''});"
        f" {counted(plan.steps, 'step')}, which see every row {passes:.4g} times"
    )


def progress_callback(plan: TrainingPlan) -> Any:
    """The trainer's callback that shows progress on stderr, and counts epochs as passes over the rows."""
    from transformers import TrainerCallback

    class Progress(TrainerCallback):
        def __init__(self) -> None:
            self._bar: Any = None
            self._task: Any = None
            self._began, self._from = time.monotonic(), 0

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            self._began, self._from = time.monotonic(), state.global_step
            if not state.is_world_process_zero:
                return
            print(describe(plan), file=sys.stderr, flush=True)
            if sys.stderr.isatty():
                self._bar = _bar()
                self._task = self._bar.add_task("training", total=plan.steps, completed=state.global_step, last="")
                self._bar.start()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            if self._bar is not None:
                self._bar.update(self._task, completed=state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ARG002
            if logs is None:
                return
            # The trainer counts a stream of unknown length as one epoch.
            epoch = round(state.global_step * plan.rows_per_step / plan.rows, 4)
            logs["epoch"] = state.log_history[-1]["epoch"] = epoch
            last = shown(logs)
            if not last or not state.is_world_process_zero:
                return
            if self._bar is not None:
                self._bar.update(self._task, last=last)
            else:
                print(
                    f"step {state.global_step:,} of {plan.steps:,}: {last}{self._left(state)}",
                    file=sys.stderr,
                    flush=True,
                )

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            if self._bar is not None:
                self._bar.stop()

        def _left(self, state: Any) -> str:
            done, remaining = state.global_step - self._from, plan.steps - state.global_step
            if done <= 0 or remaining <= 0:
                return ""
            minutes = (time.monotonic() - self._began) / done * remaining / 60
            return f"; {minutes:.0f} min left" if minutes >= 1 else "; less than a minute left"

    return Progress()


def shown(logs: Mapping[str, Any]) -> str:
    """The metrics that a person watches: `loss 0.6931, logps/chosen -120.3`."""
    names = {name: "validation loss" if name == "eval_loss" else name for name in _SHOWN}
    return ", ".join(f"{names[name]} {float(logs[name]):.4g}" for name in _SHOWN if name in logs)


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[last]}"),
    )  # fmt: skip
    return Progress(*columns, console=Console(stderr=True))
