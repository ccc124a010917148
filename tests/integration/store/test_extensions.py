"""Extending a finished job: outcomes stand until they are replaced, critiques are kept, nothing is there twice."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from rprm_jobs.errors import ConfigError, Conflict, NotFound
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.queue import failures
from rprm_jobs.store.records import JobState
from rprm_jobs.store.session import Database
from rprm_jobs.types import KeepCritiques
from tests.support.extending import clean, extend, finished, next_lease, verdicts, work_on
from tests.support.jobs import make_recipe, make_solutions, take_in
from tests.support.store import (
    claim,
    fail,
    finish,
    judge,
    judge_on,
    lapse,
    load,
    record,
    run,
    work_off_all,
)

pytestmark = pytest.mark.integration


def test_more_critiques_join_those_that_are_there(database: Database) -> None:
    job = finished(database)
    before = verdicts(database, job)
    extend(database, job, 5)
    with database.transaction() as connection:
        assert jobs.get(connection, job).recipe.k == 5
        assert jobs.progress(connection, job).state(jobs.get(connection, job)) is JobState.QUEUED
    lease = claim(database)
    loaded = load(database, lease)
    assert [len(s.previous_critiques) for s in loaded] == [6, 6]
    assert loaded[0].previous_critiques[1].text == "critique 0.0.1"
    work_on(database, lease, 5)
    work_on(database, claim(database), 5)
    after = verdicts(database, job)
    assert len(after) == 4 * 3 * 5
    assert [row for row in after if row[2] in (0, 1)] == before
    assert clean(database, job)


def test_only_new_critiques_are_counted(database: Database) -> None:
    job = finished(database)
    extend(database, job, 5)
    while (lease := next_lease(database)) is not None:
        work_on(database, lease, 5)
    with database.transaction() as connection:
        progress = jobs.progress(connection, job)
    assert (progress.ok, progress.steps, progress.critiques, progress.tokens) == (4, 12, 60, 60 * 20)


def test_an_outcome_stands_until_it_is_replaced(database: Database) -> None:
    job = finished(database)
    extend(database, job, 3)
    assert len(run(database, f"SELECT 1 FROM scores_j{job} WHERE status = 'ok'")) == 4
    assert clean(database, job)
    lease = claim(database)
    first = load(database, lease)[0]
    record(database, lease, [judge_on(first, k=3)])
    assert clean(database, job)
    assert [s.ord for s in load(database, lease)] == [1]
    before = verdicts(database, job)
    assert record(database, lease, [judge_on(first, k=3)]).ok == 0
    assert verdicts(database, job) == before
    with pytest.raises(Conflict, match=r"is (queued|running)"):
        extend(database, job, 4)


def test_a_worker_that_lost_its_lease_replaces_nothing(database: Database) -> None:
    job = finished(database, shard=4)
    extend(database, job, 3)
    lease = claim(database)
    scores = [judge_on(s, k=3) for s in load(database, lease)]
    lapse(database, lease.shard_id)
    with database.transaction() as connection:
        failures.fail_lapsed(connection, lease.shard_id)
    other = claim(database, "w2")
    work_on(database, other, 3)
    with pytest.raises(Exception, match="no longer held"):
        record(database, lease, scores)
    assert clean(database, job)


def boom_at(database: Database, poison: int, k: int) -> set[str]:
    """Judge all that is ready, where every attempt that holds `poison` fails; what became of these."""
    became = set()
    for _ in range(20):
        if (lease := next_lease(database)) is None:
            break
        if any(s.ord == poison for s in load(database, lease)):
            with database.transaction() as connection:
                settled = failures.fail_held(connection, lease, "boom")
            assert settled is not None
            became.add(settled.outcome)
        else:
            work_on(database, lease, k)
    return became


def test_a_rollout_that_crashes_workers_now_keeps_the_reward_that_it_has(database: Database) -> None:
    job = finished(database, n=3, shard=3)
    before = [row for row in verdicts(database, job) if row[0] == 1]
    extend(database, job, 4)
    assert boom_at(database, 1, 4) == {"again", "split", "kept"}
    rows = run(database, f"SELECT ord, status, extension, reason, critiques_per_step FROM scores_j{job} ORDER BY ord")
    assert [(row.ord, row.status, row.extension) for row in rows] == [(0, "ok", 1), (1, "ok", 1), (2, "ok", 1)]
    assert rows[1].reason.startswith("not extended: attempt ")
    assert set(rows[1].critiques_per_step) == {2}
    assert [row for row in verdicts(database, job) if row[0] == 1] == before
    with database.transaction() as connection:
        found = jobs.progress(connection, job)
    assert (found.ok, found.quarantined) == (3, 0)
    assert clean(database, job)


def test_what_crashed_workers_in_an_extension_is_not_tried_in_the_next(database: Database) -> None:
    job = finished(database, n=3, shard=3)
    extend(database, job, 4)
    boom_at(database, 1, 4)
    extend(database, job, 5)
    while (lease := next_lease(database)) is not None:
        assert 1 not in [s.ord for s in load(database, lease)]
        work_on(database, lease, 5)
    counts = run(database, f"SELECT ord, critiques_per_step[1] FROM scores_j{job} ORDER BY ord")
    assert [tuple(row) for row in counts] == [(0, 5), (1, 2), (2, 5)]
    assert clean(database, job)


def test_a_poison_rollout_without_a_reward_is_quarantined_alone(database: Database) -> None:
    job = take_in(database, make_solutions(3), shard=3).job_id
    lease = claim(database)
    record(database, lease, [judge(s) if s.ord != 1 else fail(s) for s in load(database, lease)])
    finish(database, lease)
    extend(database, job, 3)
    assert "quarantined" in boom_at(database, 1, 3)
    statuses = run(database, f"SELECT ord, status, extension FROM scores_j{job} ORDER BY ord")
    assert [tuple(row) for row in statuses] == [(0, "ok", 1), (1, "quarantined", 1), (2, "ok", 1)]
    assert clean(database, job)
    extend(database, job, 4)
    lease = claim(database)
    assert 1 not in [s.ord for s in load(database, lease)]


def test_failed_solutions_are_tried_with_more(database: Database) -> None:
    job = take_in(database, make_solutions(2), shard=2).job_id
    lease = claim(database)
    record(database, lease, [fail(load(database, lease)[0]), judge(load(database, lease)[1])])
    finish(database, lease)
    extend(database, job, 3)
    lease = claim(database)
    assert [len(s.previous_critiques) for s in load(database, lease)] == [0, 6]
    work_on(database, lease, 3)
    assert [row.status for row in run(database, f"SELECT status FROM scores_j{job}")] == ["ok", "ok"]
    assert clean(database, job)


def test_a_failure_in_an_extension_replaces_no_reward(database: Database) -> None:
    job = finished(database, n=2)
    before = verdicts(database, job)
    extend(database, job, 4)
    lease = claim(database)
    first, second = load(database, lease)
    recorded = record(database, lease, [fail(first, "the server refuses it \x00"), judge_on(second, k=4)])
    assert (recorded.ok, recorded.failed, recorded.steps) == (2, 0, 6)
    finish(database, lease)
    rows = run(database, f"SELECT status, reason, critiques_per_step[1] AS n FROM scores_j{job} ORDER BY ord")
    reason = "not extended: the server refuses it \ufffd"
    assert [tuple(row) for row in rows] == [("ok", reason, 2), ("ok", None, 4)]
    assert [row for row in verdicts(database, job) if row[0] == 0] == [row for row in before if row[0] == 0]
    assert clean(database, job)
    # It did not crash anything, so the next extension tries it again.
    extend(database, job, 5)
    work_on(database, claim(database), 5)
    assert [row.n for row in run(database, f"SELECT critiques_per_step[1] AS n FROM scores_j{job}")] == [5, 5]
    assert clean(database, job)


def test_texts_that_were_not_kept_are_no_obstacle(database: Database) -> None:
    job = take_in(database, make_solutions(1)).job_id
    lease = claim(database)
    record(database, lease, [judge(s) for s in load(database, lease)], KeepCritiques.NONE)
    finish(database, lease)
    extend(database, job, 3)
    lease = claim(database)
    assert {one.text for one in load(database, lease)[0].previous_critiques} == {""}
    work_on(database, lease, 3)
    assert clean(database, job)


def test_what_cannot_be_extended(database: Database) -> None:
    job = finished(database)
    with pytest.raises(NotFound):
        extend(database, job + 100, 4)
    with pytest.raises(ConfigError, match="has 2 critiques a step already"):
        extend(database, job, 2)
    other = take_in(database, make_solutions(4), make_recipe(k=4), shard=2, dedupe=True).job_id
    with pytest.raises(Conflict, match=f"job {other} has the same solutions"):
        extend(database, job, 4)
    with pytest.raises(Conflict, match="is queued"):
        extend(database, other, 5)
    with database.transaction() as connection:
        jobs.cancel(connection, other)
    with pytest.raises(Conflict, match="is cancelled"):
        extend(database, other, 5)
    extend(database, job, 4)


def test_an_equal_submission_finds_the_extended_job(database: Database) -> None:
    job = finished(database)
    extend(database, job, 4)
    assert take_in(database, make_solutions(4), make_recipe(k=4), shard=2, dedupe=True).job_id == job
    assert take_in(database, make_solutions(4), make_recipe(k=2), shard=2, dedupe=True).job_id != job


def test_a_plan_of_fewer_critiques_goes(database: Database) -> None:
    planned = replace(make_recipe(k=2), stopping={"kind": "planned", "changed": 0.01, "pilot": 6})
    job = take_in(database, make_solutions(2), planned).job_id
    work_off_all(database)
    run(database, f"INSERT INTO plans (job_id, version, steps, prior) VALUES ({job}, 1, 6, '{{0.5,0.2,0.3}}')")
    extend(database, job, 3)
    assert run(database, "SELECT 1 FROM plans") == []
