"""The elements of a JSON array, or objects one after the other, out of a stream: what a `.json` file may be.

The standard library's scanner finds where each element ends; its bytes are decoded and checked as a line is. An element
that is no JSON ends the reading, since where the next one begins cannot be known then.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any

from rprm_jobs.errors import InputError

_BLOCK = 1 << 20
_SPACE = " \t\r\n"
_scan = json.JSONDecoder().raw_decode


def read_elements(stream: Any, limit: int, path: str, *, array: bool) -> Iterator[tuple[int, bytes | None]]:
    """`(number from 1, element)`; None stands for an element longer than `limit` bytes, which ends the reading."""
    text = _Text(stream)
    number = 0
    if array:
        text.skip_space()
        text.at += 1
        if text.next() == "]":
            text.at += 1
            _refuse_rest(text, path)
            return
    while text.next():
        number += 1
        element = _element(text, limit, path, number)
        yield number, element
        if element is None:
            raise InputError(
                f"element {number} has more than {limit} bytes, and what follows it cannot be found",
                where=path,
                hint="write one object a line (jq -c .[]), or raise RPRM_MAX_LINE_BYTES",
            )
        if not array:
            continue
        after = text.next()
        if after not in ("]", ","):
            raise _broken(
                path, number, "a comma or the array's end was expected after it" if after else "it is cut off"
            )
        text.at += 1
        if after == "]":
            _refuse_rest(text, path)
            return
    if array:
        raise _broken(path, number + 1, "the array is cut off")


def _refuse_rest(text: _Text, path: str) -> None:
    if text.next():
        raise InputError("something follows the array's end", where=path, hint="write one array, or one object a line")


def _broken(path: str, number: int, why: str) -> InputError:
    return InputError(
        f"element {number} is not JSON: {why}",
        where=path,
        hint="write the file again, or one object a line (jq -c .[])",
    )


def _element(text: _Text, limit: int, path: str, number: int) -> bytes | None:
    while True:
        reason = "it is cut off"
        try:
            _, end = _scan(text.buffer, text.at)
            if end < len(text.buffer) or text.ended:
                return _bytes_of(text, end, limit)
        except json.JSONDecodeError as error:
            reason = f"{error.msg} at character {error.pos - text.at + 1} of it"
        except (RecursionError, ValueError):
            reason = "it is nested too deeply, or holds too long a number"
        if len(text.buffer) - text.at > limit:
            return None
        if text.ended:
            raise _broken(path, number, reason)
        text.more()


def _bytes_of(text: _Text, end: int, limit: int) -> bytes | None:
    element = text.buffer[text.at : end].encode("utf-8", "surrogateescape")
    text.at = end
    return element if len(element) <= limit else None


class _Text:
    """A stream's text from `at` on. Bytes that are no UTF-8 are escaped, so that they come out again as they were."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
        self.buffer = ""
        self.at = 0
        self.ended = False

    def more(self) -> None:
        """Read on: as much again as is held, so that a large element costs no more than twice its reading."""
        self.buffer = self.buffer[self.at :]
        self.at = 0
        pieces = [self.buffer]
        wanted = max(_BLOCK, len(self.buffer))
        while wanted > 0 and not self.ended:
            block = self._stream.read(_BLOCK)
            self.ended = not block
            pieces.append(self._decode(block, self.ended))
            wanted -= len(block)
        self.buffer = "".join(pieces)

    def skip_space(self) -> None:
        """Go on to what is no white space, or to the end."""
        while True:
            while self.at < len(self.buffer) and self.buffer[self.at] in _SPACE:
                self.at += 1
            if self.at < len(self.buffer) or self.ended:
                return
            self.more()

    def next(self) -> str:
        """The next character that is no white space, which stays; "" at the end."""
        self.skip_space()
        return self.buffer[self.at : self.at + 1]
