"""Whether two final answers are the same by mathematics: math-verify, in a process that can be killed.

An expression such as 9^{9^{9}} can keep a computer algebra system busy for ever, and take all memory on the way. What
takes too long, or takes its process down, is undecided, never wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from concurrent.futures import TimeoutError as Overdue
from enum import StrEnum
from types import TracebackType
from typing import Any

from rprm_jobs.errors import MissingExtra
from rprm_jobs.evaluation.answer_forms import as_math, as_words, other_base, other_words

_SECONDS = 5.0
_MEMORY = 4 * 1024**3
_DECIMAL = re.compile(r"[-+]?(?:\d+\.\d*|\.?\d+)")
_NUMBER = re.compile(r"[-+]?\d{1,15}")


class Sameness(StrEnum):
    """The outcome of a comparison. UNPARSED: the answer is no expression; UNDECIDED: it took too long to say."""

    SAME = "same"
    DIFFERENT = "different"
    UNPARSED = "unparsed"
    UNDECIDED = "undecided"


def _prepare() -> None:
    """In the process: a bound on its memory, so that it fails by itself before the machine does.

    The library takes seconds to load, which are not to count as the first comparison's.
    """
    import logging
    import resource

    import math_verify  # noqa: F401

    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    logging.disable(logging.ERROR)


def _compare(correct: Sequence[str], answer: str) -> str:
    """In the process, of answers as the library reads them right. One of the correct ones is enough."""
    from math_verify import parse, verify

    library_parse: Any = parse
    library_verify: Any = verify
    parsed = library_parse(f"${answer}$", parsing_timeout=None)
    if not parsed:
        return Sameness.UNPARSED
    for reference in correct:
        if library_verify(library_parse(f"${reference}$", parsing_timeout=None), parsed, timeout_seconds=None):
            return Sameness.SAME
    return Sameness.DIFFERENT


class Verifier:
    """Compares answers in one process of its own, started at the first comparison that needs it. Closed by `with`.

    Raises MissingExtra where math-verify is not installed.
    """

    def __init__(self, *, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._known: dict[tuple[tuple[str, ...], str], Sameness] = {}
        self._pool: Any = None

    def __enter__(self) -> Verifier:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._pool is not None:
            self._pool.stop()
            self._pool.join()

    def compare(self, correct: Sequence[str], answer: str) -> Sameness:
        """Whether `answer` is one of the `correct` ones."""
        if any(as_words(answer) == as_words(reference) for reference in correct):
            return Sameness.SAME
        if _NUMBER.fullmatch(answer) and all(map(_NUMBER.fullmatch, correct)):
            return Sameness.SAME if int(answer) in map(int, correct) else Sameness.DIFFERENT
        if _DECIMAL.fullmatch(answer) and all(map(_DECIMAL.fullmatch, correct)):
            # The library would round to six places, after which small numbers are equal.
            close = (math.isclose(float(answer), float(reference), rel_tol=1e-6) for reference in correct)
            return Sameness.SAME if any(close) else Sameness.DIFFERENT
        comparable = [each for each in correct if not other_base(each, answer) and not other_words(each, answer)]
        if not comparable:
            return Sameness.DIFFERENT
        key = (tuple(map(as_math, comparable)), as_math(answer))
        if key not in self._known:
            self._known[key] = self._ask(*key)
        return self._known[key]

    def _ask(self, correct: tuple[str, ...], answer: str) -> Sameness:
        from pebble import ProcessExpired

        comparison = self._process().schedule(_compare, args=(correct, answer), timeout=self._seconds)
        try:
            return Sameness(comparison.result())
        except (Overdue, ProcessExpired, MemoryError, RecursionError):
            return Sameness.UNDECIDED
        # The parser raises everything from its own errors to those of the algebra system below it.
        except Exception:  # noqa: BLE001
            return Sameness.UNPARSED

    def _process(self) -> Any:
        if self._pool is None:
            import multiprocessing
            from importlib.util import find_spec

            if find_spec("math_verify") is None or find_spec("pebble") is None:
                raise MissingExtra("comparing answers needs math-verify", hint="pip install 'rprm-jobs[math]'")
            from pebble import ProcessPool

            # Not forked: a fork would take open connections and other threads' locks along.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPool(max_workers=1, initializer=_prepare, context=context)
        return self._pool
