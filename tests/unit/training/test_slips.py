"""The teacher that errs: its slips are of the kinds it says, at the rates it says, and in the flawless one's form."""

from __future__ import annotations

import random
import re

import pytest

from rprm_jobs.judge.verdict import find_verdicts
from training.slips import SlipRates, slipping_critique
from training.splits import draw_split
from training.teacher import critique
from training.world import ChainSolution

NEVER = SlipRates(0.0, 0.0, 0.0)
STEPS = [(one, at) for one in draw_split("held-out", 60) for at in range(len(one.steps))]
WRONG = [(one, one.label) for one, at in STEPS if at == one.label]
RIGHT = [(one, at) for one, at in STEPS if at != one.label]


def marks(text: str) -> int:
    """Comparisons that the critique calls failed."""
    return text.count("!,")


def drawn(steps: list[tuple[ChainSolution, int]], rates: SlipRates, seed: int = 1) -> list[tuple[str, str]]:
    """Each step's flawless critique and the erring teacher's."""
    rng = random.Random(seed)
    return [(critique(*step), slipping_critique(*step, rng, rates)) for step in steps]


def test_without_slips_it_is_the_flawless_teacher() -> None:
    assert all(flawless == slipped for flawless, slipped in drawn(STEPS, NEVER))


def test_an_imagined_difference_fails_a_right_step_for_one_comparison() -> None:
    for flawless, slipped in drawn(RIGHT, SlipRates(imagined=1.0, overlooked=0.0, inconclusive=0.0)):
        assert (marks(flawless), marks(slipped)) == (0, 1)
        assert slipped.endswith(" No")


def test_an_overlooked_difference_is_one_fewer() -> None:
    found = drawn(WRONG, SlipRates(imagined=0.0, overlooked=1.0, inconclusive=0.0))
    for flawless, slipped in found:
        # A wrong operation is a comparison of words, which is not overlooked.
        assert marks(slipped) in (marks(flawless) - 1, marks(flawless))
        assert slipped.endswith(" Yes") is (marks(slipped) == 0)
    assert any(slipped.endswith(" Yes") for _, slipped in found)


def test_an_inconclusive_critique_contradicts_its_own_marks() -> None:
    for flawless, slipped in drawn(STEPS, SlipRates(imagined=0.0, overlooked=0.0, inconclusive=1.0)):
        assert slipped.rsplit("\n", 2)[0] == flawless.rsplit("\n", 2)[0]
        assert slipped.endswith(" No") is flawless.endswith(" Yes")


def test_every_critique_has_the_form_of_the_flawless_one() -> None:
    def form(text: str) -> str:
        return re.sub(r"(ok|bad)$", "?", re.sub(r"[=!],", "?,", re.sub(r"\d", "9", text)), flags=re.MULTILINE)

    for flawless, slipped in drawn(STEPS, SlipRates()):
        assert form(slipped).rsplit(" ", 1)[0] == form(flawless).rsplit(" ", 1)[0]
        assert len(find_verdicts(slipped)) == 1


def test_slips_come_as_often_as_they_should() -> None:
    slipped = [text for _, text in drawn(RIGHT * 10, SlipRates(imagined=0.4, overlooked=0.0, inconclusive=0.0))]
    share = sum(marks(text) for text in slipped) / len(slipped)
    # Four standard deviations of a share of 0.4.
    assert share == pytest.approx(0.4, abs=4 * (0.24 / len(slipped)) ** 0.5)


def test_a_seed_is_a_critique() -> None:
    assert drawn(STEPS, SlipRates(), seed=5) == drawn(STEPS, SlipRates(), seed=5)
    assert drawn(STEPS, SlipRates(), seed=5) != drawn(STEPS, SlipRates(), seed=6)
