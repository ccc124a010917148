"""Guided search on the engines' loop: the policy proposes next steps and the judge decides which to keep.

All problems of all shards search at the same time, so both engines work on hundreds of candidates and critiques at
once. After each depth the search is emitted as it stands, so that another worker can continue it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from rprm_jobs.aggregation import failed_solution
from rprm_jobs.engine import Engine, Generation, Scorer
from rprm_jobs.errors import ConfigError, ItemFailure
from rprm_jobs.evaluation.answers import stated_answer
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.recipe import GenerationConfig, critique_seed
from rprm_jobs.search.guided import Candidate, Path, Search, SearchOptions, advance, candidates_per_path
from rprm_jobs.store.records import StoredSolution
from rprm_jobs.types import Finish, Response, SolutionScore
from rprm_jobs.words import counted
from workers.tasks.budget import Budget, Turn
from workers.tasks.common import Emit, run_concurrently, sampled
from workers.tasks.judge import JudgeClass, SolutionJudge
from workers.tasks.rollout import generation_config_of, message, written
from workers.tasks.score import rewards_of
from workers.tasks.spec import JudgeSpec


@dataclass(frozen=True, slots=True)
class SearchModels:
    """The two engines of a search, each with its bound on what is in flight, and how a judge that writes judges."""

    policy: Engine
    policy_budget: Budget
    judge: Engine | Scorer
    judge_budget: Budget
    judge_class: JudgeClass = SolutionJudge


async def search_solutions(
    pair: SearchModels,
    work: JudgeSpec,
    options: SearchOptions,
    problems: Sequence[StoredSolution],
    partial: Mapping[int, Response],
    emit: Emit,
    draining: Callable[[], bool],
) -> bool:
    """Search for all problems; those in `partial` continue. False when the worker drained and left some unfinished.

    Raises EngineDied or AttemptFailed; what was emitted before stays good.
    """
    generation_config = generation_config_of(work.recipe)

    async def search(problem: StoredSolution) -> SolutionScore | None:
        return await _Searcher(pair, work, generation_config, options, problem).run(
            partial.get(problem.ord), emit, draining
        )

    return await run_concurrently(problems, search, emit)


@dataclass(slots=True)
class _Searcher:
    pair: SearchModels
    work: JudgeSpec
    generation_config: GenerationConfig
    options: SearchOptions
    problem: StoredSolution
    tokens: int = 0
    number: int = 0

    async def run(self, partial: Response | None, emit: Emit, draining: Callable[[], bool]) -> SolutionScore | None:
        """The outcome; None when the worker drains before the search is over."""
        search = Search() if partial is None or partial.tree is None else Search.from_tree(partial.tree)
        self.tokens = 0 if partial is None else partial.tokens
        self.number = self.pair.policy_budget.begin_solution()
        try:
            while not search.over(self.options):
                if draining():
                    return None
                search = advance(search, await self._expand(search), self.options)
                emit(self._response(search, (*search.active, Path())[0], None))
        except ItemFailure as failure:
            return failed_solution(self.problem.ord, 0, str(failure))
        return self._outcome(search)

    async def _expand(self, search: Search) -> list[Candidate]:
        """The candidates of the next depth, judged."""
        groups = await asyncio.gather(
            *(
                self._propose(search, parent, count)
                for parent, count in enumerate(candidates_per_path(search, self.options))
            )
        )
        proposed = [candidate for group in groups for candidate in group]
        judged = await asyncio.gather(*(self._judge(search, n, candidate) for n, candidate in enumerate(proposed)))
        return list(judged)

    async def _propose(self, search: Search, parent: int, count: int) -> list[Candidate]:
        path, budget = search.active[parent], self.pair.policy_budget
        prefill = "".join(step + self.generation_config.separator for step in path.steps)
        prompt = self.pair.policy.encode(message(self.generation_config, self.problem.problem), prefill)
        place = f"{self.problem.id}\x1e{parent}"
        depth, seed, stop = len(search.depths), self.work.recipe.seed, (self.generation_config.separator,)
        seeds = [critique_seed(seed, place, depth, number, self.work.round) for number in range(count)]
        generations = list[Generation]()
        while len(generations) < count:
            taken = await budget.take(count - len(generations), Turn(self.number))
            try:
                now = seeds[len(generations) : len(generations) + taken]
                generations += await sampled(self.pair.policy, prompt, now, self.generation_config.sampling, stop=stop)
            finally:
                budget.give(taken)
        self.tokens += sum(generation.tokens for generation in generations)
        return _distinct(parent, generations, self.generation_config.separator)

    async def _judge(self, search: Search, number: int, candidate: Candidate) -> Candidate:
        if candidate.cut or not candidate.text:
            return candidate
        steps = (*search.active[candidate.parent].steps, candidate.text)
        if isinstance(self.pair.judge, Scorer):
            return await self._score(self.pair.judge, candidate, steps)
        depth = len(steps) - 1
        stored = StoredSolution(
            self.problem.ord, f"{self.problem.id}\x1e{number}", self.problem.problem, steps, (depth,)
        )
        # A depth is judged as a whole or not at all: draining is checked between depths.
        judge = self.pair.judge_class(self.pair.judge, self.pair.judge_budget, self.work, stored, lambda: False)
        score = await judge.run()
        if score is None:
            raise RuntimeError("a judge that does not drain gave no outcome")
        self.tokens += sum(critique.tokens for critique in score.critiques)
        return replace(candidate, reward=score.rewards[depth], critiques=len(score.critiques), reason=score.reason)

    async def _score(self, scorer: Scorer, candidate: Candidate, steps: Sequence[str]) -> Candidate:
        """By a judge that scores: one pass over the path, of which the last step's reward counts."""
        family, budget = self.work.recipe.judge_family, self.pair.judge_budget
        if not isinstance(family, ScoreFamily):
            raise ConfigError(f"family {family.name} needs an engine that writes", hint="start a worker for this judge")
        taken = await budget.take(1, Turn(self.number))
        try:
            rewards = await rewards_of(scorer, family, self.problem.problem, steps)
        except ItemFailure as failure:
            return replace(candidate, reason=str(failure))
        finally:
            budget.give(taken)
        return replace(candidate, reward=rewards[-1])

    def _outcome(self, search: Search) -> SolutionScore:
        path = search.best(self.options)
        if path is None:
            return failed_solution(self.problem.ord, 0, _why(search, self.options))
        text = self.generation_config.separator.join(path.steps)
        answer = stated_answer(text, self.generation_config.answer_pattern)
        return written(self._response(search, path, Finish.STOP, answer))

    def _response(self, search: Search, path: Path, finish: Finish | None, answer: str | None = None) -> Response:
        return Response(self.problem.ord, path.steps, finish, self.tokens, answer, path.rewards, search.as_tree())


def _distinct(parent: int, generations: Sequence[Generation], separator: str) -> list[Candidate]:
    """One candidate for each different text, in the order of sampling: a step is judged once."""
    copies: dict[tuple[str, bool, bool], int] = Counter()
    for generation in generations:
        cut = generation.finish is Finish.LENGTH
        ends = not cut and not generation.text.endswith(separator)
        copies[generation.text.removesuffix(separator).strip(), ends, cut] += 1
    nothing = "the policy wrote nothing"
    return [
        Candidate(parent, text, count, ends=ends, cut=cut, reason=None if text else nothing)
        for (text, ends, cut), count in copies.items()
    ]


def _why(search: Search, options: SearchOptions) -> str:
    """Why a search has no answer."""
    if search.active:
        return f"no solution ended within {counted(options.max_steps, 'step')}"
    last = search.depths[-1]
    cut = sum(candidate.copies for candidate in last if candidate.cut)
    reason = next((candidate.reason for candidate in last if candidate.reason), None)
    among = counted(sum(candidate.copies for candidate in last), "candidate")
    return f"step {len(search.depths)}: none of {among} has a reward, {cut} cut by the token limit" + (
        f"; {reason}" if reason else ""
    )
