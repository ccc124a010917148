"""The client: opens the store once, or knows a service; submits, and finds jobs again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rprm_jobs.client.backend import Backend, LocalBackend
from rprm_jobs.client.inputs import ROWS, Solutions, as_paths, as_rows
from rprm_jobs.client.job import Job, Judgement
from rprm_jobs.client.options import RewardRequest, SubmitOptions
from rprm_jobs.errors import InputError
from rprm_jobs.formats import ReadReport
from rprm_jobs.formats.readers.choices import make_read_options
from rprm_jobs.formats.readers.reading import solutions_of
from rprm_jobs.settings import Settings, load_settings
from rprm_jobs.types import URGENT_PRIORITY

if TYPE_CHECKING:
    from rprm_jobs.services.jobs.rewards import Reward

# The token for a service, where the program does not name one.
TOKEN = "RPRM_TOKEN"


class Client:
    """Jobs from Python: `Client()` works on a store, `Client("http://HOST:PORT")` by a service.

    The store's servers are those of the environment (`RPRM_*`) or of `Settings`; missing ones are embedded. A service
    is told the `token`, by default RPRM_TOKEN. Close it, or use it in a `with` block; several threads may use it.
    """

    def __init__(self, server: Settings | str | None = None, *, token: str | None = None) -> None:
        """Connect. Raises ConfigError, StoreUnavailable, or SchemaError before `rprm-jobs db upgrade`."""
        self._backend: Backend
        if isinstance(server, str):
            from rprm_jobs.client.remote import RemoteBackend

            self._backend = RemoteBackend(server, token or os.environ.get(TOKEN) or None, load_settings().limits)
        else:
            self._backend = LocalBackend(server)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; embedded servers stay up for the next client. Safe to call twice."""
        self._backend.close()

    def submit(
        self,
        solutions: Solutions,
        *,
        judge: str = "tiny",
        family: str | None = None,
        screen: str | None = None,
        screen_family: str | None = None,
        k: int | None = None,
        stopping: str | Mapping[str, Any] = "fixed",
        until_first_error: bool = False,
        threshold: float | None = None,
        seed: int = 0,
        prompt: str | Path | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        max_new_tokens: int | None = None,
        priority: int = 0,
        keep_critiques: str = "all",
        format: str = "auto",
        fields: Mapping[str, str] | None = None,
        ids: str = "line",
        split_steps: str | None = None,
        step_separator: str | None = None,
        part: str | None = None,
        min_chars: int = 0,
        split: str | None = None,
        new: bool = False,
        skip_bad: bool = False,
        name: str | None = None,
        reuse: bool = True,
    ) -> Job:
        """Store solutions to be judged; equal solutions and options find the job that is there, unless `new`.

        `solutions` is a path or several, an iterable of mappings, a DataFrame, an Arrow table, or a Dataset. Rows are
        of any format that files may have, or `fields` says where they have what: `{"problem": "prompt", "solution":
        "output"}`; `format`, `ids`, `split_steps`, `step_separator`, `part` and `min_chars` are the options of the
        command. `stopping` is a rule's name, or a mapping such as `{"kind": "planned", "price": 30}`. With `reuse`,
        judgements that are there already are not sampled again. With a `screen` the returned job is that of this
        cheaper judge, and `Job.judged` the one behind it. Raises InputError with the refused rows, ConfigError,
        JudgeError, NotFound.
        """
        options = SubmitOptions(
            judge, family, k, {"kind": stopping} if isinstance(stopping, str) else stopping, until_first_error,
            threshold, seed, prompt, temperature, top_p, max_new_tokens, priority, keep_critiques, new, skip_bad,
            name, reuse, screen, screen_family,
        )  # fmt: skip
        reading = make_read_options(
            format=format, fields=fields, ids=ids, split_steps=split_steps, step_separator=step_separator, part=part,
            min_chars=min_chars, split=split,
        )  # fmt: skip
        paths, report = as_paths(solutions), ReadReport()
        rows = None if paths is not None else solutions_of(as_rows(solutions), reading, self._backend.limits, report)
        job_id = self._backend.submit(paths or (ROWS,), rows, reading, report, options)
        own = Job(self._backend, job_id, judge, family)
        return own if screen is None else Job(self._backend, job_id, screen, screen_family, behind=own)

    def judge(
        self,
        /,
        problem: str,
        steps: Sequence[str],
        *,
        judge: str = "tiny",
        k: int | None = None,
        timeout: float | None = None,
        worker: bool = True,
        engine: str = "auto",
        **options: Any,
    ) -> Judgement:
        """Judge one solution before the queue's other work, and wait for it.

        The same problem, steps and options are judged once. `options` are those of `submit`; `timeout`, `worker` and
        `engine` those of `Job.wait`. Raises Timeout, and what `submit` raises.
        """
        if isinstance(steps, str):
            raise InputError("steps is a text, not a sequence of steps", hint="give a list with one text a step")
        digest = hashlib.sha256("\x1f".join((problem, *steps)).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        row = {"id": f"judge-{digest}", "problem": problem, "steps": list(steps)}
        options = {"priority": URGENT_PRIORITY, **options}
        job = self.submit([row], judge=judge, k=k, **options)
        job.wait(timeout, worker=worker, engine=engine)
        return job.judgement()

    def reward(
        self,
        /,
        problem: str,
        solution: str | None = None,
        *,
        steps: Sequence[str] | None = None,
        judge: str = "tiny",
        k: int | None = None,
        aggregation: str = "min",
        run: str | None = None,
        timeout: float = 600.0,
        **options: Any,
    ) -> Reward:
        """One number for a solution, given as a text or as steps: what `rewards` has for it."""
        row: dict[str, Any] = {"problem": problem}
        row |= {"solution": solution} if steps is None else {"steps": list(steps)}
        return self.rewards([row], judge=judge, k=k, aggregation=aggregation, run=run, timeout=timeout, **options)[0]

    def rewards(
        self,
        rows: Sequence[Mapping[str, Any]],
        *,
        judge: str = "tiny",
        k: int | None = None,
        aggregation: str = "min",
        run: str | None = None,
        seed: int = 0,
        threshold: float | None = None,
        step_separator: str | None = None,
        timeout: float = 600.0,
    ) -> list[Reward]:
        """A reward in [0, 1] for each row (`problem`, and `steps` or `solution`), before the queue's other work.

        `aggregation` of the steps' rewards is min, product, mean or last. Equal rows of a `run` (default: the day) are
        judged once. A solution that cannot be judged has None and a reason. Some worker must serve the judge: an outage
        is waited for, and after `timeout` seconds it is a ServiceError.
        """
        request = RewardRequest(tuple(rows), judge, k, aggregation, run, seed, threshold, step_separator, timeout)
        return self._backend.rewards(request)

    def job(self, job_id: int) -> Job:
        """The job of this id. Raises NotFound."""
        job = Job(self._backend, job_id)
        job.status()
        return job

    def jobs(self, limit: int = 20) -> list[Job]:
        """The newest jobs, newest first."""
        return [Job(self._backend, job_id) for job_id in self._backend.recent(limit)]
