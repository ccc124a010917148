"""Repair: after any damage that the audit finds the job is clean again, and judged on it has its old outcomes."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from rprm_jobs.errors import NotFound
from rprm_jobs.services.context import Context
from rprm_jobs.services.upkeep.audit import audit as audit_jobs
from rprm_jobs.services.upkeep.audit import repair as repair_jobs
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.session import Database
from rprm_jobs.store.upkeep.audit import audit
from rprm_jobs.store.upkeep.repair import Repaired, repair
from tests.integration.store.test_audit import CASES
from tests.support.jobs import make_recipe, make_solutions, take_in
from tests.support.store import claim, fail, finish, judge, lapse, load, record, run, try_claim, work_off

pytestmark = pytest.mark.integration

# The input itself is gone, or contradicts itself: nobody can judge that again.
LOST = ("solutions that the job was taken in with",)


def finished(database: Database) -> int:
    """Eight solutions in two shards, one of them failed, as the audit's own cases expect it."""
    job = take_in(database, make_solutions(8), shard=4).job_id
    while (lease := try_claim(database)) is not None:
        record(database, lease, [fail(s) if s.ord == 2 else judge(s) for s in load(database, lease)])
        finish(database, lease)
    return job


def outcomes(database: Database, job: int) -> list[Any]:
    query = f"SELECT ord, status, rewards, first_error FROM scores_j{job} ORDER BY ord"
    return [tuple(row) for row in run(database, query)]


def clean(database: Database, job: int) -> bool:
    with database.transaction() as connection:
        return audit(connection, jobs.get(connection, job)) == []


def repaired(database: Database, job: int) -> Repaired:
    return repair(database, job)


def judge_again(database: Database) -> None:
    while (lease := try_claim(database)) is not None:
        record(database, lease, [fail(s) if s.ord == 2 else judge(s) for s in load(database, lease)])
        finish(database, lease)


# `quarantined` outcomes are another way to the same: ord 7 is ok here.
@pytest.mark.parametrize(
    ("check", "damage"), [case for case in CASES if case[0] not in LOST and "cancelled" not in case[0]]
)
def test_what_the_audit_finds_is_mended(database: Database, check: str, damage: str) -> None:
    job = finished(database)
    before = outcomes(database, job)
    run(database, f"UPDATE scores_j{job} SET reason = 'x' WHERE ord = 7")
    with database.transaction() as connection:
        connection.execute(text(damage.replace("{j}", str(job)).replace("judge_steps = '{0,2}'", "judge_steps = NULL")))
    repaired(database, job)
    assert clean(database, job), check
    judge_again(database)
    assert clean(database, job)
    assert outcomes(database, job) == before


def test_a_clean_job_is_left_as_it_is(database: Database) -> None:
    job = finished(database)
    before = outcomes(database, job)
    assert repaired(database, job) == Repaired(0, 0, 0, 0)
    assert outcomes(database, job) == before
    assert try_claim(database) is None


def test_what_a_worker_holds_is_left_to_it(database: Database) -> None:
    job = take_in(database, make_solutions(4), shard=2).job_id
    lease = claim(database)
    record(database, lease, [judge(load(database, lease)[0])])
    run(database, f"UPDATE scores_j{job} SET rewards[1] = 0.123 WHERE ord = 0")
    assert repaired(database, job).dropped == 0
    finish_rest = [judge(s) for s in load(database, lease)]
    record(database, lease, finish_rest)
    finish(database, lease)
    assert repaired(database, job) == Repaired(1, 1, 1, 0)
    while (lease_ := try_claim(database)) is not None:
        work_off(database, lease_)
    assert clean(database, job)


def test_the_holder_of_a_lapsed_lease_cannot_undo_a_repair(database: Database) -> None:
    job = finished(database)
    run(database, f"DELETE FROM scores_j{job} WHERE ord = 1")
    repaired(database, job)
    lease = claim(database, "old")
    scores = [judge(s) for s in load(database, lease)]
    lapse(database, lease.shard_id)
    run(database, f"UPDATE shards SET state = 'ready', owner = NULL, lease_until = NULL WHERE id = {lease.shard_id}")
    repaired(database, job)
    with pytest.raises(Exception, match="no longer held"):
        record(database, lease, scores)
    judge_again(database)
    assert clean(database, job)


def test_a_cancelled_job_only_loses_its_live_shards(database: Database) -> None:
    job = take_in(database, make_solutions(4), shard=2).job_id
    with database.transaction() as connection:
        jobs.cancel(connection, job)
    run(database, f"UPDATE shards SET state = 'ready' WHERE job_id = {job}")
    assert not clean(database, job)
    assert repaired(database, job) == Repaired(0, 0, 2, 0)
    assert clean(database, job)


def test_lost_input_is_told_and_stays(context: Context, database: Database) -> None:
    job = finished(database)
    run(database, f"DELETE FROM solutions_j{job} WHERE ord = 7")
    repair_jobs(context, [job])
    (found,) = audit_jobs(context, [job])
    assert [f.check for f in found.findings] == ["missing: solutions that the job was taken in with"]
    with pytest.raises(NotFound):
        repair_jobs(context, [job + 1])


def test_other_jobs_are_not_touched(database: Database) -> None:
    one, other = finished(database), take_in(database, make_solutions(3), make_recipe(k=3)).job_id
    run(database, f"DELETE FROM scores_j{one}")
    before = run(database, f"SELECT * FROM shards WHERE job_id = {other}")
    repaired(database, one)
    assert run(database, f"SELECT * FROM shards WHERE job_id = {other}") == before
