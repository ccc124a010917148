"""Recording and reading what judging produced. A record is one short transaction behind the shard's fence.

Rows go by COPY into the job's own partitions. A solution that has an outcome is skipped with its critiques, so a record
that is replayed after a COMMIT of unknown outcome changes nothing. The fence makes that check safe.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.crash import crash_point
from rprm_jobs.pairs.summary import pack_readings, read_steps
from rprm_jobs.store.queue import leases
from rprm_jobs.store.queue.standing import keep_earlier
from rprm_jobs.store.records import Lease, StoredSolution
from rprm_jobs.store.results import judgement_rows, judgements
from rprm_jobs.store.results.previous import read_previous_critiques
from rprm_jobs.store.results.responses import record_responses
from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.store.session import copy_rows
from rprm_jobs.store.texts import kept_texts, pack_texts, storable
from rprm_jobs.types import Critique, ItemStatus, KeepCritiques, Response, SolutionScore

_COLUMNS = {
    "scores": (
        "job_id", "ord", "status", "reason", "rewards", "first_error", "critiques_per_step", "by_votes", "shard_id",
        "attempt", "plan", "extension", "step_keys", "reused_per_step",
    ),
    "verdicts": ("job_id", "ord", "step", "k", "verdict", "p_yes", "tokens", "finish", "forced", "reused"),
    "critiques": ("job_id", "ord", "texts", "readings"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one record added: solutions by status, steps, critiques and generated tokens, and those that were reused."""

    ok: int
    failed: int
    steps: int
    critiques: int
    tokens: int
    critiques_reused: int = 0
    tokens_reused: int = 0


def load_unfinished(connection: Connection, lease: Lease) -> list[StoredSolution]:
    """The shard's solutions that have no outcome yet (of its extension), in the order of the input."""
    rows = connection.execute(
        text(
            f"""
            SELECT ord, ext_id, problem, steps, judge_steps, screen FROM {partition("solutions", lease.job_id)} AS s
            WHERE ord BETWEEN :first AND :last AND NOT EXISTS
              (SELECT 1 FROM {partition("scores", lease.job_id)} AS r
               WHERE r.ord = s.ord AND r.extension >= :extension) ORDER BY ord"""
        ),
        {"first": lease.first_ord, "last": lease.last_ord, "extension": lease.k_generation},
    ).all()
    previous_critiques = (
        read_previous_critiques(connection, lease.job_id, [row.ord for row in rows]) if lease.k_generation else {}
    )
    return [
        StoredSolution(
            r.ord,
            r.ext_id,
            r.problem,
            tuple(r.steps),
            None if r.judge_steps is None else tuple(r.judge_steps),
            tuple(previous_critiques.get(r.ord, ())),
            None if r.screen is None else tuple(r.screen),
        )
        for r in rows
    ]


def record(
    connection: Connection,
    lease: Lease,
    scores: Sequence[SolutionScore],
    keep: KeepCritiques,
    *,
    partial: Sequence[Response] = (),
) -> Recorded:
    """Write the outcomes of some of the shard's solutions. Raises LeaseLost when the shard is not the holder's.

    What is there already is skipped and not counted. `partial` is what searches have that go on.
    """
    leases.fence(connection, lease)
    crash_point("record.after-fence")
    kept = _keep_earlier(connection, lease, scores)
    scores = [score for score in scores if score.ord not in kept]
    recorded, firsts = _recorded(connection, lease, scores)
    scores = [score for score in scores if score.ord not in recorded]
    counts = {score.ord: _critiques_per_step(score) for score in scores}
    old = _remove_old(connection, lease, list(counts)) if lease.k_generation else []
    _copy(connection, lease, scores, counts, keep)
    judgement_rows.add(connection, lease.job_id, scores, counts, firsts)
    finished = [score.response for score in scores if score.response is not None]
    record_responses(connection, lease, [*partial, *finished])
    added = _count(scores, old, kept)
    connection.execute(
        text(
            "UPDATE shards SET n_ok = n_ok + :ok, n_failed = n_failed + :failed, steps_done = steps_done + :steps,"
            " critiques_done = critiques_done + :critiques, tokens_done = tokens_done + :tokens,"
            " critiques_reused = critiques_reused + :critiques_reused,"
            " tokens_reused = tokens_reused + :tokens_reused WHERE id = :id"
        ),
        {**{name: getattr(added, name) for name in Recorded.__slots__}, "id": lease.shard_id},
    )
    crash_point("record.before-commit")
    return added


def _recorded(connection: Connection, lease: Lease, scores: Sequence[SolutionScore]) -> tuple[set[int], set[bytes]]:
    """The ords that have an outcome of the lease's extension, which the fence keeps so until the COMMIT, and those of
    the first steps' keys under which `judgements` has a row of the job: two questions in one round trip.
    """
    query = text(
        f"""
        SELECT ord, NULL AS key FROM {partition("scores", lease.job_id)}
        WHERE ord = ANY(:ords) AND extension >= :extension
        UNION ALL
        SELECT NULL, uuid_send(g.key) FROM judgements AS g
        WHERE g.key = ANY(CAST(:firsts AS uuid[])) AND g.job_id = :job"""
    )
    values = {
        "ords": [score.ord for score in scores],
        "extension": lease.k_generation,
        "firsts": judgements.uuid_array({score.keys[0] for score in scores if score.keys}),
        "job": lease.job_id,
    }
    rows = connection.execute(query, values).all()
    return {ord_ for ord_, _ in rows if ord_ is not None}, {key for _, key in rows if key is not None}


def _remove_old(connection: Connection, lease: Lease, ords: Sequence[int]) -> list[tuple[int, bool]]:
    """Remove what these solutions had from before the extension; returns of each critique its tokens, and if reused."""
    old: list[tuple[int, bool]] = []
    for table in ("scores", "verdicts", "critiques"):
        returned = " RETURNING tokens, reused" if table == "verdicts" else ""
        query = text(f"DELETE FROM {partition(table, lease.job_id)} WHERE ord = ANY(:ords){returned}")
        removed = connection.execute(query, {"ords": ords})
        old += [(row.tokens, row.reused) for row in removed] if returned else []
    return old


def _keep_earlier(connection: Connection, lease: Lease, scores: Sequence[SolutionScore]) -> dict[int, int]:
    """A failure in an extension replaces no reward: those that stand, as judged steps by ord."""
    reasons = {score.ord: storable(score.reason or "") for score in scores if score.status is not ItemStatus.OK}
    if not lease.k_generation or not reasons:
        return {}
    return keep_earlier(
        connection,
        lease.job_id,
        reasons,
        shard_id=lease.shard_id,
        attempt=lease.attempt,
        generation=lease.k_generation,
    )


def _copy(
    connection: Connection,
    lease: Lease,
    scores: Sequence[SolutionScore],
    counts: Mapping[int, Sequence[int]],
    keep: KeepCritiques,
) -> None:
    """An outcome and its critiques come from one record or not at all."""
    rows: dict[str, Iterable[tuple[Any, ...]]] = {
        "scores": (_score_row(lease, score, counts[score.ord]) for score in scores),
        "verdicts": (_verdict_row(lease, score.ord, c) for score in scores for c in score.critiques),
        "critiques": (
            (lease.job_id, score.ord, pack_texts(texts), pack_readings(read_steps(texts)))
            for score in scores
            if (texts := kept_texts(score, keep)) is not None
        ),
    }
    for table, columns in _COLUMNS.items():
        copy_rows(connection, partition(table, lease.job_id), columns, rows[table])


def _critiques_per_step(score: SolutionScore) -> list[int]:
    counts = [0] * len(score.rewards)
    for critique in score.critiques:
        counts[critique.step] += 1
    return counts


def _score_row(lease: Lease, score: SolutionScore, counts: Sequence[int]) -> tuple[Any, ...]:
    # None where the step was not judged: that is how later queries know.
    judged = set(score.judged_steps)
    per_step = [n if n or step in judged else None for step, n in enumerate(counts)]
    reused: list[int] = [0] * len(per_step)
    for critique in score.critiques:
        reused[critique.step] += critique.reused
    by_votes = any(c.verdict.parsed and c.p_yes is None for c in score.critiques)
    return (
        lease.job_id, score.ord, score.status.value, score.reason and storable(score.reason), list(score.rewards),
        score.first_error, per_step, by_votes, lease.shard_id, lease.attempt, score.plan,
        lease.k_generation, judgement_rows.packed_keys(score), reused if any(reused) else None,
    )  # fmt: skip


def _verdict_row(lease: Lease, ord_: int, c: Critique) -> tuple[Any, ...]:
    return (lease.job_id, ord_, c.step, c.k, c.verdict.value, c.p_yes, c.tokens, c.finish.value, c.forced, c.reused)


def _count(scores: Sequence[SolutionScore], old: Sequence[tuple[int, bool]], kept: Mapping[int, int]) -> Recorded:
    """What the scores add, less the critiques that were there before: `old` are their tokens, and whether reused.

    `kept` are the steps of solutions whose earlier reward stands.
    """
    ok, steps = len(kept), sum(kept.values())
    failed = written = 0
    critiques = [(c.tokens, c.reused) for score in scores for c in score.critiques]
    for score in scores:
        ok += score.status is ItemStatus.OK
        failed += score.status is not ItemStatus.OK
        steps += len(score.judged_steps)
        written += 0 if score.response is None else score.response.tokens
    reused, old_reused = (_reused(group) for group in (critiques, old))
    tokens = written + sum(tokens for tokens, _ in critiques) - sum(tokens for tokens, _ in old)
    tokens_reused = sum(reused) - sum(old_reused)
    return Recorded(
        ok,
        failed,
        steps,
        critiques=len(critiques) - len(old),
        tokens=tokens - tokens_reused,
        critiques_reused=len(reused) - len(old_reused),
        tokens_reused=tokens_reused,
    )


def _reused(critiques: Sequence[tuple[int, bool]]) -> list[int]:
    return [tokens for tokens, reused in critiques if reused]
