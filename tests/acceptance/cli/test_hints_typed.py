"""Hints are typed: each error is caused, the commands that its hint names are given, and what was asked then works."""

from __future__ import annotations

import re
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.services.context import Context
from tests.support import zygote
from tests.support.walked import prepare

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

_COMMAND = re.compile(r"rprm-jobs ((?:[^\s;,()?]|[ .](?=\S))+)")
# What is typed, its status, and what is typed when the hint's own commands are done: with a + what the hint adds to it.
STORIES: dict[str, tuple[str, int, str]] = {
    "a job is extended that another equals": ("extend {judged} -k 3", 6, ""),
    "a finished job is cancelled": ("cancel {judged}", 6, ""),
    "a job that is not there": ("status 99", 4, ""),
    "a set of another kind": ("sft show first", 4, ""),
    "a name that is taken": ("pairs build {sampled} --name first", 6, "+ --replace"),
    "four responses and eight wanted": ("eval best-of-n responses.jsonl", 3, "+ --n 1,2,4"),
    "repeated ids are numbered": ("submit twice.jsonl --judge scripted", 3, "+ --id rollout"),
    "repeated ids are left out": ("submit twice.jsonl --judge scripted", 3, "+ --skip-bad"),
    "bad rows are left out": ("submit some.jsonl --judge scripted", 3, "+ --skip-bad"),
    "problems are no solutions": ("estimate problems.jsonl --judge scripted", 3, ""),
    "a log of nobody": ("logs nobody", 4, ""),
    "a calibration of nobody": ("results {judged} --calibrated nobody", 4, ""),
    "an output of no known kind": ("results {judged} -o x.docx", 2, "results {judged} -o x.jsonl"),
    "votes that no row has": ("stopping simulate --votes votes.jsonl -k 9", 3, "stopping simulate --votes votes.jsonl"),
    "a misspelt option": ("status {judged} --wacth", 2, "status {judged} --watch"),
    "a queued job is deleted": ("delete {queued} --yes", 6, "delete {queued} --yes"),
    "a job that sets use is deleted": ("delete {sampled} --yes", 6, "delete {sampled} --yes"),
}  # fmt: skip
# `inspect` says of an input that nothing in it can be judged, as it should.
_EXPLAINS = {"inspect": 3}


@pytest.fixture
def ids(context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    return asdict(prepare(context, tmp_path))


def typed(words: str, env: dict[str, str], folder: Path) -> tuple[int, str]:
    done = zygote.run("rprm_jobs", shlex.split(words), env, folder, None, 60)
    return done.returncode, done.stdout + done.stderr


def test_a_hint_leads_on(ids: dict[str, Any], servers_env: dict[str, str], tmp_path: Path) -> None:
    for name, (words, status, then) in STORIES.items():
        code, said = typed(words.format(**ids), servers_env, tmp_path)
        assert code == status, f"{name}: {code}\n{said}"
        hint = next(line for line in said.splitlines() if line.startswith("  hint: "))
        for command in _COMMAND.findall(hint):
            command = command.strip(" .")
            if command.endswith("--help") or "..." in command or "FILE" in command or ".jsonl," in command:
                continue
            code, shown = typed(command, servers_env, tmp_path)
            assert code == _EXPLAINS.get(command.split()[0], 0), f"{name}: {hint}\n{command}: {code}\n{shown}"
        if then:
            again = words + then[1:] if then.startswith("+") else then
            code, shown = typed(again.format(**ids), servers_env, tmp_path)
            assert code == 0, f"{name}: {then}: {code}\n{shown}"
