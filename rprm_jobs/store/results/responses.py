"""Solutions that a policy wrote: recorded with their outcome, or before it while a search is still running.

What a search has so far is replaced by what it has next; once a response has its `finish` nothing replaces it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import zstandard
from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.store.records import Job, Lease
from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.store.session import Database, copy_rows
from rprm_jobs.store.texts import storable
from rprm_jobs.types import Finish, Response

_COLUMNS = ("job_id", "ord", "steps", "finish", "tokens", "answer", "rewards", "tree")
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class RolloutRow:
    """One problem with what became of it; `response` is None where nothing was written, `status` while it is not done.

    `id` is the row's own, `metadata` what the input said beside the problem.
    """

    ord: int
    id: str
    problem: str
    metadata: dict[str, Any]
    status: str | None
    reason: str | None
    response: Response | None
    source: int
    line: int


def record_responses(connection: Connection, lease: Lease, responses: Sequence[Response]) -> None:
    """Write them behind the shard's fence, which the caller holds."""
    if not responses:
        # Jobs that write nothing have no such partition.
        return
    child = partition("responses", lease.job_id)
    latest = _latest(responses)
    query = text(f"SELECT ord FROM {child} WHERE ord = ANY(:ords) AND finish IS NOT NULL")
    for ord_ in connection.execute(query, {"ords": list(latest)}).scalars():
        del latest[ord_]
    if latest:
        connection.execute(text(f"DELETE FROM {child} WHERE ord = ANY(:ords)"), {"ords": list(latest)})
        copy_rows(connection, child, _COLUMNS, (_row(lease, response) for response in latest.values()))


def _latest(responses: Sequence[Response]) -> dict[int, Response]:
    """By `ord` the one that counts: of one search several depths may wait to be written."""
    ordered = sorted(responses, key=lambda response: (response.finish is not None, response.tokens))
    return {response.ord: response for response in ordered}


def _row(lease: Lease, response: Response) -> tuple[Any, ...]:
    tree = None if response.tree is None else zstandard.compress(msgspec.json.encode(_storable(response.tree)))
    return (
        lease.job_id,
        response.ord,
        msgspec.json.encode([storable(step) for step in response.steps]).decode(),
        None if response.finish is None else response.finish.value,
        response.tokens,
        None if response.answer is None else storable(response.answer),
        None if response.rewards is None else list(response.rewards),
        tree,
    )


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    return {name: _storable(item) for name, item in value.items()} if isinstance(value, dict) else value


def read_partial(connection: Connection, job_id: int, ords: Sequence[int]) -> dict[int, Response]:
    """What searches have so far, by `ord`."""
    columns = "ord, steps, finish, tokens, answer, rewards, tree"
    query = text(f"SELECT {columns} FROM {partition('responses', job_id)} WHERE ord = ANY(:ords)")
    return {row.ord: _response(row) for row in connection.execute(query, {"ords": list(ords)})}


def read_rollout_rows(database: Database, job: Job, *, with_tree: bool = False) -> Iterator[list[RolloutRow]]:
    """Batches of problems with their responses, in the order of writing; each batch is a transaction of its own."""
    tree = "w.tree" if with_tree else "NULL AS tree"
    query = text(
        f"""
        SELECT s.ord, s.ext_id, s.problem, s.metadata, r.status, r.reason, s.source, s.line,
               w.steps, w.finish, w.tokens, w.answer, w.rewards, {tree}
        FROM {partition("solutions", job.id)} AS s
        LEFT JOIN {partition("scores", job.id)} AS r ON r.ord = s.ord
        LEFT JOIN {partition("responses", job.id)} AS w ON w.ord = s.ord
        WHERE s.ord > :after ORDER BY s.ord LIMIT :batch"""
    )
    after = -1
    while True:
        with database.transaction() as connection:
            rows = connection.execute(query, {"after": after, "batch": _BATCH}).all()
        if not rows:
            return
        yield [_rollout_row(row) for row in rows]
        after = rows[-1].ord


def _rollout_row(row: Any) -> RolloutRow:
    response = None if row.steps is None else _response(row)
    return RolloutRow(
        row.ord, row.ext_id, row.problem, row.metadata, row.status, row.reason, response, row.source, row.line
    )


def _response(row: Any) -> Response:
    return Response(
        ord=row.ord,
        steps=tuple(row.steps),
        finish=None if row.finish is None else Finish(row.finish),
        tokens=row.tokens,
        answer=row.answer,
        rewards=None if row.rewards is None else tuple(row.rewards),
        tree=None if row.tree is None else msgspec.json.decode(zstandard.decompress(row.tree)),
    )
