"""Training sets as they are named and listed: their rules, jobs and counts. Their rows are in `training_rows`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.errors import Conflict, NotFound
from rprm_jobs.pairs.rules import Rules, SetKind, read_rules
from rprm_jobs.store.schema.partitions import drop_child

# Named one by one, as in rprm_jobs.store.jobs.jobs.
_SELECT = """
  SELECT s.id, s.name, s.kind, s.rules, s.prompt, s.digest, s.counts, s.n_train, s.n_validation, s.created_at,
         (SELECT array_agg(ARRAY[j.job_id, j.n_outcomes] ORDER BY j.place) FROM training_set_jobs AS j
          WHERE j.set_id = s.id) AS jobs
  FROM training_sets AS s"""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """A set as it was built. `jobs` has, in order, each job's id and how many of its solutions had an outcome."""

    id: int
    name: str
    kind: SetKind
    rules: Rules
    prompt: str
    digest: str
    counts: Mapping[str, Mapping[str, int]]
    n_train: int
    n_validation: int
    jobs: tuple[tuple[int, int], ...]
    created_at: datetime

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> TrainingSet:
        """From a row of `training_sets` with its jobs. Raises ConfigError for rules this version cannot read."""
        return cls(
            id=row["id"],
            name=row["name"],
            kind=SetKind(row["kind"]),
            rules=read_rules(row["rules"]),
            prompt=row["prompt"],
            digest=row["digest"],
            counts=row["counts"],
            n_train=row["n_train"],
            n_validation=row["n_validation"],
            jobs=tuple((job_id, n_outcomes) for job_id, n_outcomes in row["jobs"]),
            created_at=row["created_at"],
        )


def rows_partition(set_id: int) -> str:
    """The name of the set's partition of `training_rows`."""
    return f"training_rows_s{int(set_id)}"


def find(connection: Connection, name: str) -> TrainingSet | None:
    """The set of this name, of whatever kind."""
    row = connection.execute(text(f"{_SELECT} WHERE s.name = :name"), {"name": name}).mappings().one_or_none()
    return None if row is None else TrainingSet.from_row(dict(row))


def get(connection: Connection, name: str, kind: SetKind) -> TrainingSet:
    """The set of this name and kind. Raises NotFound."""
    training_set = find(connection, name)
    if training_set is None:
        raise NotFound(f"there is no set {name!r}", hint=f"list them: rprm-jobs {kind.value} list")
    if training_set.kind is not kind:
        raise NotFound(
            f"the set {name!r} is of the kind {training_set.kind.value}",
            hint=f"list those: rprm-jobs {training_set.kind.value} list",
        )
    return training_set


def list_all(connection: Connection, kind: SetKind) -> list[TrainingSet]:
    """Every set of this kind, newest first."""
    rows = connection.execute(text(f"{_SELECT} WHERE s.kind = :kind ORDER BY s.id DESC"), {"kind": kind.value})
    return [TrainingSet.from_row(dict(row)) for row in rows.mappings()]


def using(connection: Connection, job_id: int) -> Sequence[tuple[str, SetKind]]:
    """Names and kinds of the sets that have rows from this job, or could have had some."""
    query = text(
        "SELECT s.name, s.kind FROM training_sets AS s JOIN training_set_jobs AS j ON j.set_id = s.id"
        " WHERE j.job_id = :job ORDER BY s.name"
    )
    return [(row.name, SetKind(row.kind)) for row in connection.execute(query, {"job": job_id})]


def refuse_used(connection: Connection, job_id: int, what: str) -> None:
    """Raises Conflict when training sets are built on the job's critiques; `what` goes before "the sets use"."""
    sets = using(connection, job_id)
    if not sets:
        return
    names = ", ".join(repr(name) for name, _ in sets)
    which = f"the training set {names} uses" if len(sets) == 1 else f"the training sets {names} use"
    commands = "; ".join(f"rprm-jobs {kind.value} delete {name}" for name, kind in sets)
    again = "it" if len(sets) == 1 else "them"
    raise Conflict(f"{what} of job {job_id} that {which}", hint=f"first: {commands}; build {again} again afterwards")


def delete(connection: Connection, set_id: int) -> None:
    """Remove the set and its rows; its jobs stay as they are."""
    # The set's row first, as readers of its rows do: the other way round each would wait for what the other holds.
    connection.execute(text("SELECT 1 FROM training_sets WHERE id = :id FOR UPDATE"), {"id": set_id})
    drop_child(connection, rows_partition(set_id))
    connection.execute(text("DELETE FROM training_sets WHERE id = :id"), {"id": set_id})
