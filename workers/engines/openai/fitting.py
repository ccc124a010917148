"""How many tokens to ask for when prompt and answer do not fit the server's window; whether a prompt is too long.

A server that names both numbers is asked for what is left; one that does not is asked for half, until it takes it.
"""

from __future__ import annotations

from typing import Any

from rprm_jobs.errors import PromptTooLong, Refused
from workers.engines.openai.refusals import Overflow

# Prompts of which it is known how much fits; each is asked about many times, and forgetting one costs one request.
_MOST_KNOWN = 4096


class Fitting:
    """Remembers what fitted. `field` names the limit in a request's body."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._known: dict[int, int] = {}
        self._output_limit: int | None = None

    def known(self, text: str, body: dict[str, Any]) -> dict[str, Any]:
        """`body` with the limit that is known to fit."""
        limits = [body[self._field], self._known.get(hash(text)), self._output_limit]
        return {**body, self._field: min(limit for limit in limits if limit is not None)}

    def shorten(self, text: str, body: dict[str, Any], overflow: Overflow, room: int) -> None:
        """Ask for fewer tokens from now on. Raises PromptTooLong or Refused when less than `room` would be left."""
        asked = body[self._field]
        if overflow.output_limit is not None:
            if not room <= overflow.output_limit < asked:
                raise Refused(f"the server does not take the request: {overflow.message}")
            self._output_limit = overflow.output_limit
            return
        left = self._left(overflow, asked)
        if left < room:
            raise _too_long(overflow, room)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[hash(text)] = left

    def _left(self, overflow: Overflow, asked: int) -> int:
        """Fewer than were `asked` for: what the window leaves, or half where the server does not tell that."""
        if overflow.limit is not None and overflow.tokens is not None:
            left = overflow.limit - overflow.tokens
            # Some count one token more than they say.
            return min(asked // 2, left) if overflow.at_least else min(asked - 1, left)
        return min(asked, overflow.limit or asked) // 2


def _too_long(overflow: Overflow, room: int) -> PromptTooLong | Refused:
    if overflow.limit is not None and overflow.tokens is not None:
        return PromptTooLong(tokens=overflow.tokens, limit=overflow.limit, room=room)
    return Refused(f"the server says that the prompt is too long: {overflow.message}")
