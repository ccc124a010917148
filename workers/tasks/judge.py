"""Judging: solutions in order, the steps of each at the same time, as many critiques as the stopping rule asks for.

An error that belongs to one solution becomes its failed outcome; any other error ends the attempt at the shard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from rprm_jobs.aggregation import failed_solution, score_solution, screened_steps, step_reward
from rprm_jobs.engine import Engine, Generation, Prompt
from rprm_jobs.errors import ItemFailure
from rprm_jobs.judge.judgement import content_seed, step_contents
from rprm_jobs.judge.recipe import BY_CONTENT, critique_seed
from rprm_jobs.judge.verdict import MARKER, p_yes, read_verdict, thinking_closing
from rprm_jobs.stopping import StepContext, StoppingRule
from rprm_jobs.store.records import Known, StoredSolution
from rprm_jobs.types import Critique, SolutionScore, Verdict
from workers.tasks.budget import Budget, Turn
from workers.tasks.common import Emit, cancel, run_all, run_concurrently, sampled
from workers.tasks.judging import Judgement, Judging
from workers.tasks.reuse import decide
from workers.tasks.spec import JudgeSpec

# Of two words equally likely the judge is taken to say Yes, as a reward of 0.5 is not below the usual threshold.
_EVEN = 0.5


class StepFailed(ItemFailure):
    """The step cannot be judged; the solution fails with this reason."""


class Judge(Protocol):
    """Judges one solution."""

    async def run(self) -> SolutionScore | None:
        """The outcome; None when the worker began to drain before any of it was begun."""
        ...


# Engine, budget, work, solution, and whether the worker drains.
JudgeClass = Callable[[Engine, Budget, JudgeSpec, StoredSolution, Callable[[], bool]], Judge]


async def judge_solutions(
    engine: Engine,
    budget: Budget,
    work: JudgeSpec,
    solutions: Sequence[StoredSolution],
    emit: Emit,
    draining: Callable[[], bool],
    judge_class: JudgeClass | None = None,
    *,
    judging: Judging | None = None,
) -> bool:
    """Judge all solutions and pass each outcome to `emit`. False when the worker drained before some were begun.

    `judge_class` is how each is judged, by default as R-PRM does; then steps with equal keys are judged once where
    `judging` is given, which several jobs may share.

    Raises EngineDied or AttemptFailed; outcomes that were emitted before stay good.
    """

    def judge_of(solution: StoredSolution) -> Judge:
        if judge_class is not None:
            return judge_class(engine, budget, work, solution, draining)
        return SolutionJudge(engine, budget, work, solution, draining, judging)

    return await run_concurrently(solutions, lambda solution: judge_of(solution).run(), emit)


class SolutionJudge:
    """Judges one solution. Use once."""

    def __init__(
        self,
        engine: Engine,
        budget: Budget,
        work: JudgeSpec,
        solution: StoredSolution,
        draining: Callable[[], bool],
        judging: Judging | None = None,
    ) -> None:
        self._engine, self._budget, self._work, self._solution = engine, budget, work, solution
        self._draining, self._judging = draining, judging
        by_content = work.recipe.seed_rule == BY_CONTENT
        contents = solution.contents or (step_contents(solution.problem, solution.steps) if by_content else ())
        self._contents = contents if by_content else None
        self._started = False
        self._plan: int | None = None
        number, guessing = budget.begin_solution(), work.recipe.until_first_error
        self._turns = [
            Turn(number, place if guessing else 0, work.urgent) for place in range(len(solution.judged_steps))
        ]
        self._tasks: list[asyncio.Task[list[Critique] | None]] = []
        self._rewards: list[float | None] = [None] * len(solution.steps)
        self._screen = screened_steps(solution.screen, work.recipe.screen_weight, len(solution.steps))

    async def run(self) -> SolutionScore | None:
        """The solution's outcome; None when the worker began to drain before any of it was begun."""
        solution = self._solution
        n_steps = len(solution.steps)
        self._tasks = [asyncio.ensure_future(self._judge_step(place)) for place in range(len(self._turns))]
        try:
            groups = await (self._needed() if self._work.recipe.until_first_error else asyncio.gather(*self._tasks))
        except ItemFailure as failure:
            return failed_solution(solution.ord, n_steps, str(failure), judged=solution.judge_steps)
        finally:
            await cancel(self._tasks)
        if any(group is None for group in groups):
            return None
        critiques = [critique for group in groups for critique in group or ()]
        cut = len(groups) < len(self._tasks)
        judged = tuple(solution.judged_steps[: len(groups)]) if cut else solution.judge_steps
        threshold = self._work.recipe.threshold
        score = score_solution(solution.ord, n_steps, critiques, threshold, judged=judged, screen=self._screen)
        return replace(score, keys=solution.keys, plan=self._plan)

    async def _needed(self) -> list[list[Critique] | None]:
        """The critiques of the steps in order, up to the one that ends the solution."""
        groups: list[list[Critique] | None] = []
        for place, task in enumerate(self._tasks):
            groups.append(group := await task)
            if group is None or self._ends(place, group):
                break
        return groups

    def _ends(self, place: int, critiques: Sequence[Critique]) -> bool:
        # A step without any verdict leaves the solution without an outcome, so later steps are needless too.
        reward = step_reward(critiques, self._screen[self._solution.judged_steps[place]])
        return reward is None or reward < self._work.recipe.threshold

    async def _judge_step(self, place: int) -> list[Critique] | None:
        await self._in_order(place)
        step = self._solution.judged_steps[place]
        if self._judging is None or not self._solution.keys:
            return await self._sample_step(place, step, Judgement())
        async with self._judging.hold(self._solution.keys[step]) as judgement:
            return await self._sample_step(place, step, judgement)

    async def _in_order(self, place: int) -> None:
        """Where the rule looks at earlier steps, wait until they are decided."""
        if self._rule.in_order and place:
            await asyncio.wait([self._tasks[place - 1]])

    def _begin(self, place: int, critiques: Sequence[Critique], room: int, asked: StoppingRule) -> int:
        """How many critiques to sample now that there is room for so many: fewer where a plan came since `asked`."""
        self._started = True
        if self._rule is asked:
            return room
        if self._rule.in_order and place and not self._tasks[place - 1].done():
            return 0
        return min(room, self._more(place, critiques))

    async def _sample_step(self, place: int, step: int, judgement: Judgement) -> list[Critique] | None:
        """The step's critiques: those it has, those that are known, and as many new ones as the rule asks for."""
        critiques = [critique for critique in self._solution.previous_critiques if critique.step == step]
        known = self._known(step)
        judgement.offer(critiques)
        if known is not None and known.with_texts:
            judgement.offer(known.critiques)
        prompt: Prompt | None = None
        if critiques or self._screen[step] is not None:
            self._settle(place, critiques)
        # The rule first: one that another thread adopts between the two is noticed when there is room.
        while (asked := self._rule) and (wanted := self._more(place, critiques)) > 0:
            if reused := judgement.after(len(critiques), wanted, known, self._work.recipe):
                critiques += [replace(critique, step=step, reused=True) for critique in reused]
                self._settle(place, critiques)
                continue
            wanted = judgement.missing(len(critiques), wanted, known, self._work.recipe)
            taken = await self._budget.take(wanted, self._turns[place])
            try:
                if not self._started and self._draining():
                    return None
                wanted = self._begin(place, critiques, taken, asked)
                self._budget.give(taken - wanted)
                taken = wanted
                if not wanted:
                    await self._in_order(place)
                    continue
                prompt = prompt or self._prompt(step)
                new = await self._sample(step, prompt, len(critiques), wanted)
                critiques += new
                judgement.extend(new)
                self._settle(place, critiques)
            except ItemFailure as failure:
                raise StepFailed(f"step {step + 1}: {failure}") from failure
            finally:
                self._budget.give(taken)
        self._rewards[step] = step_reward(critiques, self._screen[step])
        return critiques

    def _known(self, step: int) -> Known | None:
        """What the store has of the step, as far as it may be taken."""
        known = self._solution.known.get(step)
        if known is None or not known.if_decided or decide(self._rule, known.critiques, self._context(step)):
            return known
        return None

    @property
    def _rule(self) -> StoppingRule:
        return self._work.stopping.now[0]

    def _more(self, place: int, critiques: Sequence[Critique]) -> int:
        rule, self._plan = self._work.stopping.now
        return rule.more(critiques, self._context(self._solution.judged_steps[place]))

    def _context(self, step: int) -> StepContext:
        screen = self._solution.screen
        earlier = tuple(self._rewards[:step]) if self._rule.in_order else ()
        return StepContext(step, earlier, None if screen is None else screen[step])

    def _settle(self, place: int, critiques: Sequence[Critique]) -> None:
        """When a step is decided, cancel the later ones or move them up. Runs before the step gives its room away."""
        if not self._work.recipe.until_first_error or self._more(place, critiques):
            return
        if self._ends(place, critiques):
            for task in self._tasks[place + 1 :]:
                task.cancel()
        else:
            for turn in self._turns[place + 1 :]:
                self._budget.advance(turn)

    def _prompt(self, step: int) -> Prompt:
        solution = self._solution
        return self._engine.encode(self._work.template.message(solution.problem, solution.steps, step))

    async def _sample(self, step: int, prompt: Prompt, first_k: int, count: int) -> list[Critique]:
        recipe = self._work.recipe
        ks = range(first_k, first_k + count)
        seeds = [self._seed(step, k) for k in ks]
        generations = await sampled(self._engine, prompt, seeds, recipe.sampling)
        rule = recipe.parse_rule
        critiques = [_critique(step, k, generation, rule) for k, generation in zip(ks, generations, strict=True)]
        if not recipe.force_verdict:
            return critiques
        return await run_all([self._with_verdict(critique) for critique in critiques])

    async def _with_verdict(self, critique: Critique) -> Critique:
        """The critique as it is, or with the verdict that the judge gives when its critique is continued with the line.

        The text stays what the judge wrote by itself: a forced verdict is nobody's example.
        """
        if critique.verdict.parsed:
            return critique
        message = self._work.template.message(self._solution.problem, self._solution.steps, critique.step)
        before = f"{critique.text}{thinking_closing(critique.text)}\n{MARKER}"
        yes, no = await self._engine.choose(message, before, (" Yes", " No"))
        chance = p_yes(yes, no)
        verdict = Verdict.YES if chance >= _EVEN else Verdict.NO
        return replace(critique, verdict=verdict, p_yes=chance, tokens=critique.tokens + 1, forced=True)

    def _seed(self, step: int, k: int) -> int:
        recipe, epoch = self._work.recipe, self._work.round
        if self._contents is not None:
            return content_seed(recipe.seed, self._contents[step], k, epoch)
        return critique_seed(recipe.seed, self._solution.id, step, k, epoch)


def _critique(step: int, k: int, generation: Generation, parse_rule: str) -> Critique:
    verdict = read_verdict(generation.text, generation.finish, parse_rule)
    chance = generation.p_yes if verdict.parsed else None
    return Critique(step, k, verdict, chance, generation.tokens, generation.finish, generation.text)
