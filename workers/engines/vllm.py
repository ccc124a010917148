"""The vLLM engine: one AsyncLLM for every shard in flight. What differs between vLLM 0.26 and 0.33 stands here.

vLLM runs the model in processes of its own. They are started with `spawn` (a worker has threads, and forking it could
lock up), do not hear the terminal's Ctrl-C, and are ended by a reaper when this process is killed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import psutil

from rprm_jobs.engine import EngineInfo, EngineStats, Generation, Prompt
from rprm_jobs.errors import EngineDied, EngineError, JudgeError, PromptTooLong, Refused
from rprm_jobs.judge.encode import PromptEncoder
from rprm_jobs.judge.resolve import Judge
from rprm_jobs.judge.verdict import STOP_STRINGS, p_yes, verdict_place
from rprm_jobs.types import Finish, Sampling
from workers.engines.loading import check_weights, load_tokenizer
from workers.engines.reaper import dismiss, engine_processes, kill, start_reaper
from workers.engines.stops import cut_at_stop
from workers.engines.vllm_arguments import LORA, engine_arguments
from workers.engines.vllm_stats import Totals

ROOM = 64
_CLOSE_S = 20.0
_ENVIRONMENT = {
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_NO_USAGE_STATS": "1",
}


class VllmEngine:
    """Implements the Engine protocol with vLLM."""

    def __init__(self, judge: Judge, options: Mapping[str, str]) -> None:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self._judge = judge
        self._arguments = engine_arguments(judge, options)
        self._lora_path = options.get(LORA)
        self._lora: Any = None
        self._llm: Any = None
        self._encoder: PromptEncoder | None = None
        self._reaper: subprocess.Popen[bytes] | None = None
        self._others: frozenset[psutil.Process] = frozenset()
        self._processes: frozenset[psutil.Process] = frozenset()
        self._numbers = itertools.count()
        self._loading: asyncio.Future[Any] | None = None
        self._closed = False
        self._max_len = 0
        self._totals = Totals()

    async def start(self) -> EngineInfo:
        """Load the judge; takes half a minute or more. Nothing is left running when it fails."""
        import vllm

        check_weights(self._judge, allow_pickle=self._arguments.load_format != "safetensors")
        tokenizer = load_tokenizer(self._judge, trust_remote_code=self._arguments.trust_remote_code)
        self._encoder = PromptEncoder(tokenizer)
        self._others = frozenset(engine_processes(os.getpid()))
        self._processes = frozenset()
        self._reaper = start_reaper(os.getpid())
        self._loading = asyncio.ensure_future(asyncio.to_thread(self._load))
        try:
            self._llm = await asyncio.shield(self._loading)
        except BaseException:
            await self.close()
            raise
        self._loading = None
        self._processes = self._new_processes()
        if self._lora_path is not None:
            from vllm.lora.request import LoRARequest

            self._lora = LoRARequest("judge", 1, self._lora_path)
        self._max_len = int(self._llm.model_config.max_model_len)
        return EngineInfo("vllm", vllm.__version__, self._max_len)

    def encode(self, text: str) -> Prompt:
        """The message in the judge's chat frame, as token ids."""
        if self._encoder is None:
            raise EngineError("the engine was not started")
        return Prompt(text, tuple(self._encoder.encode(text)))

    async def sample(self, prompt: Prompt, seeds: Sequence[int], sampling: Sampling) -> list[Generation]:
        """One critique per seed, each a request of its own: vLLM's n > 1 would count up from one seed."""
        if self._llm is None or self._llm.errored:
            raise self._died()
        ids = prompt.ids or self.encode(prompt.text).ids
        room = min(ROOM, sampling.max_new_tokens)
        if len(ids) + room > self._max_len:
            raise PromptTooLong(tokens=len(ids), limit=self._max_len, room=room)
        limit = min(sampling.max_new_tokens, self._max_len - len(ids))
        tasks = [asyncio.create_task(self._one(ids, self._params(sampling, seed, limit))) for seed in seeds]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            # A cancelled or failed call must not leave the others generating; cancelling aborts them in the engine.
            left = [task for task in tasks if task.cancel()]
            await asyncio.gather(*left, return_exceptions=True)

    def stats(self) -> EngineStats:
        """Totals so far, as vLLM's scheduler counts them."""
        return self._totals.read()

    async def close(self) -> None:
        """Shut vLLM down and see to it that none of its processes is left."""
        llm, self._llm = self._llm, None
        reaper, self._reaper = self._reaper, None
        llm = llm or await self._give_up_loading()
        if llm is not None:
            await asyncio.wait_for(asyncio.to_thread(llm.shutdown), _CLOSE_S)
            # The sockets are closed by callbacks on this loop, and the context only after them.
            await asyncio.sleep(0)
            _close_context(llm)
        # One whose parent died is no child of ours any more, so those seen at the start count too.
        await asyncio.to_thread(kill, list({*self._processes, *self._new_processes()}))
        if reaper is not None:
            await asyncio.to_thread(dismiss, reaper)

    async def _give_up_loading(self) -> Any:
        """Make a load that is under way fail, by ending its processes as they come; what it loaded all the same."""
        loading, self._loading, self._closed = self._loading, None, True
        if loading is None:
            return None
        async with asyncio.timeout(_CLOSE_S):
            while not loading.done():
                await asyncio.to_thread(kill, list(self._new_processes()))
                await asyncio.wait({loading}, timeout=0.2)
        return None if loading.cancelled() or loading.exception() else loading.result()

    def _new_processes(self) -> frozenset[psutil.Process]:
        """The engine processes of this process that another engine did not start before."""
        return frozenset(engine_processes(os.getpid())) - self._others

    def _load(self) -> Any:
        from vllm.usage.usage_lib import UsageContext
        from vllm.v1.engine.async_llm import AsyncLLM

        try:
            config = self._arguments.create_engine_config(UsageContext.ENGINE_CONTEXT)
        except _client_errors(OSError, NotImplementedError) as error:
            raise JudgeError(
                f"vLLM refuses the judge or its arguments: {error}",
                where=self._judge.location,
                mend="correct what it names; --engine-arg key=value sets any of vLLM's arguments",
            ) from error
        if self._closed:
            raise EngineError("the engine was closed while it was loading")
        # A child inherits the mask: Ctrl-C in a terminal then reaches the worker alone, which hands back first.
        old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return AsyncLLM.from_vllm_config(config, stat_loggers=[self._totals.logger()], disable_log_stats=True)
        except Exception as error:
            raise EngineError(
                f"vLLM could not start: {_first_line(error)}",
                where=self._judge.location,
                mend="its own log above says why; for lack of memory lower --engine-arg gpu_memory_utilization "
                "or max_model_len, or raise tensor_parallel_size",
            ) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)

    def _params(self, sampling: Sampling, seed: int, limit: int) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        if self._encoder is None:
            raise EngineError("the engine was not started")
        answers = [self._encoder.yes_id, self._encoder.no_id]
        # Until `num_logprobs` existed, naming token ids had no effect unless as many `logprobs` were asked for.
        extra: dict[str, Any] = {} if hasattr(SamplingParams, "num_logprobs") else {"logprobs": len(answers)}
        try:
            return SamplingParams(
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_tokens=limit,
                seed=seed,
                stop=list(STOP_STRINGS),
                include_stop_str_in_output=True,
                logprob_token_ids=answers,
                flat_logprobs=True,
                output_kind=RequestOutputKind.FINAL_ONLY,
                skip_clone=True,
                **extra,
            )
        except _client_errors() as error:
            raise Refused(f"vLLM does not sample like this: {_first_line(error)}") from error

    async def _one(self, ids: Sequence[int], params: Any) -> Generation:
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        prompt = {"type": "token", "prompt_token_ids": list(ids)}
        try:
            outputs = self._llm.generate(prompt, params, str(next(self._numbers)), lora_request=self._lora)
            last = [output async for output in outputs][-1:]
        except (EngineDeadError, EngineGenerateError) as error:
            raise self._died(error.__cause__ or error) from error
        except _client_errors() as error:
            raise Refused(f"vLLM refuses the prompt: {_first_line(error)}") from error
        if not last or last[0].outputs[0].finish_reason not in ("stop", "length"):
            raise self._died()
        return self._generation(last[0].outputs[0])

    def _generation(self, output: Any) -> Generation:
        if self._encoder is None:
            raise EngineError("the engine was not started")
        ids = list(output.token_ids)
        text = cut_at_stop(self._encoder.decode(ids), STOP_STRINGS)
        place = verdict_place(text, ids, self._encoder.decode)
        finish = Finish.LENGTH if output.finish_reason == "length" else Finish.STOP
        return Generation(text, len(ids), finish, None if place is None else self._p_yes(output.logprobs, place))

    def _p_yes(self, flat: Any, place: int) -> float:
        span = slice(flat.start_indices[place], flat.end_indices[place])
        at = dict(zip(flat.token_ids[span], flat.logprobs[span], strict=True))
        if self._encoder is None:
            raise EngineError("the engine was not started")
        return p_yes(at[self._encoder.yes_id], at[self._encoder.no_id])

    def _died(self, cause: BaseException | None = None) -> EngineDied:
        why = f": {_first_line(cause)}" if cause is not None else ""
        return EngineDied(f"vLLM stopped working{why}", mend="its own log above says why; the work is handed back")


def _client_errors(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """What vLLM raises for a request or an argument it does not take; ValueError until it had a type for that."""
    from vllm import exceptions

    return (ValueError, getattr(exceptions, "VLLMClientError", ValueError), *more)


def _close_context(llm: Any) -> None:
    """Close the message sockets' context, which vLLM leaves to the garbage collector."""
    context = getattr(getattr(llm.engine_core, "resources", None), "ctx", None)
    if context is not None and not context.closed:
        context.destroy(linger=0)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
