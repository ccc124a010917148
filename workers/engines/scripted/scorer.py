"""The scripted scorer: scores that are a function of the problem and the steps so far, for tests, load and dry runs.

The markers of `script.py` count in every step of the solution: faults happen once a solution, `yes` and `no` decide the
step that holds them.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Sequence

from rprm_jobs.engine import EngineInfo, EngineStats, SolutionPrompt
from rprm_jobs.errors import ConfigError, PromptTooLong
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.resolve import Judge
from workers.engines.scripted.engine import ScriptedOptions
from workers.engines.scripted.script import Effect, act

_CHARS_PER_TOKEN = 4
_BREAK = "\x1f"
# Of the same spread as the scripted critiques' votes.
_YES_SHAPE = (0.52, 0.18)
_LEAST = 1e-6


class ScriptedScorer:
    """Implements the Scorer protocol with no model behind it; `delay_s` is what a solution takes."""

    def __init__(self, judge: Judge, options: ScriptedOptions) -> None:
        if not isinstance(judge.family, ScoreFamily):
            raise ConfigError(f"family {judge.family.name} does not score")
        self._family, self._options = judge.family, options
        self._tokens = 0

    async def start(self) -> EngineInfo:
        """Nothing is loaded."""
        return EngineInfo("scripted", "1", self._options.max_model_len)

    def encode_solution(self, problem: str, steps: Sequence[str]) -> SolutionPrompt:
        """The texts as they are; the places are their numbers."""
        return SolutionPrompt((), tuple(range(len(steps))), text=_BREAK.join((problem, *steps)))

    async def score(self, prompt: SolutionPrompt) -> list[tuple[float, ...]]:
        """Numbers of the family's head for each step; faults that markers ask for happen here."""
        tokens = len(prompt.text) // _CHARS_PER_TOKEN
        if tokens > self._options.max_model_len:
            raise PromptTooLong(tokens=tokens, limit=self._options.max_model_len, room=0)
        pieces = prompt.text.split(_BREAK)
        steps = pieces[len(pieces) - len(prompt.places) :]
        effects = [act(step) if "[[scripted:" in step else Effect() for step in steps]
        await asyncio.sleep(self._options.delay_s + sum(effect.slow_s for effect in effects))
        self._tokens += tokens
        digest = hashlib.blake2b(pieces[0].encode(errors="surrogatepass"), digest_size=8)
        return [self._numbers(digest, step, effect) for step, effect in zip(steps, effects, strict=True)]

    def stats(self) -> EngineStats:
        """Totals so far, in tokens of 4 characters."""
        return EngineStats(self._tokens, 0)

    async def close(self) -> None:
        """Nothing runs, so nothing stops."""

    def _numbers(self, digest: hashlib.blake2b, step: str, effect: Effect) -> tuple[float, ...]:
        """A step's score depends on it and on what stands before it, as a causal model's does."""
        digest.update(_BREAK.encode() + step.encode(errors="surrogatepass"))
        chance = random.Random(int.from_bytes(digest.digest(), "big")).betavariate(*_YES_SHAPE)
        chance = chance if effect.chance is None else effect.chance
        return tuple(self._family.outputs_of(min(1.0 - _LEAST, max(_LEAST, chance))))
