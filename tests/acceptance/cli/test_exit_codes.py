"""Exit codes that need servers, or a reader that goes away; the page about them names no others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from rprm_jobs.store.session import Database
from tests.support import jobs as made
from tests.support.command_line import Cli

pytestmark = pytest.mark.acceptance

SCRIPTED = ("--judge", "scripted", "-k", "2")


@pytest.mark.usefixtures("served")
def test_7_for_a_job_that_is_not_clean(cli: Cli, solutions: Path, database: Database) -> None:
    job = cli.json("submit", str(solutions), *SCRIPTED, "--wait")["job_id"]
    assert cli("audit").stderr == "1 job audited: nothing missing, nothing doubled, nothing stale\n"
    with database.transaction() as connection:
        connection.execute(text("DELETE FROM scores WHERE job_id = :job AND ord = 3"), {"job": job})
    done = cli("audit", str(job), "--json", code=7)
    assert '"clean": false' in done.stdout
    assert f"job {job}: " in done.stderr
    assert json.loads(done.stderr.splitlines()[-1])["error"]["what"] == "1 of 1 job is not clean"
    repaired = cli("audit", "--repair", "--json")
    assert "1 solution queued again" in repaired.stderr
    assert json.loads(repaired.stdout)["repaired"][0]["requeued"] == 1
    assert cli.json("submit", str(solutions), *SCRIPTED, "--wait")["ok"] == 20
    assert cli.json("audit", "--repair") == {"clean": True, "jobs": [{"job_id": job, "findings": []}], "repaired": []}
    assert cli("audit", "99", code=4).stdout == ""


@pytest.mark.usefixtures("served")
def test_4_and_6_for_jobs_that_are_not_there_or_not_so(cli: Cli, solutions: Path) -> None:
    for command in (["status"], ["results"], ["cancel"], ["retry"], ["delete", "--yes"]):
        assert "there is no job 99" in cli(*command, "99", code=4).stderr
    assert f"there is no job {2**70}" in cli("status", str(2**70), code=4).stderr
    job = str(cli.json("submit", str(solutions), *SCRIPTED, "--wait")["job_id"])
    assert "hint:" in cli("cancel", job, code=6).stderr


def test_5_where_no_server_answers(cli: Cli, solutions: Path) -> None:
    cli.env["RPRM_DATABASE_URL"] = "postgresql://user:hidden@127.0.0.1:1/x"
    for command in (["jobs"], ["submit", str(solutions), *SCRIPTED], ["db", "upgrade"], ["worker"]):
        done = cli(*command, code=5)
        assert done.stderr.startswith("error: ")
        assert "hidden" not in done.stdout + done.stderr


@pytest.mark.usefixtures("served")
def test_a_redis_that_is_away_costs_a_notification_and_no_job(cli: Cli, solutions: Path) -> None:
    cli.env["RPRM_REDIS_URL"] = "redis://:hidden@127.0.0.1:1/0"
    done = cli("submit", str(solutions), *SCRIPTED, "--json")
    assert '"created": true' in done.stdout
    assert "workers were not notified" in done.stderr
    assert "hidden" not in done.stderr


@pytest.mark.usefixtures("served")
def test_141_when_the_reader_goes_away(cli: Cli, tmp_path: Path) -> None:
    many = made.write_jsonl(tmp_path / "many.jsonl", made.make_solutions(500))
    job = str(cli.json("submit", str(many), "--judge", "scripted", "-k", "1", "--wait")["job_id"])
    command = [sys.executable, "-m", "rprm_jobs", "results", job, "--steps"]
    pipe = subprocess.Popen(command, env=cli.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert pipe.stdout
    assert pipe.stdout.readline().startswith(b'{"id":"s0"')
    pipe.stdout.close()
    assert pipe.stderr
    assert (pipe.stderr.read(), pipe.wait(60)) == (b"", 141)
    pipe.stderr.close()


def test_names_with_brackets_are_listed_as_they_are(cli: Cli, tmp_path: Path) -> None:
    made.write_jsonl(tmp_path / "[bold]red[0].jsonl", made.make_solutions(2))
    cli.env["COLUMNS"] = "200"
    cli("submit", "[bold]red[0].jsonl", *SCRIPTED)
    assert "[bold]red[0].jsonl" in cli("jobs").stdout
