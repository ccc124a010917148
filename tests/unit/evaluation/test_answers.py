"""Final answers: taken out of a text as they stand, and compared as the committed list of pairs says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rprm_jobs.evaluation.answer_forms import as_math, as_words, other_base, other_words
from rprm_jobs.evaluation.answers import final_answer, stated_answer, written_alike
from rprm_jobs.evaluation.verify import Sameness, Verifier

PAIRS = Path(__file__).parents[3] / "benchmarks" / "answers.jsonl"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"first \boxed{1}, then \boxed{ 2 }.", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed {x_{1}}", "x_{1}"),
        (r"\fbox{3} \fboxed{4}", "4"),
        (r"\fbox{5}", "5"),
        (r"\boxed 5", "5"),
        (r"$\boxed 12$.", "12"),
        (r"\boxed 3.5.", "3.5"),
        (r"\boxed\pi", None),
        (r"\boxed{\boxed{6}}", "6"),
        (r"\boxed{{7}}", "7"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{$5$}", "5"),
        (r"\boxed{\(5\)}", "5"),
        (r"\boxed{18.}", "18"),
        (r"\boxed{ 18\, }", "18"),
        (r"\boxed{0.999...}", "0.999..."),
        (r"\boxed{\$18}", r"\$18"),
        (r"\boxed{\$32,\!348}", r"\$32,\!348"),
        (r"\boxed{\text{a circle and a line}}", r"\text{a circle and a line}"),
        (r"\boxed{5\ \text{or}\ 6}", r"5\ \text{or}\ 6"),
        (r"\boxed{1} and \boxed{cut off", "1"),
        (r"\boxed{}", None),
        (r"\boxed{ . }", None),
        (r"\boxedly{3}", None),
        ("no box", None),
    ],
)
def test_the_last_closed_box_is_the_answer(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


def test_a_pattern_finds_the_answer_instead() -> None:
    assert stated_answer("a = 1.\nb = 2 .", r"= (.*)\.$") == "2"
    assert stated_answer(r"\boxed{3}", r"= (\d)") is None
    assert stated_answer(r"\boxed{3}") == "3"


def test_answers_that_differ_in_spaces_and_dollars_alone_are_written_alike() -> None:
    assert written_alike(r"$\frac{1}{2}$") == written_alike(r"\frac{1} {2}") == r"\frac{1}{2}"
    assert written_alike("1, 2") == written_alike(r"1,\,2") == "1,2"
    assert written_alike("1 1/2") != written_alike("11/2")
    assert written_alike(r"\$18") == r"\$18"


def test_what_is_handed_over() -> None:
    assert as_math(r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}") == r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"
    assert as_math(r"\text{a circle and a line}") == r"\text{a circle and a line}"
    assert as_words(r"\text{A circle and  a line.}") == as_words("a circle and a line")
    assert as_words(r"\Pi") != as_words(r"\pi")
    assert other_base("73_8", "73_{9}")
    assert not other_base("73_8", "73")
    assert not other_base("x_1", "x_n")
    assert other_words("listen", "silent")
    assert not other_words("xyz", "zyx")


@pytest.mark.timeout(240)
def test_every_listed_pair_is_told_apart_but_for_those_that_are_known_to_be_misjudged() -> None:
    rows = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    assert len(rows) > 250
    with Verifier() as verifier:
        misjudged = [
            (row["reference"], row["answer"])
            for row in rows
            if (verifier.compare([row["reference"]], row["answer"]) is Sameness.SAME) is not row["same"]
        ]
    assert misjudged == [(row["reference"], row["answer"]) for row in rows if row.get("misjudged")]


@pytest.mark.timeout(60)
def test_decimals_are_compared_as_they_are() -> None:
    with Verifier() as verifier:
        assert verifier.compare([".0000418"], "0.00004180") is Sameness.SAME
        assert verifier.compare([".0000418"], ".00004187") is Sameness.DIFFERENT
        assert verifier._pool is None
