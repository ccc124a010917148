"""How a job ended is the exit status of the waiting command: all ok, some failed, none ok, cancelled, not finished."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rprm_jobs.store.session import Database
from tests.acceptance.cli.test_waiting import wait_until_judging
from tests.support import jobs as made
from tests.support.command_line import Cli

pytestmark = pytest.mark.acceptance

SCRIPTED = ("--judge", "scripted", "-k", "2")


def submit(cli: Cli, failing: int, *options: str, code: int, solutions: int = 4) -> tuple[dict[str, object], str]:
    """Wait for a job in which the first `failing` solutions fail; its JSON and the messages."""
    marks = dict.fromkeys(range(failing), "[[scripted:unparsed]]")
    file = made.write_jsonl(cli.folder / f"{failing}.jsonl", made.make_solutions(solutions, marks=marks))
    done = cli("submit", str(file), *SCRIPTED, "--wait", "--json", *options, code=code)
    return json.loads(done.stdout), done.stderr


@pytest.mark.usefixtures("served")
def test_the_status_of_a_waiting_command_is_the_outcome_of_the_job(cli: Cli) -> None:
    result, said = submit(cli, 0, code=0)
    assert (result["ok"], "error" in said) == (4, False)
    result, said = submit(cli, 1, code=9)
    assert (result["ok"], result["failed"]) == (3, 1)
    job = result["job_id"]
    error = json.loads(said.splitlines()[-1])["error"]
    assert (error["what"], error["status"]) == (f"1 of 4 solutions of job {job} failed", 9)
    assert f"rprm-jobs results {job} --failed" in error["hint"]
    result, said = submit(cli, 4, code=10)
    assert f"none of the 4 solutions of job {result['job_id']} succeeded" in said
    # The command that the hint names shows the reasons.
    assert "no verdict" in cli("results", str(result["job_id"]), "--failed").stdout


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("failing", "fail_on", "code"),
    [(1, "none", 0), (4, "none", 0), (1, "any", 9), (1, "all", 0), (4, "all", 10), (4, "any", 10)],
)
def test_fail_on_chooses_what_counts_as_failure(cli: Cli, failing: int, fail_on: str, code: int) -> None:
    submit(cli, failing, "--fail-on", fail_on, code=code)


def test_a_job_that_is_cancelled_elsewhere(cli: Cli, solutions: Path, database: Database) -> None:
    job = str(cli.json("submit", str(solutions), *SCRIPTED)["job_id"])
    waiting = cli.start("submit", str(solutions), *SCRIPTED, "--wait", "--engine-arg", "delay_s=5")
    wait_until_judging(database, job)
    cli("cancel", job)
    out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, out) == (11, f"{job}\n")
    assert f"error: job {job} was cancelled\n  hint: read what is judged: rprm-jobs results {job}" in err


def test_results_of_a_job_that_is_not_finished_are_no_empty_file(cli: Cli, solutions: Path, tmp_path: Path) -> None:
    job = str(cli.json("submit", str(solutions), *SCRIPTED)["job_id"])
    said = cli("results", job, "-o", "r.jsonl", code=12).stderr
    assert f"error: job {job} is queued: 20 of 20 solutions without an outcome yet" in said
    assert f"hint: wait for it: rprm-jobs status {job} --watch" in said
    cli("cancel", job)
    assert "20 of 20 solutions without an outcome\n" in cli("results", job, "-o", "r.jsonl", code=11).stderr
    assert not (tmp_path / "r.jsonl").exists()
