"""One job as an object: its state, its results in several shapes, and what can be done to it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rprm_jobs.client.progress import show_progress
from rprm_jobs.errors import Conflict, InputError, MissingExtra, RprmError
from rprm_jobs.launch.workers import OwnWorker, WorkerChoice, worker_family
from rprm_jobs.store.records import JobState
from rprm_jobs.types import ItemStatus
from rprm_jobs.words import counted

if TYPE_CHECKING:
    import datasets
    import pandas
    import pyarrow

    from rprm_jobs.client.backend import Backend
    from rprm_jobs.services.jobs.control import Cancelled
    from rprm_jobs.services.jobs.query import JobStatus
    from rprm_jobs.services.training.sets import Built

_POLL_S = 0.2


class Timeout(RprmError):
    """The job has not ended in the time given; it goes on."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One solution's outcome. `rewards` has a number in [0, 1] a step, None where there is none.

    `first_error` is the 0-based first step called wrong, -1 for none. Where `status` is not "ok" it is None, and
    `reason` says why: a failure is never a reward.
    """

    status: str
    rewards: tuple[float | None, ...]
    first_error: int | None
    reason: str | None = None

    @property
    def ok(self) -> bool:
        """Whether every step that was to be judged has a reward."""
        return self.status == ItemStatus.OK


class Job:
    """A job of the store. Made by `Client.submit` and `Client.job`; usable as long as its client is open."""

    def __init__(
        self,
        backend: Backend,
        job_id: int,
        judge: str | None = None,
        family: str | None = None,
        *,
        behind: Job | None = None,
    ) -> None:
        self._backend, self.id = backend, job_id
        # As the user named it: a folder's judge is found by its path alone. That of `behind` judges after this screen.
        self._judge, self._family, self._behind = judge, family, behind

    def __repr__(self) -> str:
        return f"Job({self.id})"

    def status(self) -> JobStatus:
        """The job now: `state`, `progress` in counts, `rates`, and the workers that serve it. Raises NotFound."""
        return self._backend.status(self.id)

    def wait(
        self,
        timeout: float | None = None,
        *,
        progress: bool = False,
        worker: bool = True,
        engine: str = "auto",
        engine_args: Mapping[str, object] | None = None,
    ) -> JobStatus:
        """Stay until the job is done or cancelled; returns its last status.

        Where no worker serves the judge, one is started for as long as this takes, with `engine`; `worker=False` waits
        for somebody else's, as a client of a service always does. Raises Timeout after `timeout` seconds, and
        EngineError when the own worker exits.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        judge = self._judge or self.status().job.recipe.judge
        arguments = tuple(f"{key}={value}" for key, value in (engine_args or {}).items())
        family = self._family or worker_family(self.status().job)
        choice = WorkerChoice(judge, engine, arguments, family=family) if worker else None
        context = self._backend.context
        with show_progress(self.id, shown=progress) as show:
            own = None if context is None else OwnWorker(context, choice, show.say)
            try:
                while True:
                    status = self.status()
                    show.update(status)
                    if status.state in (JobState.DONE, JobState.CANCELLED):
                        return status
                    if deadline is not None and time.monotonic() >= deadline:
                        raise Timeout(f"job {self.id} is {status.state.value} after {timeout:g} s")
                    if own is not None:
                        own.tend(status, f"rprm-jobs worker --judge {judge}")
                    time.sleep(_POLL_S)
            finally:
                if own is not None:
                    own.stop()

    def judged(self) -> Job:
        """The job that judges what this one has screened: `submit` was given a `screen`.

        Raises InputError before this job is done, and for one that screens for nobody.
        """
        known = self._behind
        judge, family = (None, None) if known is None else (known._judge, known._family)
        return Job(self._backend, self._backend.judged(self.id), judge, family)

    def results(
        self, *, critiques: bool = False, steps: bool = False, follow: bool = False
    ) -> Iterator[dict[str, Any]]:
        """A row for every solution that has an outcome, in the order of the input; the fields are those of `results`.

        `critiques` adds every critique of every step, `steps` the problem and the steps. Memory stays flat. With
        `follow` rows come in the order of judging as they get there, each once, until the job has ended; some worker
        must serve it.
        """
        if not follow:
            yield from self._backend.results(self.id, critiques=critiques, steps=steps)
            return
        after: int | None = -1
        while after is not None:
            page = self._backend.results_after(self.id, after, critiques=critiques, steps=steps)
            yield from page.rows
            after = page.after
            if not page.rows and after is not None:
                time.sleep(_POLL_S)

    def to_arrow(self, *, critiques: bool = False, steps: bool = False) -> pyarrow.Table:
        """The results as a table with the columns of the Parquet output; the input's own fields are in `metadata`."""
        import pyarrow as pa

        from rprm_jobs.formats.writers import RESULTS, as_columns

        schema = RESULTS.columns()
        rows = [as_columns(row, schema.names) for row in self.results(critiques=critiques, steps=steps)]
        return pa.Table.from_pylist(rows, schema=schema)

    def to_pandas(self, *, critiques: bool = False, steps: bool = False) -> pandas.DataFrame:
        """The results as a DataFrame. Raises MissingExtra without pandas."""
        _require("pandas")
        return self.to_arrow(critiques=critiques, steps=steps).to_pandas()

    def to_dataset(self, *, critiques: bool = False, steps: bool = False) -> datasets.Dataset:
        """The results as a `datasets.Dataset`. Raises MissingExtra without datasets."""
        _require("datasets", extra="hub")
        import datasets

        return datasets.Dataset(self.to_arrow(critiques=critiques, steps=steps))

    def cancel(self) -> Cancelled:
        """Cancel the job, or its extension; what was judged stays. Raises Conflict on a job that is done."""
        return self._backend.cancel(self.id)

    def retry(self, *, quarantined: bool = False) -> int:
        """Judge the failed solutions again, with critiques sampled anew; returns how many. Raises Conflict."""
        return self._backend.retry(self.id, quarantined=quarantined)

    def extend(self, k: int) -> Job:
        """Sample on to `k` critiques a step; those that the job has count. Raises Conflict, ConfigError."""
        self._backend.extend(self.id, k)
        return self

    def delete(self) -> None:
        """Remove the job with its results. Raises Conflict while it runs, or while a training set uses it."""
        self._backend.delete(self.id)

    def pairs(self, /, name: str, *, seed: int = 42, validation: float = 0.05, **rules: Any) -> Built:
        """Build the training set `name` of preference pairs from this job's critiques and labels.

        `rules` are fields of `rprm_jobs.pairs.rules.PairRules`, such as `max_pairs`. Raises InputError, Conflict.
        """
        from rprm_jobs.pairs.rules import pair_rules

        chosen = pair_rules(bounds=rules, seed=seed, validation=validation)
        return self._backend.pairs(self.id, name, chosen)

    def judgement(self) -> Judgement:
        """The outcome of a job of one solution. Raises Conflict before it is done, InputError for another job."""
        status = self.status()
        if status.job.n_solutions != 1:
            raise InputError(
                f"job {self.id} has {counted(status.job.n_solutions, 'solution')}", hint="read job.results()"
            )
        rows = list(self.results())
        if not rows:
            raise Conflict(f"job {self.id} is {status.state.value} and has no outcome", hint="call job.wait()")
        row = rows[0]
        return Judgement(row["status"], tuple(row["rewards"]), row["first_error"], row.get("reason"))


def _require(name: str, *, extra: str | None = None) -> None:
    from importlib.util import find_spec

    if find_spec(name) is None:
        what = f"'rprm-jobs[{extra}]'" if extra else name
        raise MissingExtra(f"{name} is not installed", hint=f"pip install {what}")
