"""The log-ratio of two language models over a solution (EurusPRM), by two engines of vLLM side by side.

Each says how likely every token of the solution is behind those before it, in one prefill; nothing is sampled that
anybody reads. The memory of a GPU is shared equally, unless the engine's arguments say another part.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from rprm_jobs.engine import EngineInfo, EngineStats, SolutionPrompt
from rprm_jobs.errors import ConfigError, EngineError, PromptTooLong
from rprm_jobs.judge.encode_solution import SolutionEncoder
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.resolve import Judge
from workers.engines.loading import check_weights, load_tokenizer
from workers.engines.reference import check_vocabularies, reference_of
from workers.engines.vllm.arguments import engine_arguments
from workers.engines.vllm.core import VllmCore, answer_of, died, set_environment

# Of a GPU's memory, for each of the two.
_PART = 0.45
_MEMORY = {"gpu_memory_utilization", "kv_cache_memory_bytes"}


class VllmLogRatio:
    """Implements the Scorer protocol with a judge and the reference that its family names."""

    def __init__(self, judge: Judge, options: Mapping[str, str]) -> None:
        family = judge.family
        if not isinstance(family, ScoreFamily):
            raise ConfigError(f"family {family.name} does not score")
        set_environment()
        self._family, self._judge = family, judge
        self._reference = reference_of(judge)
        self._arguments = [_arguments(model, options) for model in (judge, self._reference)]
        self._cores = [VllmCore(judge, self._arguments[0]), VllmCore(self._reference, self._arguments[1])]
        self._llms: list[Any] = []
        self._encoder: SolutionEncoder | None = None
        self._numbers = itertools.count()
        self._max_len = 0

    async def start(self) -> EngineInfo:
        """Load both, one after the other. Nothing is left running when it fails."""
        import vllm

        await asyncio.to_thread(self._prepare)
        try:
            self._llms = [await core.start() for core in self._cores]
            ours, theirs = (int(llm.model_config.get_vocab_size()) for llm in self._llms)
            check_vocabularies(self._judge, self._reference, ours, theirs)
        except BaseException:
            await self.close()
            raise
        self._max_len = min(int(llm.model_config.max_model_len) for llm in self._llms)
        return EngineInfo("vllm", vllm.__version__, self._max_len)

    def _prepare(self) -> None:
        for model, arguments in zip((self._judge, self._reference), self._arguments, strict=True):
            check_weights(model, allow_pickle=arguments.load_format != "safetensors")
        tokenizer = load_tokenizer(self._judge, trust_remote_code=self._arguments[0].trust_remote_code)
        self._encoder = SolutionEncoder(tokenizer, self._family)

    def encode_solution(self, problem: str, steps: Sequence[str]) -> SolutionPrompt:
        """The solution's ids, places and beginning."""
        if self._encoder is None:
            raise EngineError("the engine was not started")
        encoded = self._encoder.encode(problem, steps)
        return SolutionPrompt(encoded.ids, encoded.places, encoded.answer)

    async def score(self, prompt: SolutionPrompt) -> list[tuple[float, ...]]:
        """For each place the sum of log p(model) - log p(reference) over the solution's tokens up to and with it."""
        if not self._llms or any(llm.errored for llm in self._llms):
            raise died()
        # vLLM generates one token at the least.
        if len(prompt.ids) >= self._max_len:
            raise PromptTooLong(tokens=len(prompt.ids), limit=self._max_len, room=1)
        ours, theirs = await asyncio.gather(*(self._log_probs(llm, prompt.ids) for llm in self._llms))
        ratios = [a - b for a, b in zip(ours, theirs, strict=True)]
        sums = list(accumulate(ratios[prompt.answer :]))
        return [(sums[place - prompt.answer],) for place in prompt.places]

    async def _log_probs(self, llm: Any, ids: Sequence[int]) -> list[float]:
        """Of each token behind those before it; 0 for the first."""
        from vllm import SamplingParams

        params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
        prompt = {"type": "token", "prompt_token_ids": list(ids)}
        likely = (await answer_of(llm.generate(prompt, params, str(next(self._numbers))))).prompt_logprobs
        return [
            0.0,
            *(float(likely_token[token].logprob) for likely_token, token in zip(likely[1:], ids[1:], strict=True)),
        ]

    def stats(self) -> EngineStats:
        """Totals so far, of the judge alone."""
        return self._cores[0].totals.read()

    async def close(self) -> None:
        """Shut both down and see to it that none of their processes is left."""
        self._llms = []
        first, second = self._cores
        # The second first: to the other, whatever was started after it looks like its own.
        try:
            await second.close()
        finally:
            await first.close()


def _arguments(model: Judge, options: Mapping[str, str]) -> Any:
    arguments = engine_arguments(model, options)
    # The likelihood of a token whose hidden state was cached is not known.
    arguments.enable_prefix_caching = False
    if not _MEMORY & {name.replace("-", "_") for name in options}:
        arguments.gpu_memory_utilization = _PART
    return arguments
