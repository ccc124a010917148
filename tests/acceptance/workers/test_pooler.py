"""Everything behind a real PgBouncer that pools transactions, restarts of it included."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from rprm_jobs.judge.recipe import BY_CONTENT
from tests.support import jobs, store
from tests.support.pooler import PgBouncer
from tests.support.trial import Trial

pytestmark = pytest.mark.acceptance


def test_a_job_goes_from_its_file_to_the_audit_through_the_pooler(
    trial: Trial, pgbouncer: PgBouncer, tmp_path: Path
) -> None:
    pooled = {"RPRM_DATABASE_URL": pgbouncer.url}
    solutions = jobs.make_solutions(24)
    file = jobs.write_jsonl(tmp_path / "s.jsonl", solutions)
    worker = trial.start(**pooled)
    done = trial.command("submit", str(file), "--judge", "scripted", "-k", "2", "--wait", "--json", **pooled)
    assert done.returncode == 0, done.stderr
    job = json.loads(done.stdout)["job_id"]
    trial.remember(job, solutions, jobs.make_recipe(k=2, seed_rule=BY_CONTENT))
    trial.finish(job)
    results = trial.command("results", str(job), "--critiques", **pooled)
    assert [json.loads(line)["id"] for line in results.stdout.splitlines()] == [s.id for s in solutions]
    for command in (("status", str(job)), ("jobs",), ("audit",), ("extend", str(job), "-k", "3")):
        done = trial.command(*command, **pooled)
        assert done.returncode == 0, done.stderr
    trial.now_of(job, k=3)
    trial.finish(job)
    assert worker.stop() == 0
    assert "Traceback" not in worker.log()


def test_restarts_of_the_pooler_lose_and_double_nothing(trial: Trial, pgbouncer: PgBouncer) -> None:
    job = trial.take_in(36, shard=6)
    worker = trial.start(RPRM_DATABASE_URL=pgbouncer.url)
    for goal in (1, 8, 16):
        trial.wait_recorded(job, goal)
        pgbouncer.restart()
    trial.finish(job, within=60)
    assert trial.failures(job) == 0
    assert worker.process.poll() is None
    assert worker.stop() == 0


def test_doctor_and_upgrade_name_the_pooler_and_the_setting(
    trial: Trial, pgbouncer: PgBouncer, empty_database_url: str
) -> None:
    pooled = {"RPRM_DATABASE_URL": pgbouncer.url}
    said = trial.command("doctor", **pooled)
    (line,) = [line for line in said.stdout.splitlines() if " pooler " in line]
    assert "PgBouncer" in line
    assert "RPRM_DATABASE_DIRECT_URL" in line
    assert trial.command("db", "upgrade", **pooled).returncode == 0
    direct = trial.env["RPRM_DATABASE_URL"]
    said = trial.command("doctor", **pooled, RPRM_DATABASE_DIRECT_URL=direct)
    assert said.returncode == 0, said.stdout
    assert [line[:4] for line in said.stdout.splitlines() if " pooler " in line or " direct " in line] == ["ok  "] * 2
    said = trial.command("doctor", **pooled, RPRM_DATABASE_DIRECT_URL=empty_database_url)
    assert said.returncode == 5
    assert "different databases" in said.stdout
    store.run(trial.database, "UPDATE alembic_version SET version_num = '0008'")
    refused = trial.command("db", "upgrade", **pooled)
    assert refused.returncode == 2
    assert "PgBouncer" in refused.stderr
    assert "set RPRM_DATABASE_DIRECT_URL" in refused.stderr


def test_a_worker_killed_behind_the_pooler_is_no_loss(trial: Trial, pgbouncer: PgBouncer) -> None:
    job = trial.take_in(24, shard=12)
    first = trial.start(RPRM_DATABASE_URL=pgbouncer.url)
    trial.wait_recorded(job, 3)
    first.send(signal.SIGKILL)
    assert first.wait_exit() == -signal.SIGKILL
    trial.start(RPRM_DATABASE_URL=pgbouncer.url)
    trial.finish(job)
