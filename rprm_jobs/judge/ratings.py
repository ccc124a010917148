"""The answer of PRMBench's critics: a JSON object with a validity, and maybe a redundancy, in [-1, 1] for each step."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Ratings:
    """One number in [-1, 1] a step; `redundancy` is None where the critic gave none."""

    validity: tuple[float, ...]
    redundancy: tuple[float, ...] | None = None


def read_ratings(text: str, n_steps: int) -> Ratings | None:
    """The ratings in `text`, from its first `{` to its last `}`; None for what is no such object.

    Numbers beyond [-1, 1], other things than numbers and lists of another length are no ratings.
    """
    start, end = text.find("{"), text.rfind("}")
    if not 0 <= start < end:
        return None
    try:
        document = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    validity = _numbers(document.get("validity"), n_steps)
    redundancy = _numbers(document.get("redundancy"), n_steps)
    if validity is None or (redundancy is None and document.get("redundancy") is not None):
        return None
    return Ratings(validity, redundancy)


def _numbers(value: Any, count: int) -> tuple[float, ...] | None:
    if not isinstance(value, list) or len(value) != count:
        return None
    if any(type(entry) not in (int, float) or not math.isfinite(entry) or abs(entry) > 1 for entry in value):
        return None
    return tuple(map(float, value))
