"""Which candidates a search goes on from: greedy, beam, diverse; ended paths keep their places; nothing is lost."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.errors import ConfigError
from rprm_jobs.search.guided import Candidate, Path, Search, SearchOptions, advance, candidates_per_path


def cand(parent: int, text: str, reward: float | None, *, ends: bool = False) -> Candidate:
    return Candidate(parent, text, ends=ends, reward=reward)


def texts(paths: tuple[Path, ...]) -> list[str]:
    return ["/".join(path.steps) for path in paths]


def test_greedy_takes_the_best_and_the_first_of_equals() -> None:
    after = advance(Search(), [cand(0, "a", 0.4), cand(0, "b", 0.9), cand(0, "c", 0.9)], SearchOptions())
    assert texts(after.active) == ["b"]
    assert [one.kept for one in after.depths[0]] == [False, True, False]
    assert after.active[0].rewards == (0.9,)


def test_a_candidate_without_a_reward_is_kept_in_the_tree_and_never_chosen() -> None:
    after = advance(Search(), [cand(0, "a", None), cand(0, "b", 0.1)], SearchOptions())
    assert texts(after.active) == ["b"]
    assert [one.text for one in after.depths[0]] == ["a", "b"]
    none = advance(Search(), [cand(0, "a", None)], SearchOptions())
    assert (none.active, none.ended, none.best(SearchOptions())) == ((), (), None)
    assert none.over(SearchOptions())


def test_a_beam_keeps_the_best_paths_whatever_their_parents() -> None:
    options = SearchOptions(candidates=4, width=2)
    first = advance(Search(), [cand(0, "a", 0.9), cand(0, "b", 0.8), cand(0, "c", 0.1)], options)
    assert texts(first.active) == ["a", "b"]
    children = [cand(0, "x", 0.7), cand(0, "y", 0.6), cand(1, "x", 0.5), cand(1, "z", 0.2)]
    assert texts(advance(first, children, options).active) == ["a/x", "a/y"]
    diverse = SearchOptions(candidates=4, width=2, diverse=True)
    assert texts(advance(first, children, diverse).active) == ["a/x", "b/x"]


def test_a_path_that_has_ended_keeps_its_place_and_the_best_of_them_is_the_answer() -> None:
    options = SearchOptions(candidates=4, width=2)
    first = advance(Search(), [cand(0, "a", 0.6, ends=True), cand(0, "b", 0.9)], options)
    assert (texts(first.active), texts(first.ended)) == (["b"], ["a"])
    assert not first.over(options)
    second = advance(first, [cand(0, "c", 0.8, ends=True), cand(0, "d", 0.7)], options)
    assert (texts(second.active), texts(second.ended)) == ([], ["a", "b/c"])
    best = second.best(options)
    assert best is not None
    assert best.steps == ("b", "c")
    by_min = second.best(SearchOptions(candidates=4, width=2, rank="min"))
    assert by_min is not None
    assert by_min.steps == ("b", "c")


def test_ranks() -> None:
    path = Path(("a", "b"), (0.5, 0.8))
    assert path.score("last") == 0.8
    assert path.score("min") == 0.5
    assert path.score("product") == pytest.approx(math.log(0.4))
    assert Path(("a",), (0.0,)).score("product") == -math.inf


@given(st.integers(1, 40), st.integers(1, 40))
def test_every_candidate_of_the_budget_is_shared_out(width: int, more: int) -> None:
    options = SearchOptions(candidates=width + more, width=width)
    search = Search(active=(Path(),) * width)
    assert sum(candidates_per_path(search, options)) == options.candidates
    assert max(candidates_per_path(search, options)) - min(candidates_per_path(search, options)) <= 1


@given(st.lists(st.tuples(st.floats(0, 1) | st.none(), st.booleans()), min_size=1, max_size=8), st.integers(1, 4))
def test_a_search_comes_back_from_the_store_as_it_was(children: list[tuple[float | None, bool]], width: int) -> None:
    options = SearchOptions(candidates=8, width=width)
    found = [cand(0, f"step {n}", reward, ends=ends) for n, (reward, ends) in enumerate(children)]
    search = advance(Search(), found, options)
    assert Search.from_tree(search.as_tree()) == search
    assert len(search.active) + len(search.ended) == min(width, sum(reward is not None for reward, _ in children))


@pytest.mark.parametrize(
    "bad", [{"candidates": 0}, {"candidates": 4, "width": 5}, {"width": 0}, {"max_steps": 0}, {"rank": "mean"}]
)
def test_options_that_cannot_be_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        SearchOptions(**bad)  # type: ignore[arg-type]
