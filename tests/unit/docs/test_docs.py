"""The documents cannot rot: what they name exists (commands, options, files, codes), and none is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import reference
from rprm_jobs import errors
from rprm_jobs import settings as settings_module
from rprm_jobs.cli import app
from tests.support.commands import commands
from training.options import phase_parser

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md")), ROOT / "tests/README.md"]
TEXTS = {str(page.relative_to(ROOT)): page.read_text() for page in PAGES}
COMMANDS = commands(app)
GROUPS = {name.split()[0] for name in COMMANDS if " " in name}
README_LINES = 150
# Names that the changelog says are no more.
HISTORY = {"CHANGELOG.md"}


def used() -> list[tuple[str, str, list[str]]]:
    """`(page, command, options)` of every `rprm-jobs ...` in code, in running text or in a block."""
    uses = []
    for name, text in TEXTS.items():
        spans = re.findall(r"`(rprm-jobs [^`\n]+)`", text)
        for block in re.findall(r"```(?:bash|sh|console)\n(.*?)```", text, re.DOTALL):
            lines = block.replace("\\\n", " ")
            spans += re.findall(r"^(?:\$ )?(?:\w+=\$\()?(?:exec )?(rprm-jobs .*?)\)?(?:\s+#.*)?$", lines, re.MULTILINE)
        for span in spans:
            words = re.sub(r"^rprm-jobs (--debug )?", "", span).split()
            command = " ".join(words[: 2 if words[0] in GROUPS else 1])
            options = [word.split("=")[0] for word in words if re.fullmatch(r"--?[a-z][\w-]*(=.*)?", word)]
            uses.append((name, command, options))
    return [use for use in uses if use[0] not in HISTORY]


def training_options(command: str) -> set[str]:
    """Options that a command hands to the training program as they are."""
    group, _, phase = command.partition(" ")
    return set(phase_parser(phase)._option_string_actions) if group == "train" else set()


@pytest.mark.parametrize("name", sorted(reference.pages()))
def test_the_reference_pages_are_what_the_code_says(name: str) -> None:
    same = (DOCS / name).read_text() == reference.pages()[name]
    assert same, f"docs/{name} is old: run python -m docs.reference and commit what it writes"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_documented_with_its_options(name: str) -> None:
    section = TEXTS["docs/commands.md"].split(f"\n## {name}\n")[1].split("\n## ")[0]
    shown = {option for p in COMMANDS[name].params if not p.hidden for option in p.opts if option.startswith("-")}
    assert {option for option in shown | training_options(name) if option not in section} == set()


def test_every_documented_command_and_option_exists() -> None:
    assert len(used()) > 100
    for page, command, options in used():
        if command.startswith("-") or command == "COMMAND":
            continue
        assert command in COMMANDS, f"{page} names `rprm-jobs {command}`"
        known = {opt for p in COMMANDS[command].params for opt in (*p.opts, *p.secondary_opts)} | {"--help"}
        known |= training_options(command)
        assert set(options) <= known, f"{page}: `rprm-jobs {command}` has no {set(options) - known}"


def test_every_setting_is_documented_and_no_other() -> None:
    documented = set(re.findall(r"^\| `(RPRM_[A-Z_]+)`", TEXTS["docs/configuration.md"], re.MULTILINE))
    assert documented == {variable.name for variable in settings_module.VARIABLES}
    named = {name for text in TEXTS.values() for name in re.findall(r"\bRPRM_[A-Z_]+\b", text)}
    assert named <= documented | settings_module.TEST_NAMES


def test_every_exit_code_is_documented() -> None:
    codes = {c.exit_code for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.RprmError)}
    documented = {int(n) for n in re.findall(r"^\| (\d+) \|", TEXTS["docs/exit-codes.md"], re.MULTILINE)}
    assert codes | {0, 130, 141} == documented


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_files_that_are_named_exist(name: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", TEXTS[name]):
        assert ((ROOT / name).parent / target).exists(), target
    if name in HISTORY:
        return
    rooms = "rprm_jobs|workers|training|benchmarks|tests|migrations|docs|examples"
    for target in re.findall(rf"`((?:{rooms})/[\w/.-]*)`", TEXTS[name]):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_modules_that_are_named_exist(name: str) -> None:
    for module in re.findall(r"python -m ((?:benchmarks|training|docs|tests)[\w.]*)", TEXTS[name]):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


def test_the_ten_changes_lead_to_what_is_there() -> None:
    rows = re.findall(r"^\| (a (?:new|slower) .*|another .*) \|$", TEXTS["CONTRIBUTING.md"], re.MULTILINE)
    assert len(rows) == 10
    for row in rows:
        for file, names in re.findall(r"`([\w/.]+\.py)` \(([^)]+)\)", row):
            for name in re.findall(r"`(\w+)`", names):
                defined = rf"^(?:class |def )?{name}\b(?:[(:]| =)"
                assert re.search(defined, (ROOT / file).read_text(), re.MULTILINE), f"{file} has no {name}"


def test_make_targets_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for text in TEXTS.values():
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE):
            assert re.search(rf"^[\w -]*\b{target}\b[\w -]*:", makefile, re.MULTILINE), target


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    assert len(TEXTS["README.md"].splitlines()) <= README_LINES
    contents = TEXTS["docs/index.md"]
    pages = {page.stem for page in DOCS.glob("*.md")} - {"index"}
    assert {page for page in pages if not re.search(rf"^{page}$", contents, re.MULTILINE)} == set()
    assert pages <= set(re.findall(r"\]\(docs/([\w-]+)\.md\)", TEXTS["README.md"]))


def test_the_pictures_are_small() -> None:
    shown = re.findall(r"!\[[^]]+\]\((docs/pictures/[\w.]+)\)", TEXTS["README.md"])
    assert len(shown) == 2
    for picture in shown:
        assert (ROOT / picture).stat().st_size < 300_000


def test_every_promise_names_a_test_that_exists() -> None:
    sentences = re.findall(r"^- (.*)$", TEXTS["docs/promises.md"], re.MULTILINE)
    assert len(sentences) > 10
    for sentence in sentences:
        _, _, names = sentence.partition(": ")
        tests = re.findall(r"`(?:([\w/.]+\.py)::)?(test_\w+)`", names)
        assert tests, f"no test is named: {sentence}"
        assert re.fullmatch(r"(?:, )?(?: and )?\.", re.sub(r"`[^`]+`", "", names)), (
            f"more than tests follows the colon: {sentence}"
        )
        file = ""
        for named, test in tests:
            file = named or file
            source = (ROOT / "tests" / file).read_text()
            assert re.search(rf"^def {test}\(", source, re.MULTILINE), f"{file}::{test} is not there"
