"""Commands typed in this process, and which line of the code made each error that they showed.

A process for each would cost a third of a second; stories of hints are some hundreds. What is typed goes through the
same `main` as `rprm-jobs`, `python -m training` and `python -m workers` do.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import typer.main

from rprm_jobs import cli, errors
from rprm_jobs.cli.shared import checkup
from rprm_jobs.launch import improve as launch_improve
from rprm_jobs.server import access
from rprm_jobs.server import run as service
from rprm_jobs.server.problems import problem_response
from tests.support.hint_sites import ROOT, Site, sites
from tests.support.typed_programs import curl, run_program, without
from workers import process

_SETTING = re.compile(r"([A-Z][A-Z_]*)=(.*)")
# What a setting of this name hides from imports, for hints about what is to be installed.
WITHOUT = "WITHOUT"
_BUILT = typer.main.get_command(cli.app)


@dataclass(frozen=True)
class Told:
    """What was typed, how it ended, what it printed, and the hints that it showed by their sites."""

    line: str
    status: int
    out: str
    err: str
    shown: Mapping[Site, str]


class Noted:
    """Every hint that was made while this was on, with the lines of our code that led to it."""

    def __init__(self) -> None:
        self._hints: list[tuple[str, tuple[tuple[str, int], ...]]] = []

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        """Watch errors and the checks of `doctor` being made."""
        with self._watching(errors.RprmError), self._watching(checkup.Check), self._watching_access():
            yield

    @contextlib.contextmanager
    def _watching(self, kind: Any) -> Iterator[None]:
        before: Callable[..., None] = kind.__init__

        def noting(error: Any, *values: Any, **named: Any) -> None:
            before(error, *values, **named)
            self._hints.append((error.hint, tuple(_stack())))

        with mock.patch.object(kind, "__init__", noting):
            yield

    @contextlib.contextmanager
    def _watching_access(self) -> Iterator[None]:
        def noting(*values: Any, **named: Any) -> Any:
            self._hints.append((named.get("hint", ""), tuple(_stack())))
            return problem_response(*values, **named)

        with mock.patch.object(access, "problem_response", noting):
            yield

    def shown_in(self, text: str) -> dict[Site, str]:
        """The hints that stand in the text, by their sites."""
        return {
            site: hint
            for hint, stack in self._hints
            if hint and hint in text
            for path, line in stack
            for site in sites()
            if site.gave(path, line, hint)
        }


def _stack() -> Iterator[tuple[str, int]]:
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(str(ROOT)) and "/tests/" not in name:
            yield str(Path(name).relative_to(ROOT)), frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]


class Typist:
    """Types lines in a folder, with an environment; a line may begin with settings, as in `RPRM_HOME=x jobs`.

    Besides our commands it knows `mv FROM TO`, `python -c PROGRAM` for what a Python program is told,
    `curl` for the service's answers, and `< FILE`.
    """

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self.env, self.folder = dict(env), folder
        self._printed = ""

    def __call__(self, line: str) -> Told:
        """Type `line`, which is a command of rprm-jobs unless it begins with python."""
        words, env = shlex.split(line), dict(self.env)
        while words and (setting := _SETTING.fullmatch(words[0])):
            env[setting[1]] = setting[2]
            words.pop(0)
        hidden, noted = env.pop(WITHOUT, ""), Noted()
        content = (self.folder / words.pop()).read_bytes() if words[-2:-1] == ["<"] else b""
        if words[-1:] == ["<"]:
            words.pop()
        with _as(env, self.folder), without(hidden), noted.on(), _streams(content) as (out, err):
            status = _run(words, self._printed)
        printed, said = _all_of(out), _all_of(err)
        self._printed = printed or self._printed
        return Told(line, status, printed, said, noted.shown_in(printed + said))


def _all_of(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def _run(words: list[str], before: str) -> int:
    main: Callable[[], Any] = cli.main
    if words[:1] == ["mv"]:
        shutil.move(words[1], words[2])
        return 0
    if words[:1] == ["curl"]:
        return curl(words[1:], before)
    if words[:2] == ["python", "-c"]:
        return run_program(words[2])
    if words[:2] == ["python", "-m"]:
        from training.__main__ import main as train
        from workers.__main__ import main as work

        if words[2] == "training":
            return _train(train, words[3:])
        main = work
        words = words[3:]
    threshold = gc.get_threshold()
    try:
        # Typer builds all commands for each call, which takes most of its time.
        with (
            mock.patch.object(sys, "argv", ["rprm-jobs", *words]),
            mock.patch.object(cli, "app", _BUILT),
            mock.patch.object(os, "execve", _become),
            mock.patch.object(os, "execv", _become),
            # What would serve until it is stopped ends when it is about to.
            mock.patch.object(process._Worker, "serve", return_value=0),
            mock.patch.object(service.Server, "run", _close),
            mock.patch.object(launch_improve, "_evaluated", _end),
            # The training program checks options here, where its libraries are loaded already.
            mock.patch.object(subprocess, "run", _run_process),
        ):
            return int(main() or 0)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else bool(end.code)
    finally:
        gc.set_threshold(*threshold)


def _become(_program: str, words: list[str], env: Mapping[str, str] | None = None) -> None:
    """What a command becomes, in this process too."""
    module = importlib.import_module({"workers": "workers.__main__"}.get(words[2], words[2]))
    with mock.patch.dict(os.environ, env or os.environ, clear=True):
        sys.exit(module.main(words[3:]))


def _train(main: Callable[[], Any], words: list[str]) -> int:
    """Check and load everything; what would train ends when it is about to."""
    from training import sft

    try:
        with mock.patch.object(sys, "argv", ["training", *words]), mock.patch.object(sft, "run", _end):
            return int(main() or 0)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else bool(end.code)


def _end(*_: object) -> None:
    sys.exit(0)


_RUN = subprocess.run


def _run_process(command: Any, *values: Any, **named: Any) -> Any:
    """A process, but for one that only checks the options of a training."""
    if "--check" not in command:
        return _RUN(command, *values, **named)
    from training.__main__ import main as train

    out = io.StringIO()
    with contextlib.redirect_stdout(out), mock.patch.object(sys, "argv", command[2:]):
        try:
            train()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
    return subprocess.CompletedProcess(command, status, out.getvalue())


def _close(_server: service.Server, sockets: list[Any]) -> None:
    for socket in sockets:
        socket.close()


@contextlib.contextmanager
def _as(env: Mapping[str, str], folder: Path) -> Iterator[None]:
    logs = logging.getLogger()
    handlers, level = list(logs.handlers), logs.level
    # The hub's library reads it once, when it is imported: in this process that may have been another test.
    offline = env.get("HF_HUB_OFFLINE", "0") not in ("", "0")
    with (
        mock.patch.dict(os.environ, env, clear=True),
        mock.patch("huggingface_hub.constants.HF_HUB_OFFLINE", offline),
        contextlib.chdir(folder),
    ):
        yield
    logs.handlers[:], logs.level = handlers, level


@contextlib.contextmanager
def _streams(content: bytes) -> Iterator[tuple[io.TextIOWrapper, io.TextIOWrapper]]:
    out, err, read = (
        io.TextIOWrapper(io.BytesIO(text), encoding="utf-8", write_through=True) for text in (b"", b"", content)
    )
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), mock.patch.object(sys, "stdin", read):
        yield out, err
