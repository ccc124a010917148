"""Rules are stored, have a digest, and refuse what cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest

from rprm_jobs.errors import ConfigError
from rprm_jobs.pairs.labels import Neutral
from rprm_jobs.pairs.rules import PairRule, PairRules, PerStep, SftRules, pair_rules, read_rules

NONE = {"max_pairs": None, "max_length_difference": None}


@pytest.mark.parametrize(
    "rules", [PairRules(), SftRules(seed=7, balance=False), PairRules(rule=PairRule.PAPER, neutral=Neutral.SKIP)]
)
def test_rules_come_back_from_the_store(rules: PairRules | SftRules) -> None:
    again = read_rules(rules.to_builtins())
    assert again == rules
    assert type(again) is type(rules)
    assert again.digest == rules.digest


def test_every_rule_counts_in_the_digest() -> None:
    others: list[dict[str, Any]] = [
        {"neutral": Neutral.WRONG}, {"balance": False}, {"validation": 0.1}, {"seed": 1}, {"rule": PairRule.ALL},
        {"max_pairs": 3}, {"max_length_difference": 0.4},
    ]  # fmt: skip
    digests = {PairRules(**other).digest for other in ({}, *others)} | {SftRules().digest}
    assert len(digests) == len(others) + 2
    assert SftRules(per_step=PerStep.LAST).digest not in digests


def test_sets_from_before_there_was_a_choice_per_step_are_found_again() -> None:
    before = {name: value for name, value in SftRules().to_builtins().items() if name != "per_step"}
    assert read_rules(before) == SftRules()
    assert SftRules(reading=1).digest == "91544e1a969f3506467ea62d8e28abc39e9c9cfdbf7cd80076188d2071637984"
    assert SftRules().digest == "c96cfc3e02762df9a97a7d6401d7189a954011d8513edc004ad590acf5303da2"


def test_defaults_are_the_papers_where_it_has_some() -> None:
    assert (PairRules().seed, PairRules().balance, PairRules().neutral) == (42, True, Neutral.CORRECT)
    assert pair_rules(bounds=NONE) == PairRules()
    assert pair_rules(PairRule.DISTINCT, bounds={**NONE, "max_pairs": 5}, seed=3) == PairRules(max_pairs=5, seed=3)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"validation": -0.1}, "validation"),
        ({"validation": 1.5}, "validation"),
        ({"validation": float("nan")}, "validation"),
        ({"seed": -1}, "seed"),
        ({"max_pairs": 0}, "max_pairs"),
        ({"max_length_difference": 0.0}, "max_length_difference"),
        ({"max_length_difference": 1.1}, "max_length_difference"),
    ],
)
def test_what_cannot_be_meant_is_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        PairRules(**values)
    assert caught.value.hint


@pytest.mark.parametrize("rule", [PairRule.PAPER, PairRule.ALL])
def test_bounds_belong_to_distinct_alone(rule: PairRule) -> None:
    with pytest.raises(ConfigError, match="no bounds") as caught:
        pair_rules(rule, bounds={**NONE, "max_length_difference": 0.5})
    assert "--max-length-difference" in caught.value.hint


def test_rules_of_a_newer_version_are_not_guessed_at() -> None:
    with pytest.raises(ConfigError, match="pip install -U rprm-jobs"):
        read_rules({**PairRules().to_builtins(), "margin": 1})
