"""The reaper: an engine process does not outlive a worker that was killed, and is left alone by one that closed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[3]
# A worker with one engine process, which has a process of its own, as a tensor-parallel engine has.
WORKER = """
import multiprocessing, os, subprocess, sys, time
from workers.engines.reaper import dismiss, engine_processes, kill, start_reaper

def engine(pids):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pids.send((os.getpid(), child.pid))
    time.sleep(600)

if __name__ == "__main__":
    reaper = start_reaper(os.getpid())
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=engine, args=(theirs,))
    process.start()
    print(*ours.recv(), *(p.pid for p in engine_processes(os.getpid())), flush=True)
    sys.stdin.readline()
    kill(engine_processes(os.getpid()))
    dismiss(reaper)
    print(reaper.returncode, flush=True)
"""


@pytest.fixture
def worker(tmp_path: Path) -> subprocess.Popen[str]:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    return subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def read_pids(worker: subprocess.Popen[str]) -> list[psutil.Process]:
    assert worker.stdout is not None
    engine, below, *seen = map(int, worker.stdout.readline().split())
    assert set(seen) == {engine, below}
    return [psutil.Process(engine), psutil.Process(below)]


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_a_killed_worker_leaves_no_engine(worker: subprocess.Popen[str]) -> None:
    processes = read_pids(worker)
    # The reaper looks about twice a second.
    time.sleep(1.5)
    (reaper,) = [p for p in psutil.Process(worker.pid).children() if "workers.engines.reaper" in p.cmdline()]
    # As systemd and Slurm send it, to every process of a service.
    reaper.send_signal(signal.SIGTERM)
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    deadline = time.monotonic() + 20
    while alive(processes) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert alive(processes) == []


def test_a_worker_that_closed_its_engine_dismisses_the_reaper(worker: subprocess.Popen[str]) -> None:
    processes = read_pids(worker)
    out, _ = worker.communicate("close\n", timeout=60)
    assert out.strip() == "0"
    assert alive(processes) == []
