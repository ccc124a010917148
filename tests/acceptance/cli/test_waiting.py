"""Staying with a job: Ctrl-C leaves it as it is, a worker of somebody else serves it, a terminal shows it live."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.session import Database
from tests.support.command_line import Cli
from tests.support.jobs import make_solutions, take_in, wait_for
from tests.support.store import run

pytestmark = pytest.mark.acceptance

SCRIPTED = ("--judge", "scripted", "-k", "4")
# Long enough for a hand to act in the middle of the job.
SLOW = ("--engine-arg", "delay_s=5")


def wait_until_judging(database: Database, job: str) -> None:
    def look() -> bool:
        with database.transaction() as connection:
            return jobs.progress(connection, int(job)).leased > 0

    wait_for(look, within=90, what="the job is under way")


def children(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def test_ctrl_c_leaves_the_job_and_says_how_to_come_back(cli: Cli, solutions: Path, database: Database) -> None:
    job = str(cli.json("submit", str(solutions), *SCRIPTED)["job_id"])
    waiting = cli.start("submit", str(solutions), *SCRIPTED, "--wait", *SLOW)
    wait_until_judging(database, job)
    workers = children(waiting)
    assert workers
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, out) == (130, "")
    assert "go on with: rprm-jobs worker --judge scripted" in err
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
    status = cli.json("status", job)
    assert (status["state"], status["shards"]["leased"], status["unserved"]) == ("running", 0, True)
    done = cli.json("submit", str(solutions), *SCRIPTED, "--wait")
    assert (done["job_id"], done["created"], done["ok"]) == (int(job), False, 20)
    assert cli.json("audit", job)["clean"] is True


def test_the_worker_of_a_killed_submit_ends_with_it(cli: Cli, solutions: Path, database: Database) -> None:
    job = str(cli.json("submit", str(solutions), *SCRIPTED)["job_id"])
    waiting = cli.start("submit", str(solutions), *SCRIPTED, "--wait", *SLOW)
    wait_until_judging(database, job)
    workers = children(waiting)
    waiting.kill()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []
    assert cli.json("status", job)["shards"]["leased"] == 0


def test_without_a_worker_it_says_so_and_waits_for_one(cli: Cli, solutions: Path) -> None:
    waiting = cli.start("submit", str(solutions), *SCRIPTED, "--wait", "--no-worker", "--json")
    assert waiting.stderr
    said = [waiting.stderr.readline() for _ in range(4)]
    assert said[3] == "no worker serves this job; start one: rprm-jobs worker --judge scripted\n"
    worker = cli.start("worker", "--judge", "scripted")
    out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert '"state": "done"' in out
    assert err == "job 1 is done: 20 ok, 0 failed, 0 quarantined\n"
    again = cli("submit", str(solutions), *SCRIPTED, "--new", "--wait")
    assert "started one" not in again.stderr
    # The worker has taken the command's place, so the signal is its own.
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=60)
    assert worker.returncode == 0
    assert cli.json("status", "1")["workers"] == []


def test_a_terminal_shows_the_job_live(cli: Cli, solutions: Path) -> None:
    terminal, side = pty.openpty()
    cli.env |= {"TERM": "xterm", "COLUMNS": "120"}
    waiting = cli.start("submit", str(solutions), *SCRIPTED, "--wait", "--engine-arg", "delay_s=0.2", stderr=side)
    os.close(side)
    shown = read_all(terminal)
    assert waiting.wait(30) == 0
    assert "a worker is on its way" in shown
    assert re.search(r"[\d.]+ steps/s, [\d,]+ critiques/s, [\d,]+ tokens/s", shown)
    assert re.search(r"worker \S+: scripted", shown)
    assert "job 1 is done: 20 ok, 0 failed, 0 quarantined" in shown


def read_all(terminal: int) -> str:
    """Everything until the other side is closed, which Linux tells by EIO."""
    found = b""
    while True:
        try:
            found += os.read(terminal, 65536)
        except OSError:
            os.close(terminal)
            return found.decode(errors="replace")


def test_another_jobs_poison_does_not_end_the_wait(cli: Cli, solutions: Path, database: Database) -> None:
    poison = take_in(database, make_solutions(1, marks={0: "[[scripted:exit]]"}, prefix="p"), priority=9).job_id
    cli.env |= {"RPRM_LEASE_S": "2", "RPRM_RENEW_S": "0.5", "RPRM_SWEEP_S": "0.3"}
    done = cli("submit", str(solutions), *SCRIPTED, "--wait", "--json")
    assert '"state": "done"' in done.stdout
    assert "the worker exited with status 137: started another" in done.stderr
    assert all(row.error for row in run(database, "SELECT error FROM shards WHERE job_id = :job", job=poison))
