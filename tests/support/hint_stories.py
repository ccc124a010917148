"""Stories of hints: what is typed to cause an error, its exit status, and what is typed as its hint says.

They stand in `tests/acceptance/cli/hints/*.toml` by the site whose hint they type. After the status come the lines that
follow the hint; each must end well, or with the status that stands before it, as in `[3] inspect bad.jsonl`:

    "+ --skip-bad"          what was typed, with this at its end
    "- --n 1,2"             what was typed, without this
    "~ tiny -> other"       what was typed, with the one for the other
    "jobs"                  a command of its own

    "(judged) {queued}"     nothing is typed: workers finish this job

Without such lines the commands that the hint itself names are typed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from tests.support.hint_sites import ROOT
from tests.support.typing_in import WITHOUT, Told, Typist

FOLDER = ROOT / "tests" / "acceptance" / "cli" / "hints"
_COMMAND = re.compile(r"rprm-jobs ((?:[^\s;,()?`]|[ .](?=\S))+)")
_STATUS = re.compile(r"\[(\d+)\] (.*)")
_OPTION = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")
_EXTRA = re.compile(r"pip install 'rprm-jobs\[(\w+)\]'")
_PLACES = ("...", "FILE", "JUDGE", "OTHER", "NAME", "LABELLED", "INPUT", "JOB")


@dataclass(frozen=True)
class Story:
    """`key` is the site's; `{name}` in the lines stands for what the test prepared."""

    key: str
    typed: str
    status: int
    then: tuple[str, ...]

    def lines(self, hint: str) -> Iterator[tuple[str, int]]:
        """What is typed after the hint, and the status that it must have."""
        if not self.then:
            commands = [match.strip(" .") for match in _COMMAND.findall(hint)]
            assert commands, f"{self.key}: the hint names no command, and the story types nothing: {hint}"
            yield from ((command, 0) for command in commands if not any(place in command for place in _PLACES))
        for then in self.then:
            status, words = (int(match[1]), match[2]) if (match := _STATUS.fullmatch(then)) else (0, then)
            yield self._line(words, hint), status

    def _line(self, words: str, hint: str) -> str:
        if words.startswith("+ "):
            self._named(words, hint)
            return f"{self.typed} {words[2:]}"
        if words.startswith("- "):
            assert words[2:] in self.typed, f"{self.key}: {words}"
            self._named(words, hint)
            return " ".join(self.typed.replace(words[2:], "", 1).split())
        if words.startswith("~ "):
            before, after = words[2:].split(" -> ")
            assert before in self.typed, f"{self.key}: {words}"
            self._named(after, hint)
            return self.typed.replace(before, after, 1)
        self._named(words, hint)
        return words

    def _named(self, words: str, hint: str) -> None:
        """What follows a hint must be what it says: every option that is added or left out stands in it."""
        if WITHOUT in words:
            _check_extra(hint, words.partition("=")[2].split()[0])
        for option in _OPTION.findall(words) if words[:1] in "+-~" else ():
            assert option in hint, f"{self.key}: {option} does not stand in: {hint}"


def _check_extra(hint: str, module: str) -> None:
    """What the hint says to install brings the module."""
    if hint == f"pip install {module}":
        return
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extra,) = _EXTRA.findall(hint)
    needed = " ".join(project["optional-dependencies"][extra]).lower().replace("-", "_")
    names = [name.lower().replace("-", "_") for name in packages_distributions()[module.split(".")[0]]]
    assert any(name in needed for name in names), f"{extra} does not bring {module}"


def stories(name: str) -> Sequence[Story]:
    """Those of one file."""
    table = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return [Story(key, typed, status, tuple(then)) for key, (typed, status, *then) in table.items()]


def files() -> list[str]:
    """The names of the files."""
    return sorted(path.stem for path in Path(FOLDER).glob("*.toml"))


def tell(story: Story, typist: Typist, values: Mapping[str, Any], work_off: Callable[[int], None]) -> Told:
    """Type the story; `work_off` is what workers do with a job.

    Raises AssertionError where the error is not the site's, or its hint does not lead on.
    """
    first = typist(story.typed.format_map(values))
    at = f"{story.key}\n$ {first.line}\n{first.out}{first.err}"
    assert first.status == story.status, f"status {first.status}, not {story.status}: {at}"
    keys = {site.key for site in first.shown}
    assert story.key in keys, f"made by {keys or 'no site'}: {at}"
    hint = next(site_hint for site, site_hint in first.shown.items() if site.key == story.key)
    filled = Story(story.key, first.line, story.status, tuple(then.format_map(values) for then in story.then))
    for line, status in filled.lines(hint):
        if line.startswith("(judged) "):
            work_off(int(line.split()[1]))
            continue
        again = typist(line)
        said = f"{at}\n$ {line}\n{again.out}{again.err}"
        assert again.status == status, f"status {again.status}, not {status}: {said}"
        assert story.key not in {site.key for site in again.shown}, f"the same again: {said}"
    return first
