"""The judge of a trainer's reward function: rows out of prompts and completions, and their rewards from a service."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rprm_jobs.client import Client
from rprm_jobs.errors import ServiceError
from rprm_jobs.formats.readers.bad_row import BadRow, LeftOut
from rprm_jobs.formats.readers.row_formats.messages import problem_of, solution_of
from rprm_jobs.formats.readers.row_formats.protocol import ReadContext
from rprm_jobs.services.jobs.rewards import Reward, refused

_log = logging.getLogger(__name__)
DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass
class StepJudge:
    """A service's judge, and how its rewards are aggregated. It may be pickled: each process connects by itself.

    `timeout` seconds of outage are waited for. `options` are further ones of `Client.rewards`, such as `run`.
    """

    url: str = DEFAULT_URL
    judge: str = "tiny"
    k: int | None = None
    aggregation: str = "min"
    timeout: float = 600.0
    token: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._client: Client | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_client": None}

    def rewards(self, pairs: Sequence[tuple[Any, Any]]) -> list[Reward]:
        """A reward for each (prompt, completion), texts or messages. Raises ServiceError after the timeout."""
        rows = [_row(prompt, completion) for prompt, completion in pairs]
        good = [row for row in rows if not isinstance(row, Reward)]
        judged = iter(self._ask(good) if good else ())
        return [row if isinstance(row, Reward) else next(judged) for row in rows]

    def rewards_or_none(self, pairs: Sequence[tuple[Any, Any]]) -> list[Reward | None]:
        """As `rewards`; None for all of them where the judge does not answer, and a warning in the log."""
        try:
            return list(self.rewards(pairs))
        except ServiceError as outage:
            _log.warning("no rewards for %d completions, the judge does not answer: %s", len(pairs), outage)
            return [None] * len(pairs)

    def _ask(self, rows: list[dict[str, Any]]) -> list[Reward]:
        if self._client is None:
            self._client = Client(self.url, token=self.token)
            weakref.finalize(self, self._client.close)
        return self._client.rewards(
            rows, judge=self.judge, k=self.k, aggregation=self.aggregation, timeout=self.timeout, **self.options
        )


def _row(prompt: Any, completion: Any) -> dict[str, Any] | Reward:
    context = ReadContext()
    try:
        problem, (solution, _) = problem_of(_plain(prompt), context), solution_of(_plain(completion), context)
    except (BadRow, LeftOut) as bad:
        return refused(bad)
    return {"problem": problem or "", "solution": solution}


def _plain(value: Any) -> Any:
    """Messages as JSON has them, whatever a trainer makes them of: mappings, tuples, models of pydantic."""
    if isinstance(value, str):
        return value
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
