"""A fleet: a process for each group of GPUs, signals passed on, and one that fails ends the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

FLEET = """
import os, sys
from rprm_jobs.launch.fleet import run_fleet
def say(line):
    print(line, file=sys.stderr, flush=True)


sys.exit(run_fleet([sys.executable, "-c", sys.argv[1], sys.argv[2]], dict(os.environ), ["0,1", "2,3"], say))
"""
# A worker that says on which GPUs it runs, and that leaves on SIGTERM with a note.
WORKER = """
import os, pathlib, signal, sys, time
gpus = os.environ["CUDA_VISIBLE_DEVICES"]
note = pathlib.Path(sys.argv[1]) / gpus
def leave(number, frame):
    note.write_text(f"left on {number}")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
note.write_text(str(os.getpid()))
FATE
time.sleep(60)
"""


def fleet(folder: Path, fate: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", FLEET, WORKER.replace("FATE", fate), str(folder)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def wait_for_notes(folder: Path) -> list[Path]:
    deadline = time.monotonic() + 30
    while len(notes := [note for note in sorted(folder.iterdir()) if note.read_text()]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return notes


def test_signals_reach_every_worker(tmp_path: Path) -> None:
    running = fleet(tmp_path, "")
    notes = wait_for_notes(tmp_path)
    assert [note.name for note in notes] == ["0,1", "2,3"]
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=30)
    assert (running.returncode, err) == (0, "")
    assert [note.read_text() for note in notes] == ["left on 15"] * 2


@pytest.mark.parametrize(("fate", "status"), [("sys.exit(8)", 8), ("os.kill(os.getpid(), 9)", 137)])
def test_one_that_fails_ends_the_fleet(tmp_path: Path, fate: str, status: int) -> None:
    # Only once the other one is up, so that it can say how it left.
    other = "(note.parent / '0,1')"
    when = f"if gpus == '2,3':\n    while not {other}.exists() or not {other}.read_text(): time.sleep(0.05)\n    {fate}"
    running = fleet(tmp_path, when)
    _, err = running.communicate(timeout=30)
    assert running.returncode == status
    assert "the worker on GPU 2,3 exited with status" in err
    assert (tmp_path / "0,1").read_text() == "left on 15"
    assert not _alive(int((tmp_path / "2,3").read_text()))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_each_worker_has_a_port_for_its_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RPRM_METRICS_PORT", "9464")
    running = fleet(tmp_path, "note.write_text(os.environ['RPRM_METRICS_PORT'])\nsys.exit(0)")
    running.communicate(timeout=30)
    assert {note.name: note.read_text() for note in tmp_path.iterdir()} == {"0,1": "9464", "2,3": "9465"}
