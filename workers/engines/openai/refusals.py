"""What a refused request says of its prompt: too long, filtered, or not taken at all, in the words of many servers.

Each wording below was met in vLLM, SGLang, TGI, llama.cpp, LM Studio, LMDeploy, LiteLLM or a hosted service.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from rprm_jobs.errors import Refused

_CODES = {"context_length_exceeded", "exceed_context_size_error", "model_context_window_exceeded"}
# An account without money. Only codes: the same words of a quota also say that a minute's requests are used up.
_UNPAID_CODES = {
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "exceeded_current_quota_error",
    "insufficient_balance",
}
_FILTER_CODES = {"content_filter", "content_policy_violation", "moderation_error"}
_FLAGGED = re.compile(r"content[ _](?:filter|policy|management policy)|was flagged|moderation", re.I)
_TOO_LONG = re.compile(
    r"context (?:length|size|window)|(?:prompt|input) (?:is )?too (?:long|large)|too many (?:input )?tokens"
    r"|longer than the (?:model|maximum)|reduce the length|model token limit|max_new_tokens` must be|tokens\. Given"
    r"|exceeds? the (?:maximum (?:allowed|number of tokens|input)|limit of \d)|range of input length"
    r"|maximum prompt length|greater than max_model_len|Current length is \d",
    re.I,
)
_OUTPUT_LIMIT = re.compile(
    r"(?:at most (\d+) (?:completion|output) tokens|max_(?:completion_)?tokens`? (?:is |must be less than or equal to )"
    r"[`\[]?(?:1, ?)?(\d+)|> (\d+), which is the maximum allowed number of output)",
    re.I,
)
_LIMIT = re.compile(
    r"(?:(?:context|model) (?:length|size|window)(?: is| of)?(?: only)?|max_model_len|must be <=|must have less than"
    r"|maximum allowed (?:input )?length(?: of)?|maximum prompt length is|exceeds the limit of|configured limit of"
    r"|token limit:|limit is|number of tokens allowed|input length should be|> ?(?=\d+ maximum)|n_ctx|model with)"
    r"[^\d\n]{0,6}(?:1, ?)?(\d+)",
    re.I,
)
_TOKENS = re.compile(
    r"(?<!bound for )(?<!only )\b(\d+)(?: (?:input tokens|in the (?:prompt|messages)|tokens (?:from the input"
    r"|in the (?:prompt|messages)|> \d+|, too large))| `inputs` tokens)"
    r"|(?:Given: |resulted in |request contains |token count of |Current length is |requested: "
    r"|Prompt contains (?=\d+ tokens)|prompt is too long: |keep the first "
    r"|(?:The input|request|input|Input length|token count|prompt) \((?:length )?"
    r"|Input length )(\d+)",
    re.I,
)
_MAXIMUM_INPUT = re.compile(r"maximum input length of (\d+)", re.I)


class ErrorBody(msgspec.Struct, frozen=True):
    """The error of a refused request, in the spellings of several servers."""

    message: str = ""
    code: str = ""
    type: str = ""
    n_prompt_tokens: int | None = None
    n_ctx: int | None = None


class NotTaken(Refused):
    """The server does not take the request, for a reason that may lie in all requests of this kind."""


@dataclass
class Overflow(Exception):
    """The prompt and the tokens asked for do not fit; numbers are None where the server named none.

    With `at_least` the prompt may be longer than `tokens`. `output_limit`: the most that may be asked for at all.
    """

    message: str
    tokens: int | None = None
    limit: int | None = None
    at_least: bool = False
    output_limit: int | None = None


def read_error(body: bytes) -> ErrorBody:
    """What a server says of a request it refused; text that is not JSON counts as its message."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ErrorBody(message=body[:300].decode(errors="replace"))
    return as_error(document, body)


def refusal(error: ErrorBody) -> Overflow | Refused:
    """What a request that the server will never take says of its prompt."""
    if is_filtered(error):
        return Refused(f"the server refused: {error.message or error.code}")
    overflow = read_overflow(error)
    return overflow or NotTaken(f"the server does not take the request: {error.message or 'no reason given'}")


def is_filtered(error: ErrorBody) -> bool:
    """Whether the server's filter turned the prompt down."""
    return error.code in _FILTER_CODES or _FLAGGED.search(error.message) is not None


def is_unpaid(error: ErrorBody) -> bool:
    """Whether the server answers nothing more until somebody pays, whatever status says so."""
    return not {error.code, error.type}.isdisjoint(_UNPAID_CODES)


def read_overflow(error: ErrorBody) -> Overflow | None:
    """The overflow that `error` speaks of, if it speaks of one."""
    message = re.sub(r"(?<=\d),(?=\d{3})", "", error.message)
    output = _OUTPUT_LIMIT.search(message)
    if output is not None:
        return Overflow(error.message, output_limit=_first_number(output))
    if not ({error.code, error.type} & _CODES or _TOO_LONG.search(message)):
        return None
    tokens, limit = _TOKENS.search(message), _LIMIT.search(message)
    count = error.n_prompt_tokens or (_first_number(tokens) if tokens else None)
    maximum_input = _MAXIMUM_INPUT.search(message)
    at_least = tokens is not None and message[: tokens.start()].endswith("at least ")
    # A tokenizer that stops one token past the limit has not seen the prompt's end.
    at_least = at_least or (maximum_input is not None and count == int(maximum_input[1]) + 1)
    return Overflow(error.message, count, error.n_ctx or (_first_number(limit) if limit else None), at_least)


def _first_number(match: re.Match[str]) -> int | None:
    return next((int(group[:18]) for group in match.groups() if group), None)


def as_error(document: Any, body: bytes = b"no reason given") -> ErrorBody:
    """The error in a document; `body` is what counts as its message where there is none to be found."""
    inner = document.get("error", document) if isinstance(document, dict) else document
    if isinstance(inner, str):
        return ErrorBody(message=inner)
    if not isinstance(inner, dict):
        return ErrorBody(message=body[:300].decode(errors="replace"))
    message = next((inner[key] for key in ("message", "detail", "error", "msg") if inner.get(key)), "")
    if not isinstance(message, str):
        message = msgspec.json.encode(message).decode()
    return ErrorBody(
        message=message[:2000],
        code=_word(inner.get("code")),
        type=_word(inner.get("type") or inner.get("error_type")),
        n_prompt_tokens=_positive(inner.get("n_prompt_tokens")),
        n_ctx=_positive(inner.get("n_ctx")),
    )


def _word(value: Any) -> str:
    return str(value)[:100] if isinstance(value, str | int) else ""


def _positive(value: Any) -> int | None:
    return value if type(value) is int and 0 < value < 2**31 else None
