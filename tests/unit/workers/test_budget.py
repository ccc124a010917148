"""Room on the engine: older solutions first, guesses last, and room that is given to the cancelled comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from workers.tasks.budget import Budget, Turn

Log = list[str]


async def wait(budget: Budget, turn: Turn, name: str, log: Log, wanted: int = 1) -> None:
    got = await budget.take(wanted, turn)
    log.append(f"{name} {got}")


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def play(limit: int, story: Callable[[Budget, Log], Awaitable[None]]) -> Log:
    log: Log = []

    async def run() -> None:
        await story(Budget(limit), log)

    asyncio.run(run())
    return log


def test_what_there_is_room_for_starts_at_once_and_in_part() -> None:
    async def story(budget: Budget, log: Log) -> None:
        await wait(budget, Turn(0), "a", log, wanted=3)
        await wait(budget, Turn(1), "b", log, wanted=3)

    assert play(5, story) == ["a 3", "b 2"]


def test_the_older_solution_comes_first_and_a_guess_last() -> None:
    async def story(budget: Budget, log: Log) -> None:
        await budget.take(1, Turn(0))
        old, new = budget.begin_solution(), budget.begin_solution()
        turns = {"guess of old": Turn(old, 1), "new": Turn(new), "old": Turn(old)}
        tasks = [asyncio.ensure_future(wait(budget, turn, name, log)) for name, turn in turns.items()]
        for _ in tasks:
            await settle()
            budget.give(1)
        await asyncio.gather(*tasks)

    assert play(1, story) == ["old 1", "new 1", "guess of old 1"]


def test_a_guess_that_became_needed_moves_up() -> None:
    async def story(budget: Budget, log: Log) -> None:
        await budget.take(1, Turn(0))
        guess = Turn(1, 1)
        tasks = [asyncio.ensure_future(wait(budget, guess, "guess", log))]
        tasks.append(asyncio.ensure_future(wait(budget, Turn(2), "new", log)))
        await settle()
        budget.advance(guess)
        for _ in tasks:
            budget.give(1)
            await settle()
        await asyncio.gather(*tasks)

    assert play(1, story) == ["guess 1", "new 1"]


def test_room_that_was_granted_to_the_cancelled_is_not_lost() -> None:
    async def story(budget: Budget, log: Log) -> None:
        await budget.take(1, Turn(0))
        cancelled = asyncio.ensure_future(wait(budget, Turn(1), "cancelled", log))
        await settle()
        budget.give(1)
        cancelled.cancel()
        await settle()
        await asyncio.wait_for(wait(budget, Turn(2), "next", log), 1)

    assert play(1, story) == ["next 1"]


def test_a_cancelled_wait_leaves_no_hole() -> None:
    async def story(budget: Budget, log: Log) -> None:
        await budget.take(1, Turn(0))
        tasks = [asyncio.ensure_future(wait(budget, Turn(n), f"{n}", log)) for n in (1, 2)]
        await settle()
        tasks[0].cancel()
        budget.give(1)
        await asyncio.wait_for(tasks[1], 1)

    assert play(1, story) == ["2 1"]
