"""Reading a chat completion, or a completion: the critique in it, or why there is none. Pure, and safe with any bytes.

A reply that is not as agreed is Retryable; one that the server would not write is Refused or an Overflow. Nothing else
is raised, and nothing is guessed: what is missing beside the text costs P(Yes) or a number, never the critique.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec

from rprm_jobs.engine import Generation
from rprm_jobs.errors import Refused
from rprm_jobs.judge.verdict import STOP_STRINGS, cut_critique
from rprm_jobs.types import Finish
from workers.engines.openai.logprobs import read_p_yes, read_tokens
from workers.engines.openai.refusals import as_error, is_filtered, read_overflow
from workers.engines.openai.retry import Retryable
from workers.engines.stop_strings import cut_at_stop

_FILTERED = {"content_filter", "content-filter", "safety"}
_CUT = {"length", "max_tokens", "model_length", "max_output_tokens"}
_BROKEN = {"error", "abort", "aborted", "cancelled", "canceled", "unknown", ""}
_TEXT_PARTS = {"text", "output_text", None}
_MOST_TOKENS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server wrote. `content` is the answer without a reasoning part that the server keeps apart."""

    content: str
    reasoning: str
    finish: Finish
    logprobs: Any
    prompt_tokens: int
    completion_tokens: int | None

    @property
    def nothing_written(self) -> bool:
        """The token limit was met before the first token: what some servers say of a prompt that leaves no room."""
        empty = not self.content and not self.reasoning and self.completion_tokens == 0
        return empty and self.finish is Finish.LENGTH

    def stopped_in_thinking(self) -> bool:
        """Whether a stop string ended it that does not end the critique, since it stands in the judge's thinking."""
        text = (self.reasoning + self.content) if not self.content.strip() else self.content
        if self.finish is not Finish.STOP or not text.endswith(STOP_STRINGS):
            return False
        return not self.content.strip() or not cut_critique(self.content)[1]

    def critique(self) -> Generation:
        """As a critique: up to its verdict line, with P(Yes) where the server told enough."""
        text, cut = cut_critique(self.content)
        tokens = read_tokens(self.logprobs)
        p_yes = read_p_yes(text, self.content, tokens)
        return Generation(text, self._tokens(len(tokens)), Finish.STOP if cut else self.finish, p_yes)

    def free_text(self, stop: tuple[str, ...]) -> Generation:
        """As free text: up to the first of `stop`. A server that does not keep stop strings wrote on."""
        return Generation(cut_at_stop(self.content, stop), self._tokens(0), self.finish, None)

    def _tokens(self, listed: int) -> int:
        return listed if self.completion_tokens is None else self.completion_tokens


def read_reply(body: bytes) -> Reply:
    """The first choice of a completion. Raises Refused for one that was filtered, Retryable for what is none.

    Raises Overflow for an error about the window that came with a status of success.
    """
    document = _decode(body)
    choice = _first_choice(document)
    message = choice.get("message")
    if not isinstance(message, dict):
        message = {"content": choice.get("text")}
    reason = _finish_reason(choice.get("finish_reason"))
    refusal = message.get("refusal")
    if (isinstance(refusal, str) and refusal) or reason in _FILTERED:
        raise Refused(f"the server refused: {refusal if isinstance(refusal, str) and refusal else 'content filter'}")
    if reason in _BROKEN:
        raise Retryable(f"the server broke off: finish_reason {choice.get('finish_reason')!r}"[:200], answered=True)
    usage = document.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Reply(
        content=_text(message.get("content")),
        reasoning=_text(message.get("reasoning_content") or message.get("reasoning"), strict=False),
        finish=Finish.LENGTH if reason in _CUT else Finish.STOP,
        logprobs=choice.get("logprobs"),
        prompt_tokens=_count(usage.get("prompt_tokens")) or 0,
        completion_tokens=_count(usage.get("completion_tokens")),
    )


def _decode(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # Python's own reader takes NaN and Infinity, which some servers write.
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _bad(f"it is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise _bad("it is no JSON object")
    return document


def _first_choice(document: dict[str, Any]) -> dict[str, Any]:
    choices = document.get("choices")
    if not isinstance(choices, list) or not choices:
        raise _no_choices(document)
    first = next((c for c in choices if isinstance(c, dict) and c.get("index") == 0), choices[0])
    if not isinstance(first, dict):
        raise _bad("its first choice is no object")
    return first


def _no_choices(document: dict[str, Any]) -> Exception:
    """What an answer without choices is. Routers in front of a server send its errors on with a status of success."""
    if document.get("error") is None and document.get("object") != "error":
        return _bad("it has no choices")
    error = as_error(document)
    overflow = read_overflow(error)
    if overflow is not None:
        return overflow
    if is_filtered(error):
        return Refused(f"the server refused: {error.message}")
    return Retryable(f"the server's answer is an error: {error.message}"[:300], answered=True)


def _finish_reason(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("type")
    return value.lower() if isinstance(value, str) else ""


def _text(content: Any, *, strict: bool = True) -> str:
    """The text of a content: a string, a list of parts, or nothing."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(map(_part, content))
    if strict:
        raise _bad("its content is no text")
    return ""


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or part.get("type") not in _TEXT_PARTS:
        return ""
    return part["text"] if isinstance(part.get("text"), str) else ""


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else None


def _bad(why: str) -> Retryable:
    return Retryable(f"the server's answer is no chat completion: {why}"[:300], answered=True)
