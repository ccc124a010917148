"""What the shards of one job should be after any event: the model that the SQL layer is held against."""

from __future__ import annotations

from dataclasses import dataclass, field

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


@dataclass
class Model:
    """Shards by id; outcomes by ord as (status, retry epoch, recorder)."""

    shards: dict[int, Shard] = field(default_factory=dict)
    outcomes: dict[int, tuple[str, int, int]] = field(default_factory=dict)
    cancelled: bool = False

    def holds(self, lease: Lease) -> bool:
        shard = self.shards[lease.shard_id]
        return (shard.state, shard.attempt, shard.owner) == ("leased", lease.attempt, lease.owner)

    def left(self, shard: Shard) -> list[int]:
        return [o for o in range(shard.first, shard.last + 1) if o not in self.outcomes]

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
            self.outcomes[left[0]] = ("quarantined", shard.retry_epoch, shard_id)
            shard.release("done")
        else:
            half = Shard(left[len(left) // 2], shard.last, failures=MAX_FAILURES - 1, retry_epoch=shard.retry_epoch)
            shard.last, shard.failures = half.first - 1, half.failures
            shard.release("ready")
            return half
        return None

    def next_ready(self) -> int | None:
        return min((i for i, shard in self.shards.items() if shard.state == "ready"), default=None)
