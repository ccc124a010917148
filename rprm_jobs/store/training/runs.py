"""Training runs and their metrics. A run is known by its folder on its host; a resumed one goes on with its entry."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.errors import NotFound


class Phase(StrEnum):
    """Imitation of good critiques, or preference for them."""

    SFT = "sft"
    DPO = "dpo"


class RunState(StrEnum):
    """INTERRUPTED is not stored: such a run is stored as running, and has not been seen for `SILENT_S` seconds."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


# A living run is seen far more often (rprm_jobs.services.training.runs).
SILENT_S = 180


@dataclass(frozen=True, slots=True)
class NewRun:
    """What is known of a run when it starts. `data` is a set's name or a path."""

    phase: Phase
    judge: str
    judge_digest: str
    data: str
    data_digest: str
    recipe: Mapping[str, Any]
    total_steps: int
    n_train: int
    n_validation: int
    host: str
    folder: str


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it stands. `step` is the last one logged; `metrics` are its last training metrics and, under names
    that begin with `eval_`, those of the validation split."""

    id: int
    started: NewRun
    state: RunState
    error: str | None
    step: int
    metrics: Mapping[str, float]
    started_at: datetime
    seen_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Logged:
    """Metrics at one optimiser step, of training or of the validation split."""

    step: int
    validation: bool
    metrics: Mapping[str, float]


# Named one by one, as in rprm_jobs.store.jobs.jobs.
_COLUMNS = ", ".join(f"r.{name}" for name in ("id", "error", "started_at", "seen_at", "finished_at"))
_SELECT = f"""
  SELECT {_COLUMNS},
         CASE WHEN r.state = 'running' AND r.seen_at < now() - make_interval(secs => {SILENT_S}) THEN 'interrupted'
              ELSE r.state END AS state, {", ".join(f"r.{name}" for name in NewRun.__dataclass_fields__)},
         coalesce((SELECT max(step) FROM training_metrics WHERE run_id = r.id), 0) AS step,
         (SELECT metrics FROM training_metrics WHERE run_id = r.id AND NOT validation
          ORDER BY step DESC LIMIT 1) AS training,
         (SELECT metrics FROM training_metrics WHERE run_id = r.id AND validation
          ORDER BY step DESC LIMIT 1) AS validation
  FROM training_runs AS r"""


def start(connection: Connection, run: NewRun, *, resumed: bool) -> int:
    """Enter the run, or go on with the one of this folder; returns its id. Metrics of a run begun anew go."""
    values = asdict(run) | {"recipe": json.dumps(dict(run.recipe))}
    columns = ", ".join(values)
    inserted = connection.execute(
        text(
            f"INSERT INTO training_runs (state, {columns})"
            f" VALUES ('running', {', '.join('CAST(:recipe AS jsonb)' if c == 'recipe' else f':{c}' for c in values)})"
            " ON CONFLICT (host, folder) DO UPDATE SET state = 'running', error = NULL, finished_at = NULL,"
            " seen_at = now(), started_at = CASE WHEN :resumed THEN training_runs.started_at ELSE now() END, "
            + ", ".join(f"{c} = EXCLUDED.{c}" for c in values if c not in ("host", "folder"))
            + " RETURNING id"
        ),
        values | {"resumed": resumed},
    )
    run_id = int(inserted.scalar_one())
    if not resumed:
        connection.execute(text("DELETE FROM training_metrics WHERE run_id = :id"), {"id": run_id})
    return run_id


def log(connection: Connection, run_id: int, logged: Logged) -> None:
    """Keep metrics of a step beside those it has; the newer stay, as when a resumed run repeats the step."""
    connection.execute(
        text(
            "INSERT INTO training_metrics (run_id, step, validation, metrics)"
            " VALUES (:id, :step, :validation, CAST(:metrics AS jsonb))"
            " ON CONFLICT (run_id, step, validation) DO UPDATE SET recorded_at = now(),"
            " metrics = training_metrics.metrics || EXCLUDED.metrics"
        ),
        {"id": run_id, "step": logged.step, "validation": logged.validation, "metrics": json.dumps(logged.metrics)},
    )
    seen(connection, run_id)


def seen(connection: Connection, run_id: int) -> None:
    """The run goes on."""
    connection.execute(text("UPDATE training_runs SET seen_at = now() WHERE id = :id"), {"id": run_id})


def finish(connection: Connection, run_id: int, error: str | None) -> None:
    """The run has ended: well, or with an error."""
    state = RunState.DONE if error is None else RunState.FAILED
    connection.execute(
        text(
            "UPDATE training_runs SET state = :state, error = :error, seen_at = now(), finished_at = now()"
            " WHERE id = :id"
        ),
        {"id": run_id, "state": state.value, "error": error},
    )


def list_all(connection: Connection) -> list[Run]:
    """Every run, newest first."""
    rows = connection.execute(text(f"{_SELECT} ORDER BY r.id DESC")).mappings()
    return [_from_row(dict(row)) for row in rows]


def get(connection: Connection, run_id: int) -> Run:
    """The run. Raises NotFound."""
    row = connection.execute(text(f"{_SELECT} WHERE r.id = :id"), {"id": run_id}).mappings().one_or_none()
    if row is None:
        raise NotFound(f"there is no run {run_id}", hint="list them: rprm-jobs runs")
    return _from_row(dict(row))


def of_folder(connection: Connection, folder: str, before: datetime) -> Run | None:
    """The newest run that had written its judge to this folder, by its whole path, at that time.

    What is trained there later is another judge.
    """
    query = text(
        f"{_SELECT} WHERE r.folder = :folder AND r.state = 'done' AND r.finished_at <= :before"
        " ORDER BY r.finished_at DESC LIMIT 1"
    )
    row = connection.execute(query, {"folder": folder, "before": before}).mappings().one_or_none()
    return None if row is None else _from_row(dict(row))


def metrics(connection: Connection, run_id: int) -> Sequence[Logged]:
    """All that was logged, by step."""
    rows = connection.execute(
        text("SELECT step, validation, metrics FROM training_metrics WHERE run_id = :id ORDER BY step, validation"),
        {"id": run_id},
    )
    return [Logged(row.step, row.validation, row.metrics) for row in rows]


def _from_row(row: Mapping[str, Any]) -> Run:
    started = NewRun(**{name: row[name] for name in NewRun.__dataclass_fields__} | {"phase": Phase(row["phase"])})
    return Run(
        id=row["id"],
        started=started,
        state=RunState(row["state"]),
        error=row["error"],
        step=row["step"],
        metrics={**(row["training"] or {}), **(row["validation"] or {})},
        started_at=row["started_at"],
        seen_at=row["seen_at"],
        finished_at=row["finished_at"],
    )
