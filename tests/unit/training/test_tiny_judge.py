"""The shipped judges: they load as any Qwen2 does, are small, judge, and their cards say what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import rprm_jobs
from rprm_jobs.judge.prompt import PromptTemplate
from training.card import model_card
from training.evaluate import EvaluatedJudge, foreign_closed, sample_p_yes
from training.splits import as_row, draw_split
from training.tiny_base import PROMPT

JUDGES = Path(rprm_jobs.__file__).parent / "judges"
TINY = JUDGES / "tiny"
# The least F1 at four critiques of every sampling seed.
TARGETS = {"tiny-sft": 65, "tiny": 85}
NAMES = sorted(TARGETS)
EXAMPLES = Path(rprm_jobs.__file__).parents[1] / "examples" / "solutions.jsonl"


def measured(name: str = "tiny") -> dict[str, Any]:
    return dict(json.loads((JUDGES / name / "measured.json").read_text("utf-8")))


@pytest.mark.parametrize("name", NAMES)
def test_the_folder_is_complete_and_small(name: str) -> None:
    files = {path.name: path.stat().st_size for path in (JUDGES / name).iterdir()}
    assert files.keys() >= {
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "chat_template.jinja", "prompt.txt", "rprm_judge.json", "measured.json", "README.md",
    }  # fmt: skip
    assert sum(files.values()) < 2_500_000
    assert json.loads((JUDGES / name / "config.json").read_text())["use_cache"] is True


@pytest.mark.parametrize("name", NAMES)
def test_the_card_quotes_the_measurement(name: str) -> None:
    card = (JUDGES / name / "README.md").read_text("utf-8")
    assert card == model_card(name, measured(name))
    assert card.startswith(f"# {name}\n")


def test_preferences_made_it_better_at_every_k() -> None:
    before, after = measured("tiny-sft")["evaluation"]["f1"], measured("tiny")["evaluation"]["f1"]
    assert all(after[k] >= before[k] + 3 for k in before)


@pytest.mark.parametrize("name", NAMES)
def test_the_measured_judge_reaches_its_target(name: str) -> None:
    evaluation = measured(name)["evaluation"]
    assert evaluation["solutions"] == 400
    assert all(run["k4"]["f1"] >= TARGETS[name] for run in evaluation["runs"])
    assert all((run["k4"]["n_error"], run["k4"]["n_correct"]) == (200, 200) for run in evaluation["runs"])


@pytest.mark.parametrize("name", NAMES)
def test_the_measured_judge_ends_its_critiques_of_foreign_text(name: str) -> None:
    assert measured(name)["evaluation"]["foreign_closed"] >= 95


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_prompt_is_the_one_it_was_trained_on(name: str) -> None:
    assert PromptTemplate.load(JUDGES / name / "prompt.txt").source == PROMPT


def test_the_examples_are_the_split_that_they_say() -> None:
    rows = [json.loads(line) for line in EXAMPLES.read_text("utf-8").splitlines()]
    expected = [as_row("examples", number, each) for number, each in enumerate(draw_split("examples", len(rows)))]
    assert rows == expected
    assert len(rows) == 24


@pytest.mark.engine
@pytest.mark.slow
def test_it_ends_its_critiques_of_foreign_text() -> None:
    assert foreign_closed(EvaluatedJudge.load(TINY), 48) >= 85


@pytest.mark.engine
@pytest.mark.slow
def test_it_loads_and_tells_right_steps_from_wrong_ones() -> None:
    judge = EvaluatedJudge.load(TINY)
    solutions = [solution for solution in draw_split("held-out", 24) if solution.kind is not None]
    wrong = [judge.template.render(each.problem, each.steps, each.label) for each in solutions]
    right = [judge.template.render(each.problem, each.steps, 0) for each in solutions if each.label > 0]
    values = sample_p_yes(judge, wrong + right, seed=1)
    assert None not in values
    called_wrong = [value is not None and value < 0.5 for value in values]
    assert sum(called_wrong[: len(wrong)]) >= 0.7 * len(wrong)
    assert sum(called_wrong[len(wrong) :]) <= 0.3 * len(right)
