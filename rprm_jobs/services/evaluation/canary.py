"""Canaries as a job: submitted like any other, and counted when it is done."""

from __future__ import annotations

from collections.abc import Sequence

from rprm_jobs.errors import BadLine, InputError
from rprm_jobs.evaluation.canary import CanaryCounts, canaries, count, made_solutions
from rprm_jobs.formats import InputRow, ReadOptions, read_solutions
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.submit import Submission, SubmitRequest, submit
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.results.export import read_outcomes
from rprm_jobs.types import JobKind

_MADE = "made-up sums"


def submit_canaries(context: Context, recipe: Recipe, paths: Sequence[str] = ()) -> Submission:
    """Wrong steps of these labelled files, by default of made-up sums, with every injection.

    Raises InputError for a bad row, or where no solution is labelled as wrong.
    """
    rows: list[InputRow | BadLine] = [InputRow(_MADE, n, solution) for n, solution in enumerate(made_solutions(), 1)]
    if paths:
        rows = list(read_solutions(tuple(paths), ReadOptions(), context.settings.limits))
    canary_rows: list[InputRow | BadLine] = []
    for row in rows:
        if isinstance(row, BadLine):
            canary_rows.append(row)
        else:
            canary_rows += [InputRow(row.file, row.line, canary) for canary in canaries([row.solution])]
    if not canary_rows:
        raise InputError(
            "no solution has a label that names a wrong step", where=", ".join(paths), hint="give labelled solutions"
        )
    return submit(context, SubmitRequest(tuple(paths) or (_MADE,), recipe, rows=canary_rows, kind=JobKind.SAMPLE))


def count_canaries(context: Context, job_id: int) -> list[CanaryCounts]:
    """How often the judge of a finished canary job called wrong steps right, by injection. Raises NotFound."""
    with context.database.transaction() as connection:
        job = jobs.get(connection, job_id)
    outcomes = (
        (str(outcome.metadata["canary"]), outcome.rewards[-1] if outcome.rewards else None)
        for batch in read_outcomes(context.database, job)
        for outcome in batch
    )
    return count(outcomes, job.recipe.threshold)
