"""What `main` makes of an error: one message, the documented exit status, and a traceback for --debug alone."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from rprm_jobs import cli, errors
from rprm_jobs.cli.shared.failing import show_error
from rprm_jobs.errors import BadLine, InputError

# A command line with one more command, `fail`, whose body is an argument.
PROGRAM = """
import sys
import rprm_jobs.cli as cli
from rprm_jobs import errors

def fail() -> None:
    exec(BODY)

BODY = sys.argv.pop(1)
cli.app.command()(fail)
cli.main()
"""


def fail(body: str, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, body, *options, "fail"]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env or None)


LEAVES = sorted(n for n, e in vars(errors).items() if isinstance(e, type) and issubclass(e, errors.RprmError))


@pytest.mark.parametrize("name", LEAVES)
def test_every_error_exits_with_its_own_status(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    leaf = getattr(errors, name)

    def command(**_: object) -> None:
        raise leaf

    monkeypatch.setattr(cli, "app", command)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == leaf.exit_code
    assert capsys.readouterr() == ("", f"error: {leaf()}\n")


def test_a_foreseen_error_says_what_where_and_the_hint() -> None:
    body = "raise errors.ConfigError('what', where='here', hint='do this')"
    done = fail(body)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "error: here: what\n  hint: do this\n")
    loud = fail(body, "--debug")
    assert loud.returncode == 1
    assert "Traceback" in loud.stderr


def test_an_unforeseen_error_is_one_message_too() -> None:
    done = fail("{}['gone']")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: KeyError: 'gone'\n  hint: rprm-jobs --debug shows where it happened\n"
    assert "Traceback" in fail("{}['gone']", "--debug").stderr


@pytest.mark.parametrize("body", ["print('x' * 100_000)", "print('x')", "print('x', flush=True)"])
def test_a_closed_pipe_is_quiet(body: str) -> None:
    # The command waits until the reader is gone.
    body = f"sys.stdin.read(); {body}"
    command = [sys.executable, "-c", PROGRAM, body, "fail"]
    pipe = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert pipe.stdin
    assert pipe.stdout
    assert pipe.stderr
    pipe.stdout.close()
    pipe.stdin.close()
    assert pipe.stderr.read() == ""
    pipe.stderr.close()
    assert pipe.wait(30) == 141


def test_ctrl_c_is_130() -> None:
    done = fail("raise KeyboardInterrupt")
    assert (done.returncode, done.stdout) == (130, "")
    assert "Traceback" not in done.stderr


def test_an_encoding_that_lacks_a_character_stops_nothing() -> None:
    done = fail("print('é █')", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, done.stdout, done.stderr) == (0, "\\xe9 \\u2588\n", "")


def test_bad_lines_are_listed_and_the_rest_counted(capsys: pytest.CaptureFixture[str]) -> None:
    bad = tuple(BadLine("a.jsonl", line, "not JSON") for line in (3, 8))
    show_error(InputError("5 bad rows", bad_lines=bad, n_bad=5))
    assert capsys.readouterr().err == (
        "error: 5 bad rows\n  a.jsonl:3: not JSON (and 1 more like it, in line 8)\n  ... and 3 more\n"
    )
    other = (*bad, BadLine("a.jsonl", 9, "id 'a' is repeated"), BadLine("b.jsonl", 4, "id 'b' is repeated"))
    show_error(InputError("4 bad rows", bad_lines=other))
    assert capsys.readouterr().err.splitlines()[2:] == [
        "  a.jsonl:9: id 'a' is repeated",
        "  b.jsonl:4: id 'b' is repeated",
    ]
    show_error(InputError("2 bad rows", bad_lines=bad), as_json=True)
    shown = json.loads(capsys.readouterr().err)["error"]
    assert (shown["kind"], shown["status"], shown["n_bad"]) == ("InputError", 3, 2)
    assert shown["bad_rows"][1] == {"file": "a.jsonl", "line": 8, "reason": "not JSON"}


# What the parser refuses, as `main` says it.
USAGE = {
    "submit": ("there is nothing to judge", "name files of solutions, or a job: --from-job JOB"),
    "sample": ("the argument FILE is missing", "for example rprm-jobs sample labelled.jsonl --judge tiny -k 8 --wait"),
    "list": ("there is no command 'list'", "did you mean jobs? rprm-jobs --help"),
    "failures": ("there is no command 'failures'", "did you mean results? rprm-jobs --help"),
    "subit": ("there is no command 'subit'", "did you mean submit, audit? rprm-jobs --help"),
    "pairs": None,
    "pairs nuild": ("there is no command 'nuild'", "did you mean build? rprm-jobs pairs --help"),
    "submit f --wiat": ("there is no option --wiat", "did you mean --wait? rprm-jobs submit --help"),
    "submit f --seed x": ("--seed: 'x' is not a whole number", "rprm-jobs submit --help"),
    "status 0": ("the argument JOB: 0 is less than 1", "rprm-jobs status --help"),
    "submit f --stopping s": ("--stopping: 's' is none of fixed, exact, adaptive, planned", "rprm-jobs submit --help"),
    "submit f --judge": ("--judge has no value", "rprm-jobs --help"),
    "demo a b": ("too many arguments: a b", "rprm-jobs demo --help"),
    "pairs build 1": ("--name is missing", "for example rprm-jobs pairs build 7 --name first --dry-run"),
}  # fmt: skip


@pytest.mark.parametrize("words", USAGE)
def test_what_the_parser_refuses_is_said_in_the_same_style(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["rprm-jobs", *words.split()])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    said = capsys.readouterr().err
    if (expected := USAGE[words]) is None:
        assert said.startswith("Usage: rprm-jobs pairs")
    else:
        assert said == f"error: {expected[0]}\n  hint: {expected[1]}\n"


def test_errors_are_json_where_json_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["rprm-jobs", "status", "x", "--json"])
    with pytest.raises(SystemExit):
        cli.main()
    assert json.loads(capsys.readouterr().err)["error"]["what"] == "the argument JOB: 'x' is not a whole number"


def test_debug_may_stand_anywhere_before_two_dashes() -> None:
    assert cli.anywhere(["status", "7", "--debug"])[1].debug
    arguments, state = cli.anywhere(["submit", "--debug", "--", "--debug"])
    assert (arguments, state.debug) == (["submit", "--", "--debug"], True)
    assert not cli.anywhere(["submit", "--", "--debug"])[1].debug
