"""Guided search with two engines: resumed where it was, every candidate kept, nothing judged twice, failures said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import pytest

from rprm_jobs.engine import Generation, Prompt
from rprm_jobs.errors import ConfigError
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.search.guided import Search
from rprm_jobs.types import Finish, ItemStatus, Response, Sampling, SolutionScore
from tests.support.generating import problems, searches, stored
from tests.support.jobs import JUDGE
from workers.engines.scripted.engine import ScriptedEngine, ScriptedOptions
from workers.engines.scripted.scorer import ScriptedScorer
from workers.tasks.budget import Budget
from workers.tasks.judge import JudgeClass, SolutionJudge
from workers.tasks.score import rewards_of
from workers.tasks.search import SearchModels, search_solutions
from workers.tasks.spec import JudgeSpec
from workers.tasks.thinkprm import ThinkJudge

Found = list[SolutionScore | Response]


class Policy(ScriptedEngine):
    """Writes what `say` makes of (prefill, place among the seeds)."""

    def __init__(self, say: Callable[[str, int], Generation]) -> None:
        super().__init__(JUDGE, ScriptedOptions())
        self._say = say

    async def sample(self, prompt: Prompt, seeds: Sequence[int], *_: object, **__: object) -> list[Generation]:
        return [self._say(prompt.prefill, number) for number in range(len(seeds))]


class Judge(ScriptedEngine):
    """The scripted judge, counting the prompts that it is asked about."""

    def __init__(self) -> None:
        super().__init__(JUDGE, ScriptedOptions())
        self.asked: list[str] = []

    async def sample(
        self, prompt: Prompt, seeds: Sequence[int], sampling: Sampling, *, stop: Sequence[str] | None = None
    ) -> list[Generation]:
        self.asked.append(prompt.text)
        return await super().sample(prompt, seeds, sampling, stop=stop)


def search(
    recipe: Recipe,
    policy: ScriptedEngine | None = None,
    *,
    judge: ScriptedEngine | ScriptedScorer | None = None,
    judge_class: JudgeClass = SolutionJudge,
    n: int = 1,
    partial: Mapping[int, Response] | None = None,
    draining: Callable[[Found], bool] = lambda _: False,
) -> tuple[bool, Found]:
    found: Found = []
    writes = policy or ScriptedEngine(JUDGE, ScriptedOptions())
    judges = judge or ScriptedEngine(JUDGE, ScriptedOptions())
    pair = SearchModels(writes, Budget(5), judges, Budget(7), judge_class)

    async def run() -> bool:
        for engine in (pair.policy, pair.judge):
            await engine.start()
        options = recipe.generation_config.search if recipe.generation_config else None
        assert options is not None
        return await search_solutions(
            pair,
            JudgeSpec.of(recipe, 0),
            options,
            stored(problems(n)),
            partial or {},
            found.append,
            lambda: draining(found),
        )

    return asyncio.run(run()), found


def outcomes(found: Found) -> dict[int, SolutionScore]:
    return {one.ord: one for one in found if isinstance(one, SolutionScore)}


@pytest.mark.parametrize("options", [{"candidates": 4}, {"candidates": 6, "width": 3}, {"width": 2, "diverse": True}])
def test_a_search_that_is_interrupted_at_any_depth_ends_as_one_that_is_not(options: dict[str, object]) -> None:
    recipe = searches(seed=3, **options)
    done, whole = search(recipe, n=6)
    assert done
    expected = outcomes(whole)
    assert len(expected) == 6
    assert all(score.status is ItemStatus.OK for score in expected.values())
    depth, partial = 1, dict[int, Response]()
    ended = dict[int, SolutionScore]()
    while len(ended) < 6:
        _, found = search(recipe, n=6, partial=partial, draining=lambda so_far, d=depth: len(so_far) >= d)  # type: ignore[misc]
        partial |= {one.ord: one for one in found if isinstance(one, Response)}
        ended |= outcomes(found)
        depth += 1
        assert depth < 60
    assert ended == expected


def test_the_tree_holds_every_candidate_and_the_response_its_path() -> None:
    _, found = search(searches(candidates=5, k=3))
    response = outcomes(found)[0].response
    assert response is not None
    assert response.tree is not None
    assert response.rewards is not None
    tree = Search.from_tree(response.tree)
    assert len(tree.depths) == len(response.steps) == len(response.rewards)
    for depth, step, reward in zip(tree.depths, response.steps, response.rewards, strict=True):
        assert sum(one.copies for one in depth) == 5
        (kept,) = [one for one in depth if one.kept]
        assert (kept.text, kept.reward, kept.critiques) == (step, reward, 3)
        assert kept.reward == max(one.reward for one in depth if one.reward is not None)


def test_candidates_that_are_alike_are_judged_once() -> None:
    judge = Judge()
    policy = Policy(lambda _, n: Generation("alike \\boxed{1}" if n else "other \\boxed{2}", 3, Finish.STOP, None))
    _, found = search(searches(candidates=5, k=1), policy, judge=judge)
    assert len(judge.asked) == 2
    tree = outcomes(found)[0].response
    assert tree is not None
    assert tree.tree is not None
    assert sorted(one.copies for one in Search.from_tree(tree.tree).depths[0]) == [1, 4]


def test_a_policy_that_never_ends_a_step_is_a_failure_and_said_so() -> None:
    done, found = search(searches(candidates=3), Policy(lambda *_: Generation("on and on", 64, Finish.LENGTH, None)))
    (score,) = outcomes(found).values()
    assert done
    assert (score.status, score.response) == (ItemStatus.FAILED, None)
    assert score.reason == "step 1: none of 3 candidates has a reward, 3 cut by the token limit"


def test_a_policy_that_never_ends_its_solution_stops_at_the_limit() -> None:
    policy = Policy(lambda prefill, n: Generation(f"step {len(prefill)} {n}\n\n", 4, Finish.STOP, None))
    _, found = search(searches(candidates=2, max_steps=3), policy)
    (score,) = outcomes(found).values()
    assert score.reason == "no solution ended within 3 steps"


def test_what_was_written_is_gone_on_with() -> None:
    seen: list[str] = []

    def say(prefill: str, _: int) -> Generation:
        seen.append(prefill)
        return Generation(
            f"step {prefill.count('step')}" + ("" if prefill.count("step") == 2 else "\n\n"), 3, Finish.STOP, None
        )

    _, found = search(searches(candidates=1), Policy(say))
    assert seen == ["", "step 0\n\n", "step 0\n\nstep 1\n\n"]
    response = outcomes(found)[0].response
    assert response is not None
    assert response.steps == ("step 0", "step 1", "step 2")


@pytest.mark.parametrize("family", ["math-shepherd", "skywork-prm", "pure-prm"])
def test_a_judge_that_scores_guides_by_its_reward_of_the_last_step(family: str) -> None:
    judge = resolve_judge("scripted", family)
    scores, scorer = judge.family, ScriptedScorer(judge, ScriptedOptions())
    assert isinstance(scores, ScoreFamily)
    _, found = search(searches(k=None, judge=judge, candidates=4, width=2), judge=scorer, n=3)
    problem = {one.ord: one for one in stored(problems(3))}
    for one in outcomes(found).values():
        assert one.status is ItemStatus.OK
        assert one.response is not None
        expected = asyncio.run(rewards_of(scorer, scores, problem[one.ord].problem, one.response.steps))
        assert one.response.rewards == pytest.approx(expected)


def test_thinkprm_guides_by_its_own_question() -> None:
    judge = resolve_judge("scripted", "thinkprm")
    engine = ScriptedEngine(judge, ScriptedOptions())
    _, found = search(searches(k=1, judge=judge, candidates=2), judge=engine, judge_class=ThinkJudge)
    (one,) = outcomes(found).values()
    assert one.status is ItemStatus.OK


def test_what_cannot_guide_a_search_is_refused() -> None:
    with pytest.raises(ConfigError, match="critic judges whole solutions"):
        searches(k=1, judge=resolve_judge("scripted", "critic"))
    with pytest.raises(ConfigError, match="those of pqm can be below 0"):
        searches(k=None, judge=resolve_judge("scripted", "pqm"), rank="product")
    queues = {searches(k=None, judge=resolve_judge("scripted", name)).queue for name in ("pqm", "er-prm", "rprm")}
    assert len(queues) == 3
