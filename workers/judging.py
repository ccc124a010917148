"""Judging on the engine's loop: solutions in order, their steps side by side, critiques as the policy asks for them.

A fact about one solution becomes that solution's failed outcome; anything else ends the attempt at the shard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rprm_jobs.aggregation import failed_solution, score_solution
from rprm_jobs.engine import Engine, Generation, Prompt
from rprm_jobs.errors import ItemFailure, RprmError
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.recipe import Recipe, critique_seed
from rprm_jobs.judge.verdict import read_verdict
from rprm_jobs.sampling import Policy, make_policy
from rprm_jobs.store.records import StoredSolution
from rprm_jobs.types import Critique, SolutionScore


class AttemptFailed(RprmError):
    """The engine raised something that is neither a fact about a solution nor its own death."""


class StepFailed(ItemFailure):
    """A fact about one step, which its solution fails with."""


class Budget:
    """Bounds the critiques in flight on one engine, first come first served across all shards.

    It is what keeps solutions finishing in order: an engine that is given ten thousand requests at once works on all
    of them and finishes none.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._semaphore = asyncio.Semaphore(limit)

    async def take(self, wanted: int) -> int:
        """Wait for room; returns how many of the `wanted` critiques may start (at least 1)."""
        await self._semaphore.acquire()
        taken = 1
        while taken < wanted and not self._semaphore.locked():
            await self._semaphore.acquire()
            taken += 1
        return taken

    def give(self, count: int) -> None:
        """Those critiques are finished."""
        for _ in range(count):
            self._semaphore.release()


@dataclass(frozen=True, slots=True)
class Work:
    """What one attempt judges by."""

    recipe: Recipe
    template: PromptTemplate
    policy: Policy
    round: int

    @classmethod
    def of(cls, recipe: Recipe, round_: int) -> Work:
        """From the job's recipe. Raises ConfigError when this version cannot read it."""
        policy = make_policy(recipe.policy, k=recipe.k, threshold=recipe.threshold)
        return cls(recipe, PromptTemplate.parse(recipe.prompt), policy, round_)


async def judge_solutions(
    engine: Engine,
    budget: Budget,
    work: Work,
    solutions: Sequence[StoredSolution],
    emit: Callable[[SolutionScore], None],
    draining: Callable[[], bool],
) -> bool:
    """Judge all solutions, handing each outcome to `emit` as it comes. False when draining kept some from starting.

    Raises EngineDied, or AttemptFailed; outcomes emitted before stay good.
    """

    async def one(solution: StoredSolution) -> bool:
        judged = await _SolutionJudge(engine, budget, work, solution, draining).run()
        if judged is not None:
            emit(judged)
        return judged is not None

    tasks = [asyncio.ensure_future(one(solution)) for solution in solutions]
    try:
        return all(await asyncio.gather(*tasks))
    finally:
        await _cancel(tasks)


class _SolutionJudge:
    def __init__(
        self,
        engine: Engine,
        budget: Budget,
        work: Work,
        solution: StoredSolution,
        draining: Callable[[], bool],
    ) -> None:
        self._engine, self._budget, self._work, self._solution = engine, budget, work, solution
        self._draining = draining
        self._begun = False

    async def run(self) -> SolutionScore | None:
        """The solution's outcome; None when the worker began to drain before any of it was begun."""
        solution = self._solution
        n_steps = len(solution.steps)
        tasks = [asyncio.ensure_future(self._judge_step(step)) for step in solution.judged_steps]
        try:
            groups = await asyncio.gather(*tasks)
        except ItemFailure as failure:
            return failed_solution(solution.ord, n_steps, str(failure), judged=solution.judge_steps)
        finally:
            await _cancel(tasks)
        if any(group is None for group in groups):
            return None
        critiques = [critique for group in groups for critique in group or ()]
        threshold = self._work.recipe.threshold
        return score_solution(solution.ord, n_steps, critiques, threshold, judged=solution.judge_steps)

    async def _judge_step(self, step: int) -> list[Critique] | None:
        critiques: list[Critique] = []
        prompt: Prompt | None = None
        while (wanted := self._work.policy.more(critiques)) > 0:
            taken = await self._budget.take(wanted)
            try:
                if not self._begun and self._draining():
                    return None
                self._begun = True
                prompt = prompt or self._prompt(step)
                critiques += await self._sample(step, prompt, len(critiques), taken)
            except ItemFailure as failure:
                raise StepFailed(f"step {step + 1}: {failure}") from failure
            finally:
                self._budget.give(taken)
        return critiques

    def _prompt(self, step: int) -> Prompt:
        solution = self._solution
        return self._engine.encode(self._work.template.render(solution.problem, solution.steps, step))

    async def _sample(self, step: int, prompt: Prompt, first_k: int, count: int) -> list[Critique]:
        recipe = self._work.recipe
        ks = range(first_k, first_k + count)
        seeds = [critique_seed(recipe.seed, self._solution.id, step, k, self._work.round) for k in ks]
        try:
            generations = await self._engine.sample(prompt, seeds, recipe.sampling)
        except SystemExit as error:
            # asyncio would let it end the loop, and with it every other shard's work.
            raise AttemptFailed(f"the engine raised SystemExit({error.code})") from error
        return [_critique(step, k, made) for k, made in zip(ks, generations, strict=True)]


def _critique(step: int, k: int, made: Generation) -> Critique:
    verdict = read_verdict(made.text, made.finish)
    p_yes = made.p_yes if verdict.parsed else None
    return Critique(step, k, verdict, p_yes, made.tokens, made.finish, made.text)


async def _cancel(tasks: Sequence[asyncio.Future[object]] | Sequence[asyncio.Task[object]]) -> None:
    live = [task for task in tasks if not task.done()]
    for task in live:
        task.cancel()
    await asyncio.gather(*live, return_exceptions=True)
