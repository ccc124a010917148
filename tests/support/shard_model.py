"""What the shards of one job should be after any event: the model that the SQL layer is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from rprm_jobs.store.queue.failures import MAX_FAILURES, MAX_FAILURES_ALONE
from rprm_jobs.store.records import Lease


@dataclass
class Shard:
    """What the model knows of a shard."""

    first: int
    last: int
    state: str = "ready"
    attempt: int = 0
    failures: int = 0
    retry_epoch: int = 0
    owner: str | None = None
    lapsed: bool = False

    def release(self, state: str) -> None:
        self.state, self.owner, self.lapsed = state, None, False


@dataclass(frozen=True)
class Outcome:
    """What the model knows of a solution's outcome; `generation` counts extensions, `crashed`: it stands in for one."""

    status: str
    recorder: int
    generation: int = 0
    rewards: Sequence[float | None] = ()
    crashed: bool = False


@dataclass
class Model:
    """Shards by id, outcomes by ord; `k` critiques a step, before the running extension `previous_k`."""

    k: int
    shards: dict[int, Shard] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    cancelled: bool = False
    generation: int = 0
    previous_k: int | None = None

    def holds(self, lease: Lease) -> bool:
        shard = self.shards[lease.shard_id]
        return (shard.state, shard.attempt, shard.owner) == ("leased", lease.attempt, lease.owner)

    def done(self) -> bool:
        return all(shard.state == "done" for shard in self.shards.values())

    def settle(self) -> None:
        """An extension that has come to its end runs no longer."""
        if self.done():
            self.previous_k = None

    def is_left(self, ord_: int) -> bool:
        return ord_ not in self.outcomes or self.outcomes[ord_].generation < self.generation

    def left(self, shard: Shard) -> list[int]:
        return [o for o in range(shard.first, shard.last + 1) if self.is_left(o)]

    def record(self, ord_: int, outcome: Outcome) -> None:
        """An outcome of this generation, unless there is one; a failure replaces no reward."""
        if not self.is_left(ord_):
            return
        earlier = self.outcomes.get(ord_)
        if outcome.status != "ok" and earlier is not None and earlier.status == "ok":
            outcome = replace(earlier, recorder=outcome.recorder, crashed=outcome.status == "quarantined")
        self.outcomes[ord_] = replace(outcome, generation=self.generation)

    def failed(self, shard_id: int) -> Shard | None:
        """The holder of the shard failed; returns the half that a split made."""
        shard = self.shards[shard_id]
        left = self.left(shard)
        shard.failures += 1
        if not left:
            shard.release("done")
        elif shard.failures < (MAX_FAILURES_ALONE if len(left) == 1 else MAX_FAILURES):
            shard.release("ready")
        elif len(left) == 1:
            self.record(left[0], Outcome("quarantined", shard_id))
            shard.release("done")
        else:
            half = Shard(left[len(left) // 2], shard.last, failures=MAX_FAILURES - 1, retry_epoch=shard.retry_epoch)
            shard.last, shard.failures = half.first - 1, half.failures
            shard.release("ready")
            return half
        return None

    def extend(self, k: int) -> None:
        """The job is judged on, but for what crashed workers."""
        self.previous_k, self.k = self.k, k
        self.generation += 1
        for ord_, outcome in self.outcomes.items():
            if outcome.status == "quarantined" or outcome.crashed:
                self.outcomes[ord_] = replace(outcome, generation=self.generation)
        for shard in self.shards.values():
            shard.release("ready")
            shard.failures = 0

    def cancel_extension(self) -> None:
        """All that there is stands."""
        assert self.previous_k is not None
        self.k, self.previous_k = self.previous_k, None
        for ord_, outcome in self.outcomes.items():
            self.outcomes[ord_] = replace(outcome, generation=self.generation)
        for shard in self.shards.values():
            if shard.state != "done":
                shard.release("done")
                shard.failures = 0

    def next_ready(self) -> int | None:
        return min((i for i, shard in self.shards.items() if shard.state == "ready"), default=None)
