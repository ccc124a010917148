"""Crash points: silent without their variable, deadly at the passage that it names."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = "from rprm_jobs.crash import crash_point\nfor i in range(3):\n    crash_point('a.b'); print(i, flush=True)"


def run(value: str | None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **({"RPRM_CRASH_AT": value} if value else {})}
    return subprocess.run([sys.executable, "-c", CODE], env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("value", "passed", "status"),
    [
        (None, 3, 0),
        ("other", 3, 0),
        ("a", 3, 0),
        ("a.b", 0, 137),
        ("a.b:1", 0, 137),
        ("a.b:3", 2, 137),
        ("a.b:4", 3, 0),
    ],
)
def test_a_process_dies_at_the_named_passage(value: str | None, passed: int, status: int) -> None:
    done = run(value)
    assert (len(done.stdout.split()), done.returncode) == (passed, status)


def test_a_process_can_be_frozen_instead() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CODE],
        env={**os.environ, "PYTHONPATH": str(ROOT), "RPRM_CRASH_AT": "a.b:2:stop"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        assert process.communicate(timeout=10)[0].split() == ["0", "1", "2"]
    finally:
        process.kill()
        process.wait()
