"""Judging prefixes by ThinkPRM's chains: a chain over the solution up to a step, then the choice of yes or no."""

from __future__ import annotations

import math
from functools import cached_property

from rprm_jobs.engine import Generation, Prompt
from rprm_jobs.judge.families.thinkprm import OPENING, QUESTION, ThinkPrmFamily, without_number
from rprm_jobs.judge.recipe import critique_seed
from rprm_jobs.types import Critique, Message, Verdict
from workers.tasks.common import run_all, sampled
from workers.tasks.judge import SolutionJudge


class ThinkJudge(SolutionJudge):
    """Judges one solution, a chain for every prefix and k. Use once."""

    @cached_property
    def _steps(self) -> list[str]:
        """The steps without numbers of their own: the prompt numbers them."""
        return [without_number(step) for step in self._solution.steps]

    def _message(self, step: int) -> Message:
        return self._work.template.message(self._solution.problem, self._steps, step)

    def _prompt(self, step: int) -> Prompt:
        return self._engine.encode(self._message(step), OPENING)

    async def _sample(self, step: int, prompt: Prompt, first_k: int, count: int) -> list[Critique]:
        recipe = self._work.recipe
        ks = range(first_k, first_k + count)
        seeds = [critique_seed(recipe.seed, self._solution.id, step, k, self._work.round) for k in ks]
        stops = ThinkPrmFamily.stop_strings(step + 1)
        chains = await sampled(self._engine, prompt, seeds, recipe.sampling, stop=stops)
        return await run_all([self._decide(step, k, chain) for k, chain in zip(ks, chains, strict=True)])

    async def _decide(self, step: int, k: int, chain: Generation) -> Critique:
        """Ask for yes or no behind the chain, whichever way it ended; the question's token counts."""
        family = self._work.recipe.judge_family
        if not isinstance(family, ThinkPrmFamily):
            raise TypeError("a chain wants the recipe of ThinkPRM")
        text = chain_text(chain.text, step + 1)
        yes, no = await self._engine.choose(self._message(step), OPENING + text + QUESTION, ("yes", "no"))
        p_yes = decide(yes, no, family.decision_temperature)
        verdict = Verdict.YES if p_yes >= self._work.recipe.threshold else Verdict.NO
        word = "yes" if verdict is Verdict.YES else "no"
        return Critique(step, k, verdict, p_yes, chain.tokens + 1, chain.finish, text + QUESTION + word)


def chain_text(text: str, n_steps: int) -> str:
    """The chain without the stop string that ended it, so that the question is asked once."""
    for stop in ThinkPrmFamily.stop_strings(n_steps):
        if text.endswith(stop):
            return text[: -len(stop)].rstrip()
    return text.rstrip()


def decide(yes: float, no: float, temperature: float) -> float:
    """P(yes) in [0, 1]: the softmax of the two log-probabilities over the decision's temperature."""
    scaled = [value / temperature for value in (yes, no)]
    most = max(scaled)
    weights = [math.exp(value - most) for value in scaled]
    return weights[0] / math.fsum(weights)
