"""What a client works on: a store, or a service by its URL. Each has the same questions and orders.

`LocalBackend` calls the services of this package; `rprm_jobs.client.remote` has the other.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

from rprm_jobs.client.options import RewardRequest, SubmitOptions
from rprm_jobs.errors import BadLine, ServiceError, StoreUnavailable
from rprm_jobs.formats import BadRow, InputRow, ReadOptions, ReadReport
from rprm_jobs.launch.servers import connected
from rprm_jobs.settings import Limits
from rprm_jobs.types import KeepCritiques, Solution

if TYPE_CHECKING:
    from rprm_jobs.judge.recipe import Recipe
    from rprm_jobs.pairs.rules import PairRules
    from rprm_jobs.services.context import Context
    from rprm_jobs.services.jobs.control import Cancelled
    from rprm_jobs.services.jobs.live import LiveOutcome
    from rprm_jobs.services.jobs.query import JobStatus
    from rprm_jobs.services.jobs.results import ResultPage
    from rprm_jobs.services.jobs.rewards import Reward
    from rprm_jobs.services.training.sets import Built
    from rprm_jobs.settings import Settings

_FIRST_POLL_S, _LAST_POLL_S = 0.01, 0.1
Rows = Iterable[InputRow | BadLine]


class Backend(Protocol):
    """A store or a service. Every method raises errors of `rprm_jobs.errors`."""

    @property
    def context(self) -> Context | None:
        """The open store; None where a service has it, so that no worker can be started here."""
        ...

    @property
    def limits(self) -> Limits:
        """Bounds on a row."""
        ...

    def submit(
        self,
        paths: tuple[str, ...],
        rows: Rows | None,
        reading: ReadOptions,
        report: ReadReport,
        options: SubmitOptions,
    ) -> int:
        """Create the job, or find the equal one; returns its id. `rows` are judged in place of `paths`."""
        ...

    def judged(self, job_id: int) -> int:
        """The id of the job that judges what this job has screened. Raises InputError while there is none."""
        ...

    def rewards(self, request: RewardRequest) -> list[Reward]:
        """A reward for each row. Raises ServiceError when the judge does not answer within the timeout."""
        ...

    def status(self, job_id: int) -> JobStatus:
        """The job now."""
        ...

    def recent(self, limit: int) -> list[int]:
        """Ids of the newest jobs, newest first."""
        ...

    def results(self, job_id: int, *, critiques: bool, steps: bool) -> Iterator[dict[str, Any]]:
        """A row for every solution that has an outcome."""
        ...

    def results_after(self, job_id: int, after: int, *, critiques: bool, steps: bool) -> ResultPage:
        """The next rows in the order of judging; see `rprm_jobs.services.jobs.results.result_page`."""
        ...

    def cancel(self, job_id: int) -> Cancelled:
        """Cancel the job, or its extension."""
        ...

    def retry(self, job_id: int, *, quarantined: bool) -> int:
        """Judge the failed solutions again; returns how many."""
        ...

    def extend(self, job_id: int, k: int) -> None:
        """Sample on to `k` critiques a step."""
        ...

    def delete(self, job_id: int) -> None:
        """Remove the job with its results."""
        ...

    def pairs(self, job_id: int, name: str, rules: PairRules) -> Built:
        """Build a set of preference pairs."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


class LocalBackend:
    """A store, whose servers are those of `settings`."""

    def __init__(self, settings: Settings | None) -> None:
        self._stack = ExitStack()
        self.context = self._stack.enter_context(connected(settings))

    @property
    def limits(self) -> Limits:
        """Bounds on a row."""
        return self.context.settings.limits

    def submit(
        self,
        paths: tuple[str, ...],
        rows: Rows | None,
        reading: ReadOptions,
        report: ReadReport,
        options: SubmitOptions,
    ) -> int:
        """Create the job, or find the equal one; returns its id. With a screen it is the job that screens."""
        from rprm_jobs.judge.places import model_paths
        from rprm_jobs.services.jobs.submit import SubmitRequest, make_recipe, submit
        from rprm_jobs.services.upkeep.dependents import submit_screened

        judge, keep = options.resolve(), KeepCritiques(options.keep_critiques)
        request = SubmitRequest(
            paths, options.recipe(judge), reading, options.priority, keep, options.new, options.skip_bad, rows,
            report,
            name=options.name, model_paths=model_paths(judge=judge), reuse=options.reuse,
        )  # fmt: skip
        screen = options.resolve_screen()
        if screen is None:
            return submit(self.context, request).job_id
        screening = make_recipe(screen, k=None, seed=options.seed)
        return submit_screened(self.context, request, screening, screen_paths=model_paths(judge=screen)).job_id

    def judged(self, job_id: int) -> int:
        """The id of the job that judges what this job has screened; it is created now if it is due."""
        from rprm_jobs.services.upkeep.dependents import dependent_job_of

        return dependent_job_of(self.context, job_id)

    def rewards(self, request: RewardRequest) -> list[Reward]:
        """A reward for each row; equal ones of a run are judged once."""
        from rprm_jobs.services.jobs.rewards import Aggregation, default_run, read_live, refused, reward_of

        options = SubmitOptions(request.judge, k=request.k, seed=request.seed, threshold=request.threshold)
        read: list[Solution | Reward] = []
        for row in request.rows:
            try:
                read.append(read_live(row, request.step_separator, self.limits))
            except BadRow as bad:
                read.append(refused(bad))
        solutions = {item.id: item for item in read if isinstance(item, Solution)}
        outcomes: dict[str, LiveOutcome] = {}
        if solutions:
            outcomes = self._judge(
                request.run or default_run(), options.recipe(options.resolve()), solutions, request.timeout
            )
        aggregation = Aggregation(request.aggregation)
        return [reward_of(outcomes[item.id], aggregation) if isinstance(item, Solution) else item for item in read]

    def _judge(
        self, run: str, recipe: Recipe, solutions: dict[str, Solution], timeout: float
    ) -> dict[str, LiveOutcome]:
        """The outcomes by id; an outage of the store only costs time. Raises ServiceError after `timeout` seconds."""
        from rprm_jobs.services.jobs import live

        deadline, wait = time.monotonic() + timeout, _FIRST_POLL_S
        while True:
            try:
                added = live.add(self.context, run, recipe, list(solutions.values()))
                if added.new:
                    live.notify(self.context, recipe)
                outcomes = live.look_up(self.context, added.job_id, list(added.ords.values())).by_ord
                if len(outcomes) == len(solutions):
                    return {id_: outcomes[ord_] for id_, ord_ in added.ords.items()}
            except StoreUnavailable:
                if time.monotonic() >= deadline:
                    raise
            if time.monotonic() >= deadline:
                raise ServiceError(f"no outcome within {timeout:g} s", hint="is a worker running? rprm-jobs doctor")
            time.sleep(wait)
            wait = min(wait * 1.3, _LAST_POLL_S)

    def status(self, job_id: int) -> JobStatus:
        """The job now."""
        from rprm_jobs.services.jobs.query import job_status

        return job_status(self.context, job_id)

    def recent(self, limit: int) -> list[int]:
        """Ids of the newest jobs, newest first."""
        from rprm_jobs.services.jobs.query import recent_jobs

        return [job.id for job, _ in recent_jobs(self.context, limit)]

    def results(self, job_id: int, *, critiques: bool, steps: bool) -> Iterator[dict[str, Any]]:
        """A row for every solution that has an outcome."""
        from rprm_jobs.services.jobs.results import result_rows

        return result_rows(self.context, job_id, critiques=critiques, steps=steps)

    def results_after(self, job_id: int, after: int, *, critiques: bool, steps: bool) -> ResultPage:
        """The next rows in the order of judging."""
        from rprm_jobs.services.jobs.results import result_page

        return result_page(self.context, job_id, after=after, critiques=critiques, steps=steps)

    def cancel(self, job_id: int) -> Cancelled:
        """Cancel the job, or its extension."""
        from rprm_jobs.services.jobs.control import cancel

        return cancel(self.context, job_id)

    def retry(self, job_id: int, *, quarantined: bool) -> int:
        """Judge the failed solutions again; returns how many."""
        from rprm_jobs.services.jobs.control import retry

        return retry(self.context, job_id, quarantined=quarantined)

    def extend(self, job_id: int, k: int) -> None:
        """Sample on to `k` critiques a step."""
        from rprm_jobs.services.jobs.control import extend

        extend(self.context, job_id, k)

    def delete(self, job_id: int) -> None:
        """Remove the job with its results."""
        from rprm_jobs.services.jobs.control import delete

        delete(self.context, job_id)

    def pairs(self, job_id: int, name: str, rules: PairRules) -> Built:
        """Build a set of preference pairs."""
        from rprm_jobs.services.training.sets import BuildRequest, build

        return build(self.context, BuildRequest(name, (job_id,), rules))

    def close(self) -> None:
        """Close all connections; embedded servers stay up."""
        self._stack.close()
