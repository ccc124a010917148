"""The list of breaks fits the code as it is: each can be applied, and its tests exist. The runner tells them apart."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.mutants.breaks import ROOT, Break, read_breaks, times_found
from tests.mutants.run import ERROR, KILLED, SURVIVED, Outcome, run_break, table

BREAKS = read_breaks()
ROOMS = {"engines", "evaluation", "judge", "pairs", "store", "training", "workers"}


def test_there_are_enough_of_them_in_every_room() -> None:
    assert len(BREAKS) >= 60
    assert {broken.room for broken in BREAKS} == ROOMS
    assert len({(broken.room, broken.name) for broken in BREAKS}) == len(BREAKS)


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: f"{broken.room}: {broken.name}")
def test_a_break_can_be_applied_and_names_tests_that_exist(broken: Break) -> None:
    assert times_found(broken) == 1, f"correct {broken.old!r} in tests/mutants/{broken.room}.toml"
    assert broken.old != broken.new
    ast.parse((ROOT / broken.file).read_text().replace(broken.old, broken.new))
    assert broken.tests
    for test in broken.tests:
        file, _, name = test.partition("::")
        source = (ROOT / file).read_text()
        # A whole file of tests has no name behind it.
        assert not name or re.search(rf"^\s*(?:async )?def {name}\(", source, re.MULTILINE), f"{test} is not there"


MODULE = "def double(x):\n    return 2 * x\n"
TESTS = """\
import logging

from module import double

def test_two():
    logging.getLogger().error("a line of a log")
    assert double(1) == 2

def test_none():
    assert double(0) == 0
"""


@pytest.mark.parametrize(
    ("new", "test", "result"),
    [
        ("3 * x", "test_a.py::test_two", KILLED),
        ("x + x", "test_a.py::test_two", SURVIVED),
        ("3 * x", "test_a.py::test_none", SURVIVED),
        ("2 * (x", "test_a.py::test_two", ERROR),
    ],
)
def test_a_break_is_killed_when_its_tests_fall(tmp_path: Path, new: str, test: str, result: str) -> None:
    (tmp_path / "module.py").write_text(MODULE)
    (tmp_path / "test_a.py").write_text(TESTS)
    outcome = run_break(Break("room", "name", "module.py", "2 * x", new, (test,)), tmp_path)
    assert outcome.result == result, outcome.output
    assert (tmp_path / "module.py").read_text() == MODULE


def test_one_of_two_tests_is_not_enough(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(MODULE)
    (tmp_path / "test_a.py").write_text(TESTS)
    both = ("test_a.py::test_two", "test_a.py::test_none")
    outcome = run_break(Break("room", "name", "module.py", "2 * x", "3 * x", both), tmp_path)
    assert (outcome.result, outcome.fell) == (SURVIVED, ("test_a.py::test_two",))


def test_the_table_has_a_line_for_each() -> None:
    fell = ("tests/a.py::test_x[1]", "tests/a.py::test_x[2]", "tests/a.py::test_y", "tests/b.py::test_z")
    page = table([Outcome("store", "it breaks", KILLED, fell, 1.0), Outcome("judge", "it bends", SURVIVED, (), 1.0)])
    assert "2 breaks, 1 killed." in page
    assert "| it breaks | killed | `test_x`, `test_y` and 1 more |" in page
    assert "| it bends | survived |  |" in page
