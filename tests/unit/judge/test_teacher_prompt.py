"""The prompt for a teacher: the judge's task, with worked examples that keep to the form that is asked for."""

from __future__ import annotations

from rprm_jobs.judge.prompt import NO_PREVIOUS_STEPS, PromptTemplate, format_previous, format_step
from rprm_jobs.judge.verdict import MARKER
from rprm_jobs.pairs.summary import VerdictForm, verdict_form_of
from workers.engines.scripted.script import now_step

HEADINGS = ("Previous Steps", "Now Step", "Data Source", "Consistency", "Calculation")


def reviews() -> list[str]:
    return [part.split("\n\n=== ")[0] for part in PromptTemplate.teacher().source.split("Review:\n")[1:]]


def test_the_examples_are_critiques_that_the_filter_would_keep() -> None:
    assert [verdict_form_of(review) for review in reviews()] == [VerdictForm.NO, VerdictForm.YES]
    for review in reviews():
        places = [review.index(f"{heading} Analysis: ") for heading in HEADINGS] + [review.index("Conclusion: ")]
        assert places == sorted(places)


def test_the_examples_show_steps_as_the_prompt_does() -> None:
    source = PromptTemplate.teacher().source
    assert f"Previous Steps:\n{NO_PREVIOUS_STEPS}\n\nNow Step:\n{format_step(0, 'Let')}" in source
    assert f"Previous Steps:\n{format_previous(['The box'])}" in source


def test_it_is_filled_like_any_other_prompt() -> None:
    text = PromptTemplate.teacher().render("How many?", ["one", "two"], 1)
    assert text.count("Problem:\nHow many?\n") == 1
    assert now_step(PromptTemplate.teacher(), text) == "Step 2: two"
    assert text.endswith(f"{MARKER} X\nwhere X is Yes or No.\n")
