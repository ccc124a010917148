"""Families of judges: how one is named, described in a folder, stored in a recipe, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rprm_jobs.errors import ConfigError
from rprm_jobs.judge.families.family import KnownBy, changed
from rprm_jobs.judge.families.rprm import RPRM
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.families.table import FAMILIES, ROWS, find_family, own_family, read_stored, spelled, stored
from rprm_jobs.judge.resolve import resolve_judge
from tests.support.jobs import make_recipe


def test_the_default_family_is_not_stored_and_changes_no_queue() -> None:
    assert stored(RPRM) is None
    assert read_stored(None) == RPRM
    assert "family" not in make_recipe().to_builtins()
    assert (
        resolve_judge("tiny").queue
        == resolve_judge("tiny", "rprm").queue
        == resolve_judge("tiny", "rprm,threshold=0.4").queue
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_comes_back_from_the_store_and_from_its_name(name: str) -> None:
    family = find_family(name)
    assert read_stored(stored(family)) == family
    assert spelled(family) == name
    other = find_family(f"{name},threshold=0.125")
    assert other.threshold == 0.125
    assert read_stored(stored(other)) == other
    assert find_family(spelled(other) or "") == other
    assert other.digest == family.digest


def test_several_values_are_told_apart_by_a_slash() -> None:
    family = find_family("reason-eval,good=0/2,threshold=0.85")
    assert isinstance(family, ScoreFamily)
    assert (family.good, family.reward([0.0, 0.0, 0.0])) == ((0, 2), pytest.approx(2 / 3))
    assert find_family(spelled(family) or "") == family
    assert find_family("math-psa,labels=+/-") == find_family("math-psa,labels=+/-,good=0")
    with pytest.raises(ConfigError, match="good"):
        find_family("reason-eval,good=2/3")


def test_every_family_has_a_name_of_its_own_and_says_what_it_is() -> None:
    assert len(FAMILIES) == len(ROWS)
    assert all(row.about for row in ROWS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rpm", "did you mean rprm"),
        ("zzzz", "use one of rprm"),
        ("rprm,threshold", "is not KEY=VALUE"),
        ("rprm,tag=x", "has no 'tag'"),
        ("rprm,threshold=much", "Expected `float`"),
    ],
)
def test_a_family_that_is_misnamed_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        find_family(text)
    assert caught.value.hint
    assert caught.value.where == "--family"


def test_a_folder_describes_its_own_family() -> None:
    own = own_family({"like": "rprm", "name": "mine", "threshold": 0.3}, where="card")
    assert (own.name, own.threshold) == ("mine", 0.3)
    assert spelled(own) is None
    assert own_family("rprm", where="card") == RPRM
    with pytest.raises(ConfigError, match="what it is like"):
        own_family({"name": "mine"}, where="card")


def test_a_card_in_a_folder_counts_until_the_command_says_otherwise(drilled_like: Path) -> None:
    (drilled_like / "rprm_judge.json").write_text(json.dumps({"family": {"like": "rprm", "threshold": 0.3}}))
    assert resolve_judge(str(drilled_like)).family.threshold == 0.3
    assert resolve_judge(str(drilled_like), "rprm").family == RPRM
    (drilled_like / "rprm_judge.json").write_text(json.dumps({"family": "unknown"}))
    with pytest.raises(ConfigError, match=r"rprm_judge\.json: unknown family"):
        resolve_judge(str(drilled_like))


@pytest.fixture
def drilled_like(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["Qwen2ForCausalLM"]}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    return tmp_path


def test_a_name_is_searched_in_any_case_and_an_architecture_is_exact() -> None:
    known_by = KnownBy(("Qwen2ForX",), names=r"math-prm")
    assert known_by.has_name("Org/Some-Math-PRM-7B")
    assert not KnownBy(()).has_name("anything")
    assert known_by.has_architecture(["A", "Qwen2ForX"])
    assert not known_by.has_architecture(["Qwen2ForXY"])


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_outside_of_the_rewards_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match="threshold"):
        RPRM.check_threshold(threshold)
    changed(RPRM, {"lowest": None, "highest": None}, where="x").check_threshold(-5)
