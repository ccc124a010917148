"""The command line is quick to start, complete, and says what is wrong in one message."""

from __future__ import annotations

import re
import resource
import subprocess
import sys

import pytest

from rprm_jobs.cli import app
from rprm_jobs.cli.worker import gpu_groups
from rprm_jobs.errors import ConfigError
from tests.support.commands import commands

HEAVY = {
    "torch",
    "vllm",
    "transformers",
    "trl",
    "celery",
    "redis",
    "sqlalchemy",
    "psycopg",
    "pyarrow",
    "datasets",
    "numpy",
}


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rprm_jobs", *arguments], capture_output=True, text=True, env=env or None, check=False
    )


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from rprm_jobs.cli import app; app(['--help'], standalone_mode=False); print('|', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.rsplit("|", 1)[1].split()}
    assert "typer" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("service", ["query", "submit", "results"])
def test_a_command_loads_neither_migrations_nor_the_broker(service: str) -> None:
    code = f"import sys, rprm_jobs.services.jobs.{service}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "sqlalchemy" in loaded
    assert loaded & {"alembic", "celery", "redis", "pyarrow", "numpy", "rich"} == set()


def test_help_starts_in_under_half_a_second() -> None:
    # Of processor time, which a busy machine does not change much; the best of three is without cold caches.
    used = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(used) < 0.5


def test_no_color_is_respected() -> None:
    row = {"id": "a[/b]", "rewards": [0.9, 0.1, None], "first_error": 1, "label": 1, "status": "ok"}
    row |= {"problem": "p", "steps": ["x", "y", "z"]}
    row["critiques"] = [[{"k": 0, "verdict": "no", "p_yes": 0.1, "text": "why [/not]"}]] * 3
    code = f"from rprm_jobs.cli.demo import _show; _show([{row!r}], 0.5)"
    shown = {}
    for name, more in (("color", {}), ("plain", {"NO_COLOR": "1"})):
        env = {"PATH": "", "FORCE_COLOR": "1", "TERM": "xterm-256color", "PYTHONPATH": ":".join(sys.path), **more}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
        shown[name] = done.stdout
    colors = re.compile(r"\x1b\[[\d;]*[34]\d")
    assert colors.search(shown["color"])
    assert not colors.search(shown["plain"])
    assert "a[/b]" in shown["plain"]
    assert "why [/not]" in shown["plain"]


# A worker and the service are processes that stay, and have no result to print; help is a text.
@pytest.mark.parametrize("name", sorted(set(commands(app)) - {"worker", "serve", "help"}))
def test_every_command_has_json_and_help(name: str) -> None:
    command = commands(app)[name]
    assert command.help
    assert any("--json" in parameter.opts for parameter in command.params)


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["status"], ["status", "seven"], ["status", "0"], ["submit"], ["submit", "x", "-k", "many"],
     ["submit", "x", "--keep-critiques", "some"], ["results", "1", "--no-such"]],
)  # fmt: skip
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["submit", "x.jsonl", "--judge", "no-such-judge"], 4, "unknown judge 'no-such-judge'"),
        (["submit", "x.jsonl", "--judge", "scripted", "-k", "0"], 2, "k=0 is not in 1..1024"),
        (["submit", "x.jsonl", "--judge", "scripted", "--threshold", "2"], 2, "--threshold 2 is not in [0, 1]"),
        (["submit", "x.jsonl", "--judge", "scripted", "--prompt", "none.txt"], 2, "none.txt"),
        (["worker", "--judge", "scripted", "--gpus", "0,0"], 2, "not a list of distinct GPUs"),
    ],
)
def test_an_error_is_one_message_with_its_hint(arguments: list[str], code: int, said: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_setting_stops_every_command() -> None:
    done = run("jobs", PATH="", RPRM_DATABSE_URL="postgresql://secret@host/x")
    assert done.returncode == 2
    assert "unknown setting RPRM_DATABSE_URL" in done.stderr
    assert "secret" not in done.stderr


def test_groups_of_gpus() -> None:
    assert gpu_groups("0, 1,2,3", 2) == ["0,1", "2,3"]
    with pytest.raises(ConfigError, match="cannot be divided into groups of 2"):
        gpu_groups("0,1,2", 2)
