"""Judging whole solutions by critics: a critique is of all steps at once, and K of them vote.

A verdict row stands for what one critique says of one step, so a critique that names step i has a row for each step up
to i. Its text and its tokens stand with the first step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rprm_jobs.aggregation import failed_solution, rewards_of
from rprm_jobs.engine import Engine, Generation, Prompt
from rprm_jobs.errors import ItemFailure
from rprm_jobs.judge.families.critic import BOXED, CriticFamily
from rprm_jobs.judge.paragraphs import boxed_index, last_boxed
from rprm_jobs.judge.ratings import Ratings, read_ratings
from rprm_jobs.judge.recipe import critique_seed
from rprm_jobs.judge.voting import fewest_to_decide, opinions, winner
from rprm_jobs.store.records import StoredSolution
from rprm_jobs.types import Critique, Finish, ItemStatus, SolutionScore, Verdict
from rprm_jobs.words import counted
from workers.tasks.budget import Budget, Turn
from workers.tasks.common import sampled
from workers.tasks.spec import JudgeSpec


@dataclass(frozen=True, slots=True)
class Vote:
    """One critique of a solution: what stood in its box, or its ratings; both None where it has no answer."""

    text: str
    tokens: int
    finish: Finish
    answer: str | None = None
    ratings: Ratings | None = None


class CriticJudge:
    """Judges one solution as a whole. Use once."""

    def __init__(
        self, engine: Engine, budget: Budget, work: JudgeSpec, solution: StoredSolution, draining: Callable[[], bool]
    ) -> None:
        family = work.recipe.judge_family
        if not isinstance(family, CriticFamily):
            raise TypeError("a critic wants the recipe of a critic")
        self._engine, self._budget, self._work, self._solution = engine, budget, work, solution
        self._family, self._draining = family, draining
        self._votes = previous_votes(family, solution)

    async def run(self) -> SolutionScore | None:
        """The solution's outcome; None when the worker began to drain before any of it was begun."""
        turn, prompt = Turn(self._budget.begin_solution()), None
        started = bool(self._votes)
        try:
            while (wanted := self._more()) > 0:
                taken = await self._budget.take(wanted, turn)
                try:
                    if not started and self._draining():
                        return None
                    started, prompt = True, prompt or self._prompt()
                    self._votes += await self._sample(prompt, taken)
                finally:
                    self._budget.give(taken)
        except ItemFailure as failure:
            solution = self._solution
            return failed_solution(solution.ord, len(solution.steps), str(failure), judged=solution.judge_steps)
        return score_votes(self._solution, self._votes, self._family, self._work.recipe.threshold)

    def _more(self) -> int:
        left = self._work.recipe.k - len(self._votes)
        if self._work.recipe.stopping["kind"] == "fixed":
            return max(0, left)
        return fewest_to_decide([vote.answer for vote in self._votes], left)

    def _prompt(self) -> Prompt:
        solution = self._solution
        message = self._work.template.message(solution.problem, solution.steps, len(solution.steps) - 1)
        return self._engine.encode(message)

    async def _sample(self, prompt: Prompt, count: int) -> list[Vote]:
        recipe, first = self._work.recipe, len(self._votes)
        ks = range(first, first + count)
        seeds = [critique_seed(recipe.seed, self._solution.id, 0, k, self._work.round) for k in ks]
        generations = await sampled(self._engine, prompt, seeds, recipe.sampling, stop=())
        return [read_vote(generation, self._family, len(self._solution.steps)) for generation in generations]


def read_vote(generation: Generation, family: CriticFamily, n_steps: int) -> Vote:
    """What a critique answers. One that the token limit cut has no answer, unless its box was closed before."""
    text, tokens, finish = generation.text, generation.tokens, generation.finish
    if family.protocol == BOXED:
        return Vote(text, tokens, finish, answer=last_boxed(text))
    return Vote(text, tokens, finish, ratings=read_ratings(text, n_steps))


def previous_votes(family: CriticFamily, solution: StoredSolution) -> list[Vote]:
    """The votes from before an extension, from their rows; the exact words of an answer only where a text was kept."""
    by_k: dict[int, list[Critique]] = {}
    for critique in solution.previous_critiques:
        by_k.setdefault(critique.k, []).append(critique)
    return [_previous(family, rows, len(solution.steps)) for _, rows in sorted(by_k.items())]


def _previous(family: CriticFamily, rows: Sequence[Critique], n_steps: int) -> Vote:
    first = min(rows, key=lambda row: row.step)
    if first.text:
        return read_vote(Generation(first.text, first.tokens, first.finish, None), family, n_steps)
    if not first.verdict.parsed:
        return Vote("", first.tokens, first.finish)
    if family.protocol == BOXED:
        wrong = [row.step for row in rows if row.verdict is Verdict.NO]
        return Vote("", first.tokens, first.finish, answer=str(wrong[0] if wrong else -1))
    values = {row.step: 2 * (row.p_yes or 0.0) - 1 for row in rows}
    return Vote("", first.tokens, first.finish, ratings=Ratings(tuple(values[step] for step in range(n_steps))))


def score_votes(
    solution: StoredSolution, votes: Sequence[Vote], family: CriticFamily, threshold: float
) -> SolutionScore:
    """The outcome. FAILED with a reason where no critique answers, or where the winning answer names no paragraph."""
    n_steps = len(solution.steps)
    critiques = sorted(
        (row for k, vote in enumerate(votes) for row in _rows(vote, k, n_steps)), key=lambda row: (row.step, row.k)
    )
    rewards = rewards_of(critiques, n_steps)
    said = tuple(step for step in range(n_steps) if rewards[step] is not None)
    first, reason = _first_error(votes, rewards, n_steps, family, threshold)
    # Also what was not asked for is judged: a critic reads all of a solution.
    judged = said if reason is None and len(said) < n_steps else None
    return SolutionScore(
        ord=solution.ord,
        status=ItemStatus.OK if reason is None else ItemStatus.FAILED,
        rewards=rewards,
        first_error=first,
        critiques=tuple(critiques),
        reason=reason,
        judged=judged,
    )


def _first_error(
    votes: Sequence[Vote],
    rewards: Sequence[float | None],
    n_steps: int,
    family: CriticFamily,
    threshold: float,
) -> tuple[int | None, str | None]:
    answered = [vote for vote in votes if vote.answer is not None or vote.ratings is not None]
    if not answered:
        cut = sum(vote.finish is Finish.LENGTH for vote in votes)
        return None, f"no answer in any of {counted(len(votes), 'critique')}, {cut} cut by the token limit"
    if family.protocol == BOXED:
        chosen = winner([vote.answer for vote in votes])
        index = boxed_index(chosen, n_steps)
        shown = repr((chosen or "")[:60])
        return (
            index,
            None
            if index is not None
            else f"the critiques answer {shown}, which names none of {counted(n_steps, 'step')}",
        )
    wrong = (step for step, reward in enumerate(rewards) if reward is not None and reward < threshold)
    return next(wrong, -1), None


def _rows(vote: Vote, k: int, n_steps: int) -> list[Critique]:
    """What one critique says of the steps; the first row has its text and tokens."""
    said: list[tuple[int, Verdict, float | None]]
    index = boxed_index(vote.answer, n_steps)
    if vote.ratings is not None:
        values = vote.ratings.validity
        said = [(step, Verdict.YES if v > 0 else Verdict.NO, (v + 1) / 2) for step, v in enumerate(values)]
    elif index is not None:
        said = [(step, verdict, None) for step, verdict in opinions(index, n_steps)]
    else:
        cut = vote.answer is None and vote.finish is Finish.LENGTH
        said = [(0, Verdict.TRUNCATED if cut else Verdict.UNPARSED, None)]
    return [
        Critique(step, k, verdict, p_yes, 0 if at else vote.tokens, vote.finish, "" if at else vote.text)
        for at, (step, verdict, p_yes) in enumerate(said)
    ]
