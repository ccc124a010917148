"""Where a text must not be cut: display math, code fences, LaTeX environments, and inline math for finer splitters.

A region that never ends protects nothing, so a solution that was cut off is still split.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator

Span = tuple[int, int]

_TOKENS = re.compile(
    r"^[ \t]*(?P<fence>`{3,}|~{3,})|(?<!\\)(?P<dollars>\$\$)|(?<!\\)(?P<open>\\\[)|(?P<close>\\\])"
    r"|\\(?P<edge>begin|end)\{(?P<name>[A-Za-z]+\*?)\}",
    re.MULTILINE,
)
# Bounded, since a dollar may be money.
_INLINE = re.compile(r"(?<![\\$])\$(?!\$)[^$\n]{1,400}?(?<!\\)\$(?!\$)|\\\(.{1,400}?\\\)")
_OPENERS = ("```", "~~~", "$$", "\\[", "\\begin{")


def protected_regions(text: str, *, inline: bool = False) -> list[Span]:
    """`(start, end)` of every region of `text` that must stay whole, ascending and apart."""
    blocks = list(_blocks(text)) if any(opener in text for opener in _OPENERS) else []
    if not inline or ("$" not in text and "\\(" not in text):
        return blocks
    inside = [match.span() for match in _INLINE.finditer(text)]
    return sorted([*blocks, *(span for span in inside if not _touches(blocks, span))])


def _blocks(text: str) -> Iterator[Span]:
    """One pass over the openers and closers, so that a text full of openers costs no more than any other."""
    tokens = list(_TOKENS.finditer(text))
    ends = _ends_by_token(tokens)
    index = 0
    while index < len(tokens):
        end = ends.get(index)
        if end is not None:
            yield tokens[index].start(), tokens[end].end()
            index = end
        index += 1


def _ends_by_token(tokens: list[re.Match[str]]) -> dict[int, int]:
    """For every token that opens a region, the index of the one that closes it."""
    ends: dict[int, int] = {}
    next_of: dict[str, int] = {}
    environments: dict[str, list[int]] = {}
    for index in range(len(tokens) - 1, -1, -1):
        token = tokens[index]
        kind = token.lastgroup or ""
        if kind == "name":
            waiting = environments.setdefault(token["name"], [])
            if token["edge"] == "end":
                waiting.append(index)
            elif waiting:
                ends[index] = waiting.pop()
            continue
        closer = next_of.get({"open": "close", "fence": token["fence"]}.get(kind, kind))
        if closer is not None and kind != "close":
            ends[index] = closer
        next_of[token["fence"] or kind] = index
    return ends


def outside(regions: list[Span], cuts: Iterable[Span]) -> Iterator[Span]:
    """The cuts that touch the inside of no region."""
    return (cut for cut in cuts if not _touches(regions, cut))


def _touches(regions: list[Span], cut: Span) -> bool:
    start, end = cut
    index = bisect_right(regions, (max(start, end - 1), float("inf"))) - 1
    if index < 0:
        return False
    first, last = regions[index]
    return first < end and start < last if start != end else first < start < last
