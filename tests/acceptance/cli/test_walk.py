"""Commands with right and wrong input, in a terminal of 80 columns and in a pipe.

Screens are compared with those in `screens/`, one file a command; UPDATE_SCREENS=1 writes them anew.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.submit import SubmitRequest, submit
from tests.support import jobs as made
from tests.support.forked import forked
from tests.support.terminal import Screen
from tests.support.training import judge_ready

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

SCREENS = Path(__file__).parent / "screens"

# What differs from run to run, and what stands for it.
VARYING = (
    (r"\x1b\[[0-9;?]*[A-Za-z]", ""),
    (r"/\S*?/test_[^/\s]*/", "FOLDER/"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(\.\d+)?(Z| UTC|\+00:00)?", "TIME"),
    (r"(took|running for) [^\n]*", r"\1 SOME TIME"),
    (r"rprm_test_\w+", "DATABASE"),
    (r"[\d.,]+ (steps|critiques|tokens|solutions)/s", r"N \1/s"),
    (r"\b00\d\d\b", "REVISION"),
    (r"\b[0-9a-f]{12,64}\b", "DIGEST"),
    (r"[\d.]+ (KB|MB|bytes)\b", r"N \1"),
    (r":\d{4,5}/\d+", ":PORT/N"),
    (r"[ \t]+$", ""),
)

# Right input, and what only the state of things makes wrong: by name, the words after `rprm-jobs` and the exit status.
WALK: Mapping[str, tuple[str, int]] = {
    "submit": ("submit in.jsonl --judge scripted -k 2 --name walked", 0),
    "submit bad": ("submit bad.jsonl --judge scripted", 3),
    "submit missing": ("submit none.jsonl --judge scripted", 4),
    "submit priority": ("submit in.jsonl --judge scripted --priority 99999999999999", 2),
    "estimate problems": ("estimate problems.jsonl --judge scripted", 3),
    "status": ("status 1", 0),
    "status missing": ("status 99", 4),
    "cancel done": ("cancel 1", 6),
    "delete": ("delete 99 --yes", 4),
    "results": ("results 1", 0),
    "results unfinished": ("results 2", 12),
    "audit": ("audit", 0),
    "stopping simulate": ("stopping simulate -k 50", 2),
    "pairs build": ("pairs build 1 --name x --dry-run", 3),
    "pairs list": ("pairs list", 0),
    "runs": ("runs", 0),
    "worker log level": ("worker --log-level foo", 2),
    "logs missing": ("logs nobody", 4),
    "db current": ("db current", 0),
}


def normal(text: str) -> str:
    """The screen without what differs from run to run."""
    for pattern, instead in VARYING:
        text = re.sub(pattern, instead, text.replace("\r\n", "\n"), flags=re.MULTILINE)
    return text.rstrip("\n") + "\n"


@pytest.fixture
def folder(context: Context, tmp_path: Path) -> Path:
    """Job 1 is judged, job 2 is not; and files to name."""
    rows = [
        {"id": f"sums-{i}", "problem": f"{i} plus 1?", "steps": [f"{i} + 1 = {i + 1}.", "Done."], "label": i % 2 - 1}
        for i in range(4)
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "bad.jsonl").write_text("nonsense\n" * 30 + '{"id": "a", "problem": "p", "steps": []}\n')
    (tmp_path / "problems.jsonl").write_text('{"id": "a", "problem": "p"}\n')
    responses = {"id": "a", "responses": [["x"]] * 4, "labels": [True, False, True, False], "final_answers": ["1"] * 4}
    (tmp_path / "responses.jsonl").write_text(json.dumps(responses) + "\n")
    path = (str(tmp_path / "in.jsonl"),)
    submit(context, SubmitRequest(path, made.make_recipe(k=2)))
    judge_ready(context.database)
    submit(context, SubmitRequest(path, made.make_recipe(k=3)))
    return tmp_path


def screen_of(name: str, screens: list[tuple[str, Screen]]) -> str:
    return "".join(f"--- {mode}: {name}\n{normal(screen.raw)}" for mode, screen in screens)


def test_every_command_shows_what_it_did(folder: Path, servers_env: dict[str, str]) -> None:
    shown: dict[str, list[str]] = {}
    for name, (words, code) in WALK.items():
        screens = [
            (mode, forked(words.split(), servers_env, folder, terminal=mode == "terminal"))
            for mode in ("terminal", "pipe")
        ]
        for mode, screen in screens:
            assert screen.returncode == code, f"{name} in a {mode}: {screen.returncode}\n{screen.raw}"
            assert "Traceback" not in screen.raw
        shown.setdefault(words.split()[0], []).append(screen_of(words, screens))
    if os.environ.get("UPDATE_SCREENS"):
        SCREENS.mkdir(exist_ok=True)
        for command, texts in shown.items():
            (SCREENS / f"{command}.txt").write_text("\n".join(texts), encoding="utf-8")
    for command, texts in shown.items():
        assert "\n".join(texts) == (SCREENS / f"{command}.txt").read_text(encoding="utf-8"), command
    assert {path.stem for path in SCREENS.glob("*.txt")} == set(shown)
