"""The one retry policy of the project: for calls to a judge behind HTTP. No other layer retries a judge's call.

Waits grow exponentially with jitter, are never shorter than the server's Retry-After, and end at a deadline. A call
that the server answers badly again and again, while it answers others, is given up earlier: the fault is in that call.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

T = TypeVar("T")


class Retryable(Exception):
    """The call may succeed if it is made again, after `retry_after` seconds at the least.

    `answered`: the server took the call and answered it badly. `overloaded`: it asked all its callers to wait.
    """

    def __init__(
        self, reason: str, retry_after: float = 0.0, *, answered: bool = False, overloaded: bool = False
    ) -> None:
        self.retry_after, self.answered, self.overloaded = retry_after, answered, overloaded
        super().__init__(reason)


class GaveUp(Exception):
    """No call succeeded; `str()` is the reason of the last failure. `others_answered`: this call alone is not.

    `answered`: the last call was taken, and answered badly.
    """

    def __init__(self, last: Retryable, attempts: int, seconds: float, *, others_answered: bool) -> None:
        self.others_answered, self.answered = others_answered, last.answered
        super().__init__(f"{last} ({attempts} attempts in {seconds:.0f} s)")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Wait about `first_s`, twice that, ... `longest_s`; make no attempt that would begin after `deadline_s`.

    After `tries` bad answers it is asked whether the server answers others.
    """

    first_s: float = 0.5
    longest_s: float = 30.0
    deadline_s: float = 300.0
    tries: int = 8

    def wait(self, attempt: int, retry_after: float, jitter: float) -> float:
        """Seconds to wait after attempt `attempt` (from 0); `jitter` in [0, 1) spreads callers over half the wait.

        The jitter is added to Retry-After too, or every caller would be back in the same instant.
        """
        backoff = min(self.longest_s, self.first_s * 2.0 ** min(attempt, 32))
        return max(backoff * (0.5 + 0.5 * jitter), retry_after + self.first_s * jitter if retry_after else 0.0)


async def with_retries(
    call: Callable[[], Awaitable[T]], policy: RetryPolicy, answers_others: Callable[[], Awaitable[bool]] | None = None
) -> T:
    """The result of `call`, made again while it raises Retryable. Raises GaveUp; any other error passes through.

    `answers_others` finds out whether the server answers other calls at this moment.
    """
    began = time.monotonic()
    attempt = bad_answers = 0
    while True:
        try:
            return await call()
        except Retryable as failure:
            wait = policy.wait(attempt, failure.retry_after, random.random())
            attempt += 1
            bad_answers += failure.answered
            spent = time.monotonic() - began
            late = spent + wait > policy.deadline_s and not failure.overloaded
            hopeless = late or (failure.answered and bad_answers >= policy.tries)
            if hopeless and answers_others is not None and await answers_others():
                raise GaveUp(failure, attempt, spent, others_answered=True) from failure
            if spent + wait > policy.deadline_s:
                raise GaveUp(failure, attempt, spent, others_answered=False) from failure
        await asyncio.sleep(wait)


def read_retry_after(value: str | None, now: datetime | None = None) -> float:
    """Seconds that a Retry-After header asks for, as a number or as an HTTP date; 0.0 for none or for nonsense."""
    if not value:
        return 0.0
    try:
        return max(0.0, min(float(value), 86_400.0))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
