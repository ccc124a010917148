"""One attempt at one shard: every row of the table of dispositions, through the real code and a real Postgres."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import pytest

from rprm_jobs.errors import EngineDied, EngineError, PromptTooLong, Refused, Unanswered
from rprm_jobs.services.retry import retry_transaction
from rprm_jobs.store.records import JobState
from tests.support import store
from tests.support.jobs import expected_rewards, make_recipe, make_solutions, outcomes, rewards, state, take_in
from tests.support.worker_parts import WorkerParts, allow, refuse
from workers import attempt as module
from workers.store_gate import RESULTS

pytestmark = pytest.mark.integration
# What Postgres answers for reasons of its own, and what it answers for the sake of a value.
OF_THE_STORE = {
    "53100": "no space left",
    "53200": "no memory left",
    "42501": "may not do that",
    "42703": "not this version's",
    "42P01": "not this version's",
    "25006": "read-only",
    "P0001": "refused by a test",
    "XX001": "refused by a test",
}
OF_THE_ROW = ("22003", "22P05", "23514", "54000")


@dataclass
class Waits:
    """Counts the waits between two tries instead of waiting, and does at each what `then` has for it."""

    count: int = 0
    then: dict[int, Callable[[], None]] = field(default_factory=dict)

    def __call__(self, _: float) -> None:
        self.count += 1
        self.then.get(self.count, lambda: None)()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    """Tries follow each other at once."""
    counted = Waits()
    monkeypatch.setattr(module, "retry_transaction", partial(retry_transaction, sleep=counted))
    return counted


def one_shard(parts: WorkerParts) -> int:
    return take_in(parts.database, make_solutions(4), shard=4).job_id


def shard(parts: WorkerParts, job: int) -> tuple[str, int]:
    (row,) = store.shard_rows(parts.database, job)
    return row.state, row.failures


def always(error: BaseException) -> Callable[[str], None]:
    def fail(_: str) -> None:
        raise error

    return fail


def test_an_undisturbed_attempt_finishes_its_shard(parts: WorkerParts) -> None:
    job = one_shard(parts)
    held = parts.attempt()
    assert shard(parts, job) == ("done", 0)
    assert rewards(parts.database, job) == expected_rewards(make_solutions(4), make_recipe())
    # What follows its end (fitting a plan) takes its time, and the lease is not lost by it.
    assert held.ending


@pytest.mark.parametrize("sqlstate", OF_THE_STORE)
def test_a_store_that_refuses_results_gets_the_lease_back_uncounted(parts: WorkerParts, sqlstate: str) -> None:
    job = one_shard(parts)
    refuse(parts.database, sqlstate)
    parts.attempt()
    assert shard(parts, job) == ("ready", 0)
    trouble = parts.troubles.current()
    assert trouble is not None
    assert trouble.what.startswith(RESULTS)
    assert OF_THE_STORE[sqlstate] in trouble.what
    assert not parts.gate.enter()
    allow(parts.database)
    parts.attempt()
    assert shard(parts, job) == ("done", 0)
    assert parts.troubles.current() is None
    assert rewards(parts.database, job) == expected_rewards(make_solutions(4), make_recipe())


@pytest.mark.parametrize("sqlstate", OF_THE_ROW)
def test_a_value_that_postgres_cannot_hold_is_the_rollouts(parts: WorkerParts, sqlstate: str) -> None:
    job = one_shard(parts)
    refuse(parts.database, sqlstate)
    parts.attempt()
    assert shard(parts, job) == ("ready", 1)
    assert parts.troubles.current() is None
    assert parts.gate.enter()


@pytest.mark.parametrize("sqlstate", ["57014", "40P01", "08006", "53300", "57P01"])
def test_a_postgres_that_is_away_for_a_moment_is_waited_for(parts: WorkerParts, sqlstate: str, waits: Waits) -> None:
    job = one_shard(parts)
    refuse(parts.database, sqlstate)
    waits.then[2] = lambda: allow(parts.database)
    parts.attempt()
    assert waits.count == 2
    assert shard(parts, job) == ("done", 0)
    assert parts.troubles.current() is None


def test_a_postgres_that_stays_away_leaves_the_lease_to_lapse(parts: WorkerParts) -> None:
    job = one_shard(parts)
    refuse(parts.database, "08006")
    parts.attempt()
    assert shard(parts, job) == ("leased", 0)


def test_a_hand_back_that_is_refused_too_is_repeated(parts: WorkerParts, waits: Waits) -> None:
    job = one_shard(parts)
    lease = store.claim(parts.database, "w1")
    refuse(parts.database, "53100", "shards", "UPDATE")
    waits.then[3] = lambda: allow(parts.database, "shards")
    module.Attempt(parts.shared, module.HeldLease(lease)).run()
    assert waits.count == 3
    assert shard(parts, job) == ("ready", 0)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PromptTooLong(tokens=9, limit=8), "prompt has 9 tokens"),
        (Refused("not this one"), "not this one"),
        (Unanswered("never this one"), "never this one"),
    ],
)
def test_what_belongs_to_a_rollout_fails_it_alone(parts: WorkerParts, error: Exception, reason: str) -> None:
    job = one_shard(parts)

    def fail_one(prompt: str) -> None:
        if "Sum number 2:" in prompt:
            raise error

    parts.engine.before = fail_one
    parts.attempt()
    assert shard(parts, job) == ("done", 0)
    found = outcomes(parts.database, job)
    assert [found[f"s{i}"].status for i in range(4)] == ["ok", "ok", "failed", "ok"]
    assert reason in (found["s2"].reason or "")


@pytest.mark.parametrize("error", [EngineDied("dead"), EngineError("the server refuses the key (status 401)")])
def test_what_belongs_to_the_engine_stops_the_worker_and_counts_nothing(parts: WorkerParts, error: Exception) -> None:
    job = one_shard(parts)
    parts.engine.before = always(error)
    with pytest.raises(EngineError):
        parts.attempt()
    assert shard(parts, job) == ("ready", 0)


def test_a_rollout_that_kills_every_engine_is_quarantined_after_a_bounded_number_of_workers(parts: WorkerParts) -> None:
    job = one_shard(parts)

    def die_of_one(prompt: str) -> None:
        if "Sum number 2:" in prompt:
            raise EngineDied("vLLM stopped working")

    parts.engine.before = die_of_one
    failures, deaths = [], 0
    while state(parts.database, job) is not JobState.DONE:
        try:
            parts.attempt()
        except EngineDied:
            deaths += 1
            failures.append(sum(row.failures for row in store.shard_rows(parts.database, job)))
        assert deaths < 15, failures
    assert failures[:3] == [0, 0, 0]
    assert failures[-1] == 3
    assert deaths <= 7
    found = outcomes(parts.database, job)
    assert [found[f"s{i}"].status for i in range(4)] == ["ok", "ok", "quarantined", "ok"]
    assert "vLLM stopped working" in (found["s2"].reason or "")


def test_an_engine_that_dies_after_results_is_never_counted(parts: WorkerParts) -> None:
    job = take_in(parts.database, make_solutions(40), shard=40).job_id
    done: list[int] = []

    def die_after_results(_: str) -> None:
        recorded = len(store.run(parts.database, f"SELECT * FROM scores_j{job}"))
        if recorded > len(done):
            done[:] = range(recorded)
            raise EngineDied("the server is away")

    parts.engine.before = die_after_results
    for _ in range(30):
        if state(parts.database, job) is JobState.DONE:
            break
        with suppress(EngineDied):
            parts.attempt()
    assert state(parts.database, job) is JobState.DONE
    assert shard(parts, job) == ("done", 0)


@pytest.mark.parametrize("error", [MemoryError("m"), RuntimeError("r"), SystemExit("s")])
def test_anything_else_is_counted(parts: WorkerParts, error: BaseException) -> None:
    job = one_shard(parts)
    parts.engine.before = always(error)
    parts.attempt()
    assert shard(parts, job) == ("ready", 1)
    assert type(error).__name__ in store.shard_rows(parts.database, job)[0].error


def test_an_attempt_whose_lease_was_taken_writes_nothing(parts: WorkerParts) -> None:
    job = one_shard(parts)

    def take(_: str) -> None:
        store.run(parts.database, "UPDATE shards SET owner = 'w2', attempt = attempt + 1 WHERE owner = 'w1'")

    parts.engine.before = take
    parts.attempt()
    assert shard(parts, job) == ("leased", 0)
    assert store.run(parts.database, f"SELECT * FROM scores_j{job}") == []


def test_an_attempt_at_a_job_that_is_deleted_meanwhile_ends(parts: WorkerParts) -> None:
    job = one_shard(parts)
    parts.engine.before = lambda _: store.run(parts.database, f"DELETE FROM jobs WHERE id = {job}")
    parts.attempt()
    assert parts.troubles.current() is None
    assert parts.gate.enter()


def test_draining_hands_the_rest_back(parts: WorkerParts) -> None:
    job = one_shard(parts)
    parts.stop.drain()
    assert parts.attempt().ending
    assert shard(parts, job) == ("ready", 0)
    assert state(parts.database, job) is JobState.RUNNING
