"""The key of a judgement and its seeds are functions of what the judge is shown, and of nothing else."""

from __future__ import annotations

import dataclasses

import pytest
from msgspec.structs import replace

from rprm_jobs.judge.judgement import as_asked, content_seed, judgement_keys, judgement_space, step_contents
from rprm_jobs.judge.recipe import BY_CONTENT, Recipe
from rprm_jobs.judge.verdict import PARSE_RULES
from rprm_jobs.types import Critique, Finish, Sampling, Verdict
from tests.support.jobs import make_recipe

RECIPE = replace(make_recipe(k=10), seed_rule=BY_CONTENT)


def replace_sampling(**fields: int) -> Sampling:
    return dataclasses.replace(RECIPE.sampling, **fields)


def critique(finish: Finish, tokens: int, verdict: Verdict = Verdict.YES, *, forced: bool = False) -> Critique:
    chance = 0.9 if verdict.parsed else None
    return Critique(0, 0, verdict, chance, tokens + forced, finish, "text", forced)


STOP, LENGTH = Finish.STOP, Finish.LENGTH


@pytest.mark.parametrize(
    ("there", "limit", "usable"),
    [
        (critique(STOP, 50), 51, True),
        (critique(STOP, 50), 9999, True),
        (critique(STOP, 50), 50, False),
        (critique(STOP, 50), 49, False),
        (critique(LENGTH, 50, Verdict.TRUNCATED), 50, True),
        (critique(LENGTH, 50, Verdict.TRUNCATED), 51, False),
        (critique(LENGTH, 50, Verdict.TRUNCATED), 49, False),
        (critique(STOP, 50, Verdict.UNPARSED), 51, True),
    ],
)
def test_a_critique_serves_every_limit_that_it_did_not_reach(there: Critique, limit: int, usable: bool) -> None:
    recipe = replace(RECIPE, sampling=replace_sampling(max_new_tokens=limit))
    assert as_asked(there, recipe) == (there if usable else None)


@pytest.mark.parametrize(
    ("finish", "tokens", "verdict"), [(STOP, 50, Verdict.UNPARSED), (LENGTH, 99, Verdict.TRUNCATED)]
)
def test_a_forced_verdict_is_taken_back_where_none_is_to_be_forced(
    finish: Finish, tokens: int, verdict: Verdict
) -> None:
    plain = replace(RECIPE, sampling=replace_sampling(max_new_tokens=99))
    forcing = replace(plain, force_verdict=True)
    forced, without = critique(finish, tokens, forced=True), critique(finish, tokens, verdict)
    assert as_asked(forced, plain) == without
    assert as_asked(forced, forcing) == forced
    assert as_asked(without, forcing) is None
    assert as_asked(critique(STOP, 50), forcing) == critique(STOP, 50)


def test_a_step_is_the_same_whatever_comes_after_it() -> None:
    short, long = step_contents("p", ["a", "b"]), step_contents("p", ["a", "b", "c"])
    assert long[:2] == short
    assert len({*long, *step_contents("q", ["a", "b", "c"])}) == 6


@pytest.mark.parametrize(
    ("a", "b"),
    [(("p", ["ab", "c"]), ("p", ["a", "bc"])), (("pa", ["b"]), ("p", ["ab"])), (("p", ["", "a"]), ("p", ["a"]))],
)
def test_texts_that_run_together_alike_are_different_steps(a: tuple[str, list[str]], b: tuple[str, list[str]]) -> None:
    assert step_contents(*a)[-1] != step_contents(*b)[-1]


def test_lone_surrogates_have_contents_too() -> None:
    assert step_contents("\ud800", ["\udfff"]) != step_contents("\ud801", ["\udfff"])


@pytest.mark.parametrize(
    "recipe",
    [
        replace(RECIPE, k=3),
        replace(RECIPE, threshold=0.9),
        replace(RECIPE, stopping={"kind": "exact"}),
        replace(RECIPE, until_first_error=True),
        replace(RECIPE, judge="another name of it", queue="q"),
        replace(RECIPE, sampling=replace_sampling(max_new_tokens=9)),
        replace(RECIPE, force_verdict=True),
    ],
)
def test_what_only_says_how_many_critiques_there_are_is_no_part_of_the_key(recipe: Recipe) -> None:
    assert judgement_space(recipe, "vllm") == judgement_space(RECIPE, "vllm")


@pytest.mark.parametrize(
    "recipe",
    [
        replace(RECIPE, seed=1),
        replace(RECIPE, fingerprint="other"),
        replace(RECIPE, prompt=RECIPE.prompt + " "),
        replace(RECIPE, sampling=Sampling(0.5)),
        replace(RECIPE, parse_rule=PARSE_RULES[0]),
    ],
)
def test_what_changes_a_critique_is_part_of_the_key(recipe: Recipe) -> None:
    assert judgement_space(recipe, "vllm") != judgement_space(RECIPE, "vllm")


def test_engines_and_retries_have_keys_of_their_own() -> None:
    contents = step_contents("p", ["a"])
    spaces = [judgement_space(RECIPE, engine) for engine in ("vllm", "scripted")]
    keys = {judgement_keys(space, contents, epoch)[0] for space in spaces for epoch in (0, 1)}
    assert len(keys) == 4
    assert judgement_keys(bytes(16), contents, 3)[0].hex() == "441be366036c366b7d63580eecf91b13"


def test_seeds_differ_by_step_number_and_epoch_and_stay_as_they_are() -> None:
    contents = step_contents("p", [f"step {i}" for i in range(50)])
    seeds = {content_seed(s, c, k, e) for s in (0, 1) for c in contents for k in range(10) for e in (0, 1)}
    assert len(seeds) == 2 * 50 * 10 * 2
    assert max(seeds) < 2**63
    assert content_seed(7, step_contents("1 + 1?", ["2"])[0], 3, 1) == 7765056642916853708


def test_a_recipe_of_before_keeps_its_digest_and_its_seeds() -> None:
    assert "seed_rule" not in make_recipe().to_builtins()
    assert replace(make_recipe(), seed_rule=BY_CONTENT).to_builtins()["seed_rule"] == "content"
