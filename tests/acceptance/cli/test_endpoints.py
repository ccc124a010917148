"""A job that is judged over HTTP: a key or an account that ends half-way fails no solution, and the wait says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from rprm_jobs.store.session import Database
from tests.support.chat_server import GOOD, ChatServer, Write, reply
from tests.support.command_line import Cli
from tests.support.serving import serving
from tests.support.store import run

pytestmark = pytest.mark.acceptance

PAID = 40


@pytest.mark.parametrize(
    ("status", "reason"),
    [(402, "the server wants to be paid (status 402): no credit is left"), (401, "refuses the key (status 401)")],
)
def test_an_account_that_ends_half_way_fails_no_solution(
    cli: Cli, solutions: Path, database: Database, status: int, reason: str
) -> None:
    """Twenty solutions of three steps, two critiques a step: the account ends after a third of them."""
    answered = 0

    async def metered(chat: ChatServer, writer: Write) -> None:
        nonlocal answered
        answered += 1
        good = answered <= PAID or paid_again
        await (reply(200, GOOD) if good else reply(status, {"error": {"message": "no credit is left"}}))(chat, writer)

    paid_again = False
    with serving(ChatServer(default=metered)) as url:
        judged = ("--judge", "endpoint:judge", "-k", "2", "--wait")
        paced = ("--engine-arg", f"base_url={url}", "--engine-arg", "concurrency=4")
        refused = cli("submit", str(solutions), *judged, *paced, code=8)
        assert reason in refused.stderr
        assert "started another" in refused.stderr
        # One request at its start showed the second worker that nothing is to be had; nobody asked on and on.
        assert answered <= PAID + 4 + 4
        (outcome,) = run(database, "SELECT sum(n_ok) AS ok, sum(n_failed + n_quarantined) AS bad FROM shards")
        assert 0 < outcome.ok < 20
        assert outcome.bad == 0
        status = cli.json("status", "1")
        assert (status["state"], status["shards"]["leased"]) == ("running", 0)
        assert run(database, "SELECT sum(failures) AS n FROM shards")[0].n == 0
        errors = run(database, "SELECT error FROM shards WHERE error IS NOT NULL")
        assert all(reason.partition(" (status")[0] in row.error for row in errors)
        paid_again = True
        done = cli("submit", str(solutions), *judged, *paced, "--json")
    assert "job 1 is done: 20 ok, 0 failed, 0 quarantined" in done.stderr
    assert cli.json("audit", "1")["clean"] is True
