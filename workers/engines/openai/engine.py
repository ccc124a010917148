"""The engine behind HTTP: any server that speaks OpenAI's chat completions. Only `retry` beside it retries.

The server tokenises, so marks that it could take for special tokens are broken by a space before they are sent. The key
comes from RPRM_API_KEY alone and stands in one request header, nowhere else.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from rprm_jobs.engine import EngineInfo, EngineStats, Generation, Prompt
from rprm_jobs.errors import ConfigError, EngineDied, EngineError, PromptTooLong, RprmError
from rprm_jobs.judge.resolve import Judge
from rprm_jobs.judge.verdict import STOP_STRINGS
from rprm_jobs.types import Sampling
from workers.engines.openai.options import KEY_VARIABLE, OpenaiOptions
from workers.engines.openai.reply import Usage, read_error, read_reply, refusal
from workers.engines.openai.retry import GaveUp, Retryable, RetryPolicy, read_retry_after, with_retries
from workers.engines.stop_strings import cut_at_stop

ROOM = 64
_START_S = 15.0
_AGAIN = {408, 409, 425, 429}
_SPECIAL = re.compile(r"<(?=[|\uff5c]|/?(?:s|bos|eos|pad|unk|(?:start|end)_of_turn|eot|sys|SYS)>)|\[(?=/?INST\])")


@dataclass(frozen=True, slots=True)
class _Server:
    """What the server said of itself. `stops`: it keeps the stop string in the text when asked to, as vLLM does."""

    model: str
    max_model_len: int
    stops: bool


class OpenaiEngine:
    """Implements the Engine protocol over `POST {base_url}/chat/completions`."""

    def __init__(self, judge: Judge, options: OpenaiOptions, policy: RetryPolicy | None = None) -> None:
        self._options = msgspec.structs.replace(options, model=options.model or judge.served_as or "")
        self._policy = policy or RetryPolicy(deadline_s=options.deadline_s)
        self._client: Any = None
        self._server = _Server(self._options.model, options.max_model_len, stops=False)
        self._paths = asyncio.Semaphore(options.concurrency)
        self._key = os.environ.get(KEY_VARIABLE, "")
        self._prompt_tokens = 0
        self._generated_tokens = 0

    async def start(self) -> EngineInfo:
        """Ask the server what it serves, and judge one short prompt, so that a wrong key or option shows at once."""
        import httpx

        self._client = httpx.AsyncClient(
            base_url=self._options.base_url.rstrip("/") + "/",
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(self._options.timeout_s, connect=10.0, pool=None),
            limits=httpx.Limits(max_connections=self._options.concurrency),
            follow_redirects=False,
        )
        try:
            self._server = await self._ask_models()
            await self.sample(self.encode("1 + 1 = 2"), [0], Sampling(max_new_tokens=1))
        except RprmError as error:
            await self.close()
            raise EngineError(error.what, where=self._where, hint=error.hint) from None
        except Exception as error:
            await self.close()
            raise EngineError(
                f"the server refused a trial request: {error}",
                where=self._where,
                hint="lower --engine-arg top_logprobs if it names logprobs; else correct what it names",
            ) from error
        return EngineInfo("openai", f"{self._server.model} at {self._where}", self._server.max_model_len)

    def encode(self, text: str, prefill: str = "") -> Prompt:
        """The message, with everything that looks like a special token broken by a space."""
        message, answer = (_SPECIAL.sub(lambda mark: mark[0] + " ", part) for part in (text, prefill))
        return Prompt(message, prefill=answer)

    async def sample(
        self, prompt: Prompt, seeds: Sequence[int], sampling: Sampling, *, stop: Sequence[str] | None = None
    ) -> list[Generation]:
        """One request per seed. Raises EngineDied when the server stays away beyond the deadline."""
        tasks = [asyncio.create_task(self._one(self._body(prompt, seed, sampling, stop), stop)) for seed in seeds]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            # A cancelled or failed call closes its connections, which is how the server learns to stop.
            left = [task for task in tasks if task.cancel()]
            await asyncio.gather(*left, return_exceptions=True)

    def stats(self) -> EngineStats:
        """Totals so far, as the server counts tokens."""
        return EngineStats(self._prompt_tokens, self._generated_tokens)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    @property
    def _where(self) -> str:
        return self._options.base_url

    async def _one(self, body: dict[str, Any], stop: Sequence[str] | None) -> Generation:
        room = min(ROOM, body[self._options.token_limit_field])
        async with self._paths:
            try:
                generation, usage = await self._completed(body, room)
            except GaveUp as error:
                raise EngineDied(
                    f"the server does not answer: {self._scrub(str(error))}",
                    where=self._where,
                    hint="see to the server; the work is handed back",
                ) from None
            except EngineError as error:
                # What was well at the start and is refused now is no fact about the rollout.
                raise EngineDied(error.what, where=error.where, hint=error.hint) from None
        self._prompt_tokens += usage.prompt_tokens
        self._generated_tokens += generation.tokens
        if stop is None:
            return generation
        # A server that does not keep stop strings was not given any, and wrote on.
        return replace(generation, text=cut_at_stop(generation.text, stop), p_yes=None)

    async def _completed(self, body: dict[str, Any], room: int) -> tuple[Generation, Usage]:
        async def attempt() -> tuple[Generation, Usage]:
            return read_reply(await self._send("POST", "chat/completions", room, body))

        try:
            return await with_retries(attempt, self._policy)
        except PromptTooLong as error:
            # A prompt that fits may have been refused for the length of the critique that was asked for.
            left = error.limit - error.tokens
            field = self._options.token_limit_field
            if not room <= left < body[field]:
                raise
            body = {**body, field: left}
            return await with_retries(attempt, self._policy)

    def _body(self, prompt: Prompt, seed: int, sampling: Sampling, stop: Sequence[str] | None) -> dict[str, Any]:
        # A limit over the whole window is refused as such, before the prompt is looked at.
        limit = min(sampling.max_new_tokens, self._server.max_model_len or sampling.max_new_tokens)
        body: dict[str, Any] = {
            "model": self._server.model,
            "messages": [{"role": "user", "content": prompt.text}],
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            self._options.token_limit_field: limit,
            # Some servers hold a seed in 32 bits and refuse a longer one.
            "seed": seed & 0x7FFFFFFF,
        }
        if prompt.prefill:
            # vLLM's and SGLang's way to go on with an answer; other servers refuse the fields, or begin a new turn.
            body["messages"].append({"role": "assistant", "content": prompt.prefill})
            body |= {"add_generation_prompt": False, "continue_final_message": True}
        if self._options.top_logprobs and stop is None:
            body |= {"logprobs": True, "top_logprobs": self._options.top_logprobs}
        stops = list(STOP_STRINGS if stop is None else stop)
        if self._server.stops and stops:
            body |= {"stop": stops, "include_stop_str_in_output": True}
        return body

    async def _send(self, method: str, path: str, room: int, body: dict[str, Any] | None = None) -> bytes:
        """The body of a good answer; Retryable for what may pass, an error of the project for what will not."""
        import httpx

        if self._client is None:
            raise EngineDied("the engine was closed")
        content = None if body is None else msgspec.json.encode(body)
        try:
            async with asyncio.timeout(self._options.timeout_s):
                answer = await self._client.request(
                    method, path, content=content, headers={"Content-Type": "application/json"}
                )
        except TimeoutError as error:
            raise Retryable(f"no whole answer within {self._options.timeout_s:g} s") from error
        except httpx.TransportError as error:
            raise Retryable(f"{type(error).__name__}: {self._scrub(str(error))}") from error
        if answer.is_success:
            return bytes(answer.content)
        raise self._failure(answer, room)

    def _failure(self, answer: Any, room: int) -> Exception:
        status = answer.status_code
        error = read_error(answer.content)
        error = msgspec.structs.replace(error, message=self._scrub(error.message))
        if status in _AGAIN or status >= 500:
            return Retryable(f"status {status}: {error.message}", read_retry_after(answer.headers.get("Retry-After")))
        if status in (401, 403):
            return EngineError(
                f"the server refuses the key (status {status})",
                where=self._where,
                hint=f"set {KEY_VARIABLE} to a valid one",
            )
        if status == 404 or answer.is_redirect:
            return EngineError(
                f"the server has no such address or model (status {status}): {error.message}",
                where=self._where,
                hint="correct --base-url (it ends in /v1 on most servers) or --engine-arg model=NAME",
            )
        return refusal(error, room)

    async def _ask_models(self) -> _Server:
        """What `GET models` lists; a server without it needs `model` to be named."""
        # Nothing is at stake yet: a wrong address should show at once.
        policy = replace(self._policy, deadline_s=min(_START_S, self._policy.deadline_s))
        try:
            body = await with_retries(lambda: self._send("GET", "models", 0), policy)
            listed = msgspec.json.decode(body, type=_Models).data
        except GaveUp as error:
            raise EngineError(
                f"no answer: {self._scrub(str(error))}",
                where=self._where,
                hint="start the server, or correct --base-url",
            ) from None
        except (EngineError, msgspec.MsgspecError) as error:
            if isinstance(error, EngineError) and KEY_VARIABLE in error.hint:
                raise
            listed = []
        model = self._options.model or (listed[0].id if len(listed) == 1 else "")
        if not model:
            known = ", ".join(m.id for m in listed[:20]) or "none"
            raise ConfigError(f"which model? the server lists: {known}", hint="name it with --engine-arg model=NAME")
        entry = next((m for m in listed if m.id == model), _Model(model))
        return _Server(model, self._options.max_model_len or entry.max_model_len or 0, entry.owned_by == "vllm")

    def _scrub(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


class _Model(msgspec.Struct, frozen=True):
    id: str
    max_model_len: int | None = None
    owned_by: str | None = None


class _Models(msgspec.Struct, frozen=True):
    data: list[_Model] = []
