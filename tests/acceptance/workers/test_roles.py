"""Database roles as the documents have them: a worker's judges and cannot drop a job, a reader's writes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import psutil
import pytest

from rprm_jobs.errors import StoreError
from rprm_jobs.store.session import Database
from tests.support import store
from tests.support.jobs import wait_for
from tests.support.roles import PASSWORD, create_roles, url_as
from tests.support.trial import Trial

pytestmark = pytest.mark.acceptance


@pytest.fixture
def roles(trial: Trial) -> Iterator[dict[str, str]]:
    """URLs of the documented roles, by their name there; of this test's own, since roles belong to the whole server."""
    database = store.run(trial.database, "SELECT current_database() AS name")[0].name
    names = create_roles(trial.database, database)
    url = trial.env["RPRM_DATABASE_URL"]
    yield {name: url_as(url, own) for name, own in names.items()}
    for own in names.values():
        store.run(trial.database, f"DROP OWNED BY {own}")
        store.run(trial.database, f"DROP ROLE {own}")


@pytest.fixture
def job(trial: Trial) -> int:
    """A job from before the roles were made."""
    return trial.take_in(12, shard=4)


def refused(url: str, statement: str) -> None:
    database = Database(url)
    with pytest.raises(StoreError, match=r"may not do that|must be owner") as caught:
        store.run(database, statement)
    assert caught.value.hint
    database.close()


def test_a_workers_role_judges_and_no_more(trial: Trial, job: int, roles: dict[str, str]) -> None:
    url = roles["rprm_worker"]
    poison = trial.take_in(6, shard=6, marks={2: "[[scripted:raise]]"}, prefix="p")
    worker = trial.start(RPRM_DATABASE_URL=url)
    trial.wait_done(poison, within=60)
    trial.finish(job, within=60)
    trial.finish(poison, within=60, besides={"p2": "quarantined"})
    done = trial.command("extend", str(job), "-k", "3")
    assert done.returncode == 0, done.stderr
    trial.now_of(job, k=3)
    trial.finish(job, within=60, besides={})
    for statement in (
        f"DROP TABLE scores_j{job}",
        f"DELETE FROM jobs WHERE id = {job}",
        f"UPDATE jobs SET cancelled_at = now() WHERE id = {job}",
        f"TRUNCATE verdicts_j{job}",
        f"UPDATE solutions_j{job} SET problem = 'another'",
        f"DELETE FROM shards WHERE job_id = {job}",
        "CREATE TABLE mine (n int)",
    ):
        refused(url, statement)
    for command in (("cancel", str(job)), ("delete", str(job), "--yes"), ("submit", "examples/solutions.jsonl")):
        assert trial.command(*command, RPRM_DATABASE_URL=url).returncode != 0
    seen = [part for process in psutil.process_iter() for part in _words(process)]
    assert not any(PASSWORD in part for part in seen)
    assert worker.stop() == 0
    assert PASSWORD not in worker.log()


def _words(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def test_a_privilege_that_is_revoked_in_the_middle_costs_a_wait_and_no_rollout(
    trial: Trial, job: int, roles: dict[str, str]
) -> None:
    role = urlsplit(roles["rprm_worker"]).username
    worker = trial.start(RPRM_DATABASE_URL=roles["rprm_worker"])
    trial.wait_recorded(job)
    tables = f"verdicts, verdicts_j{job}"
    store.run(trial.database, f"REVOKE INSERT ON {tables} FROM {role}")
    refusal = "SELECT 1 FROM workers WHERE trouble LIKE 'the store refuses results: this database role may not do%'"
    wait_for(lambda: store.run(trial.database, refusal) and not trial.leases(), what=trial.workers.logs)
    assert trial.failures(job) == 0
    store.run(trial.database, f"GRANT INSERT ON {tables} TO {role}")
    trial.finish(job, within=60)
    assert trial.failures(job) == 0
    assert worker.stop() == 0


def test_a_readers_role_reads_and_no_more(trial: Trial, job: int, roles: dict[str, str]) -> None:
    url = roles["rprm_reader"]
    trial.start()
    trial.finish(job)
    for command in (("status", str(job)), ("results", str(job), "--critiques"), ("jobs",), ("audit",)):
        done = trial.command(*command, RPRM_DATABASE_URL=url)
        assert done.returncode == 0, done.stderr
    for statement in (f"DELETE FROM scores_j{job}", "UPDATE shards SET attempt = 9", "DELETE FROM workers"):
        refused(url, statement)
    done = trial.command("extend", str(job), "-k", "3", RPRM_DATABASE_URL=url)
    assert done.returncode != 0
    assert "this database role may not do that" in done.stderr
    assert PASSWORD not in done.stderr
