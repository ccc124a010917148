"""A standard stream that is closed or full, and a name that is not UTF-8, are one clear line and the right status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rprm_jobs import cli

COMMAND = f"{sys.executable} -m rprm_jobs"


def shell(line: str, folder: Path, **env: str) -> subprocess.CompletedProcess[bytes]:
    known = {"PATH": os.environ["PATH"], "PYTHONPATH": ":".join(sys.path), "RPRM_HOME": str(folder / "home"), **env}
    return subprocess.run(["bash", "-c", line], cwd=folder, env=known, capture_output=True, check=False, timeout=120)


@pytest.mark.parametrize("command", ["judges", "judges --json", "--help", "--version"])
@pytest.mark.parametrize(
    ("redirection", "reason"), [(">&-", "it is closed"), ("> /dev/full", "No space left on device")]
)
def test_an_output_that_takes_nothing_is_one_line(command: str, redirection: str, reason: str, tmp_path: Path) -> None:
    done = shell(f"{COMMAND} {command} {redirection}", tmp_path)
    assert done.returncode == 2
    what, hint = f"standard output cannot be written: {reason}", "send it to a file with room: rprm-jobs ... > FILE"
    said = done.stderr.decode()
    if "--json" in command:
        error = json.loads(said)["error"]
        assert (error["what"], error["hint"], error["status"]) == (what, hint, 2)
    else:
        assert said == f"error: {what}\n  hint: {hint}\n"


@pytest.mark.parametrize("redirection", ["2>&-", "2> /dev/full"])
def test_messages_that_nobody_can_read_stop_nothing_and_do_not_go_to_stdout(redirection: str, tmp_path: Path) -> None:
    shown = shell(f"{COMMAND} judges --json {redirection}", tmp_path)
    assert (shown.returncode, shown.stdout[:1]) == (0, b"[")
    refused = shell(f"{COMMAND} submit x.jsonl --judge no-such-judge {redirection}", tmp_path)
    assert (refused.returncode, refused.stdout) == (4, b"")


def test_no_file_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    """A file that is opened while stdout is closed must not receive what is printed."""
    done = shell(f"{COMMAND} submit x.jsonl --judge scripted --prompt p.txt <&- >&- 2> said", tmp_path)
    assert done.returncode == 2
    assert "p.txt" in (tmp_path / "said").read_text()


@pytest.mark.parametrize(
    "arguments",
    [b"submit caf\xe9.jsonl", b"estimate a.jsonl caf\xe9.jsonl", b"submit a.jsonl --prompt caf\xe9",
     b"pairs show caf\xe9", b"submit a.jsonl --judge caf\xe9"],
)  # fmt: skip
def test_a_name_that_is_not_utf_8_is_refused_by_name(arguments: bytes, tmp_path: Path) -> None:
    command = [sys.executable.encode(), b"-m", b"rprm_jobs", *arguments.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 2
    said = done.stderr.decode()
    assert said.startswith("error: caf\\xe9")
    assert "the name is not in UTF-8\n  hint: rename it" in said


def test_what_is_not_utf_8_elsewhere_is_one_line_without_its_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(**_: object) -> None:
        "postgresql://user:secret\udce9@host".encode()

    monkeypatch.setattr(cli, "app", command)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said == "error: a name or a setting is not in UTF-8\n  hint: rename the file or folder\n"
