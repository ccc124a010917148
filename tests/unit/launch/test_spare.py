"""A process that is forked ahead of time: it becomes what it is told to, and never outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from tests.support.jobs import wait_for

# What the fork is to become, and what it must not have of its parent.
BECOMES = """
import os, sys
print(__name__, sys.argv[1:], os.environ, os.getsid(0) == os.getpid(), sorted(os.listdir("/proc/self/fd")), sep="|")
sys.stdin.read()
sys.exit(int(sys.argv[1]))
"""


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A program of its own: this one has threads, and loads what must not be loaded before a fork."""
    (folder / "becomes.py").write_text(BECOMES)
    head = "import os, sys\nfrom pathlib import Path\nfrom rprm_jobs.launch.spare import spare_worker\n"
    root = Path(__file__).parents[3]
    return subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(program)], cwd=folder, text=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": f"{root}:{folder}"}, check=False, timeout=60,
    )  # fmt: skip


def test_it_becomes_the_module_with_its_environment_log_and_status(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("before\n")
    program = """
        held = open("held", "w")
        print("said once", end="")
        with spare_worker(True) as spare:
            process = spare.start("becomes", ["3", "x"], {"ONLY": "this"}, Path("log"))
            assert spare.start("becomes", ["4"], {}, Path("log")) is None
            sys.exit(process.wait(30))
    """
    done = run(program, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (3, "said once", "")
    before, line = (tmp_path / "log").read_text().splitlines()
    name, arguments, environment, leads_its_session, descriptors = line.split("|")
    assert (before, name, arguments) == ("before", "__main__", "['3', 'x']")
    assert environment == "environ({'ONLY': 'this'})"
    assert leads_its_session == "True"
    # The fourth is that of the listing.
    assert descriptors == "['0', '1', '2', '3']"


def test_one_that_is_not_needed_ends_with_the_block(tmp_path: Path) -> None:
    program = """
        with spare_worker(True) as spare:
            pid = spare._process.pid
        assert not Path(f"/proc/{pid}").exists()
    """
    done = run(program, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_one_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    done = run(
        "with spare_worker(True) as spare:\n    print(spare._process.pid, flush=True)\n    os.kill(os.getpid(), 9)\n",
        tmp_path,
    )
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    wait_for(lambda: not psutil.pid_exists(pid), within=10, what="the spare has ended")


@pytest.mark.parametrize(
    "before",
    ["import threading; threading.Thread(target=lambda: __import__('time').sleep(9), daemon=True).start()",
     "sys.modules['huggingface_hub'] = sys"],
)  # fmt: skip
def test_there_is_none_where_threads_or_connections_would_be_shared(tmp_path: Path, before: str) -> None:
    done = run(f"{before}\nwith spare_worker(True) as spare:\n    assert spare is None\n", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_there_is_none_where_none_is_wanted(tmp_path: Path) -> None:
    done = run("with spare_worker(False) as spare:\n    assert spare is None\n", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_in_it_is_in_the_log_and_its_status(tmp_path: Path) -> None:
    program = """
        with spare_worker(True) as spare:
            sys.exit(spare.start("becomes", ["not a number"], {}, Path("log")).wait(30))
    """
    done = run(program, tmp_path)
    assert (done.returncode, done.stderr) == (70, "")
    assert "ValueError: invalid literal for int()" in (tmp_path / "log").read_text()
