"""Scoring judges with vLLM's pooling engine: one prefill a solution, the head's numbers at every token.

All tokens are returned and the places picked here: vLLM's own way, by the tag's id, would read a tag that a step
quotes, and finds none that stands before the tag.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from rprm_jobs.engine import EngineInfo, EngineStats, SolutionPrompt
from rprm_jobs.errors import ConfigError, EngineError, JudgeError, PromptTooLong
from rprm_jobs.judge.encode_solution import SolutionEncoder
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.resolve import Judge
from workers.engines.heads import build_head, head_weights
from workers.engines.loading import check_weights, load_tokenizer, local_folder, model_type_of
from workers.engines.vllm.arguments import engine_arguments
from workers.engines.vllm.core import VllmCore, answer_of, died, set_environment
from workers.engines.vllm.models import EXTENSION, Spec, has_language_model, language_model_of, overrides

_TASK: Any = "token_classify"


class VllmScorer:
    """Implements the Scorer protocol with vLLM."""

    def __init__(self, judge: Judge, options: Mapping[str, str]) -> None:
        if not isinstance(judge.family, ScoreFamily):
            raise ConfigError(f"family {judge.family.name} does not score")
        set_environment()
        self._judge, self._family = judge, judge.family
        self._arguments = engine_arguments(judge, options)
        self._core = VllmCore(judge, self._arguments)
        self._llm: Any = None
        self._encoder: SolutionEncoder | None = None
        self._numbers = itertools.count()
        self._max_len = 0

    async def start(self) -> EngineInfo:
        """Load the judge; takes half a minute or more. Nothing is left running when it fails."""
        import vllm

        await asyncio.to_thread(self.prepare)
        self._llm = await self._core.start()
        self._max_len = int(self._llm.model_config.max_model_len)
        return EngineInfo("vllm", vllm.__version__, self._max_len)

    def prepare(self) -> Any:
        """What vLLM will be started with. Raises JudgeError for what it cannot score, before anything is loaded."""
        from vllm.config import PoolerConfig

        arguments = self._arguments
        check_weights(self._judge, allow_pickle=arguments.load_format != "safetensors")
        tokenizer = load_tokenizer(self._judge, trust_remote_code=arguments.trust_remote_code)
        self._encoder = SolutionEncoder(tokenizer, self._family)
        arguments.runner = "pooling"
        arguments.pooler_config = PoolerConfig(task=_TASK, pooling_type="ALL", use_activation=False)
        # A token whose hidden state was cached has none to read.
        arguments.enable_prefix_caching = False
        head = self._with_head(self._encoder.label_ids)
        arguments.hf_overrides = {**(arguments.hf_overrides or {}), **head}
        arguments.worker_extension_cls = EXTENSION
        return arguments

    def encode_solution(self, problem: str, steps: Sequence[str]) -> SolutionPrompt:
        """The solution's ids and places."""
        if self._encoder is None:
            raise EngineError("the engine was not started")
        encoded = self._encoder.encode(problem, steps)
        return SolutionPrompt(encoded.ids, encoded.places, encoded.answer)

    async def score(self, prompt: SolutionPrompt) -> list[tuple[float, ...]]:
        """The head's numbers at each place."""
        if self._llm is None or self._llm.errored:
            raise died()
        if len(prompt.ids) > self._max_len:
            raise PromptTooLong(tokens=len(prompt.ids), limit=self._max_len, room=0)
        output = await self._encode(prompt.ids)
        rows = output.outputs.data[list(prompt.places)].float().tolist()
        return [tuple(map(float, row)) for row in rows]

    def stats(self) -> EngineStats:
        """Totals so far, as vLLM's scheduler counts them."""
        return self._core.totals.read()

    async def close(self) -> None:
        """Shut vLLM down and see to it that none of its processes is left."""
        self._llm = None
        await self._core.close()

    def _with_head(self, label_ids: tuple[int, ...]) -> dict[str, Any]:
        """What vLLM must take the model for. Raises JudgeError for a head that is none, before anything is loaded."""
        model_type = model_type_of(self._judge, trust_remote_code=self._arguments.trust_remote_code)
        base = language_model_of(model_type)
        if not has_language_model(base):
            raise JudgeError(
                f"vLLM has no language model of the type {model_type}",
                where=self._judge.location,
                hint="use --engine transformers",
            )
        allow_pickle = self._arguments.load_format != "safetensors"
        folder = local_folder(self._judge, allow_pickle=allow_pickle)
        if not self._family.head.of_language_model:
            build_head(self._family, head_weights(folder, allow_pickle=allow_pickle), where=self._judge.location)
        return overrides(base, Spec(self._family, str(folder), allow_pickle, label_ids))

    async def _encode(self, ids: Sequence[int]) -> Any:
        from vllm import PoolingParams

        prompt = {"type": "token", "prompt_token_ids": list(ids)}
        params = PoolingParams(task=_TASK, use_activation=False)
        return await answer_of(self._llm.encode(prompt, params, str(next(self._numbers))))
