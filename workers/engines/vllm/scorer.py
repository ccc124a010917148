"""Scoring judges with vLLM's pooling engine: one prefill a solution, the head's numbers at every token.

Heads of classes are vLLM's own; chosen logits of a language model become a head of their rows, which vLLM makes while
it loads. All tokens are returned and the places picked here: vLLM's own way, by the tag's id, would read a tag that a
step quotes, and finds none that stands before the tag.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from rprm_jobs.engine import EngineInfo, EngineStats, SolutionPrompt
from rprm_jobs.errors import ConfigError, EngineDied, EngineError, JudgeError, PromptTooLong, Refused
from rprm_jobs.judge.encode_solution import SolutionEncoder
from rprm_jobs.judge.families.scoring import Head, ScoreFamily
from rprm_jobs.judge.resolve import Judge
from workers.engines.loading import check_weights, load_tokenizer
from workers.engines.vllm.arguments import engine_arguments
from workers.engines.vllm.core import VllmCore, client_errors, first_line, set_environment

_TASK: Any = "token_classify"
# Architectures of classes that vLLM has; a token classifier of another is loaded as the sequence classifier it shares
# its weights' names with.
_OWN = ("Qwen2ForProcessRewardModel",)


class VllmScorer:
    """Implements the Scorer protocol with vLLM."""

    def __init__(self, judge: Judge, options: Mapping[str, str]) -> None:
        if not isinstance(judge.family, ScoreFamily):
            raise ConfigError(f"family {judge.family.name} does not score")
        if judge.family.head not in (Head.CLASSES, Head.VOCABULARY):
            raise ConfigError(
                f"engine 'vllm' has no head of the kind that family {judge.family.name} reads ({judge.family.head})",
                hint="use --engine transformers",
            )
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
        from vllm.config import PoolerConfig

        check_weights(self._judge, allow_pickle=self._arguments.load_format != "safetensors")
        tokenizer = load_tokenizer(self._judge, trust_remote_code=self._arguments.trust_remote_code)
        self._encoder = SolutionEncoder(tokenizer, self._family)
        arguments = self._arguments
        arguments.runner = "pooling"
        arguments.pooler_config = PoolerConfig(task=_TASK, pooling_type="ALL", use_activation=False)
        # A token whose hidden state was cached has none to read.
        arguments.enable_prefix_caching = False
        arguments.hf_overrides = {**(arguments.hf_overrides or {}), **self._overrides(tokenizer)}
        self._llm = await self._core.start()
        self._max_len = int(self._llm.model_config.max_model_len)
        return EngineInfo("vllm", vllm.__version__, self._max_len)

    def encode_solution(self, problem: str, steps: Sequence[str]) -> SolutionPrompt:
        """The solution's ids and places."""
        if self._encoder is None:
            raise EngineError("the engine was not started")
        encoded = self._encoder.encode(problem, steps)
        return SolutionPrompt(encoded.ids, encoded.places, encoded.answer)

    async def score(self, prompt: SolutionPrompt) -> list[tuple[float, ...]]:
        """The head's numbers at each place."""
        if self._llm is None or self._llm.errored:
            raise self._died()
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

    def _overrides(self, tokenizer: Any) -> dict[str, Any]:
        """What vLLM must take the model for."""
        config = self._config()
        name = str((config.architectures or ["no architecture"])[0])
        if self._family.head is Head.VOCABULARY:
            labels = self._encoder.label_ids if self._encoder is not None else ()
            return {
                "architectures": [re.sub(r"ForCausalLM$", "ForSequenceClassification", name)],
                "classifier_from_token": tokenizer.convert_ids_to_tokens(list(labels)),
                "method": "no_post_processing",
                "num_labels": self._family.outputs,
            }
        if name in _OWN:
            return {}
        if not name.endswith("ForTokenClassification"):
            raise JudgeError(
                f"vLLM has no {name}",
                where=self._judge.location,
                hint="use --engine transformers, which has its head",
            )
        classes = re.sub(r"ForTokenClassification$", "ForSequenceClassification", name)
        return {"architectures": [classes], "num_labels": self._family.outputs}

    def _config(self) -> Any:
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(
            self._judge.location,
            revision=self._judge.revision,
            trust_remote_code=self._arguments.trust_remote_code,
        )

    async def _encode(self, ids: Sequence[int]) -> Any:
        from vllm import PoolingParams
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        prompt = {"type": "token", "prompt_token_ids": list(ids)}
        params = PoolingParams(task=_TASK, use_activation=False)
        try:
            outputs = self._llm.encode(prompt, params, str(next(self._numbers)))
            last = [output async for output in outputs][-1:]
        except (EngineDeadError, EngineGenerateError) as error:
            raise self._died() from error
        except client_errors() as error:
            raise Refused(f"vLLM refuses the solution: {first_line(error)}") from error
        if not last:
            # vLLM ends an aborted request without an output.
            raise asyncio.CancelledError
        return last[0]

    def _died(self) -> EngineDied:
        return EngineDied("vLLM is not running any more", hint="its own log above says why")
