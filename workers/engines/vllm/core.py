"""vLLM's own processes: started for a judge, given up while they load, ended; none is ever left behind.

They are started with `spawn` (a worker has threads, and forking it could lock up), lead sessions of their own,
and are ended by a reaper when this process is killed.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import traceback
from collections.abc import AsyncIterator
from typing import Any

import psutil

from rprm_jobs.errors import EngineDied, EngineError, JudgeError, Refused
from rprm_jobs.judge.architecture import check_architectures
from rprm_jobs.judge.resolve import Judge
from workers.engines.loading import is_out_of_memory
from workers.engines.reaper import dismiss, engine_processes, kill, start_reaper
from workers.engines.vllm.relay import Relay
from workers.engines.vllm.sessions import own_sessions
from workers.engines.vllm.stats import Totals

_CLOSE_S = 20.0
_ENVIRONMENT = {
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_NO_USAGE_STATS": "1",
}
# What vLLM says of memory besides what every allocator says.
_MEMORY = re.compile(r"(available|free) memory|kv cache (memory|is needed)", re.IGNORECASE)
# How a failed worker's message reaches the log of the process that waited for it.
_WRAPPED = re.compile(r"^Worker failed with error '(?P<why>.*)', please check.*$")
_LESS = (
    "free memory, lower --engine-arg gpu_memory_utilization, max_model_len or kv_cache_memory_bytes, "
    "or raise tensor_parallel_size"
)


def set_environment() -> None:
    """What vLLM reads while it is imported; what the user has set stays."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


class VllmCore:
    """One AsyncLLM and the processes it consists of. `start` and `close` run on the engine's loop."""

    def __init__(self, judge: Judge, arguments: Any) -> None:
        self._judge, self._arguments = judge, arguments
        self.totals = Totals()
        self._relay = Relay()
        self._llm: Any = None
        self._reaper: subprocess.Popen[bytes] | None = None
        self._others: frozenset[psutil.Process] = frozenset()
        self._processes: frozenset[psutil.Process] = frozenset()
        self._loading: asyncio.Future[Any] | None = None
        self._closed = False

    async def start(self) -> Any:
        """Load the judge; takes half a minute or more. Nothing is left running when it fails.

        Raises JudgeError for a judge or arguments vLLM refuses, EngineError when it could not start.
        """
        self._others = frozenset(engine_processes(os.getpid()))
        self._reaper = start_reaper(os.getpid())
        self._loading = asyncio.ensure_future(asyncio.to_thread(self._load))
        try:
            self._llm = await asyncio.shield(self._loading)
        except BaseException:
            await self.close()
            raise
        self._loading = None
        self._processes = self._new_processes()
        _skip_token_strings()
        return self._llm

    async def close(self) -> None:
        """Shut vLLM down and see to it that none of its processes is left."""
        llm, self._llm = self._llm, None
        reaper, self._reaper = self._reaper, None
        llm = llm or await self._abort_loading()
        if llm is not None:
            # It would report the shutdown that follows as a death.
            if (handler := getattr(llm, "output_handler", None)) is not None:
                handler.cancel()
            await asyncio.wait_for(asyncio.to_thread(llm.shutdown), _CLOSE_S)
            # The sockets are closed by callbacks on this loop, and the context only after them.
            await asyncio.sleep(0)
            _close_context(llm.engine_core)
        # One whose parent died is no child of ours any more, so those seen at the start count too.
        await asyncio.to_thread(kill, list({*self._processes, *self._new_processes()}))
        if reaper is not None:
            await asyncio.to_thread(dismiss, reaper)

    async def _abort_loading(self) -> Any:
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

    def config(self) -> Any:
        """All that vLLM is told. Raises JudgeError for what it does not take."""
        from vllm.usage.usage_lib import UsageContext

        # Batches of vLLM's offline engine: it fills the device. Those of the context that an own engine belongs to are
        # eight times smaller on a large GPU.
        try:
            return self._arguments.create_engine_config(UsageContext.LLM_CLASS)
        except client_errors(OSError, NotImplementedError) as error:
            raise JudgeError(
                f"vLLM refuses the judge or its arguments: {error}",
                where=self._judge.location,
                hint="correct what it names; --engine-arg key=value sets any of vLLM's arguments",
            ) from error

    def _load(self) -> Any:
        from vllm.v1.engine.async_llm import AsyncLLM

        config = self.config()
        if self._judge.family.writes:
            check_architectures(config.model_config.hf_config.architectures, self._judge.location)
        if self._closed:
            raise EngineError("the engine was closed while it was loading")
        try:
            with own_sessions(), self._relay.inherited():
                return AsyncLLM.from_vllm_config(config, stat_loggers=[self.totals.logger()], disable_log_stats=True)
        except Exception as error:
            # Only the traceback still holds a client whose construction failed.
            for frame, _ in traceback.walk_tb(error.__traceback__):
                _close_context(frame.f_locals.get("self"))
            raise self._start_error(error) from error

    def _start_error(self, error: Exception) -> EngineError:
        """The reason is in the log of the process that failed; `error` says only that one did."""
        why = _WRAPPED.sub(r"\g<why>", self._relay.cause() or first_line(error))
        if f"{-signal.SIGKILL}}}" in str(error):
            why = f"a process of it was killed, for lack of memory unless somebody did it; {why}"
        elif not (is_out_of_memory(error) or is_out_of_memory(RuntimeError(why)) or _MEMORY.search(why)):
            return EngineError(
                f"vLLM could not start: {why}",
                where=self._judge.location,
                hint="correct what it names; its own log above says more",
            )
        return EngineError(f"not enough memory for the judge: {why}", where=self._judge.location, hint=_LESS)


def died() -> EngineDied:
    """What a request is told when vLLM runs no more."""
    return EngineDied("vLLM is not running any more", hint="its own log above says why")


async def answer_of(outputs: AsyncIterator[Any]) -> Any:
    """The last output of a request about a solution. Raises EngineDied, or Refused for one that vLLM does not take."""
    from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

    try:
        last = [output async for output in outputs][-1:]
    except (EngineDeadError, EngineGenerateError) as error:
        raise died() from error
    except client_errors() as error:
        raise Refused(f"vLLM refuses the solution: {first_line(error)}") from error
    if not last:
        # vLLM ends an aborted request without an output.
        raise asyncio.CancelledError
    return last[0]


def client_errors(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """What vLLM raises for a request or an argument it does not take; ValueError until it had a type for that."""
    from vllm import exceptions

    return (ValueError, getattr(exceptions, "VLLMClientError", ValueError), *more)


def first_line(error: BaseException) -> str:
    """The first line of what it says, or its type's name."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _skip_token_strings() -> None:
    """Keep vLLM from spelling out, at every token, the two answers whose log-probabilities are asked for.

    Nothing reads that text, and making it was a quarter of the worker's CPU time. There is no option against it short
    of `detokenize=False`, with which stop strings end as well.
    """
    from vllm.v1.engine import logprobs

    if hasattr(logprobs, "convert_ids_list_to_tokens"):
        logprobs.convert_ids_list_to_tokens = _empty_strings


def _empty_strings(_: Any, token_ids: list[int]) -> list[str]:
    return [""] * len(token_ids)


def _close_context(client: Any) -> None:
    """Close the context of the message sockets to the engine, which vLLM leaves to the garbage collector."""
    context = getattr(getattr(client, "resources", None), "ctx", None)
    if context is not None and not context.closed:
        context.destroy(linger=0)
