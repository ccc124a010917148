"""A small process that outlives its parent by a moment, to end the engine processes that the parent leaves behind.

An engine's processes do not notice that the worker was killed with SIGKILL: they would hold the GPU's memory for ever.
`python -m workers.engines.reaper PID` watches until its standard input ends, which it does however the parent dies. It
ignores signals, which a supervisor may send to all processes of a service: it must not be the first to leave.
"""

from __future__ import annotations

import select
import signal
import subprocess
import sys
import time

import psutil

# A look goes through all processes of the machine. An engine starts its processes in its first minutes; what they start
# later is found below them in the end.
_EVERY_S = 0.5
_LATER_EVERY_S = 5.0
_STARTING_S = 300.0
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_MARKS = ("multiprocessing.spawn", "VLLM::")


def engine_processes(pid: int) -> list[psutil.Process]:
    """The engine processes below process `pid`: those started by multiprocessing, and what they started."""
    try:
        below = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    processes: list[psutil.Process] = []
    for process in below:
        if process not in processes and _is_engine(process):
            processes += [process, *_children(process)]
    return list(dict.fromkeys(processes))


def kill(processes: list[psutil.Process]) -> None:
    """End `processes` at once; a process that has ended, or whose number another process has now, is left alone."""
    for process in processes:
        if process.is_running():
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def start_reaper(pid: int) -> subprocess.Popen[bytes]:
    """Watch over the engine processes of `pid`; they are killed when its standard input ends without a byte."""
    command = [sys.executable, "-m", "workers.engines.reaper", str(pid)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)


def dismiss(reaper: subprocess.Popen[bytes]) -> None:
    """End a reaper whose engine was closed in good order."""
    reaper.communicate(b"x", timeout=10)


def _is_engine(process: psutil.Process) -> bool:
    try:
        return any(mark in part for part in process.cmdline() for mark in _MARKS)
    except psutil.Error:
        return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        children: list[psutil.Process] = process.children(recursive=True)
        return children
    except psutil.Error:
        return []


def _pause(running_s: float) -> float:
    return _EVERY_S if running_s < _STARTING_S else _LATER_EVERY_S


def main() -> None:
    """Watch until standard input says something (all is well) or ends (the parent died)."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    parent = int(sys.argv[1])
    seen: dict[psutil.Process, None] = {}
    started = time.monotonic()
    while not select.select([sys.stdin], [], [], _pause(time.monotonic() - started))[0]:
        seen.update(dict.fromkeys(engine_processes(parent)))
    if not sys.stdin.buffer.read(1):
        below = [child for process in seen for child in _children(process)]
        kill(list(dict.fromkeys([*seen, *below])))


if __name__ == "__main__":
    main()
