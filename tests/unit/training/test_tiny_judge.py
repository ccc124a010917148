"""The shipped judge: it loads as any Qwen2 does, is small, judges, and its card says what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import rprm_jobs
from rprm_jobs.judge.prompt import PromptTemplate
from training.card import model_card
from training.evaluate import Judge, foreign_closed, sample_p_yes
from training.splits import as_row, draw_split
from training.tiny_base import PROMPT

TINY = Path(rprm_jobs.__file__).parent / "judges" / "tiny"
EXAMPLES = Path(rprm_jobs.__file__).parents[1] / "examples" / "solutions.jsonl"


def measured() -> dict[str, Any]:
    return dict(json.loads((TINY / "measured.json").read_text("utf-8")))


def test_the_folder_is_complete_and_small() -> None:
    files = {path.name: path.stat().st_size for path in TINY.iterdir()}
    assert files.keys() >= {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "chat_template.jinja", "prompt.txt", "rprm_judge.json", "measured.json", "README.md",
    }  # fmt: skip
    assert sum(files.values()) < 5_000_000


def test_the_card_quotes_the_measurement() -> None:
    assert (TINY / "README.md").read_text("utf-8") == model_card(measured())


def test_the_measured_judge_reaches_its_target() -> None:
    evaluation = measured()["evaluation"]
    assert evaluation["solutions"] == 400
    assert all(run["k4"]["f1"] >= 80 for run in evaluation["runs"])
    assert all((run["k4"]["n_error"], run["k4"]["n_correct"]) == (200, 200) for run in evaluation["runs"])


def test_the_measured_judge_ends_its_critiques_of_foreign_text() -> None:
    assert measured()["evaluation"]["foreign_closed"] >= 95


def test_the_shipped_prompt_is_the_one_it_was_trained_on() -> None:
    assert PromptTemplate.load(TINY / "prompt.txt").source == PROMPT


def test_the_examples_are_the_split_that_they_say() -> None:
    rows = [json.loads(line) for line in EXAMPLES.read_text("utf-8").splitlines()]
    expected = [as_row("examples", number, each) for number, each in enumerate(draw_split("examples", len(rows)))]
    assert rows == expected
    assert len(rows) == 24


@pytest.mark.engine
@pytest.mark.slow
def test_it_ends_its_critiques_of_foreign_text() -> None:
    assert foreign_closed(Judge.load(TINY), 48) >= 85


@pytest.mark.engine
@pytest.mark.slow
def test_it_loads_and_tells_right_steps_from_wrong_ones() -> None:
    judge = Judge.load(TINY)
    solutions = [solution for solution in draw_split("held-out", 24) if solution.kind is not None]
    wrong = [judge.template.render(each.problem, each.steps, each.label) for each in solutions]
    right = [judge.template.render(each.problem, each.steps, 0) for each in solutions if each.label > 0]
    values = sample_p_yes(judge, wrong + right, seed=1)
    assert None not in values
    called_wrong = [value is not None and value < 0.5 for value in values]
    assert sum(called_wrong[: len(wrong)]) >= 0.7 * len(wrong)
    assert sum(called_wrong[len(wrong) :]) <= 0.3 * len(right)
