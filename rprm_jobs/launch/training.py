"""Starts `python -m training`: in one process, or in several with torch's or accelerate's launcher."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rprm_jobs.errors import ConfigError, RprmError, TrainingFailed, error_from

_NEEDS = ("accelerate", "datasets", "trl")
# The program tells its error in a line of JSON on stdout.
_REPORT = "--report-error"


def run_training(
    arguments: Sequence[str], environment: Mapping[str, str], *, processes: int = 1, config: Path | None = None
) -> str:
    """Run the training program to its end; returns what it printed on stdout.

    Raises ConfigError without the extra `train`, the program's own error, else TrainingFailed with its exit status.
    """
    _check_installed()
    command = [*_launcher(processes, config), "-m", "training", *arguments, _REPORT]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise _failure(done)
    return done.stdout


def _failure(done: subprocess.CompletedProcess[str]) -> RprmError:
    """The error that the program has told, or that it died of another."""
    for line in done.stdout.splitlines():
        if line.startswith('{"error"'):
            # Of several processes each may tell it.
            return error_from(json.loads(line)["error"])
    # As in a shell: 128 plus the number of the signal that killed it.
    status = done.returncode if done.returncode > 0 else 128 - done.returncode
    return TrainingFailed(
        f"training exited with status {done.returncode}", hint="read its last lines above", status=status
    )


def check_training(arguments: Sequence[str]) -> Mapping[str, Any]:
    """The recipe as the training program resolves these arguments; nothing is trained.

    Raises ConfigError for arguments that it refuses, and without the extra `train`.
    """
    _check_installed()
    command = [sys.executable, "-m", "training", *arguments, "--check", _REPORT]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        failure = _failure(done)
        raise ConfigError(f"the training program refuses its options: {failure.what}", hint=failure.hint)
    recipe: Mapping[str, Any] = json.loads(done.stdout)["recipe"]
    return recipe


def _check_installed() -> None:
    from importlib.util import find_spec

    missing = [name for name in _NEEDS if find_spec(name) is None]
    if missing:
        raise ConfigError(f"training needs {', '.join(missing)}", hint="pip install 'rprm-jobs[train]'")


def _launcher(processes: int, config: Path | None) -> list[str]:
    """The command before `-m training`. torch's launcher needs no file; accelerate's reads all settings from one."""
    python = [sys.executable, "-m"]
    if config is not None:
        if not config.is_file():
            raise ConfigError("there is no such file", where=str(config), hint="write one: accelerate config")
        counted = ["--num_processes", str(processes)] if processes > 1 else []
        return [*python, "accelerate.commands.launch", "--config_file", str(config), *counted]
    if processes > 1:
        return [*python, "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [sys.executable]
