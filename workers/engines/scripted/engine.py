"""The engine that needs no model: critiques that are a function of (prompt, seed), at a rate that the caller sets.

It is for tests, load trials and dry runs. Votes are spread over steps as on real data: the chance of a Yes is drawn
per prompt from the Beta distribution fitted to the published vote counts of R-PRM-7B-SFT on PRMBench. A marker such as
`[[scripted:exit]]` in the step that is judged causes a fault (see `workers.engines.scripted.script`).
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
import time
from collections.abc import Sequence

import msgspec

from rprm_jobs.engine import EngineInfo, EngineStats, Generation, Prompt
from rprm_jobs.errors import PromptTooLong
from rprm_jobs.judge.resolve import Judge
from rprm_jobs.judge.verdict import MARKER, cut_critique, read_verdict
from rprm_jobs.types import Finish, Message, Sampling, Verdict
from workers.engines.scripted.families import write_answer
from workers.engines.scripted.policy import write_steps
from workers.engines.scripted.script import Effect, act, now_step

# Beta-binomial fit to the shares of steps with 0..10 Yes votes out of ten (83,456 steps).
_YES_SHAPE = (0.52, 0.18)
_CHARS_PER_TOKEN = 4
_ROOM = 64
_POOL_CHARS = 1_000_000
_MASK = 2**64 - 1


class ScriptedOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`delay_s`: seconds that a critique takes; `rate`: critiques/s of the whole engine, 0 for no limit.

    `text_chars`: length of a critique with its verdict line; `max_model_len`: tokens of 4 characters each.
    """

    delay_s: float = 0.0
    rate: float = 0.0
    text_chars: int = 400
    max_model_len: int = 32768

    def __post_init__(self) -> None:
        if self.delay_s < 0 or self.rate < 0 or self.text_chars < 1 or self.max_model_len < 1:
            raise ValueError("delay_s and rate must be >= 0, text_chars and max_model_len >= 1")


class ScriptedEngine:
    """Implements the Engine protocol with no model behind it."""

    def __init__(self, judge: Judge, options: ScriptedOptions) -> None:
        self._template, self._family = judge.template, judge.family
        self._options = options
        self._pool = ""
        self._free_at = 0.0
        self._prompt_tokens = 0
        self._generated_tokens = 0

    async def start(self) -> EngineInfo:
        """Prepare the pool of text that critiques are cut from."""
        self._pool = _make_pool(_POOL_CHARS + self._options.text_chars)
        return EngineInfo("scripted", "1", self._options.max_model_len)

    def encode(self, message: str | Message, prefill: str = "") -> Prompt:
        """The text as it is: this engine has no tokens and no chat frame."""
        return Prompt(message if isinstance(message, str) else message.text, prefill=prefill)

    async def sample(
        self, prompt: Prompt, seeds: Sequence[int], sampling: Sampling, *, stop: Sequence[str] | None = None
    ) -> list[Generation]:
        """One text per seed; faults that the prompt's markers ask for happen here."""
        tokens = len(prompt.text) // _CHARS_PER_TOKEN
        if tokens + _ROOM > self._options.max_model_len:
            raise PromptTooLong(tokens=tokens, limit=self._options.max_model_len, room=_ROOM)
        effect = act(now_step(self._template, prompt.text)) if "[[scripted:" in prompt.text else Effect()
        await self._take_time(len(seeds), effect.slow_s)
        if stop is None:
            generations = self._generate(prompt.text, seeds, sampling.max_new_tokens, effect)
        else:
            generations = [self._free_text(prompt, seed, sampling.max_new_tokens, stop) for seed in seeds]
        self._prompt_tokens += tokens
        self._generated_tokens += sum(g.tokens for g in generations)
        return generations

    async def choose(self, message: Message, prefill: str, words: Sequence[str]) -> list[float]:
        """The first word with a chance that is the prompt's, moved a little by what was written so far."""
        effect = act(now_step(self._template, message.text)) if "[[scripted:" in message.text else Effect()
        await self._take_time(1, effect.slow_s)
        chance = self._chance(_key(message.text), effect)
        drawn = random.Random(f"{message.text}\x1f{prefill}").random()
        first = min(max(0.8 * chance + 0.2 * drawn, 1e-6), 1 - 1e-6) if effect.chance is None else abs(chance - 1e-6)
        self._generated_tokens += 1
        return [math.log(first), *[math.log((1 - first) / (len(words) - 1))] * (len(words) - 1)]

    def _free_text(self, prompt: Prompt, seed: int, max_tokens: int, stop: Sequence[str]) -> Generation:
        answer = write_answer(self._family, prompt.text, prompt.prefill, seed, max_tokens, stop)
        return answer or write_steps(prompt.text + prompt.prefill, seed, max_tokens, stop)

    def stats(self) -> EngineStats:
        """Totals so far, in tokens of 4 characters."""
        return EngineStats(self._prompt_tokens, self._generated_tokens)

    async def close(self) -> None:
        """Nothing runs, so nothing stops."""

    async def _take_time(self, n: int, slow_s: float) -> None:
        """Wait as a device that finishes `rate` critiques a second would make its callers wait."""
        cost = n / self._options.rate if self._options.rate else 0.0
        now = time.monotonic()
        self._free_at = max(now, self._free_at) + cost
        wait = max(self._options.delay_s + slow_s, self._free_at - now)
        try:
            await asyncio.sleep(wait if wait > 0.0005 else 0)
        except asyncio.CancelledError:
            self._free_at -= cost
            raise

    def _generate(self, text: str, seeds: Sequence[int], max_tokens: int, effect: Effect) -> list[Generation]:
        key = _key(text)
        chance = self._chance(key, effect)
        return [self._critique(_mix(key ^ seed), chance, max_tokens, effect) for seed in seeds]

    def _chance(self, key: int, effect: Effect) -> float:
        return random.Random(key).betavariate(*_YES_SHAPE) if effect.chance is None else effect.chance

    def _critique(self, noise: int, chance: float, max_tokens: int, effect: Effect) -> Generation:
        yes = (noise & 0xFFFFFF) / 0x1000000 < chance
        # Cubed, so that most critiques are as sure of their own verdict as a model that has just argued for it.
        doubt = 0.5 * ((noise >> 24 & 0xFFFF) / 0x10000) ** 3
        ending = f"\n{MARKER} {'Yes' if yes else 'No'}" if effect.ending is None else effect.ending
        start = (noise >> 40) % _POOL_CHARS
        room = max(0, self._options.text_chars - len(ending))
        body = self._pool[start : start + room]
        if effect.truncated or (room + len(ending)) // _CHARS_PER_TOKEN > max_tokens:
            body = body[: max_tokens * _CHARS_PER_TOKEN]
            return Generation(body, _tokens(body), Finish.LENGTH, None)
        if effect.unparsed:
            return Generation(body, _tokens(body), Finish.STOP, None)
        text, _ = cut_critique(body + ending)
        verdict = read_verdict(text, Finish.STOP)
        p_yes = {Verdict.YES: 1.0 - doubt, Verdict.NO: doubt}.get(verdict)
        return Generation(text, _tokens(text), Finish.STOP, None if effect.no_logprobs else p_yes)


def _key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big")


def _tokens(text: str) -> int:
    return max(1, len(text) // _CHARS_PER_TOKEN)


def _mix(x: int) -> int:
    """The finaliser of SplitMix64: 64 well-mixed bits from any integer."""
    x = (x + 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def _make_pool(chars: int) -> str:
    """Arithmetic chatter of at least `chars` characters, the same in every process."""
    rng = random.Random(20250321)
    forms = (
        "Adding {a} and {b} gives {c}, which is what the step writes.\n",
        "The number {a} comes from the problem; {b} was found in Step {d}.\n",
        "Checking {a} x {b} again: the product is {e}.\n",
        "This follows from Step {d} and does not contradict {c}.\n",
        "Previous Steps Analysis: so far {d} quantities are known, the last one being {b}.\n",
        "Calculation Analysis: {c} - {b} = {a}.\n",
    )
    parts: list[str] = []
    size = 0
    while size < chars:
        a, b, d = rng.randrange(10, 9999), rng.randrange(10, 9999), rng.randrange(1, 12)
        parts.append(rng.choice(forms).format(a=a, b=b, c=a + b, d=d, e=a * b))
        size += len(parts[-1])
    return "".join(parts)
