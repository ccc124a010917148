"""The logs of workers that commands start: where they are, what they say about a job, and their clean-up."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rprm_jobs.errors import ConfigError, NotFound
from rprm_jobs.settings import Settings
from rprm_jobs.store.records import WorkerInfo

KEEP_DAYS = 30
_DAY_S = 86_400.0
_PID = re.compile(r"worker-(\d+)\.log")


@dataclass(frozen=True, slots=True)
class LogFile:
    """One worker's log; `written_at` is when its last line was written."""

    path: Path
    bytes: int
    written_at: datetime


def log_folder(settings: Settings) -> Path:
    """Where the logs are; the folder need not exist."""
    return settings.home / "logs"


def list_logs(folder: Path) -> list[LogFile]:
    """Every log, the newest first."""
    logs = []
    for path in folder.glob("worker-*.log"):
        with suppress(FileNotFoundError):
            stat = path.stat()
            logs.append(LogFile(path, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC)))
    return sorted(logs, key=lambda log: log.written_at, reverse=True)


def tidy_logs(folder: Path, *, days: float = KEEP_DAYS) -> list[Path]:
    """Remove logs that nobody has written to for so many days, unless their command still runs; returns them."""
    oldest, removed = time.time() - days * _DAY_S, []
    for log in list_logs(folder):
        if log.written_at.timestamp() < oldest and not _runs(log.path):
            with suppress(OSError):
                log.path.unlink()
                removed.append(log.path)
    return removed


def _runs(log: Path) -> bool:
    named = _PID.fullmatch(log.name)
    if named is None:
        return True
    try:
        os.kill(int(named[1]), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def find_log(folder: Path, name: str, alive: Iterable[WorkerInfo]) -> Path:
    """The log of a worker by its id or the beginning of it, or by its file's name. Raises NotFound, ConfigError."""
    matching = [worker for worker in alive if worker.id.startswith(name)]
    if len(matching) > 1:
        ids = ", ".join(worker.id for worker in matching)
        raise ConfigError(f"{len(matching)} workers begin with {name!r}: {ids}", hint="write more of the id")
    if matching:
        return _readable(matching[0])
    for path in (Path(name), folder / name, folder / f"{name}.log"):
        if path.parent == folder and path.is_file():
            return path
    raise NotFound(f"there is no worker and no log {name!r}", hint="list both: rprm-jobs workers, rprm-jobs logs")


def _readable(worker: WorkerInfo) -> Path:
    if worker.log is None:
        raise NotFound(
            f"worker {worker.id} was started by hand, and writes to where it was started",
            hint=f"look at the terminal or the service of process {worker.pid} on {worker.host}",
        )
    path = Path(worker.log)
    if not path.is_file():
        raise NotFound(
            "the log is not on this machine", where=worker.log, hint=f"look on {worker.host}: rprm-jobs logs"
        )
    return path


def last_lines(path: Path, most: int) -> list[str]:
    """The last `most` lines of a log, or all with 0."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return [line.rstrip("\n") for line in deque(file, most or None)]


def lines_about(folder: Path, job_id: int, most: int) -> list[tuple[Path, str]]:
    """The last `most` lines of all logs that are about a job, or all with 0, the oldest log first."""
    return list(deque(_lines_about(folder, job_id), most or None))


def _lines_about(folder: Path, job_id: int) -> Iterator[tuple[Path, str]]:
    named = re.compile(rf'\bjob"?:? {job_id}\b')
    for log in reversed(list_logs(folder)):
        with suppress(FileNotFoundError), log.path.open(encoding="utf-8", errors="replace") as file:
            yield from ((log.path, line.rstrip("\n")) for line in file if named.search(line))
