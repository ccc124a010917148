"""The retry policy: how long it waits, what it listens to, and when it gives up."""

import asyncio
from datetime import UTC, datetime

import pytest

from workers.engines.openai.retry import GaveUp, Retryable, RetryPolicy, read_retry_after, with_retries

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0.0),
        ("", 0.0),
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Fri, 02 Jan 2026 03:04:35 GMT", 30.0),
        ("Fri, 02 Jan 2026 03:04:35 -0000", 30.0),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0.0),
        ("soon", 0.0),
        ("nan", 0.0),
        ("inf", 86_400.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float) -> None:
    assert read_retry_after(value, NOW) == seconds


def test_waits_double_up_to_the_longest_and_are_spread() -> None:
    policy = RetryPolicy(first_s=1, longest_s=8)
    assert [policy.wait(n, 0, 1.0) for n in range(6)] == [1, 2, 4, 8, 8, 8]
    assert policy.wait(2, 0, 0.0) == 2
    assert policy.wait(10_000, 0, 1.0) == 8


def test_no_wait_is_shorter_than_retry_after() -> None:
    policy = RetryPolicy(first_s=1, longest_s=8)
    assert policy.wait(0, 20, 0.0) == 20
    assert 20 < policy.wait(0, 20, 0.5) < 21
    assert policy.wait(3, 1, 1.0) == 8


def test_it_returns_what_a_later_attempt_returned() -> None:
    failures = [Retryable("busy"), Retryable("busy")]

    async def call() -> int:
        if failures:
            raise failures.pop()
        return 5

    assert asyncio.run(with_retries(call, RetryPolicy(first_s=0.001))) == 5
    assert not failures


def test_it_gives_up_before_an_attempt_beyond_the_deadline() -> None:
    attempts = 0

    async def call() -> None:
        nonlocal attempts
        attempts += 1
        raise Retryable("status 503", retry_after=3600)

    with pytest.raises(GaveUp, match=r"status 503 \(1 attempts"):
        asyncio.run(with_retries(call, RetryPolicy(deadline_s=60)))
    assert attempts == 1


def test_other_errors_pass_through_at_once() -> None:
    async def call() -> None:
        raise KeyError("not mine")

    with pytest.raises(KeyError):
        asyncio.run(with_retries(call, RetryPolicy()))
