"""How long the loop goes on, and with which judge: every stage is stood in for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.launch import improve as module
from rprm_jobs.launch.improve import Loop, Round, improve


@pytest.fixture
def begun_with(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The judge that each round began with. Their F1 are what the loop's `train` says."""
    judges: list[str] = []

    def evaluated(_context: Any, loop: Loop, number: int, judge: str) -> Round:
        return Round(number, judge, float(loop.train[number]), 0, 0)

    def played(_context: Any, loop: Loop, _checked: Any, number: int, judge: str) -> Round:
        judges.append(judge)
        return evaluated(None, loop, number, f"round-{number}")

    monkeypatch.setattr(module, "check_loop", lambda _context, loop: replace(loop))
    monkeypatch.setattr(module, "_evaluated", evaluated)
    monkeypatch.setattr(module, "_round", played)
    return judges


@pytest.mark.parametrize(
    ("f1", "rounds", "judges", "ended_early"),
    [
        ((50, 60, 70, 80), 3, ["start", "round-1", "round-2"], False),
        ((50, 60, 60, 80), 3, ["start", "round-1"], True),
        ((50, 40, 70), 2, ["start"], True),
        ((50, 60), 1, ["start"], False),
    ],
)
def test_it_goes_on_while_the_judge_gets_better(
    begun_with: list[str], f1: tuple[int, ...], rounds: int, judges: list[str], ended_early: bool
) -> None:
    said: list[str] = []
    loop = Loop(
        (), (), "start", Path("loop"), rounds, 4, 2, 0, tuple(map(str, f1)), "auto", (), True, lambda *_: None,
        said.append,
    )  # fmt: skip
    context: Any = None
    assert [one.f1 for one in improve(context, loop)] == list(f1[: len(judges) + 1])
    assert begun_with == judges
    assert ("the loop ends" in "".join(said)) is ended_early
