"""Help is grouped, ends with examples that exist, and fits 80 columns; an option without effect is refused."""

from __future__ import annotations

import io
import shlex
import sys
from contextlib import redirect_stdout
from typing import Any

import pytest
import typer
import typer.main

from rprm_jobs import cli
from rprm_jobs.cli import app
from rprm_jobs.errors import ConfigError
from tests.support.commands import commands

COMMANDS = commands(app)
# The training program prints the help of its own options.
OWN_HELP = {"train sft", "train dpo"}


def help_of(name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    out = io.StringIO()
    command = COMMANDS[name] if name else typer.main.get_command(app)
    with redirect_stdout(out):
        command.main(["--help"], prog_name=f"rprm-jobs {name}".strip(), standalone_mode=False)
    return out.getvalue()


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - OWN_HELP))
def test_help_fits_80_columns_and_ends_with_an_example_of_the_command(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = help_of(name, monkeypatch)
    body, heading, examples = text.rpartition("\nExample")
    assert heading, f"{name} has no example"
    assert max(map(len, body.splitlines())) <= 80
    lines = [line.strip() for line in examples.splitlines()[1:] if line.strip()]
    assert lines
    for line in lines:
        assert line.startswith(f"rprm-jobs {name}"), line


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_example_names_options_that_exist(name: str) -> None:
    known = {option for parameter in COMMANDS[name].params for option in (*parameter.opts, *parameter.secondary_opts)}
    if name in OWN_HELP:
        known |= {"--set", "--model", "--out"}
    for line in COMMANDS[name].epilog.splitlines():
        used = {word for word in shlex.split(line) if word.startswith("-")}
        assert used <= known, line


def test_long_help_is_grouped_with_the_common_options_first(monkeypatch: pytest.MonkeyPatch) -> None:
    text = help_of("submit", monkeypatch)
    headings = [line[:-1] for line in text.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings[:2] == ["Arguments", "Options"]
    assert {"Critiques", "Worker", "Input"} <= set(headings)
    first = text.split("Options:\n")[1].split("\n\n")[0]
    assert "--judge" in first
    assert "--wait" in first
    assert "--engine" not in first
    # A default in words is said without a second pair of brackets.
    assert "[default: the judge's own]" in " ".join(text.split())


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_no_group_of_options_is_a_wall(name: str) -> None:
    groups: dict[str, int] = {}
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "option" and not parameter.hidden:
            heading = parameter.rich_help_panel or ""
            groups[heading] = groups.get(heading, 0) + 1
    assert max(groups.values(), default=0) <= 8, groups


def test_the_list_of_commands_is_grouped_and_cuts_no_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = help_of("", monkeypatch)
    assert [line for line in text.splitlines() if line.endswith(":")] == [
        "Options:", "Jobs:", "Results and evaluation:", "Training:", "Workers and servers:"
    ]  # fmt: skip
    assert "..." not in text.split("Jobs:")[1]


# Each command with what it needs, and the values with which an option that takes one is given.
REQUIRED = {
    "submit": ["f"], "estimate": ["f"], "logs": [], "sample": ["f"], "rollout": ["f"], "search": ["f"],
    "eval processbench": [],
    "eval prmbench": ["f"], "eval best-of-n": ["f"], "extend": ["1", "-k", "4"], "doctor": [], "worker": [],
    "compare": ["1", "2"],
    "pairs build": ["1", "--name", "n"], "pairs export": ["n"], "sft export": ["n"], "results": ["1"],
    "improve": ["f", "--validate", "g", "--out", "o"],
}  # fmt: skip
# What makes a rule fail where that is no option of its own, by the words that the error uses.
BREAKS = {
    "with --width 1": [], "with --temperature 0": ["--temperature", "0"],
    "with --no-worker": ["--no-worker"], "without --rule distinct": ["--rule", "all"],
    "with --policy and without --judge": ["--policy", "p"], "with several judges": ["--judge", "a", "--judge", "b"],
}  # fmt: skip
HOLDS = {
    "without --wait": ["--wait"], "without --then-score": ["--then-score"], "without --canary": ["--canary"],
    "without --judge": ["--judge", "x"],
}  # fmt: skip
RULES = [
    (name, rule.otherwise, option)
    for name, command in sorted(COMMANDS.items())
    for rule in command.rules
    for option in rule.options
]


# A value that each option accepts; others take any text.
VALUES = {
    "k": "3", "top_p": "0.9", "fail_on": "none", "job": "3", "from_job": "3", "min_chars": "3", "shown": "3",
    "ids": "line", "seed": "3", "lines": "3", "confidence": "0.9", "min_k": "2",
    "changed": "0.1",
    "price": "9", "pilot": "9", "weight": "2", "threshold": "0.5",
    "stopping": "exact", "max_pairs": "1", "max_length_difference": "0.5", "engine_arg": "a=b",
    "policy_engine_arg": "a=b",
}  # fmt: skip


def broken(command: Any, otherwise: str) -> list[str]:
    """What makes the rule fail: nothing where an option is lacking, the option itself where that is too much."""
    if otherwise in BREAKS:
        return BREAKS[otherwise]
    if otherwise.startswith("without "):
        return []
    flag = otherwise.removeprefix("with ")
    return given(next(parameter for parameter in command.params if flag in parameter.opts))


def given(parameter: Any) -> list[str]:
    if parameter.param_type_name == "argument":
        return ["x"]
    option = max(parameter.opts, key=len)
    return [option] if parameter.is_flag else [option, VALUES.get(parameter.name, "x")]


@pytest.mark.parametrize(("name", "otherwise", "option"), RULES)
def test_an_option_without_effect_is_refused(name: str, otherwise: str, option: str) -> None:
    parameter = next(one for one in COMMANDS[name].params if one.name == option)
    # The other rules for the same option hold.
    (rule, *_) = [rule for rule in COMMANDS[name].rules if rule.otherwise == otherwise and option in rule.options]
    others = {rule.otherwise for rule in COMMANDS[name].rules if option in rule.options} - {otherwise}
    held = [word for other in others for word in HOLDS.get(other, [])]
    # Where files are what has no effect, none is named but by the option itself.
    needed = [] if "files" in rule.options else REQUIRED.get(name, [])
    arguments = [*needed, *held, *broken(COMMANDS[name], otherwise), *given(parameter)]
    with pytest.raises(ConfigError) as refused:
        COMMANDS[name].main(arguments, prog_name=f"rprm-jobs {name}", standalone_mode=False)
    positional = parameter.param_type_name == "argument"
    spelled = "the file argument" if positional else max(parameter.opts, key=len)
    assert refused.value.what.startswith(f"{spelled} has no effect with")
    assert spelled in refused.value.hint or "--" in refused.value.hint


@pytest.mark.parametrize("value", ["nan", "-0.1", "5", "inf"])
@pytest.mark.parametrize(
    "name", [name for name, command in COMMANDS.items() if any(one.name == "threshold" for one in command.params)]
)
def test_a_threshold_is_a_reward(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=r"is not in \[0, 1\]") as refused:
        COMMANDS[name].main([*REQUIRED.get(name, []), "--threshold", value], standalone_mode=False)
    assert "--threshold 0.5" in refused.value.hint


def test_every_command_that_can_start_a_worker_says_when_its_engine_has_none() -> None:
    for name, command in COMMANDS.items():
        options = {parameter.name for parameter in command.params if not getattr(parameter, "hidden", False)}
        if {"worker", "engine"} <= options:
            ruled = {option for rule in command.rules for option in rule.options}
            assert {"engine", "engine_arg"} <= ruled, name


def test_the_common_spelling_of_a_refusal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["rprm-jobs", "submit", "f", "--engine", "vllm"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    assert capsys.readouterr().err == (
        "error: --engine has no effect without --wait\n  hint: add --wait, or leave out --engine\n"
    )


def test_an_option_of_the_judges_worker_names_that_of_the_policys() -> None:
    arguments = ["problems.jsonl", "--wait", "--engine-arg", "base_url=http://127.0.0.1:1/v1"]
    with pytest.raises(ConfigError, match="--engine-arg has no effect without --then-score") as refused:
        COMMANDS["rollout"].main(arguments, prog_name="rprm-jobs rollout", standalone_mode=False)
    assert "--policy-engine-arg" in refused.value.hint


def test_estimate_takes_every_option_of_submit() -> None:
    theirs = {parameter.name: parameter.opts for parameter in COMMANDS["submit"].params}
    own = {parameter.name: parameter.opts for parameter in COMMANDS["estimate"].params}
    assert theirs.items() <= own.items()
