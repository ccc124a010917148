"""Every command with right and wrong input, in a terminal of 80 columns and in a pipe, as `walk.py` has it.

Screens are compared with those in `screens/`, one file a command; UPDATE_SCREENS=1 writes them anew.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import signal
import socket
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.cli import app
from rprm_jobs.services.context import Context
from tests.acceptance.cli.walk import ELSEWHERE, VARYING, WALK
from tests.support.commands import commands
from tests.support.hub import TOKEN, fake_hub
from tests.support.terminal import Screen, forked_screen
from tests.support.walked import Walked, keep_worker_alive, prepare
from tests.support.zygote import Forked

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

SCREENS = Path(__file__).parent / "screens"
ROOT = Path(__file__).parents[3]
MODES = ("terminal", "pipe")
# What a process that stays says when it serves; then it is stopped as its manual says.
SERVES = re.compile(r"ready: |serving on ")


def normal(text: str) -> str:
    """The screen without what differs from run to run."""
    text = text.replace("\r\n", "\n")
    for pattern, instead in VARYING:
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return text.rstrip("\n") + "\n"


def typed(words: str, walked: Walked, mode: str, ports: tuple[int, int]) -> str:
    """The words with the ids of this store, and what is of the mode."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        named: Any = tuple(name.split("|")) if "|" in name else {**asdict(walked), "serve_ports": ports}[name]
        return str(named[MODES.index(mode)] if isinstance(named, tuple) else named)

    return re.sub(r"\{([^}]*)\}", value, words)


class Stop:
    """Ends what serves, with one signal: a second would kill it in the middle of leaving."""

    def __init__(self) -> None:
        self._sent = False

    def __call__(self, written: str, process: Forked) -> None:
        if not self._sent and SERVES.search(written):
            self._sent = True
            process.send_signal(signal.SIGTERM)


def free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


@pytest.fixture
def env(servers_env: dict[str, str]) -> Iterator[dict[str, str]]:
    with fake_hub() as hub:
        yield {
            **servers_env, "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0",
            "PYTHONUNBUFFERED": "1",
        }  # fmt: skip


def shown(screens: dict[str, tuple[str, Screen]]) -> str:
    """What was typed and what came; once where terminal and pipe show the same."""
    texts = {mode: normal(f"$ rprm-jobs {line}\n{screen.raw}") for mode, (line, screen) in screens.items()}
    if texts["terminal"] == texts["pipe"]:
        return texts["pipe"]
    return "".join(f"[{mode}] {text}" for mode, text in texts.items())


def walk(name: str, walked: Walked, env: dict[str, str], folder: Path) -> tuple[list[str], list[str]]:
    """The screens of one command, and what was wrong with them whatever they show."""
    texts, wrong, ports = [], [], free_ports()
    for words, code in WALK[name]:
        screens = {}
        for mode in MODES:
            line = typed(words, walked, mode, ports)
            screen = forked_screen(shlex.split(line), env, folder, terminal=mode == "terminal", seen=Stop())
            screens[mode] = line, screen
            if screen.returncode != code or "Traceback" in screen.raw:
                wrong.append(f"{line} in a {mode} exits with {screen.returncode}, not {code}:\n{screen.raw}")
        texts.append(shown(screens))
    return texts, wrong


def test_every_command_is_walked_with_right_and_wrong_input() -> None:
    assert set(WALK) == set(commands(app)), "enter the command in walk.py, with right and with wrong input"
    for name, lines in WALK.items():
        assert all(words.startswith(name) for words, _ in lines), name
        if name in ELSEWHERE:
            file, typed_there, _ = ELSEWHERE[name]
            assert typed_there in (ROOT / file).read_text(), f"{file} does not type {name}"
        else:
            assert 0 in {code for _, code in lines}, f"{name} has no right input"


def test_every_command_shows_what_it_did(
    context: Context, tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    walked = prepare(context, tmp_path)
    wrong, updating = [], "UPDATE_SCREENS" in os.environ
    for name in WALK:
        keep_worker_alive(context)
        texts, faults = walk(name, walked, env, tmp_path)
        wrong += faults
        now, file = "\n".join(texts), SCREENS / f"{name.replace(' ', '-')}.txt"
        if updating:
            file.write_text(now, encoding="utf-8")
        before = file.read_text(encoding="utf-8") if file.is_file() else ""
        wrong += list(difflib.unified_diff(before.splitlines(), now.splitlines(), file.name, "now", lineterm=""))
    assert not wrong, "\n".join(wrong)
    assert {path.stem for path in SCREENS.glob("*.txt")} == {name.replace(" ", "-") for name in WALK}
