"""Where the prompt ends and the response begins in a text that was decoded from the tokens of both.

Decoding does not give the prompt back as it was: it may add or lose a special token at the front, and white space
anywhere. A prompt that was longer than the policy's context was cut at its front.
"""

from __future__ import annotations

# Of a prompt that was cut, so much must be there that it is not found by chance.
_LEAST_CHARS = 48


def response_in(query: str, prompt: str) -> str | None:
    """The text behind the prompt; None where the prompt cannot be found."""
    wanted = prompt.strip()
    if not wanted:
        return None
    if (start := query.find(wanted)) >= 0:
        return query[start + len(wanted) :]
    squeezed, ends = _squeezed(query)
    solid = "".join(wanted.split())
    start = squeezed.find(solid)
    length = len(solid) if start >= 0 else _longest_tail(solid, squeezed)
    if start < 0 and length < _LEAST_CHARS:
        return None
    return query[ends[max(start, 0) + length - 1] :]


def _squeezed(text: str) -> tuple[str, list[int]]:
    """The text without white space, and where each character that is left ends in it."""
    kept = [(character, place + 1) for place, character in enumerate(text) if not character.isspace()]
    return "".join(character for character, _ in kept), [end for _, end in kept]


def _longest_tail(text: str, other: str) -> int:
    """Length of the longest end of `text` with which `other` begins (Knuth, Morris and Pratt), in linear time."""
    failure = [0] * len(other)
    matched = 0
    for place in range(1, len(other)):
        while matched and other[place] != other[matched]:
            matched = failure[matched - 1]
        matched += other[place] == other[matched]
        failure[place] = matched
    matched = 0
    for character in text:
        while matched and (matched == len(other) or character != other[matched]):
            matched = failure[matched - 1]
        matched += matched < len(other) and character == other[matched]
    return matched
