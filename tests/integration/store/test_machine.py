"""The SQL layer against a model, in any order of claims, lapses, late writers, failures, cancels, retries, extensions.

After every step the shards and outcomes are the model's; the audit is clean on the way and when, in the end, everything
left is worked off, and every solution has its outcome once. Time passes by writing `lease_until`.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rprm_jobs.errors import Conflict, LeaseLost
from rprm_jobs.services.upkeep.sweep import sweep
from rprm_jobs.store.jobs import extensions, jobs, retries
from rprm_jobs.store.queue import leases
from rprm_jobs.store.records import Lease, StoredSolution
from rprm_jobs.store.session import Database
from rprm_jobs.store.upkeep import audit
from rprm_jobs.types import SolutionScore
from tests.support import store
from tests.support.jobs import make_recipe, make_solutions, take_in
from tests.support.shard_model import Model, Outcome, Shard
from tests.support.store import run

pytestmark = pytest.mark.integration

N, SHARD, K = 7, 4, 2
_OWNERS = st.sampled_from(["w1", "w2"])
_PICK = st.integers(0, 10**6)
_names = itertools.count()


class StoreMachine(RuleBasedStateMachine):
    """Drives one job in a queue of its own."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        self.queue = f"machine.{next(_names)}"
        recipe = make_recipe(k=K, seed=next(_names))
        self.job = take_in(database, make_solutions(N, steps=2), recipe, shard=SHARD).job_id
        run(database, "UPDATE shards SET queue = :q WHERE job_id = :job", q=self.queue, job=self.job)
        self.solutions = self._solutions()
        self.model = Model(K, {r.id: Shard(r.first_ord, r.last_ord) for r in store.shard_rows(database, self.job)})
        self.leases: list[Lease] = []
        self.steps = 0

    @initialize(finished=st.booleans(), more=st.integers(0, 2))
    def some_begin_finished_or_extended(self, finished: bool, more: int) -> None:
        """Few random walks would get there."""
        while finished and self.model.next_ready() is not None:
            self.claim("w1")
            self.record_all_and_finish(-1)
        if finished and more:
            self.extend(more)

    def _solutions(self) -> list[StoredSolution]:
        rows = run(self.database, f"SELECT ord, ext_id, problem, steps FROM solutions_j{self.job} ORDER BY ord")
        return [StoredSolution(r.ord, r.ext_id, r.problem, tuple(r.steps)) for r in rows]

    def _lease(self, pick: int) -> Lease:
        """One of the last leases, held or not: the older ones are writers that should have stopped."""
        recent = self.leases[-5:]
        return recent[pick % len(recent)]

    @rule(owner=_OWNERS)
    def claim(self, owner: str) -> None:
        expected = self.model.next_ready()
        lease = store.try_claim(self.database, owner, queue=self.queue, lease_s=3600)
        if expected is None:
            assert lease is None
            return
        shard = self.model.shards[expected]
        shard.state, shard.owner, shard.attempt = "leased", owner, shard.attempt + 1
        assert lease == Lease(
            expected, self.job, shard.attempt, owner, shard.first, shard.last, shard.retry_epoch, shard.failures,
            self.model.generation,
        )  # fmt: skip
        self.leases.append(lease)

    @precondition(lambda self: self.leases)
    @rule(pick=_PICK)
    def renew(self, pick: int) -> None:
        lease = self._lease(pick)
        with self.database.transaction() as connection:
            kept = leases.renew(connection, [lease], owner=lease.owner, lease_s=3600)
        assert bool(kept) == self.model.holds(lease)
        if kept:
            self.model.shards[lease.shard_id].lapsed = False

    @precondition(lambda self: self.leases)
    @rule(pick=_PICK, which=st.sets(st.integers(0, N - 1), max_size=3), failing=st.booleans())
    def record(self, pick: int, which: set[int], failing: bool) -> None:
        lease = self._lease(pick)
        loaded = {solution.ord: solution for solution in store.load(self.database, lease)}
        ords = [o for o in sorted(which) if lease.first_ord <= o <= lease.last_ord]
        scores = [self._score(loaded.get(o, self.solutions[o]), lease, failing=failing) for o in ords]
        self._write(lease, lambda: store.record(self.database, lease, scores))
        if self.model.holds(lease):
            for score in scores:
                self.model.record(score.ord, Outcome(score.status.value, lease.shard_id, rewards=score.rewards))

    def _score(self, solution: StoredSolution, lease: Lease, *, failing: bool = False) -> SolutionScore:
        if failing:
            return store.fail(solution)
        return store.judge_on(solution, k=self.model.k, retry_epoch=lease.retry_epoch)

    @precondition(lambda self: self.leases)
    @rule(pick=_PICK)
    def record_all_and_finish(self, pick: int) -> None:
        lease = self._lease(pick)
        todo = store.load(self.database, lease)
        held = self.model.holds(lease)
        scores = [self._score(s, lease) for s in todo]
        self._write(lease, lambda: store.record(self.database, lease, scores))
        self._write(lease, lambda: store.finish(self.database, lease))
        if held:
            for score in scores:
                self.model.record(score.ord, Outcome("ok", lease.shard_id, rewards=score.rewards))
            self.model.shards[lease.shard_id].release("done")

    def _write(self, lease: Lease, act: Any) -> None:
        """`act` succeeds for the holder and raises LeaseLost for everybody else."""
        if self.model.holds(lease):
            act()
        else:
            with pytest.raises(LeaseLost):
                act()

    @precondition(lambda self: self.leases)
    @rule(pick=_PICK)
    def hand_back(self, pick: int) -> None:
        lease = self._lease(pick)
        held = self.model.holds(lease)
        assert store.hand_back(self.database, lease) == held
        if held:
            self.model.shards[lease.shard_id].release("ready")

    @precondition(lambda self: self.leases)
    @rule(pick=_PICK)
    def fail(self, pick: int) -> None:
        lease = self._lease(pick)
        held = self.model.holds(lease)
        outcome = store.fail_held(self.database, lease)
        assert (outcome is not None) == held
        if held:
            self._settle(lease.shard_id)

    @precondition(lambda self: self.leases)
    @rule(pick=_PICK)
    def lapse(self, pick: int) -> None:
        lease = self._lease(pick)
        store.lapse(self.database, lease.shard_id)
        shard = self.model.shards[lease.shard_id]
        shard.lapsed = shard.state == "leased"

    @rule()
    def sweep(self) -> None:
        lapsed = {i for i, shard in self.model.shards.items() if shard.lapsed}
        assert {v.shard_id for v in sweep(self.database)} == lapsed
        for shard_id in sorted(lapsed):
            self._settle(shard_id)

    def _settle(self, shard_id: int) -> None:
        half = self.model.failed(shard_id)
        if half is not None:
            rows = store.shard_rows(self.database, self.job)
            (new,) = [r for r in rows if r.id not in self.model.shards and r.first_ord == half.first]
            self.model.shards[new.id] = half

    # Late, since little happens to a cancelled job.
    @precondition(lambda self: len(self.leases) > 4)
    @rule()
    def cancel(self) -> None:
        self.model.settle()
        extending = self.model.previous_k is not None and not self.model.cancelled
        assert extensions.cancel(self.database, self.job) == extending
        if extending:
            self.model.cancel_extension()
            return
        live = [s for s in self.model.shards.values() if s.state in ("ready", "leased")]
        with self.database.transaction() as connection:
            if self.model.cancelled:
                assert jobs.cancel(connection, self.job) is False
                return
            if not live:
                with pytest.raises(Conflict):
                    jobs.cancel(connection, self.job)
                return
            assert jobs.cancel(connection, self.job)
        self.model.cancelled = True
        for shard in live:
            shard.release("cancelled")

    @rule(more=st.integers(1, 2))
    def extend(self, more: int) -> None:
        if self.model.cancelled or not self.model.done():
            with pytest.raises(Conflict):
                extensions.extend(self.database, self.job, self.model.k + more)
            return
        extensions.extend(self.database, self.job, self.model.k + more)
        self.model.extend(self.model.k + more)

    @rule(quarantined=st.booleans())
    def retry(self, quarantined: bool) -> None:
        self.model.settle()
        if self.model.cancelled or self.model.previous_k is not None:
            with pytest.raises(Conflict):
                retries.retry_failed(self.database, self.job, quarantined=quarantined)
            return
        count = retries.retry_failed(self.database, self.job, quarantined=quarantined)
        statuses = {"failed", "quarantined"} if quarantined else {"failed"}
        gone = 0
        for shard in self.model.shards.values():
            again = [
                o
                for o in range(shard.first, shard.last + 1)
                if shard.state == "done" and self.model.outcomes[o].status in statuses
            ]
            for ord_ in again:
                del self.model.outcomes[ord_]
            if again:
                gone += len(again)
                shard.state, shard.failures, shard.retry_epoch = "ready", 0, shard.retry_epoch + 1
        assert count == gone

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        rows = store.shard_rows(self.database, self.job)
        assert {
            r.id: (r.first_ord, r.last_ord, r.state, r.attempt, r.failures, r.round, r.owner) for r in rows
        } == {
            i: (s.first, s.last, s.state, s.attempt, s.failures, s.retry_epoch, s.owner)
            for i, s in self.model.shards.items()
        }  # fmt: skip
        outcomes = run(self.database, f"SELECT ord, status, shard_id, rewards FROM scores_j{self.job}")
        assert {r.ord: (r.status, r.shard_id) for r in outcomes} == {
            o: (outcome.status, outcome.recorder) for o, outcome in self.model.outcomes.items()
        }
        for row in outcomes:
            if row.status == "ok":
                assert tuple(row.rewards) == tuple(self.model.outcomes[row.ord].rewards)
        with self.database.transaction() as connection:
            assert jobs.get(connection, self.job).recipe.k == self.model.k

    @invariant()
    def the_audit_is_clean(self) -> None:
        # Its twenty queries at every fourth step find no less, and the suite is the faster for it.
        self.steps += 1
        if self.steps % 4:
            return
        with self.database.snapshot() as connection:
            assert audit.audit(connection, jobs.get(connection, self.job)) == []

    def teardown(self) -> None:
        self.sweep()
        for i, shard in self.model.shards.items():
            if shard.state == "leased":
                store.lapse(self.database, i)
                shard.lapsed = True
        self.sweep()
        while (lease := store.try_claim(self.database, "last", queue=self.queue)) is not None:
            store.record(self.database, lease, [self._score(s, lease) for s in store.load(self.database, lease)])
            store.finish(self.database, lease)
        with self.database.snapshot() as connection:
            assert audit.audit(connection, jobs.get(connection, self.job)) == []
        done = run(self.database, f"SELECT count(*) AS n FROM scores_j{self.job}")[0].n
        assert done == N or self.model.cancelled
        with self.database.transaction() as connection:
            jobs.delete(connection, self.job)


def test_the_store_survives_any_order_of_events(database: Database) -> None:
    machine: Any = lambda: StoreMachine(database)  # noqa: E731 - what is wanted is a class without arguments
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
