"""How long commands take to start, and to wait for a job that is done at once: `python -m benchmarks.command_start`.

Each command runs as a user starts it, in a process of its own with the embedded servers up. Processor time hardly
depends on what else the machine does; wall time does. The smallest of the runs is without cold caches. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rprm_jobs import __version__

_ONE = {"id": "one", "problem": "What is 1 + 1?", "steps": ["1 + 1 = 2."]}
# Loaded by nothing but what the commands need: a heavy one in the list costs every command.
_WATCHED = ("alembic", "sqlalchemy", "psycopg", "celery", "rich", "numpy", "pyarrow", "torch", "transformers")


def main() -> None:
    """Measure every command and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="times that each command runs [3]")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rprm-start-") as folder:
        home = Path(folder)
        (home / "one.jsonl").write_text(json.dumps(_ONE) + "\n")
        env = {name: value for name, value in os.environ.items() if not name.startswith("RPRM_")}
        # Without bytecode every command would compile all that it imports.
        env.pop("PYTHONDONTWRITEBYTECODE", None)
        env["RPRM_HOME"] = str(home / "home")
        submit = ["submit", str(home / "one.jsonl"), "--judge", "scripted", "-k", "1", "--new"]
        commands = {"--help": ["--help"], "jobs": ["jobs"], "submit": submit, "submit --wait": [*submit, "--wait"]}
        _run(["services", "up"], env)
        try:
            times = {name: _measure(command, env, arguments.runs) for name, command in commands.items()}
            loaded = {name: _loaded(command, env) for name, command in commands.items() if "--wait" not in command}
        finally:
            _run(["services", "down"], env)
    print(json.dumps({"version": __version__, "runs": arguments.runs, "seconds": times, "loaded": loaded}, indent=2))


def _measure(command: list[str], env: dict[str, str], runs: int) -> dict[str, float]:
    """The smallest wall time and the smallest processor time, children included, in seconds."""
    walls, used = [], []
    for _ in range(runs):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        _run(command, env)
        walls.append(time.monotonic() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {"wall": round(min(walls), 3), "processor": round(min(used), 3)}


def _run(command: list[str], env: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "rprm_jobs", *command], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"rprm-jobs {' '.join(command)} exited with {done.returncode}: {done.stderr}")
    return done.stdout


def _loaded(command: list[str], env: dict[str, str]) -> list[str]:
    """Which of the watched libraries the command has imported."""
    code = (
        "import sys; from rprm_jobs.cli import app, State\n"
        f"try: app({command!r}, standalone_mode=False, obj=State())\n"
        f"finally: print('|', *({{name.split('.')[0] for name in sys.modules}} & set({_WATCHED!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    return sorted(done.stdout.rsplit("|", 1)[1].split())


if __name__ == "__main__":
    main()
