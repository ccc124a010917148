"""Result rows: one JSON object a solution, in the order of the input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from rprm_jobs.errors import ConfigError
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.query import job_status
from rprm_jobs.services.jobs.rollout_rows import rollout_rows
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.records import Job, JobState
from rprm_jobs.store.results.export import Outcome, read_after, read_forced, read_outcomes, read_verdicts
from rprm_jobs.store.texts import unpack_texts

RESULT_KEYS = frozenset(
    {"id", "status", "reason", "rewards", "first_error", "critiques_per_step", "sampling_policy", "reused",
     "calibrated", "reward_source", "forced_verdicts",
     "screen", "critiques", "label", "step_labels", "problem", "steps"}
)  # fmt: skip


def result_rows(
    context: Context, job_id: int, *, critiques: bool = False, steps: bool = False
) -> Iterator[dict[str, Any]]:
    """A row for every solution that has an outcome. Raises NotFound for an unknown job.

    `rewards` holds a number in [0, 1] or None a step; `first_error` is the 0-based first step called wrong, -1 for
    none, None where the solution failed. `reused` says how many critiques of each step were there before, and is left
    out where none was. `critiques` adds, per step, a list of `{"k", "verdict", "p_yes", "text"}`.
    Rows of a job that writes are solutions (see `rollout_rows`), with the tree of a search where `critiques` asks.
    """
    with context.database.transaction() as connection:
        job = jobs.get(connection, job_id)
    if job.kind.writes:
        yield from rollout_rows(context.database, job, tree=critiques)
        return
    batches = read_outcomes(
        context.database, job, with_texts=critiques, with_steps=steps, batch=200 if critiques else 2000
    )
    for batch in batches:
        yield from _rows_of(context, job, batch, critiques=critiques)


@dataclass(frozen=True, slots=True)
class ResultPage:
    """Some rows in the order of judging. `after` goes on; None where the job has ended and all its rows were read."""

    rows: list[dict[str, Any]]
    after: int | None


def result_page(
    context: Context, job_id: int, *, after: int = -1, limit: int = 1000, critiques: bool = False, steps: bool = False
) -> ResultPage:
    """The rows behind the cursor, each once: what is judged later has a later place, or ends the page until it is.

    `after` is -1 at first and then what the last page says. Raises NotFound, and ConfigError for a job that writes.
    """
    status = job_status(context, job_id)
    if status.job.kind.writes:
        raise ConfigError(f"job {job_id} writes solutions, and is read whole", hint="read its results without after")
    ended = status.state in (JobState.DONE, JobState.CANCELLED)
    batch = read_after(context.database, status.job, after, limit, with_texts=critiques, with_steps=steps)
    if not ended:
        # An outcome that is missing now will be there later, and nothing behind it must pass the cursor before.
        batch = list(takewhile(lambda outcome: outcome.status is not None, batch))
    rows = list(_rows_of(context, status.job, batch, critiques=critiques))
    last = batch[-1].ord if batch else after
    return ResultPage(rows, None if ended and len(batch) < limit else last)


def _rows_of(context: Context, job: Job, batch: list[Outcome], *, critiques: bool) -> Iterator[dict[str, Any]]:
    rule, source = str(job.recipe.stopping["kind"]), job.recipe.judge_family.reward_source
    details = _critiques(context, job.id, batch) if critiques else {}
    forced = _forced(context, job, batch, details)
    for outcome in batch:
        if outcome.status is not None:
            row = _row(outcome, rule, source, details.get(outcome.ord) if critiques else None)
            yield row if forced is None else {**row, "forced_verdicts": forced[outcome.ord]}


def _row(outcome: Outcome, rule: str, source: str, critiques: list[list[dict[str, Any]]] | None) -> dict[str, Any]:
    row: dict[str, Any] = {"id": outcome.id, "status": outcome.status}
    if outcome.reason is not None:
        row["reason"] = outcome.reason
    row["rewards"] = outcome.rewards
    row["first_error"] = outcome.first_error
    row["critiques_per_step"] = outcome.critiques_per_step
    if outcome.reused_per_step is not None:
        row["reused"] = outcome.reused_per_step
    row["sampling_policy"] = rule if rule != "planned" else f"planned:{outcome.plan or 'pilot'}"
    row["reward_source"] = "votes" if outcome.by_votes else source
    if outcome.screen is not None:
        row["screen"] = outcome.screen
    if critiques is not None:
        row["critiques"] = critiques
    for name in ("problem", "steps", "label", "step_labels"):
        if (value := getattr(outcome, name)) is not None:
            row[name] = value
    for key, value in outcome.metadata.items():
        # A field of the input never replaces a result.
        row[f"metadata.{key}" if key in RESULT_KEYS else key] = value
    return row


def _forced(
    context: Context, job: Job, batch: list[Outcome], details: dict[int, list[list[dict[str, Any]]]]
) -> dict[int, int] | None:
    """How many verdicts of each solution were forced, which marks them in its critiques; None where none could be."""
    if not job.recipe.force_verdict:
        return None
    with context.database.transaction() as connection:
        places = read_forced(connection, job.id, [outcome.ord for outcome in batch])
    counts = {outcome.ord: 0 for outcome in batch}
    for ord_, step, k in places:
        counts[ord_] += 1
        if ord_ in details:
            next(critique for critique in details[ord_][step] if critique["k"] == k)["forced"] = True
    return counts


def _critiques(context: Context, job_id: int, batch: list[Outcome]) -> dict[int, list[list[dict[str, Any]]]]:
    with context.database.transaction() as connection:
        verdicts = read_verdicts(connection, job_id, [outcome.ord for outcome in batch])
    by_ord: dict[int, list[list[dict[str, Any]]]] = {o.ord: [[] for _ in o.rewards or ()] for o in batch}
    texts = {o.ord: unpack_texts(o.texts) for o in batch if o.texts is not None}
    for ord_, step, k, verdict, p_yes in verdicts:
        kept = texts[ord_][step] if ord_ in texts else None
        group = by_ord[ord_][step]
        group.append({"k": k, "verdict": verdict, "p_yes": p_yes, "text": kept[len(group)] if kept else None})
    return by_ord
