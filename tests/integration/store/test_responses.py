"""What policies wrote: recorded behind the fence, replaced while a search goes on, and never once it is finished."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rprm_jobs.aggregation import failed_solution
from rprm_jobs.errors import LeaseLost
from rprm_jobs.services.context import Context
from rprm_jobs.services.upkeep.audit import audit
from rprm_jobs.store.jobs import jobs, retries
from rprm_jobs.store.records import Lease
from rprm_jobs.store.results import recording, responses
from rprm_jobs.store.session import Database
from rprm_jobs.store.upkeep import repair
from rprm_jobs.types import Finish, JobKind, KeepCritiques, Response, SolutionScore
from tests.support import store
from tests.support.generating import POLICY, problems, rollouts, searches
from tests.support.jobs import assert_clean, take_in
from workers.tasks.dispatch import load_task
from workers.tasks.rollout import written


def response(ord_: int, *steps: str, done: bool = True, tokens: int = 4) -> Response:
    tree = {"active": [], "ended": [], "depths": [[{"parent": 0, "text": "a\x00b"}]]}
    return Response(
        ord_, steps, Finish.STOP if done else None, tokens, "4" if done else None, (0.5,) * len(steps), tree
    )


def record(
    database: Database, lease: Lease, scores: Sequence[SolutionScore] = (), partial: Sequence[Response] = ()
) -> recording.Recorded:
    with database.transaction() as connection:
        return recording.record(connection, lease, scores, KeepCritiques.ALL, partial=partial)


def stored(database: Database, job: int) -> dict[int, Response]:
    with database.transaction() as connection:
        return responses.read_partial(connection, job, range(100))


@pytest.fixture
def lease(database: Database) -> Lease:
    take_in(database, problems(4), searches(), shard=4, kind=JobKind.SEARCH)
    found = store.try_claim(database, queue=searches().queue)
    assert found is not None
    return found


def test_a_search_in_progress_is_replaced_and_a_finished_one_is_not(database: Database, lease: Lease) -> None:
    record(database, lease, partial=[response(0, "a", done=False), response(1, "x", done=False)])
    assert stored(database, lease.job_id)[0].steps == ("a",)
    # Two depths of one search in one batch: the later one counts.
    record(database, lease, partial=[response(0, "a", "b", done=False, tokens=9), response(0, "a", done=False)])
    assert stored(database, lease.job_id)[0].steps == ("a", "b")
    assert record(database, lease, [written(response(0, "a", "b", "c", tokens=20))]).tokens == 20
    record(database, lease, partial=[response(0, "other", done=False)])
    assert record(database, lease, [written(response(0, "other"))]).ok == 0
    now = stored(database, lease.job_id)
    assert (now[0].steps, now[0].answer, now[0].finish) == (("a", "b", "c"), "4", Finish.STOP)
    assert (now[1].steps, now[1].finish) == (("x",), None)
    assert now[0].tree is not None
    assert now[0].tree["depths"][0][0]["text"] == "a\ufffdb"
    assert [one.ord for one in store.load(database, lease)] == [1, 2, 3]


def test_a_worker_is_given_what_the_searches_of_its_shard_have(database: Database, lease: Lease) -> None:
    record(database, lease, partial=[response(2, "a", done=False)])
    record(database, lease, [written(response(0, "b"))])
    task = load_task(database, lease)
    assert [one.ord for one in task.solutions] == [1, 2, 3]
    assert {ord_: one.steps for ord_, one in task.partial.items()} == {2: ("a",)}
    assert task.kind is JobKind.SEARCH


def test_a_search_that_failed_is_begun_anew_by_a_retry(database: Database, lease: Lease) -> None:
    record(database, lease, partial=[response(0, "a", done=False)])
    record(database, lease, [failed_solution(0, 0, "no way on")])
    record(database, lease, [written(response(n, "a")) for n in (1, 2, 3)])
    with database.transaction() as connection:
        store.leases.finish(connection, lease)
    assert retries.retry_failed(database, lease.job_id, quarantined=False) == 1
    assert sorted(stored(database, lease.job_id)) == [1, 2, 3]


def test_nothing_is_written_for_a_lease_that_is_lost(database: Database, lease: Lease) -> None:
    store.run(database, "UPDATE shards SET attempt = attempt + 1")
    with pytest.raises(LeaseLost):
        record(database, lease, partial=[response(0, "a", done=False)])
    assert stored(database, lease.job_id) == {}


def test_the_audit_finds_what_is_missing_and_repair_has_it_written_again(database: Database, context: Context) -> None:
    job = take_in(database, problems(2, responses=2), rollouts(), shard=4, kind=JobKind.ROLLOUT).job_id
    lease = store.try_claim(database, queue=POLICY.model.queue)
    assert lease is not None
    record(database, lease, [written(response(n, "a")) for n in range(4)])
    with database.transaction() as connection:
        store.leases.finish(connection, lease)
    assert_clean(context, job)
    store.run(database, f"DELETE FROM responses_j{job} WHERE ord = 1")
    store.run(database, f"UPDATE responses_j{job} SET rewards = '{{0.1, 0.2}}' WHERE ord = 2")
    checks = {finding.check: finding.count for finding in audit(context, [job])[0].findings}
    assert checks == {
        "missing: solutions called written without their text": 1,
        "disagreeing: steps of a search and their rewards": 1,
    }
    assert repair.repair(database, job).requeued == 2
    assert sorted(stored(database, job)) == [0, 3]
    assert_clean(context, job)


def test_only_jobs_that_write_have_the_table_and_it_goes_with_them(database: Database) -> None:
    score = take_in(database, problems(1)).job_id
    job = take_in(database, problems(1), rollouts(), kind=JobKind.ROLLOUT).job_id
    tables = {
        row.relname for row in store.run(database, "SELECT relname FROM pg_class WHERE relname LIKE 'responses_j%'")
    }
    assert tables == {f"responses_j{job}"}
    for one in (score, job):
        with database.transaction() as connection:
            jobs.cancel(connection, one)
            jobs.delete(connection, one)
    assert store.run(database, "SELECT relname FROM pg_class WHERE relname LIKE 'responses_j%'") == []


def test_statements_that_were_prepared_outlive_an_upgrade(database: Database) -> None:
    job = take_in(database, problems(1)).job_id
    store.try_claim(database, lease_s=0.0)

    def look() -> None:
        with database.transaction() as connection:
            jobs.get(connection, job)
            jobs.list_recent(connection, 3)
            store.failures.fail_lapsed(connection, -1)

    # The driver prepares what it has seen five times.
    for _ in range(8):
        look()
    # The driver forgets what it has prepared where it sees such a statement, so another client makes the upgrade.
    upgrading = Database(database.url)
    for table in ("jobs", "shards"):
        store.run(upgrading, f"ALTER TABLE {table} ADD COLUMN of_tomorrow TEXT")
    upgrading.close()
    look()
