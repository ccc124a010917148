"""Several worker processes under one parent: signals are passed on, and when one fails, the others are stopped.

Restarting is left to a supervisor outside (systemd, Kubernetes, Slurm): a person should look at a GPU that failed.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from types import FrameType

from rprm_jobs.launch.workers import Say

_POLL_S = 0.2


def run_fleet(command: Sequence[str], environment: Mapping[str, str], groups: Sequence[str], say: Say) -> int:
    """Run one process for each group of GPUs until all have ended; returns the highest exit status."""
    workers = {
        group: subprocess.Popen(
            [*command, "--exit-with-parent"],
            env={**_with_own_port(environment, number), "CUDA_VISIBLE_DEVICES": group},
            # A Ctrl-C in the terminal would reach the workers twice: directly, and through `pass_on`.
            start_new_session=True,
        )
        for number, group in enumerate(groups)
    }

    def pass_on(number: int, _frame: FrameType | None) -> None:
        for worker in workers.values():
            worker.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    failed = False
    while any(worker.poll() is None for worker in workers.values()):
        bad = [group for group, worker in workers.items() if worker.poll() not in (None, 0)]
        if bad and not failed:
            failed = True
            say(f"the worker on GPU {bad[0]} exited with status {workers[bad[0]].returncode}: stopping the others")
            pass_on(signal.SIGTERM, None)
        time.sleep(_POLL_S)
    return max(_exit_status(int(worker.returncode)) for worker in workers.values())


def _with_own_port(environment: Mapping[str, str], number: int) -> dict[str, str]:
    """Worker `number` (from 0) serves its metrics so many ports above the first."""
    port = environment.get("RPRM_METRICS_PORT")
    return {**environment, **({"RPRM_METRICS_PORT": str(int(port) + number)} if port else {})}


def _exit_status(returncode: int) -> int:
    # As in a shell: 128 plus the number of the signal that killed it.
    return returncode if returncode >= 0 else 128 - returncode
