"""The final answer that a solution states: what stands in its last `\\boxed{...}`.

Answers are compared as they are written, white space and dollar signs aside: equal by mathematics is another question.
"""

from __future__ import annotations

import re

_BOX = re.compile(r"\\f?boxed\s*\{")
_NOISE = re.compile(r"\s+|\$|\\[!,;]")


def final_answer(text: str) -> str | None:
    """The last boxed answer that is closed and not empty, without white space; None where there is none."""
    for box in reversed(list(_BOX.finditer(text))):
        inside = _braced(text, box.end())
        if inside is not None and (answer := _NOISE.sub("", inside)):
            return answer
    return None


def stated_answer(text: str, pattern: str = "") -> str | None:
    """The last thing that the one group of `pattern` finds in `text`, or the last boxed answer where there is none."""
    if not pattern:
        return final_answer(text)
    answers = [match[1] for match in re.finditer(pattern, text, re.MULTILINE) if match[1]]
    return _NOISE.sub("", answers[-1]) or None if answers else None


def _braced(text: str, start: int) -> str | None:
    depth = 1
    for place in range(start, len(text)):
        # An escaped brace is a character of the answer.
        if text[place] in "{}" and text[place - 1] != "\\":
            depth += 1 if text[place] == "{" else -1
            if depth == 0:
                return text[start:place]
    return None
