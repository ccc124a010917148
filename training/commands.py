"""The real job system as the tiny judge's recipe uses it: `rprm-jobs` commands, on the servers of the environment.

Each is a process of its own, as a user's is; they find what was done before, so a build that was cut goes on.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rprm_jobs.errors import RprmError


class CommandFailed(RprmError):
    """A command of the recipe ended with an error, which it printed on stderr."""


def rprm_jobs(*arguments: str) -> Any:
    """Run a command with --json; what it printed. Raises CommandFailed."""
    command = [sys.executable, "-m", "rprm_jobs", *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise CommandFailed(f"`rprm-jobs {' '.join(arguments)}` exited with status {done.returncode}")
    return json.loads(done.stdout)


def sample(file: Path, judge: str, k: int, *more: str) -> int:
    """Critiques of every labelled step in `file`, all finished; the job's id."""
    return int(rprm_jobs("sample", str(file), "--judge", judge, "-k", str(k), "--wait", *more)["job_id"])


def build_set(kind: str, name: str, job: int, *rules: str) -> dict[str, Any]:
    """The set `name` of kind `pairs` or `sft`, with its counts."""
    built: dict[str, Any] = rprm_jobs(kind, "build", str(job), "--name", name, "--replace", *rules)
    return built


def train(phase: str, set_name: str, judge: Path, out: Path, *recipe: str) -> dict[str, Any]:
    """Train into the folder `out`, or go on there; what the run says of itself."""
    record = out / "run.json"
    if not record.exists():
        resumed = ["--resume"] if any((out / "checkpoints").glob("checkpoint-*")) else []
        named = ["--set", set_name, "--judge", str(judge), "--out", str(out)]
        command = [sys.executable, "-m", "rprm_jobs", "train", phase, *named, *resumed, *recipe]
        if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode:
            raise CommandFailed(f"`rprm-jobs train {phase}` failed")
    record_of: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    return record_of
