"""Logs of workers: found by worker, by name and by what they say about a job; old ones are removed."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rprm_jobs.errors import ConfigError, NotFound
from rprm_jobs.launch.logs import find_log, last_lines, lines_about, list_logs, tidy_logs
from rprm_jobs.store.records import WorkerInfo

NOBODY = 2**22 + 1


def worker(id_: str, log: str | None) -> WorkerInfo:
    return WorkerInfo(
        id=id_, queue="q", judge="j", engine="e", host="here", pid=9, slots=4, started_at=datetime.now(UTC),
        silent_s=0.0, prompt_tokens=0, generated_tokens=0, prefix_hit_rate=None, log=log,
    )  # fmt: skip


def write(path: Path, text: str, *, days: float = 0.0) -> Path:
    path.write_text(text)
    os.utime(path, (time.time() - days * 86_400,) * 2)
    return path


def test_a_log_is_found_by_its_worker_or_its_name(tmp_path: Path) -> None:
    log = write(tmp_path / "worker-4711.log", "a\nb\nc\n")
    alive = [worker("here:1:ab", str(log)), worker("here:2:cd", None)]
    assert find_log(tmp_path, "here:1", alive) == log
    assert find_log(tmp_path, "worker-4711", []) == find_log(tmp_path, "worker-4711.log", []) == log
    assert last_lines(log, 2) == ["b", "c"]
    assert last_lines(log, 0) == ["a", "b", "c"]
    with pytest.raises(ConfigError, match="2 workers begin with 'here'"):
        find_log(tmp_path, "here", alive)
    with pytest.raises(NotFound, match="started by hand"):
        find_log(tmp_path, "here:2", alive)
    with pytest.raises(NotFound, match="not on this machine"):
        find_log(tmp_path, "far", [worker("far:1", "/nowhere/worker-1.log")])
    for name in ("worker-1", "../secret", str(tmp_path / ".." / "x")):
        with pytest.raises(NotFound, match="no worker and no log"):
            find_log(tmp_path, name, alive)


def test_what_all_logs_say_about_a_job(tmp_path: Path) -> None:
    write(tmp_path / "worker-2.log", "INFO x: job 7: 9 of 9 done [job 7]\nINFO x: job 77: 1 of 2 done\n")
    write(tmp_path / "worker-1.log", 'INFO y: failed [job 7, shard 3]\n{"message": "m", "job": 7}\n', days=1)
    lines = lines_about(tmp_path, 7, 0)
    assert [path.name for path, _ in lines] == ["worker-1.log", "worker-1.log", "worker-2.log"]
    assert lines_about(tmp_path, 7, 1) == lines[-1:]
    assert lines_about(tmp_path, 8, 0) == []


def test_old_logs_are_removed_unless_their_command_runs(tmp_path: Path) -> None:
    old = write(tmp_path / f"worker-{NOBODY}.log", "x", days=31)
    running = write(tmp_path / f"worker-{os.getpid()}.log", "x", days=31)
    recent = write(tmp_path / f"worker-{NOBODY + 1}.log", "x", days=29)
    other = write(tmp_path / "notes.txt", "x", days=99)
    assert tidy_logs(tmp_path) == [old]
    assert running.exists()
    assert recent.exists()
    assert other.exists()
    assert [log.path for log in list_logs(tmp_path)] == [recent, running]
    assert tidy_logs(tmp_path / "none") == []
