"""From a solution's text to its steps, by a named rule: `Splitting("blank-lines").cut(text)` gives the steps' spans.

Every rule has a version that is stored with the job, since the indices of steps depend on it: a change of what a rule
cuts needs a new number. Spans are `(start, end)` in characters of the text that was cut.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from rprm_jobs.errors import ConfigError
from rprm_jobs.formats.protected import Span, outside, protected_regions

Part = Literal["response", "thinking", "all"]

VERSION = 2
_NUMBER = "[0-9０-９一二三四五六七八九十百]+"
_PATTERNS = {
    "blank-lines": re.compile(r"\n[ \t\r]*\n"),
    "lines": re.compile(r"\n"),
    # A header begins its step, so that it stays in it.
    "step-headers": re.compile(
        r"^(?=[ \t]*+(?:#++[ \t]*+|\*\*[ \t]*+|[-*][ \t]++)*+(?:step[ \t]*\d+[ \t]*(?:[:.)\]*\u2013\u2014-]|$)"
        rf"|步骤[ \t]*{_NUMBER}[ \t]*(?:[:：.、)）\]*]|$)|第[ \t]*{_NUMBER}[ \t]*步[ \t]*(?:[:：,，.、)）\]*]|$)))",
        re.IGNORECASE | re.MULTILINE,
    ),
    "sentences": re.compile(
        r"(?<=[.!?])[\"')\]\u201d\u2019*]*(?P<cut>[ \t]*\n\s*|[ \t]+)(?=[\"'(\[$\\*\u201cA-Z0-9#-])|\n[ \t\r]*\n"
        # No space follows a full stop in Chinese or Japanese.
        r"|(?<=[。！？])[\"')\]*”’」』）]*(?P<close>\s*)(?=[^\s。！？\"')\]*”’」』）])"
    ),
    "markers": re.compile(
        r"(?:(?<=[.!?:\])$])[ \t]+|\n[ \t]*+)(?=(?:However|Therefore|Thus|Hence|So|But|Wait|Hmm|Alternatively|Actually"
        r"|Now|Next|Then|First|Second|Third|Finally|On the other hand|Hold on|Another (?:way|approach|method|idea)"
        r"|Let(?:'s| me| us) (?:check|verify|double|re|try|see|think|compute|consider))\b)"
        r"|(?:(?<=[。！？：])\s*|\n[ \t]*+)(?=等等|等一下|但是|不过|然而|所以|因此|于是|另外|或者|换个|让我"
        r"|首先|其次|然后|接下来|最后)"
    ),
}  # fmt: skip
NAMES = (*_PATTERNS, "regex:PATTERN")
# A step of a long trace is a line of thought: shorter ones between two markers are joined.
_MARKERS_MIN_CHARS = 100
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|etc|approx|resp|Eqs?|Fig|Sec|No|Mrs?|Ms|Dr|Prof|St)"
    r"|(?:^|\n)[ \t]*(?:\d{1,3}|[A-Za-z])|[.!?][ \t]+\d{1,3})\.$"
)
_THINK_TAG = re.compile(r"<(/?)think>")


class NoSuchPart(Exception):
    """The text lacks the part that is asked for; `str()` is the reason."""


@dataclass(frozen=True, slots=True)
class Splitting:
    """How texts are cut. `name` is a rule, `regex:PATTERN`, or `separator:TEXT`; `part` None leaves `<think>` be.

    Steps shorter than `min_chars` are joined with what follows.
    """

    name: str = "blank-lines"
    part: Part | None = None
    min_chars: int = 0

    def cut(self, text: str) -> list[Span]:
        """The spans of the steps, ascending, without white space at their ends. Raises NoSuchPart."""
        spans: list[Span] = []
        for start, end in self._ranges(text):
            _add_pieces(spans, text, self._cuts(text, start, end), start, end)
        minimum = self.min_chars or (_MARKERS_MIN_CHARS if self.name == "markers" else 0)
        return _joined(spans, minimum) if minimum else spans

    def _ranges(self, text: str) -> list[Span]:
        if "think>" not in text:
            return _only(self.part, [], [(0, len(text))])
        thinking, response = _parts(text)
        if self.part in (None, "all"):
            return sorted([*thinking, *response])
        return _only(self.part, thinking, response)

    def _cuts(self, text: str, start: int, end: int) -> Iterable[Span]:
        finer = self.name in ("sentences", "markers")
        cuts = _matches(self.name, text, start, end)
        regions = protected_regions(text, inline=finer)
        return outside(regions, cuts) if regions else cuts

    def to_builtins(self) -> dict[str, Any]:
        """What is stored with the job."""
        options = {"part": self.part, "min_chars": self.min_chars or None}
        return {"name": self.name, "version": VERSION, **{k: v for k, v in options.items() if v is not None}}


def make_splitting(
    rule: str | None = None, *, separator: str | None = None, part: str | None = None, min_chars: int = 0
) -> Splitting:
    """From what the user gave. In `separator` the escapes \\n, \\t, \\r and \\\\ mean what they do in most languages.

    Raises ConfigError.
    """
    if separator is not None and rule is not None:
        raise ConfigError("--step-separator and --split-steps both cut", hint="leave one of them out")
    if separator is not None:
        name = f"separator:{_unescaped(separator)}"
        if name == "separator:":
            raise ConfigError("--step-separator is empty", hint="leave it out for blank lines")
    else:
        name = rule or "blank-lines"
    if name.startswith("regex:"):
        _checked_pattern(name)
    elif name not in _PATTERNS and not name.startswith("separator:"):
        raise ConfigError(f"--split-steps {name} is no rule", hint=f"name one of {', '.join(NAMES)}")
    if part not in (None, "response", "thinking", "all"):
        raise ConfigError(f"--part {part} is no part", hint="name one of response, thinking, all")
    return Splitting(name, part, min_chars)  # type: ignore[arg-type]


def _unescaped(separator: str) -> str:
    escapes = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
    return re.sub(r"\\([ntr\\])", lambda match: escapes[match[1]], separator)


def _checked_pattern(name: str) -> None:
    pattern = name.removeprefix("regex:")
    try:
        re.compile(pattern, re.MULTILINE)
    except re.error as error:
        raise ConfigError(
            f"--split-steps {name}: the regular expression is not valid: {error}", hint="check it with Python's re"
        ) from error
    if not pattern:
        raise ConfigError("--split-steps regex: has no pattern", hint=r"for example regex:\n---\n")


def _matches(name: str, text: str, start: int, end: int) -> Iterator[Span]:
    if name.startswith("separator:"):
        return _separators(text, name.removeprefix("separator:"), start, end)
    pattern = _PATTERNS.get(name) or re.compile(name.removeprefix("regex:"), re.MULTILINE)
    matches = pattern.finditer(text, start, end)
    if name == "sentences":
        return (_space_of(match) for match in matches if _ends_sentence(text, match))
    spans = map(re.Match.span, matches)
    return _without_first(spans) if name == "step-headers" else spans


def _separators(text: str, separator: str, start: int, end: int) -> Iterator[Span]:
    at = text.find(separator, start, end)
    while at >= 0:
        yield at, at + len(separator)
        at = text.find(separator, at + len(separator), end)


def _space_of(match: re.Match[str]) -> Span:
    """What lies between two sentences; what closes a quotation stays with the first."""
    name = "cut" if match["cut"] else "close" if match["close"] is not None else 0
    return match.span(name)


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    return not match["cut"] or _ABBREVIATION.search(text, max(0, match.start() - 12), match.start()) is None


def _without_first(headers: Iterator[Span]) -> Iterator[Span]:
    """What stands before the first header belongs to its step, so that step i keeps the index i - 1."""
    next(headers, None)
    return headers


def _parts(text: str) -> tuple[list[Span], list[Span]]:
    """The spans inside and outside `<think>`; a text that only closes it began inside, as chat templates have it."""
    thinking: list[Span] = []
    response: list[Span] = []
    at, inside = 0, False
    for tag in _THINK_TAG.finditer(text):
        closes = bool(tag[1])
        is_thinking = inside or (closes and not thinking and not response)
        (thinking if is_thinking else response).append((at, tag.start()))
        at, inside = tag.end(), not closes
    (thinking if inside else response).append((at, len(text)))
    return thinking, [(start, end) for start, end in response if not text[start:end].isspace() and start < end]


def _only(part: Part | None, thinking: list[Span], response: list[Span]) -> list[Span]:
    if part == "thinking":
        if not thinking:
            raise NoSuchPart("there is no <think> part; leave out --part thinking")
        return thinking
    if not response:
        raise NoSuchPart("the thinking never ends, so there is no response; judge it with --part thinking or all")
    return response


def _add_pieces(spans: list[Span], text: str, cuts: Iterable[Span], start: int, end: int) -> None:
    """What lies between the cuts, without white space at its ends, where anything is left."""
    at = start
    for first, last in itertools.chain(cuts, ((end, end),)):
        if first < at:
            continue
        if at < first:
            if text[at].isspace() or text[first - 1].isspace():
                _add_stripped(spans, text, at, first)
            else:
                spans.append((at, first))
        at = last


def _add_stripped(spans: list[Span], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    kept = piece.strip()
    if kept:
        first = start + len(piece) - len(piece.lstrip())
        spans.append((first, first + len(kept)))


def _joined(spans: list[Span], minimum: int) -> list[Span]:
    joined: list[Span] = []
    for start, end in spans:
        if joined and joined[-1][1] - joined[-1][0] < minimum:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    if len(joined) > 1 and joined[-1][1] - joined[-1][0] < minimum:
        _, end = joined.pop()
        joined[-1] = (joined[-1][0], end)
    return joined
