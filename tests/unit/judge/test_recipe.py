"""Recipes: bad values are refused, the digest follows every field, and seeds depend on what is judged alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.errors import ConfigError
from rprm_jobs.judge.recipe import MAX_K, Recipe, critique_seed
from rprm_jobs.types import Sampling
from tests.support.jobs import make_recipe

BASE = make_recipe()


def with_(**changes: Any) -> Recipe:
    sampling = {k: changes.pop(k) for k in ("temperature", "top_p", "max_new_tokens") if k in changes}
    return msgspec.structs.replace(BASE, sampling=replace(BASE.sampling, **sampling), **changes)


@pytest.mark.parametrize(
    "change",
    [
        {"k": 0},
        {"k": MAX_K + 1},
        {"threshold": -0.1},
        {"threshold": 1.1},
        {"threshold": float("nan")},
        {"seed": -1},
        {"seed": 2**63},
        {"temperature": -0.5},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_p": 1.01},
        {"max_new_tokens": 0},
        {"parse_rule": "last-verdict/99"},
    ],
)
def test_a_bad_value_is_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        with_(**change)
    assert next(iter(change)) in caught.value.what
    assert caught.value.hint


@pytest.mark.parametrize(
    "change",
    [
        {"judge": "other"},
        {"fingerprint": "0" * 64},
        {"queue": "q"},
        {"prompt": BASE.prompt + " "},
        {"k": BASE.k + 1},
        {"stopping": {"kind": "fixed", "x": 1}},
        {"threshold": 0.4},
        {"seed": 1},
        {"parse_rule": "last-verdict/1"},
        {"temperature": 0.5},
        {"top_p": 0.5},
        {"max_new_tokens": 10},
        {"until_first_error": True},
    ],
)
def test_every_field_is_part_of_the_digest(change: dict[str, Any]) -> None:
    assert with_(**change).digest != BASE.digest


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    one, other = with_(stopping={"kind": "fixed", "a": 1}), with_(stopping={"a": 1, "kind": "fixed"})
    assert one.digest == other.digest


def test_the_digest_is_known_so_that_stored_jobs_are_still_found() -> None:
    recipe = Recipe("j", "f" * 64, "q", "{} {} {}", Sampling(), k=4)
    assert recipe.digest == "21542cbac80d82c18ab547859fca9938a3033dca54c1968cc8ddaf7d58d7986d"
    older = msgspec.structs.replace(recipe, parse_rule="last-verdict/1")
    assert older.digest == "d49c194f06e6253a84552b1e2381c9e72a98a5dd94062e04d177e912ddc46106"


def test_a_recipe_comes_back_from_the_store_as_it_was() -> None:
    stored = msgspec.json.decode(msgspec.json.encode(BASE.to_builtins()))
    assert Recipe.from_builtins(stored) == BASE


def test_a_recipe_of_a_newer_version_is_not_read_half() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Recipe.from_builtins({**BASE.to_builtins(), "new_thing": 1})


_PLACE = st.tuples(
    st.integers(0, 2**63 - 1), st.text(max_size=5), st.integers(0, 99), st.integers(0, 99), st.integers(0, 3)
)


@given(a=_PLACE, b=_PLACE)
def test_seeds_are_in_range_and_differ_wherever_the_place_differs(
    a: tuple[int, str, int, int, int], b: tuple[int, str, int, int, int]
) -> None:
    assert 0 <= critique_seed(*a) < 2**63
    assert (critique_seed(*a) == critique_seed(*b)) == (a == b)


def test_the_seeds_of_a_large_job_do_not_collide() -> None:
    seeds = {critique_seed(0, f"s{i}", t, k) for i in range(200) for t in range(10) for k in range(10)}
    assert len(seeds) == 20_000


def test_a_separator_in_an_id_cannot_imitate_another_place() -> None:
    assert critique_seed(0, "a\x1f1", 2, 3) != critique_seed(0, "a", 1, 2, 3)


def test_a_seed_is_the_same_in_every_process() -> None:
    assert critique_seed(7, "math-12", 3, 4, 1) == 4773699715138576358


def test_what_older_versions_do_not_know_is_written_only_where_it_matters() -> None:
    assert "until_first_error" not in BASE.to_builtins()
    changed = with_(until_first_error=True)
    assert Recipe.from_builtins(changed.to_builtins()) == changed
