"""The engine behind HTTP: any server that speaks OpenAI's chat completions. Only `retry` beside it retries.

The server tokenises, so marks that it could take for special tokens are broken by a space before they are sent. The key
comes from RPRM_API_KEY alone and stands in one request header, nowhere else.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from rprm_jobs.engine import EngineInfo, EngineStats, Generation, Prompt
from rprm_jobs.errors import ConfigError, EngineDied, EngineError, PromptTooLong, Refused, RprmError, Unanswered
from rprm_jobs.judge.resolve import Judge
from rprm_jobs.judge.verdict import STOP_STRINGS
from rprm_jobs.types import Message, Sampling, Turn
from workers.engines.naming import engine_name
from workers.engines.openai.body import broken, chat_body, without_logprobs
from workers.engines.openai.choices import read_choice
from workers.engines.openai.fitting import Fitting
from workers.engines.openai.options import KEY_VARIABLE, OpenaiOptions
from workers.engines.openai.refusals import NotTaken, Overflow
from workers.engines.openai.reply import Reply, read_reply
from workers.engines.openai.retry import GaveUp, Retryable, RetryPolicy, with_retries
from workers.engines.openai.server import Model, Server, ask_window, read_models
from workers.engines.openai.transport import Transport

ROOM = 64
# Some servers refuse a limit below 16 tokens.
_TRIAL = Sampling(max_new_tokens=16)
_ONE_TOKEN = Sampling(temperature=0.0, top_p=1.0, max_new_tokens=1)
_PROBE_S = 30.0


class OpenaiEngine:
    """Implements the Engine protocol over `POST {base_url}/chat/completions`."""

    def __init__(self, judge: Judge, options: OpenaiOptions, policy: RetryPolicy | None = None) -> None:
        # A judge's own name says which model the server has; where another is named, that one answers. Without
        # log-probabilities votes stand in for P(Yes).
        settings = {"model": options.model} if options.model not in ("", judge.name, judge.served_as) else {}
        settings |= {} if options.top_logprobs else {"top_logprobs": "0"}
        self._name = engine_name("openai", settings, settings)
        self._options = msgspec.structs.replace(options, model=options.model or judge.served_as or "")
        self._policy = policy or RetryPolicy(deadline_s=options.deadline_s, tries=options.tries)
        self._transport = Transport(self._options, os.environ.get(KEY_VARIABLE, ""))
        self._server = Server(self._options.model, options.max_model_len, keeps_stops=False)
        self._fitting = Fitting(options.token_limit_field)
        # A server cannot tell a verdict line in a thinking block from the judge's own; a judge that thinks gets none.
        self._critique_stops: tuple[str, ...] = STOP_STRINGS
        self._slots = asyncio.Semaphore(options.concurrency)
        self._probing = asyncio.Lock()
        # Set once the server is of no more use: requests that still wait for their turn are not sent.
        self._ended: EngineDied | None = None
        self._prompt_tokens = 0
        self._generated_tokens = 0

    async def start(self) -> EngineInfo:
        """Ask the server what it serves, and judge one short prompt, so that a wrong key or option shows at once."""
        self._transport.open()
        try:
            async with asyncio.timeout(self._options.start_s):
                await self._start()
        except RprmError as error:
            await self.close()
            raise EngineError(error.what, where=self._where, hint=error.hint) from None
        except TimeoutError:
            await self.close()
            raise EngineError(
                f"no answer to a trial request within {self._options.start_s:g} s",
                where=self._where,
                hint="see to the server; if it loads the model on demand, raise --engine-arg start_s",
            ) from None
        except Exception as error:
            await self.close()
            raise EngineError(
                f"the server refused a trial request: {error}",
                where=self._where,
                hint="lower --engine-arg top_logprobs if it names logprobs; else correct what it names",
            ) from error
        return EngineInfo(self._name, f"{self._server.model} at {self._where}", self._server.window)

    def encode(self, message: str | Message, prefill: str = "") -> Prompt:
        """The message and the turns before it, with everything that looks like a special token broken by a space.

        The server frames them; a chat frame that a prompt file brings is left out.
        """
        message = Message(message) if isinstance(message, str) else message
        before = tuple(Turn(turn.role, broken(turn.text)) for turn in message.before)
        return Prompt(broken(message.text), prefill=broken(prefill), before=before)

    async def sample(
        self, prompt: Prompt, seeds: Sequence[int], sampling: Sampling, *, stop: Sequence[str] | None = None
    ) -> list[Generation]:
        """One request per seed.

        Raises EngineDied when the server stays away beyond the deadline, Unanswered when it answers all but this.
        """
        tasks = [asyncio.create_task(self._generate(prompt, seed, sampling, stop)) for seed in seeds]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            # A cancelled or failed call closes its connections, which is how the server learns to stop.
            left = [task for task in tasks if task.cancel()]
            await asyncio.gather(*left, return_exceptions=True)

    async def choose(self, message: Message, prefill: str, words: Sequence[str]) -> list[float]:
        """The log-probabilities that the server lists for one more token; needs a server that goes on with an answer.

        A word that is not listed beside another has the least that is (as GenPRM reads it).
        """
        prompt = self.encode(message, prefill)
        body = self._body(prompt, 0, _ONE_TOKEN, ())
        body |= {"logprobs": True, "top_logprobs": max(self._options.top_logprobs, len(words))}
        async with self._slots:
            reply = await self._retried(body)
        self._prompt_tokens += reply.prompt_tokens
        self._generated_tokens += 1
        return read_choice(reply.logprobs, words)

    def stats(self) -> EngineStats:
        """Totals so far, as the server counts tokens."""
        return EngineStats(self._prompt_tokens, self._generated_tokens)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    @property
    def _where(self) -> str:
        return self._options.base_url

    async def _start(self) -> None:
        policy = replace(self._policy, deadline_s=min(0.8 * self._options.start_s, self._policy.deadline_s))
        try:
            self._server = await self._ask_models(policy)
            body = self._body(self.encode("1 + 1 = 2"), 0, _TRIAL, None)
            await with_retries(lambda: self._ask(body), policy)
        except GaveUp as error:
            if error.answered and await self._ask_without_logprobs(body) is not None:
                raise EngineError(
                    f"the server answers, but not with log-probabilities: {error}",
                    where=self._where,
                    hint="give --engine-arg top_logprobs=0, for rewards from the verdicts alone; or use another server",
                ) from None
            raise EngineError(
                f"no answer: {error}{self._transport.through}",
                where=self._where,
                hint="start the server, or correct --base-url",
            ) from None

    async def _generate(self, prompt: Prompt, seed: int, sampling: Sampling, stop: Sequence[str] | None) -> Generation:
        async with self._slots:
            if self._ended is not None:
                raise EngineDied(self._ended.what, where=self._ended.where, hint=self._ended.hint)
            body = self._body(prompt, seed, sampling, stop)
            reply = await self._fitted(prompt, body)
            if stop is None and "stop" in body and reply.stopped_in_thinking():
                # The same critique again, to its end.
                self._critique_stops = ()
                reply = await self._fitted(prompt, self._body(prompt, seed, sampling, stop))
        generation = reply.critique() if stop is None else reply.free_text(tuple(stop))
        self._prompt_tokens += reply.prompt_tokens
        self._generated_tokens += generation.tokens
        return generation

    async def _fitted(self, prompt: Prompt, body: dict[str, Any]) -> Reply:
        """The reply to `body`, or to one that asks for fewer tokens where the window leaves no room for as many."""
        field = self._options.token_limit_field
        room = min(ROOM, body[field])
        while True:
            body = self._fitting.known(prompt.text, body)
            try:
                reply = await self._retried(body)
            except Overflow as overflow:
                self._fitting.shorten(prompt.text, body, overflow, room)
                continue
            if reply.nothing_written and body[field] > room:
                # How LMDeploy says that the prompt and the limit do not fit.
                self._fitting.shorten(prompt.text, body, Overflow("it wrote nothing"), room)
                continue
            return reply

    async def _retried(self, body: dict[str, Any]) -> Reply:
        try:
            return await self._answered(body)
        except EngineDied as died:
            self._ended = died
            raise

    async def _answered(self, body: dict[str, Any]) -> Reply:
        try:
            return await with_retries(lambda: self._ask(body), self._policy, self._answers)
        except GaveUp as error:
            if error.others_answered:
                reply = await self._ask_without_logprobs(body) if error.answered else None
                if reply is not None:
                    return reply
                raise Unanswered(f"the server answers other prompts and not this one: {error}") from None
            raise EngineDied(
                f"the server does not answer: {error}{self._transport.through}",
                where=self._where,
                hint="see to the server; the work is handed back",
            ) from None
        except EngineError as error:
            # What was well at the start and is refused now is no fact about the rollout.
            raise EngineDied(error.what, where=error.where, hint=error.hint) from None
        except NotTaken as refused:
            if not await self._answers():
                raise EngineDied(
                    f"the server refuses every prompt: {refused}", where=self._where, hint="see to the server"
                ) from None
            raise

    async def _answers(self) -> bool:
        """Whether the server answers a short prompt that it answered at the start."""
        body = self._body(self.encode("1 + 1 = 2"), 0, _TRIAL, None)
        async with self._probing:
            try:
                async with asyncio.timeout(min(_PROBE_S, self._options.timeout_s)):
                    await self._ask(body)
            except (TimeoutError, Retryable, EngineError, Refused, PromptTooLong, Overflow):
                return False
        return True

    async def _ask_without_logprobs(self, body: dict[str, Any]) -> Reply | None:
        """The reply to a prompt whose log-probabilities the server stumbles over; None where it was not those.

        vLLM and SGLang answer with status 500 where a listed log-probability is no number.
        """
        bare = without_logprobs(body)
        if bare == body:
            return None
        try:
            return await self._ask(bare)
        except (Retryable, EngineError, Refused, PromptTooLong, Overflow):
            return None

    async def _ask(self, body: dict[str, Any]) -> Reply:
        return read_reply(await self._transport.send("POST", "chat/completions", body))

    def _body(self, prompt: Prompt, seed: int, sampling: Sampling, stop: Sequence[str] | None) -> dict[str, Any]:
        top_logprobs = self._options.top_logprobs if stop is None else 0
        stops = self._critique_stops if stop is None else stop
        return chat_body(
            self._server, prompt, seed, sampling, stops, self._options.token_limit_field, top_logprobs=top_logprobs
        )

    async def _ask_models(self, policy: RetryPolicy) -> Server:
        """What `GET models` lists; a server without it needs `model` to be named."""
        try:
            listed = read_models(await with_retries(lambda: self._transport.send("GET", "models"), policy))
        except (EngineError, Refused, Overflow) as error:
            if isinstance(error, EngineError) and KEY_VARIABLE in error.hint:
                raise
            listed = []
        name = self._options.model or (listed[0].name if len(listed) == 1 else "")
        if not name:
            known = ", ".join(model.name for model in listed[:20]) or "none"
            raise ConfigError(f"which model? the server lists: {known}", hint="name it with --engine-arg model=NAME")
        model = next((model for model in listed if model.name == name), Model(name))
        window = self._options.max_model_len or model.window or await ask_window(self._transport.get_from_root)
        return Server(name, window, model.owner == "vllm")
