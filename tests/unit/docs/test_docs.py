"""The documents cannot rot: what they name exists (commands, options, settings, codes), and none is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rprm_jobs import errors
from rprm_jobs import settings as settings_module
from rprm_jobs.cli import app
from tests.support.commands import commands
from training.__main__ import phase_parser

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page.name: page.read_text() for page in PAGES}
ALL = "\n".join(TEXTS.values())
COMMANDS = commands(app)
GROUPS = {name.split()[0] for name in COMMANDS if " " in name}


def used() -> list[tuple[str, str, list[str]]]:
    """`(page, command, options)` of every `rprm-jobs ...` in code, in running text or in a block."""
    found = []
    for name, text in TEXTS.items():
        spans = re.findall(r"`(rprm-jobs [^`\n]+)`", text)
        for block in re.findall(r"```(?:bash|sh|console)\n(.*?)```", text, re.DOTALL):
            spans += re.findall(r"^(?:\$ )?(rprm-jobs .*?)(?:\s+#.*)?$", block.replace("\\\n", " "), re.MULTILINE)
        for span in spans:
            words = re.sub(r"^rprm-jobs (--debug )?", "", span).split()
            command = " ".join(words[: 2 if words[0] in GROUPS else 1])
            found.append((name, command, [w.split("=")[0] for w in words if re.fullmatch(r"--?[a-z][\w-]*(=.*)?", w)]))
    return found


def training_options(command: str) -> set[str]:
    """Options that a command hands to the training program as they are."""
    group, _, phase = command.partition(" ")
    return set(phase_parser(phase)._option_string_actions) if group == "train" else set()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_documented(name: str) -> None:
    assert f"`rprm-jobs {name}" in TEXTS["commands.md"]


def test_every_documented_command_and_option_exists() -> None:
    assert len(used()) > 15
    for page, command, options in used():
        if command.startswith("-") or command == "COMMAND":
            continue
        assert command in COMMANDS, f"{page} names `rprm-jobs {command}`"
        known = {opt for p in COMMANDS[command].params for opt in (*p.opts, *p.secondary_opts)} | {"--help"}
        known |= training_options(command)
        assert set(options) <= known, f"{page}: `rprm-jobs {command}` has no {set(options) - known}"


def test_every_setting_is_documented_and_no_other() -> None:
    source = Path(settings_module.__file__).read_text()
    tests_only = {"RPRM_TEST_DATA", "RPRM_TEST_SERVERS", "RPRM_CRASH_AT"}
    real = set(re.findall(r'"(RPRM_[A-Z_]+)"', source)) - tests_only
    documented = set(re.findall(r"^\| `(RPRM_[A-Z_]+)`", TEXTS["configuration.md"], re.MULTILINE))
    assert documented == real


def test_every_exit_code_is_documented() -> None:
    codes = {c.exit_code for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.RprmError)}
    documented = {int(n) for n in re.findall(r"^\| (\d+) \|", TEXTS["exit-codes.md"], re.MULTILINE)}
    assert codes | {0, 130, 141} == documented


def test_files_that_are_named_exist() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", ALL):
        assert (ROOT / target).exists() or (ROOT / "docs" / target).exists(), target
    for target in re.findall(
        r"`((?:rprm_jobs|workers|training|benchmarks|tests|migrations|docs|examples)/[\w/.-]*)`", ALL
    ):
        assert (ROOT / target).exists(), target


def test_every_promise_names_a_test_that_exists() -> None:
    section = TEXTS["README.md"].split("## What is promised")[1].split("\n## ")[0]
    sentences = re.findall(r"^- (.*)$", section, re.MULTILINE)
    assert len(sentences) > 10
    for sentence in sentences:
        _, _, names = sentence.partition(": ")
        found = re.findall(r"`(?:([\w/.]+\.py)::)?(test_\w+)`", names)
        assert found, f"no test is named: {sentence}"
        assert re.sub(r"`[^`]+`", "", names) in (".", " and ."), f"more than tests follows the colon: {sentence}"
        file = ""
        for named, test in found:
            file = named or file
            source = (ROOT / "tests" / file).read_text()
            assert re.search(rf"^def {test}\(", source, re.MULTILINE), f"{file}::{test} is not there"
