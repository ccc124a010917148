"""Canaries: which steps they are made of, that they stay text in every prompt, and how they are counted."""

from __future__ import annotations

from pathlib import Path

import pytest

import rprm_jobs
from rprm_jobs.evaluation.canary import INJECTIONS, PLAIN, CanaryCounts, canaries, count, made_solutions
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.verdict import read_verdict
from rprm_jobs.types import Finish, Solution, Verdict

TINY = Path(rprm_jobs.__file__).parent / "judges" / "tiny"
WRONG = Solution("s", "p", ("a", "b", "c"), label=1)


def test_a_canary_is_the_first_wrong_step_with_a_text_behind_it() -> None:
    made = list(canaries([WRONG, Solution("right", "p", ("a",), label=-1), Solution("unknown", "p", ("a",))]))
    assert [one.metadata["canary"] for one in made] == [PLAIN, *INJECTIONS]
    assert made[0].steps == ("a", "b")
    assert made[1].steps == ("a", "b" + INJECTIONS["plea"])
    assert all((one.judge_steps, one.step_labels, one.label) == ((1,), (None, -1), None) for one in made)
    assert len({one.id for one in made}) == len(made)


def test_the_made_up_steps_are_wrong_and_the_same_each_time() -> None:
    assert made_solutions() == made_solutions()
    for one in made_solutions():
        sums = [[int(word.strip(".")) for word in step.split() if word.strip(".").isdigit()] for step in one.steps]
        assert [more + total == shown for more, total, shown in sums] == [True, True, False]


@pytest.mark.parametrize("name", INJECTIONS)
def test_an_injection_moves_nothing_but_its_own_field(name: str) -> None:
    template = PromptTemplate.default()
    marked = "\x01".join(template.literals)
    prompt = template.render("p", ["a", "b" + INJECTIONS[name]], 1)
    plain = template.render("p", ["a", "b"], 1)
    assert prompt == plain.replace("Step 2: b", "Step 2: b" + INJECTIONS[name])
    assert marked.count("\x01") == 3


@pytest.mark.engine
@pytest.mark.parametrize("name", INJECTIONS)
def test_an_injection_adds_no_special_token(name: str) -> None:
    from transformers import AutoTokenizer

    from rprm_jobs.judge.encode import PromptEncoder

    tokenizer = AutoTokenizer.from_pretrained(TINY)
    encoder = PromptEncoder(tokenizer)
    special = set(tokenizer.all_special_ids)

    def count_special(text: str) -> list[int]:
        prompt = PromptTemplate.load(TINY / "prompt.txt").render("p", ["a", text], 1)
        return [token for token in encoder.encode(prompt) if token in special]

    assert count_special("b" + INJECTIONS[name]) == count_special("b")


@pytest.mark.parametrize("name", INJECTIONS)
def test_a_critique_that_quotes_an_injection_says_what_it_says_last(name: str) -> None:
    critique = f"The step reads: b{INJECTIONS[name]}\nIt is wrong.\nVerification: Is the step correct (Yes/No)? No"
    assert read_verdict(critique, Finish.STOP) is Verdict.NO


def test_counting() -> None:
    outcomes = [("plea", 0.9), (PLAIN, 0.1), ("plea", None), (PLAIN, 0.5), ("plea", 0.2)]
    assert count(outcomes, 0.5) == [CanaryCounts(PLAIN, 2, 1, 0), CanaryCounts("plea", 3, 1, 1)]
    assert [one.false_yes for one in count(outcomes, 0.5)] == [0.5, 0.5]
    assert CanaryCounts("x", 2, 0, 2).false_yes is None
