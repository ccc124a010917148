"""No hint without a story: what every error names to type is typed by a test, or a reason says why it is not.

What the code says is read from its source. That a story meets its error is measured where it is told, in
tests/acceptance/cli/test_hints_typed.py.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.support.hint_sites import ROOT, Site, sites
from tests.support.hint_stories import FOLDER, files, stories

TYPED = {site.key: site for site in sites() if site.is_typed}
TOLD = {story.key for name in files() for story in stories(name)}
REASONS: dict[str, list[str]] = tomllib.loads((FOLDER / "untyped" / "elsewhere.toml").read_text(encoding="utf-8"))
ELSEWHERE = {key: reason for reason, keys in REASONS.items() for key in keys}
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def test_what_a_hint_names_to_type_is_typed() -> None:
    untold = sorted(TYPED.keys() - TOLD - ELSEWHERE.keys())
    assert not untold, "these hints have no story in tests/acceptance/cli/hints:\n" + "\n".join(untold)


def test_stories_are_of_hints_that_there_are() -> None:
    said = {site.key for site in sites()}
    assert not sorted(TOLD - said), "the code says these hints no more"
    assert not sorted(ELSEWHERE.keys() - said), "the code says these hints no more"


def test_what_is_typed_is_not_excused() -> None:
    assert not sorted(TOLD & ELSEWHERE.keys())
    assert len(ELSEWHERE) == sum(map(len, REASONS.values())), "a hint has two reasons"


def test_most_hints_are_typed() -> None:
    """The list of reasons is to shrink: who adds a hint adds its story."""
    assert len(ELSEWHERE) <= 37
    assert len(TOLD & TYPED.keys()) >= 214


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_names_tests_that_exist(reason: str) -> None:
    for path in re.findall(r"tests/[\w/.]+", reason):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("site", [site for site in sites() if "rprm-jobs[" in site.text], ids=lambda site: site.key)
def test_what_a_hint_installs_is_an_extra(site: Site) -> None:
    for extra in re.findall(r"rprm-jobs\[([\w-]+)\]", site.text):
        assert extra in EXTRAS


# The options of each engine, by where its classes name them; those of vLLM are its own, and known to it alone.
OPTIONS = {
    "openai": ("options.py",),
    "scripted": ("engine.py",),
    "transformers": ("engine.py", "scorer.py"),
}


def fields_of(path: Path) -> set[str]:
    """The fields of the classes of options in a file, without importing the engine's library."""
    return {
        field.target.id
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name.endswith("Options")
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    }


@pytest.mark.parametrize("engine", OPTIONS)
def test_an_engine_has_the_options_that_its_hints_name(engine: str) -> None:
    folder = ROOT / "workers" / "engines" / engine
    known = set().union(*(fields_of(folder / name) for name in OPTIONS[engine]))
    assert known
    for site in sites():
        if site.path.startswith(f"workers/engines/{engine}/"):
            assert set(re.findall(r"--engine-arg (\w+)", site.text)) - {"KEY", "key"} <= known, site.key
