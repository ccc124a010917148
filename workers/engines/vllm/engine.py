"""The vLLM engine: one AsyncLLM for every shard in flight. Only the modules of this folder know vLLM, and they hold
everything that differs between vLLM 0.26 and 0.33.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from rprm_jobs.engine import EngineInfo, EngineStats, Generation, Prompt
from rprm_jobs.errors import EngineDied, EngineError, PromptTooLong, Refused
from rprm_jobs.judge.encode import PromptEncoder
from rprm_jobs.judge.resolve import Judge
from rprm_jobs.judge.verdict import STOP_STRINGS, p_yes, verdict_place
from rprm_jobs.types import Finish, Sampling
from workers.engines.loading import check_weights, load_tokenizer
from workers.engines.stop_strings import cut_at_stop
from workers.engines.vllm.arguments import LORA, engine_arguments
from workers.engines.vllm.core import VllmCore, client_errors, first_line, set_environment

ROOM = 64


class VllmEngine:
    """Implements the Engine protocol with vLLM."""

    def __init__(self, judge: Judge, options: Mapping[str, str]) -> None:
        set_environment()
        self._judge = judge
        self._arguments = engine_arguments(judge, options)
        self._core = VllmCore(judge, self._arguments)
        self._lora_path = options.get(LORA)
        self._lora: Any = None
        self._llm: Any = None
        self._encoder: PromptEncoder | None = None
        self._numbers = itertools.count()
        self._max_len = 0

    async def start(self) -> EngineInfo:
        """Load the judge; takes half a minute or more. Nothing is left running when it fails."""
        import vllm

        check_weights(self._judge, allow_pickle=self._arguments.load_format != "safetensors")
        tokenizer = load_tokenizer(self._judge, trust_remote_code=self._arguments.trust_remote_code)
        self._encoder = PromptEncoder(tokenizer)
        self._llm = await self._core.start()
        if self._lora_path is not None:
            from vllm.lora.request import LoRARequest

            self._lora = LoRARequest("judge", 1, self._lora_path)
        self._max_len = int(self._llm.model_config.max_model_len)
        return EngineInfo("vllm", vllm.__version__, self._max_len)

    def encode(self, text: str, prefill: str = "") -> Prompt:
        """The message in the judge's chat frame, as token ids."""
        if self._encoder is None:
            raise EngineError("the engine was not started")
        return Prompt(text, tuple(self._encoder.encode(text, prefill)), prefill)

    async def sample(
        self, prompt: Prompt, seeds: Sequence[int], sampling: Sampling, *, stop: Sequence[str] | None = None
    ) -> list[Generation]:
        """One text per seed, each a request of its own: vLLM's n > 1 would count up from one seed."""
        if self._llm is None or self._llm.errored:
            raise self._died()
        ids = prompt.ids or self.encode(prompt.text, prompt.prefill).ids
        room = min(ROOM, sampling.max_new_tokens)
        if len(ids) + room > self._max_len:
            raise PromptTooLong(tokens=len(ids), limit=self._max_len, room=room)
        limit = min(sampling.max_new_tokens, self._max_len - len(ids))
        tasks = [asyncio.create_task(self._one(ids, self._params(sampling, seed, limit, stop), stop)) for seed in seeds]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            # A cancelled or failed call must not leave the others generating; cancelling aborts them in the engine.
            left = [task for task in tasks if task.cancel()]
            await asyncio.gather(*left, return_exceptions=True)

    def stats(self) -> EngineStats:
        """Totals so far, as vLLM's scheduler counts them."""
        return self._core.totals.read()

    async def close(self) -> None:
        """Shut vLLM down and see to it that none of its processes is left."""
        self._llm = None
        await self._core.close()

    def _params(self, sampling: Sampling, seed: int, limit: int, stop: Sequence[str] | None) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        if self._encoder is None:
            raise EngineError("the engine was not started")
        extra: dict[str, Any] = {}
        if stop is None:
            answers = [self._encoder.yes_id, self._encoder.no_id]
            extra = {"logprob_token_ids": answers, "flat_logprobs": True}
            # Until `num_logprobs` existed, naming token ids had no effect unless as many `logprobs` were asked for.
            extra |= {} if hasattr(SamplingParams, "num_logprobs") else {"logprobs": len(answers)}
        try:
            return SamplingParams(
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_tokens=limit,
                seed=seed,
                stop=list(STOP_STRINGS if stop is None else stop),
                include_stop_str_in_output=True,
                output_kind=RequestOutputKind.FINAL_ONLY,
                skip_clone=True,
                **extra,
            )
        except client_errors() as error:
            raise Refused(f"vLLM does not sample like this: {first_line(error)}") from error

    async def _one(self, ids: Sequence[int], params: Any, stop: Sequence[str] | None) -> Generation:
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        prompt = {"type": "token", "prompt_token_ids": list(ids)}
        try:
            outputs = self._llm.generate(prompt, params, str(next(self._numbers)), lora_request=self._lora)
            last = [output async for output in outputs][-1:]
        except (EngineDeadError, EngineGenerateError) as error:
            raise self._died(error.__cause__ or error) from error
        except client_errors() as error:
            raise Refused(f"vLLM refuses the prompt: {first_line(error)}") from error
        if not last or last[0].outputs[0].finish_reason not in ("stop", "length"):
            raise self._died()
        return self._generation(last[0].outputs[0], stop)

    def _generation(self, output: Any, stop: Sequence[str] | None) -> Generation:
        if self._encoder is None:
            raise EngineError("the engine was not started")
        ids = list(output.token_ids)
        text = cut_at_stop(self._encoder.decode(ids), STOP_STRINGS if stop is None else stop)
        place = verdict_place(text, ids, self._encoder.decode) if stop is None else None
        finish = Finish.LENGTH if output.finish_reason == "length" else Finish.STOP
        return Generation(text, len(ids), finish, None if place is None else self._p_yes(output.logprobs, place))

    def _p_yes(self, flat: Any, place: int) -> float:
        span = slice(flat.start_indices[place], flat.end_indices[place])
        at = dict(zip(flat.token_ids[span], flat.logprobs[span], strict=True))
        if self._encoder is None:
            raise EngineError("the engine was not started")
        return p_yes(at[self._encoder.yes_id], at[self._encoder.no_id])

    def _died(self, cause: BaseException | None = None) -> EngineDied:
        why = f": {first_line(cause)}" if cause is not None else ""
        return EngineDied(f"vLLM stopped working{why}", hint="its own log above says why; the work is handed back")
