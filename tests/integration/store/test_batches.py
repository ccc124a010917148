"""Changes of a whole job, killed between any two batches: the store is sound, and the same command goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rprm_jobs.errors import Conflict
from rprm_jobs.store.jobs import batches, extensions, jobs, retries
from rprm_jobs.store.records import JobState
from rprm_jobs.store.session import Database
from rprm_jobs.store.upkeep import audit, damage, repair
from tests.support.jobs import make_solutions, take_in
from tests.support.store import claim, fail, finish, judge, judge_on, load, record, run, try_claim

pytestmark = pytest.mark.integration

N = 10


class Killed(Exception):
    """What the test raises where a process would die."""


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "SHARDS", 3)


@contextmanager
def killed_at(module: Any, passage: int, *points: str) -> Iterator[None]:
    """Roll the transaction back at this passage of the module's crash points, as death would."""
    passages = 0

    def crash_point(name: str) -> None:
        nonlocal passages
        if name in points:
            passages += 1
            if passages == passage:
                raise Killed(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "crash_point", crash_point)
        try:
            yield
        except Killed:
            return
    raise AssertionError("nothing was killed")


def finished(database: Database) -> int:
    """A job of ten shards of one solution each, of which two failed."""
    job = take_in(database, make_solutions(N), shard=1, dedupe=True).job_id
    while (lease := try_claim(database)) is not None:
        record(database, lease, [fail(s) if s.ord in (1, 8) else judge(s) for s in load(database, lease)])
        finish(database, lease)
    return job


def findings(database: Database, job: int) -> list[str]:
    with database.snapshot() as connection:
        return [finding.check for finding in audit.audit(connection, jobs.get(connection, job))]


def ready(database: Database, job: int) -> list[int]:
    query = "SELECT first_ord FROM shards WHERE job_id = :job AND state = 'ready' ORDER BY first_ord"
    return [row.first_ord for row in run(database, query, job=job)]


def state(database: Database, job: int) -> tuple[JobState, int]:
    with database.transaction() as connection:
        stored = jobs.get(connection, job)
        return jobs.progress(connection, job).state(stored), stored.recipe.k


@pytest.mark.parametrize("passage", [1, 2, 3, 4])
def test_a_retry_goes_on(database: Database, passage: int) -> None:
    job = finished(database)
    with killed_at(retries, passage, "retry.before-commit"):
        retries.retry_failed(database, job, quarantined=False)
    assert ready(database, job) == {1: [], 2: [1], 3: [1], 4: [1, 8]}[passage]
    assert findings(database, job) == []
    retries.retry_failed(database, job, quarantined=False)
    assert ready(database, job) == [1, 8]
    assert findings(database, job) == []


@pytest.mark.parametrize("passage", [1, 2, 3, 4, 5])
def test_an_extension_goes_on(database: Database, passage: int) -> None:
    job = finished(database)
    with killed_at(extensions, passage, "extend.before-commit", "extend.between-batches"):
        extensions.extend(database, job, 4)
    assert len(ready(database, job)) == max(0, passage - 2) * 3
    assert findings(database, job) == []
    if passage > 1:
        assert state(database, job) == (JobState.QUEUED, 4)
        with pytest.raises(Conflict, match="is queued"):
            extensions.extend(database, job, 6)
    extensions.extend(database, job, 4)
    assert len(ready(database, job)) == N
    while (lease := try_claim(database)) is not None:
        record(database, lease, [judge_on(s, k=4) for s in load(database, lease)])
        finish(database, lease)
    assert state(database, job) == (JobState.DONE, 4)
    assert findings(database, job) == []


@pytest.mark.parametrize("half_extended", [False, True])
@pytest.mark.parametrize("passage", [1, 2, 3, 4])
def test_the_cancellation_of_an_extension_goes_on(database: Database, passage: int, half_extended: bool) -> None:
    """Also of an extension that was itself killed before all shards were reopened."""
    job = finished(database)
    if half_extended:
        with killed_at(extensions, 2, "extend.between-batches"):
            extensions.extend(database, job, 4)
    else:
        extensions.extend(database, job, 4)
    lease = claim(database)
    record(database, lease, [judge_on(s, k=4) for s in load(database, lease)])
    finish(database, lease)
    with killed_at(extensions, passage, "cancel.before-commit", "cancel.between-batches"):
        extensions.cancel(database, job)
    if passage > 1:
        assert findings(database, job) == ["stale: shards that the interrupted cancellation of an extension left"]
        assert try_claim(database) is None
        with pytest.raises(Conflict, match="cancellation of an extension"):
            extensions.extend(database, job, 4)
    assert extensions.cancel(database, job)
    assert state(database, job) == (JobState.DONE, 2)
    assert findings(database, job) == []
    with database.transaction() as connection:
        progress = jobs.progress(connection, job)
    assert (progress.ok, progress.failed) == (8, 2)


def test_an_extension_is_cancelled_of_which_no_shard_was_reopened(database: Database) -> None:
    job = finished(database)
    with killed_at(extensions, 1, "extend.between-batches"):
        extensions.extend(database, job, 4)
    assert ready(database, job) == []
    assert extensions.cancel(database, job)
    assert state(database, job) == (JobState.DONE, 2)
    assert findings(database, job) == []
    extensions.extend(database, job, 3)
    assert len(ready(database, job)) == N


def test_repair_finishes_a_cancellation_that_was_killed(database: Database) -> None:
    job = finished(database)
    extensions.extend(database, job, 4)
    with killed_at(extensions, 2, "cancel.between-batches"):
        extensions.cancel(database, job)
    repair.repair(database, job)
    assert state(database, job) == (JobState.DONE, 2)
    assert findings(database, job) == []


_DAMAGES: list[Callable[[int], str]] = [
    lambda job: f"UPDATE scores_j{job} SET rewards[1] = rewards[1] / 2 + 0.01 WHERE ord IN (0, 5, 9)",
    lambda job: f"DELETE FROM scores_j{job} WHERE ord IN (0, 5, 9)",
    lambda job: f"DELETE FROM shards WHERE job_id = {job} AND first_ord IN (0, 4, 5, 9)",
    lambda job: f"UPDATE shards SET last_ord = last_ord + 1 WHERE job_id = {job} AND first_ord < 9",
]


@pytest.mark.parametrize("damage_", _DAMAGES)
@pytest.mark.parametrize("passage", [1, 2, 3])
def test_a_repair_goes_on(database: Database, damage_: Callable[[int], str], passage: int) -> None:
    job = finished(database)
    rows = f"SELECT ord, status, rewards FROM scores_j{job} ORDER BY ord"
    before = run(database, rows)
    run(database, damage_(job))
    with killed_at(damage, passage, "repair.after-shards", "repair.between-batches"):
        repair.repair(database, job)
    repair.repair(database, job)
    assert findings(database, job) == []
    while (lease := try_claim(database)) is not None:
        record(database, lease, [fail(s) if s.ord in (1, 8) else judge(s) for s in load(database, lease)])
        finish(database, lease)
    assert run(database, rows) == before
    assert findings(database, job) == []


def test_work_is_announced_once_it_is_in_the_queue(database: Database) -> None:
    job = finished(database)
    seen: list[int] = []
    retries.retry_failed(database, job, quarantined=False, queued=lambda: seen.append(len(ready(database, job))))
    assert seen == [1]
    while (lease := try_claim(database)) is not None:
        record(database, lease, [judge(s) for s in load(database, lease)])
        finish(database, lease)
    extensions.extend(database, job, 3, queued=lambda: seen.append(len(ready(database, job))))
    assert seen == [1, 3]
