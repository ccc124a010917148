"""Whole solutions as critics read them: paragraphs in tags that count from 0, and the index that a critic answers with.

ProcessBench's protocol for language models as critics. The answer is the last `\\boxed{}` of the critique; what is no
whole number, or no paragraph of the solution and not -1, is no match: it is never left out and never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_BOXED = re.compile(r"\\boxed\{([^}]*)\}")


def tag_paragraphs(steps: Sequence[str]) -> str:
    """The steps as paragraphs in `<paragraph_i>` tags, i from 0, with a blank line between them."""
    return "\n\n".join(f"<paragraph_{i}>\n{step}\n</paragraph_{i}>" for i, step in enumerate(steps))


def last_boxed(text: str) -> str | None:
    """What stands in the last `\\boxed{}`, as it is; None without one."""
    boxes: list[str] = _BOXED.findall(text)
    return boxes[-1] if boxes else None


def boxed_index(answer: str | None, n_steps: int) -> int | None:
    """The 0-based first wrong paragraph that `answer` names, -1 for none; None where it names none of the solution's.

    Whole numbers are what Python's `int` takes, as in the benchmark's own code.
    """
    if answer is None:
        return None
    try:
        index = int(answer)
    except ValueError:
        return None
    return index if -1 <= index < n_steps else None
