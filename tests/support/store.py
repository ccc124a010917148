"""Short words for what store tests do over and over: claim, lapse, judge without an engine, look at shards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from rprm_jobs.aggregation import failed_solution, score_solution
from rprm_jobs.store.queue import failures, leases
from rprm_jobs.store.records import Lease, StoredSolution
from rprm_jobs.store.results import recording
from rprm_jobs.store.results.recording import Recorded
from rprm_jobs.store.session import Database
from rprm_jobs.types import Critique, Finish, KeepCritiques, SolutionScore, Verdict
from tests.support.jobs import JUDGE


def run(database: Database, statement: str, **values: Any) -> list[Any]:
    """One SQL statement in a transaction of its own; its rows, where it has any."""
    with database.transaction() as connection:
        result = connection.execute(text(statement), values)
        return list(result.all()) if result.returns_rows else []


def shard_rows(database: Database, job_id: int) -> list[Any]:
    """The job's shards in the order of their solutions."""
    return run(database, "SELECT * FROM shards WHERE job_id = :job ORDER BY first_ord", job=job_id)


def try_claim(
    database: Database, owner: str = "w1", *, lease_s: float = 60.0, queue: str = "", after: int | None = None
) -> Lease | None:
    """Claim the next shard of the scripted judge's queue."""
    with database.transaction() as connection:
        return leases.claim(
            connection, queue=queue or JUDGE.queue, owner=owner, engine="scripted 1", lease_s=lease_s, after=after
        )


def claim(database: Database, owner: str = "w1", *, lease_s: float = 60.0, after: int | None = None) -> Lease:
    """Claim a shard that must be there."""
    lease = try_claim(database, owner, lease_s=lease_s, after=after)
    assert lease is not None
    return lease


def load(database: Database, lease: Lease) -> list[StoredSolution]:
    """The shard's unfinished solutions."""
    with database.transaction() as connection:
        return recording.load_unfinished(connection, lease)


def judge(solution: StoredSolution, *, k: int = 2, retry_epoch: int = 0) -> SolutionScore:
    """A score that is a function of the solution and the retry epoch, as an engine's would be."""
    critiques = []
    for step in solution.judged_steps:
        for number in range(k):
            share = (solution.ord * 7 + step * 3 + number + retry_epoch * 5) % 11 / 10
            verdict = Verdict.YES if share >= 0.5 else Verdict.NO
            text_ = f"critique {solution.ord}.{step}.{number}"
            critiques.append(Critique(step, number, verdict, share, 20, Finish.STOP, text_))
    return score_solution(solution.ord, len(solution.steps), critiques, 0.5, judged=solution.judge_steps)


def judge_on(solution: StoredSolution, *, k: int = 2, retry_epoch: int = 0) -> SolutionScore:
    """As a worker does in an extension: the critiques that are there, and new ones up to `k`."""
    have = {(critique.step, critique.k): critique for critique in solution.previous_critiques}
    most = max([k, *(number + 1 for _, number in have)])
    critiques = [
        have.get((critique.step, critique.k), critique)
        for critique in judge(solution, k=most, retry_epoch=retry_epoch).critiques
    ]
    return score_solution(solution.ord, len(solution.steps), critiques, 0.5, judged=solution.judge_steps)


def fail(solution: StoredSolution, reason: str = "refused") -> SolutionScore:
    """The score of a solution that could not be judged."""
    return failed_solution(solution.ord, len(solution.steps), reason, judged=solution.judge_steps)


def record(
    database: Database, lease: Lease, scores: Sequence[SolutionScore], keep: KeepCritiques = KeepCritiques.ALL
) -> Recorded:
    """Record in a transaction of its own."""
    with database.transaction() as connection:
        return recording.record(connection, lease, scores, keep)


def finish(database: Database, lease: Lease) -> None:
    """Finish in a transaction of its own."""
    with database.transaction() as connection:
        leases.finish(connection, lease)


def hand_back(database: Database, lease: Lease) -> bool:
    """Hand back in a transaction of its own."""
    with database.transaction() as connection:
        return leases.hand_back(connection, lease)


def work_off(database: Database, lease: Lease) -> None:
    """Judge the whole shard, record it, finish it."""
    record(database, lease, [judge(s, retry_epoch=lease.retry_epoch) for s in load(database, lease)])
    finish(database, lease)


def work_off_all(database: Database, owner: str = "w1") -> int:
    """Claim and work off until nothing is ready; how many shards that were."""
    count = 0
    while (lease := try_claim(database, owner)) is not None:
        work_off(database, lease)
        count += 1
    return count


def fail_held(database: Database, lease: Lease, error: str = "boom") -> str | None:
    """The holder reports a failure; what became of the shard."""
    with database.transaction() as connection:
        verdict = failures.fail_held(connection, lease, error)
    return None if verdict is None else verdict.outcome


def lapse(database: Database, shard_id: int) -> None:
    """Let the lease have ended a second ago."""
    statement = "UPDATE shards SET lease_until = now() - interval '1 s' WHERE id = :id AND state = 'leased'"
    run(database, statement, id=shard_id)
