"""The final answer that a solution states: what stands in its last `\\boxed{...}`, as it stands there.

Whether two answers are the same by mathematics is another question (`rprm_jobs.evaluation.verify`). Where answers are
compared as they are written, `written_alike` is what is compared.
"""

from __future__ import annotations

import re

_BOX = re.compile(r"\\(?:f?boxed|fbox|framebox)(?![a-zA-Z])\s*")
# What TeX would take of `\boxed 12` is the 1 alone; whoever writes so means what stands up to the next space or sign.
_UNBRACED = re.compile(r"[^\s{}$\\,.;]+(?:\.\d+)?")
_MODE = re.compile(r"(?<!\\)(?:\$|\\[()])")
# White space, and the commands for it.
_EDGES = re.compile(r"^(?:\s|~|\\[,;:!> ]|\\q?quad(?![a-zA-Z]))+|(?:\s|~|(?<!\\)\\[,;:!> ]|\\q?quad)+$")
_NOISE = re.compile(r"(?<=\d)\s+(?=\d)|(\s+|(?<!\\)\$|\\[!,;: ])")


def final_answer(text: str) -> str | None:
    """The last boxed answer that is closed and not empty, without what `trimmed` strips; None where there is none."""
    for box in reversed(list(_BOX.finditer(text))):
        inside = _inside(text, box.end())
        if inside is not None and (answer := trimmed(inside)):
            return final_answer(answer) or answer
    return None


def stated_answer(text: str, pattern: str = "") -> str | None:
    """The last thing that the one group of `pattern` matches in `text`, or the last boxed answer without a pattern."""
    if not pattern:
        return final_answer(text)
    answers = [match[1] for match in re.finditer(pattern, text, re.MULTILINE) if match[1]]
    return trimmed(answers[-1]) or None if answers else None


def trimmed(answer: str) -> str:
    """Without space, braces, signs of math mode and a full stop around it, which are never part of an answer."""
    answer = _EDGES.sub("", answer)
    if answer.startswith(("$", r"\(")) and len(_MODE.findall(answer)) == 2:
        answer = _EDGES.sub("", _MODE.sub("", answer))
    while answer.startswith("{") and (inside := _inside(answer, 0)) is not None and len(inside) == len(answer) - 2:
        answer = _EDGES.sub("", inside)
    return answer if answer.endswith("..") else _EDGES.sub("", answer.removesuffix("."))


def written_alike(answer: str) -> str:
    """The answer without spaces and dollar signs: equal for two that differ in nothing else."""
    return _NOISE.sub(lambda match: "" if match[1] else " ", answer)


def _inside(text: str, start: int) -> str | None:
    if not text.startswith("{", start):
        unbraced = _UNBRACED.match(text, start)
        return unbraced and unbraced[0]
    depth = 0
    for place in range(start, len(text)):
        # An escaped brace is a character of the answer.
        if text[place] in "{}" and text[place - 1] != "\\":
            depth += 1 if text[place] == "{" else -1
            if depth == 0:
                return text[start + 1 : place]
    return None
