"""The recommended settings are proposed where they are of use, with what they cost; documents recommend the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.stopping.recommended import CHEAPER, FEW_STEPS, OF_FEW_STEPS, RECOMMENDED, Setting, propose

ROOT = Path(__file__).parents[3]
FIXED = {"kind": "fixed"}


def test_a_large_job_is_told_of_both_plans_and_the_pilot_counts() -> None:
    large, small = propose(FIXED, 10, 1_000_000, 0.5), propose(FIXED, 10, FEW_STEPS, 0.5)
    assert [proposal.options for proposal in large] == [RECOMMENDED.options, CHEAPER.options]
    assert 0.30 < large[0].fraction < 0.35
    assert 0.15 < large[1].fraction < 0.22
    for few, many in zip(small, large, strict=True):
        assert few.fraction == pytest.approx(0.25 + 0.75 * many.fraction, abs=0.01)


def test_a_small_job_is_told_of_the_rule_without_a_pilot() -> None:
    (proposal,) = propose(FIXED, 10, FEW_STEPS - 1, 0.5)
    assert proposal.options == OF_FEW_STEPS.options
    assert 0.38 < proposal.fraction < 0.41


@pytest.mark.parametrize(("stopping", "k"), [({"kind": "adaptive"}, 10), (FIXED, 2), (FIXED, 16)])
def test_nothing_is_proposed_where_it_saves_nothing_or_nothing_is_known(stopping: dict[str, str], k: int) -> None:
    assert propose(stopping, k, 9000, 0.5) == []


@pytest.mark.parametrize("page", ["README.md", "docs/recipes.md", "docs/troubleshooting.md"])
def test_no_page_recommends_another_price(page: str) -> None:
    options = re.findall(r"--stopping planned[^`\n]*?--price \d+", (ROOT / page).read_text())
    assert set(options) <= {RECOMMENDED.options}
    assert options or page == "README.md"


def test_the_recipe_of_a_large_job_is_the_recommended_setting() -> None:
    recipe = (ROOT / "docs" / "recipes.md").read_text().split("## Relabel a million rollouts")[1].split("## ")[0]
    assert recipe.count(RECOMMENDED.options) == 2


def test_the_small_example_of_the_readme_is_that_for_few_steps() -> None:
    rows = (ROOT / "examples" / "solutions.jsonl").read_text().splitlines()
    assert sum(len(json.loads(row)["steps"]) for row in rows) < FEW_STEPS
    assert re.findall(r"--stopping \w+", (ROOT / "README.md").read_text()) == [OF_FEW_STEPS.options]


@pytest.mark.parametrize("setting", [RECOMMENDED, CHEAPER, OF_FEW_STEPS])
def test_the_page_on_stopping_names_each_first(setting: Setting) -> None:
    page = (ROOT / "docs" / "stopping.md").read_text()
    assert f"- `{setting.options}`" in page
    assert f"fewer than {FEW_STEPS:,} steps" in page


def rule_lines() -> list[dict[str, Any]]:
    measured = json.loads((ROOT / "benchmarks" / "results" / "stopping_votes.json").read_text())
    return [line for line in measured["threshold 0.5"]["rules"] if line["fitted_to"] in (None, "the other half")]


@pytest.mark.parametrize("setting", [RECOMMENDED, CHEAPER, OF_FEW_STEPS])
def test_what_they_cost_was_measured(setting: Setting) -> None:
    """What was measured here lies in what is promised; that of the cheaper one is wider, by votes of other problems."""
    bound = {"price": setting.rule["price"]} if "price" in setting.rule else {"confidence": 0.95}
    (line,) = [one for one in rule_lines() if one["rule"] == setting.rule["kind"] and bound.items() <= one.items()]
    low, high = round(line["score"]["low"], 2), round(line["score"]["high"], 2)
    assert setting.score_change[0] <= low
    assert setting.score_change[1] == pytest.approx(high, abs=0.005)
