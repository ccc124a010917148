"""The vLLM engine: one AsyncLLM for every shard in flight. Only the modules of this folder know vLLM, and they hold
everything that differs between vLLM 0.26 and 0.33.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rprm_jobs.engine import EngineInfo, EngineStats, Generation, Prompt
from rprm_jobs.errors import EngineDied, EngineError, JudgeError, PromptTooLong, Refused
from rprm_jobs.judge.adapter import read_adapter
from rprm_jobs.judge.encode import PromptEncoder
from rprm_jobs.judge.folder import MERGE
from rprm_jobs.judge.resolve import Judge
from rprm_jobs.judge.verdict import STOP_STRINGS, cut_critique, p_yes, verdict_place
from rprm_jobs.types import Finish, Message, Sampling
from workers.engines.adapter import check_tied
from workers.engines.loading import check_weights, load_tokenizer
from workers.engines.naming import engine_name
from workers.engines.stop_strings import critique_tokens, cut_at_stop
from workers.engines.vllm.arguments import CHANGING, engine_arguments
from workers.engines.vllm.core import VllmCore, client_errors, first_line, set_environment

ROOM = 64


class VllmEngine:
    """Implements the Engine protocol with vLLM."""

    def __init__(self, judge: Judge, options: Mapping[str, str]) -> None:
        set_environment()
        self._name = engine_name("vllm", options, CHANGING)
        self._judge = judge
        self._arguments = engine_arguments(judge, options)
        self._core = VllmCore(judge, self._arguments)
        self._lora: Any = None
        self._llm: Any = None
        self._encoder: PromptEncoder | None = None
        self._numbers = itertools.count()
        self._max_len = 0
        # vLLM cannot tell a verdict line in a thinking block from the judge's own; a judge that thinks gets none.
        self._critique_stops: tuple[str, ...] = STOP_STRINGS

    async def start(self) -> EngineInfo:
        """Load the judge; takes half a minute or more. Nothing is left running when it fails."""
        import vllm

        check_weights(self._judge, allow_pickle=self._arguments.load_format != "safetensors")
        tokenizer = load_tokenizer(self._judge, trust_remote_code=self._arguments.trust_remote_code)
        self._encoder = PromptEncoder(tokenizer)
        self._llm = await self._core.start()
        if self._judge.adapter is not None:
            await self._add_adapter(self._judge.adapter)
        self._max_len = int(self._llm.model_config.max_model_len)
        return EngineInfo(self._name, vllm.__version__, self._max_len)

    async def _add_adapter(self, folder: str) -> None:
        """Load the adapter now: vLLM would look at it with the first prompt, and end when it cannot be used."""
        from vllm.lora.request import LoRARequest

        self._lora = LoRARequest("judge", 1, folder)
        try:
            check_tied(read_adapter(Path(folder)).weights, self._llm.model_config.hf_config, Path(folder))
            await self._llm.add_lora(self._lora)
        except JudgeError:
            await self.close()
            raise
        # What is raised in vLLM's process comes as a plain Exception.
        except Exception as error:
            await self.close()
            raise JudgeError(
                f"vLLM does not load the adapter: {first_line(error)}",
                where=folder,
                hint=f"{MERGE}; the transformers engine serves what PEFT does",
            ) from error

    def encode(self, message: str | Message, prefill: str = "") -> Prompt:
        """The message in its chat frame, as token ids."""
        text = message if isinstance(message, str) else message.text
        return Prompt(text, tuple(self._loaded.encode(message, prefill)), prefill)

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
        tasks = [asyncio.create_task(self._generate(ids, sampling, seed, limit, stop)) for seed in seeds]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            # A cancelled or failed call must not leave the others generating; cancelling aborts them in the engine.
            left = [task for task in tasks if task.cancel()]
            await asyncio.gather(*left, return_exceptions=True)

    async def choose(self, message: Message, prefill: str, words: Sequence[str]) -> list[float]:
        """The log-probabilities at the one token that is generated; the prompt is mostly in the prefix cache."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        if self._llm is None or self._llm.errored:
            raise self._died()
        ids, tokens = self._loaded.choice(message, prefill, words)
        if len(ids) + 1 > self._max_len:
            raise PromptTooLong(tokens=len(ids), limit=self._max_len, room=1)
        extra: dict[str, Any] = {} if hasattr(SamplingParams, "num_logprobs") else {"logprobs": len(tokens)}
        params = SamplingParams(
            temperature=0.0,
            max_tokens=1,
            logprob_token_ids=tokens,
            flat_logprobs=True,
            output_kind=RequestOutputKind.FINAL_ONLY,
            **extra,
        )
        at = _logprobs_at((await self._run(ids, params)).logprobs, 0)
        return [at[token] for token in tokens]

    def stats(self) -> EngineStats:
        """Totals so far, as vLLM's scheduler counts them."""
        return self._core.totals.read()

    async def close(self) -> None:
        """Shut vLLM down and see to it that none of its processes is left."""
        self._llm = None
        await self._core.close()

    @property
    def _loaded(self) -> PromptEncoder:
        if self._encoder is None:
            raise EngineError("the engine was not started")
        return self._encoder

    def _params(self, sampling: Sampling, seed: int, limit: int, stop: Sequence[str] | None) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        extra: dict[str, Any] = {}
        if stop is None:
            answers = [self._loaded.yes_id, self._loaded.no_id]
            extra = {"logprob_token_ids": answers, "flat_logprobs": True}
            # Until `num_logprobs` existed, naming token ids had no effect unless as many `logprobs` were asked for.
            extra |= {} if hasattr(SamplingParams, "num_logprobs") else {"logprobs": len(answers)}
        try:
            return SamplingParams(
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_tokens=limit,
                seed=seed,
                stop=list(self._critique_stops if stop is None else stop),
                include_stop_str_in_output=True,
                output_kind=RequestOutputKind.FINAL_ONLY,
                skip_clone=True,
                **extra,
            )
        except client_errors() as error:
            raise Refused(f"vLLM does not sample like this: {first_line(error)}") from error

    async def _generate(
        self, ids: Sequence[int], sampling: Sampling, seed: int, limit: int, stop: Sequence[str] | None
    ) -> Generation:
        output = await self._run(ids, self._params(sampling, seed, limit, stop))
        if stop is not None:
            return self._free_text(output, stop)
        generation, cut = self._critique(output)
        if output.stop_reason in STOP_STRINGS and not cut:
            # Stopped while it was thinking: the same critique again, to its end.
            self._critique_stops = ()
            generation, _ = self._critique(await self._run(ids, self._params(sampling, seed, limit, stop)))
        return generation

    async def _run(self, ids: Sequence[int], params: Any) -> Any:
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
        return last[0].outputs[0]

    def _free_text(self, output: Any, stop: Sequence[str]) -> Generation:
        text = cut_at_stop(self._loaded.decode(output.token_ids), stop)
        return Generation(text, len(output.token_ids), _finish(output), None)

    def _critique(self, output: Any) -> tuple[Generation, bool]:
        """The critique, and whether a verdict line ended it."""
        ids, decode = list(output.token_ids), self._loaded.decode_answer
        text, cut = cut_critique(decode(ids))
        place = verdict_place(text, ids, decode, (self._loaded.yes_id, self._loaded.no_id))
        p_yes_there = None if place is None else self._p_yes(output.logprobs, place)
        finish = Finish.STOP if cut else _finish(output)
        return Generation(text, critique_tokens(text, ids, decode), finish, p_yes_there), cut

    def _p_yes(self, flat: Any, place: int) -> float:
        at = _logprobs_at(flat, place)
        return p_yes(at[self._loaded.yes_id], at[self._loaded.no_id])

    def _died(self, cause: BaseException | None = None) -> EngineDied:
        why = f": {first_line(cause)}" if cause is not None else ""
        return EngineDied(f"vLLM stopped working{why}", hint="its own log above says why; the work is handed back")


def _logprobs_at(flat: Any, place: int) -> dict[int, float]:
    span = slice(flat.start_indices[place], flat.end_indices[place])
    return dict(zip(flat.token_ids[span], flat.logprobs[span], strict=True))


def _finish(output: Any) -> Finish:
    return Finish.LENGTH if output.finish_reason == "length" else Finish.STOP
