"""What a store does to the storm's workers: it refuses writes for want of space or rights, and its pooler restarts.

A full disk is a real one, of 64 MiB in memory, where this process may mount it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from rprm_jobs.local.paths import find_paths
from rprm_jobs.settings import Settings
from rprm_jobs.store.session import Database
from tests.support.pooler import PgBouncer
from tests.support.store import run
from tests.support.worker_parts import allow, refuse

_DISK_BYTES = 64 * 1024 * 1024
_FULL_S, _REVOKED_S = 3.0, 3.0


@contextmanager
def small_disk() -> Iterator[Path | None]:
    """A file system of 64 MiB in memory, None where this process may not mount one. Gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="rprm-disk-"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield folder if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


class StoreFaults:
    """The job's verdicts lie on `disk`; without one, a trigger answers as a full disk does. `role` is the workers'."""

    def __init__(
        self, settings: Settings, database: Database, role: str, disk: Path | None, pooler: PgBouncer | None
    ) -> None:
        self._settings, self._database, self._role = settings, database, role
        self._disk, self._pooler = disk, pooler
        self._jobs: list[int] = []

    @property
    def has_disk(self) -> bool:
        """Whether a real disk fills."""
        return self._disk is not None

    @property
    def has_pooler(self) -> bool:
        """Whether the workers reach Postgres through a pooler."""
        return self._pooler is not None

    def watch(self, jobs: list[int]) -> None:
        """These are the jobs; their verdicts move to the small disk."""
        self._jobs = jobs
        if self._disk is None:
            return
        pid = int((find_paths(self._settings.home).postgres / "data" / "postmaster.pid").read_text().split()[0])
        os.chown(self._disk, psutil.Process(pid).uids().real, psutil.Process(pid).gids().real)
        self._disk.chmod(0o700)
        with self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(f"CREATE TABLESPACE small LOCATION '{self._disk}'")
        for job in jobs:
            run(self._database, f"ALTER TABLE verdicts_j{job} SET TABLESPACE small")
        run(self._database, f"GRANT CREATE ON TABLESPACE small TO {self._role}")

    def fill_disk(self) -> None:
        """No verdict fits for a while."""
        if self._disk is None:
            refuse(self._database, "53100")
            time.sleep(_FULL_S)
            allow(self._database)
            return
        filler = self._disk / "filler"
        try:
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while file.write(bytes(65536)):
                    pass
            time.sleep(_FULL_S)
        finally:
            filler.unlink(missing_ok=True)

    def revoke(self) -> None:
        """The workers' role may not insert verdicts for a while."""
        tables = ", ".join(["verdicts", *(f"verdicts_j{job}" for job in self._jobs)])
        run(self._database, f"REVOKE INSERT ON {tables} FROM {self._role}")
        try:
            time.sleep(_REVOKED_S)
        finally:
            run(self._database, f"GRANT INSERT ON {tables} TO {self._role}")

    def store_rubbish(self) -> None:
        """A request for a dependent job that no version can read, at a job that is done if there is one."""
        run(
            self._database,
            """
            UPDATE jobs SET follow = '{"recipe": {"rubbish": true}, "priority": "high"}' WHERE id = (
              SELECT j.id FROM jobs AS j WHERE j.cancelled_at IS NULL AND j.id <> ALL(:jobs)
              ORDER BY EXISTS (SELECT 1 FROM shards WHERE job_id = j.id AND state <> 'done'), j.id LIMIT 1)""",
            jobs=self._jobs,
        )

    def restart_pooler(self) -> None:
        """All its connections end at once."""
        if self._pooler is not None:
            self._pooler.restart()
