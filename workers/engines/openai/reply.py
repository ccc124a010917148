"""Reading what an OpenAI-compatible server answers: the critique, P(Yes) from its top log-probs, what a refusal means.

Pure: bytes and numbers in, values or errors of the project out. A reply that is not as agreed is Retryable, never
guessed at.
"""

from __future__ import annotations

import bisect
import itertools
import math
import re
from collections.abc import Sequence

import msgspec

from rprm_jobs.engine import Generation
from rprm_jobs.errors import PromptTooLong, Refused
from rprm_jobs.judge.verdict import MARKER, STOP_STRINGS, find_verdicts, p_yes
from rprm_jobs.types import Finish
from workers.engines.openai.retry import Retryable
from workers.engines.stop_strings import cut_at_stop

# The answer whose log-prob the server left out is below the least it listed. When that leaves P(Yes) less certain
# than this, there is no P(Yes) for the critique, and its vote stands alone.
MOST_DOUBT = 0.01


_BARE_VERDICT = re.compile(re.escape(MARKER.replace(" ", "").encode()) + b"(Yes|No)")


class TopToken(msgspec.Struct, frozen=True):
    """One of the likeliest tokens at a place."""

    token: str
    logprob: float


class Token(msgspec.Struct, frozen=True, rename={"octets": "bytes"}):
    """A generated token with the likeliest ones at its place; `octets` are exact where `token` is not valid text."""

    token: str
    logprob: float
    octets: list[int] | None = None
    top_logprobs: list[TopToken] = []

    def raw(self) -> bytes:
        return bytes(self.octets) if self.octets is not None else self.token.encode(errors="replace")


class Logprobs(msgspec.Struct, frozen=True):
    content: list[Token] | None = None


class Message(msgspec.Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None


class Choice(msgspec.Struct, frozen=True):
    message: Message
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Reply(msgspec.Struct, frozen=True):
    """A chat completion, as far as it is read here."""

    choices: list[Choice]
    usage: Usage | None = None


def read_reply(body: bytes) -> tuple[Generation, Usage]:
    """The critique in a chat completion. Raises Refused for one that was filtered, Retryable for what is none."""
    try:
        reply = msgspec.json.decode(body, type=Reply)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Retryable(f"the server's answer is no chat completion: {error}") from error
    if not reply.choices:
        raise Retryable("the server's answer has no choices")
    choice = reply.choices[0]
    if choice.message.refusal or choice.finish_reason == "content_filter":
        raise Refused(f"the server refused: {choice.message.refusal or 'content filter'}")
    tokens = (choice.logprobs and choice.logprobs.content) or []
    usage = reply.usage or Usage(0, len(tokens))
    text = cut_at_stop(choice.message.content or "", STOP_STRINGS)
    finish = Finish.LENGTH if choice.finish_reason == "length" else Finish.STOP
    return Generation(text, usage.completion_tokens or len(tokens), finish, read_p_yes(text, tokens)), usage


def read_p_yes(text: str, tokens: Sequence[Token]) -> float | None:
    """P(Yes) at the last verdict of `text`, or None where the server told too little.

    With one answer among the top log-probs only, the other's probability is at most `u` = the smaller of the least one
    listed and of what all listed ones leave of 1. P(Yes) is then known to within u / (u + p), and taken in the middle.
    """
    token = _answer_token(tokens, len(find_verdicts(text)))
    if token is None:
        return None
    yes, no = (_answer(token, word) for word in ("Yes", "No"))
    if yes is not None and no is not None:
        return p_yes(yes, no)
    listed = [top.logprob for top in token.top_logprobs]
    known = yes if yes is not None else no
    if known is None or not listed:
        return None
    most = min(math.exp(min(listed)), max(0.0, 1.0 - math.fsum(map(math.exp, listed))))
    doubt = most / (most + math.exp(known)) if most > 0 else 0.0
    if doubt > MOST_DOUBT:
        return None
    return 1.0 - doubt / 2 if yes is not None else doubt / 2


def _answer_token(tokens: Sequence[Token], count: int) -> Token | None:
    """The token that begins the answer of verdict number `count`, counted from 1.

    Found without regard to white space: some servers leave out the space that a token begins with, others put the
    vocabulary's mark for it.
    """
    stop_criteria = list(itertools.accumulate(len(_bare(token.raw())) for token in tokens))
    found = list(_BARE_VERDICT.finditer(b"".join(_bare(token.raw()) for token in tokens)))
    if not 0 < count <= len(found):
        return None
    return tokens[bisect.bisect_right(stop_criteria, found[count - 1].start(1))]


def _bare(raw: bytes) -> bytes:
    return re.sub(rb"\s|\xc4\xa0|\xe2\x96\x81", b"", raw)


def _answer(token: Token, word: str) -> float | None:
    """Log-prob of the token that begins `word` at this place, written with a space or without as the sampled one is."""
    spaced = _plain(token.token).startswith(" ")
    whole = f" {word}" if spaced else word
    fits = [
        (len(text), top.logprob)
        for top in [*token.top_logprobs, TopToken(token.token, token.logprob)]
        if (text := _plain(top.token)).strip() and whole.startswith(text)
    ]
    return max(fits)[1] if fits else None


def _plain(token: str) -> str:
    """Some servers show a token as its vocabulary spells it, with a mark for the space."""
    return re.sub("^[\u0120\u2581]", " ", token)


class ErrorBody(msgspec.Struct, frozen=True):
    """The error of a refused request, in the spellings of several servers."""

    message: str = ""
    code: str | int | None = None
    type: str | None = None
    n_prompt_tokens: int | None = None
    n_ctx: int | None = None


def read_error(body: bytes) -> ErrorBody:
    """What a server says of a request it refused; text that is not JSON counts as its message."""
    try:
        error = msgspec.json.decode(body, type=_Wrapped).error or msgspec.json.decode(body, type=ErrorBody)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ErrorBody(message=body[:300].decode(errors="replace"))
    return ErrorBody(message=error) if isinstance(error, str) else error


class _Wrapped(msgspec.Struct, frozen=True):
    error: ErrorBody | str | None = None


_LIMIT = re.compile(
    r"(?:maximum context length is|context (?:size|length|window) (?:is|of)|n_ctx[^\d]{0,3})\s*(\d+)", re.I
)
_TOKENS = re.compile(r"(\d+)\s*(?:input tokens|in the messages|tokens in the (?:prompt|messages))", re.I)
_TOO_LONG = re.compile(r"context (?:length|size|window)|prompt (?:is )?too long|too many (?:input )?tokens", re.I)


def refusal(error: ErrorBody, room: int) -> PromptTooLong | Refused:
    """What a request that the server will never take says of its prompt."""
    if error.code in ("content_filter", "content_policy_violation"):
        return Refused(f"the server refused: {error.message or error.code}")
    kinds = {error.code, error.type}
    if kinds & {"context_length_exceeded", "exceed_context_size_error"} or _TOO_LONG.search(error.message):
        limit, tokens = _LIMIT.search(error.message), _TOKENS.search(error.message)
        have = error.n_prompt_tokens or (int(tokens[1]) if tokens else None)
        most = error.n_ctx or (int(limit[1]) if limit else None)
        if have is not None and most is not None:
            return PromptTooLong(tokens=have, limit=most, room=room)
        return Refused(f"the server says that the prompt is too long: {error.message}")
    return Refused(f"the server does not take the request: {error.message or 'no reason given'}")
