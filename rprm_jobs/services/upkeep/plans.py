"""Keeping the plan of a `planned` job up to date: compiled from a pilot of the job itself, fitted again as votes come.

The pilot's steps get all K critiques. A plan is fitted again whenever twice as many steps are judged as the last one
had seen, some times only, and from a bounded number of votes: past that another fit changes next to nothing.
"""

from __future__ import annotations

import logging
from collections import Counter

from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.stopping import StepContext
from rprm_jobs.stopping.cells import cell_of
from rprm_jobs.stopping.fit import fit_cells, fit_prior, fit_wrong
from rprm_jobs.store.jobs import jobs, plans
from rprm_jobs.store.jobs.plans import StoredPlan, Votes
from rprm_jobs.store.session import Database

_log = logging.getLogger(__name__)
MOST_FITS = 7


def refit(database: Database, job_id: int) -> StoredPlan | None:
    """Fit and store the job's next plan when it is due; returns it, else None. Raises StoreError, NotFound.

    Of workers that find it due at once, one fits.
    """
    with database.transaction() as connection:
        recipe = jobs.get(connection, job_id).recipe
        if not recipe.is_planned:
            return None
        last = plans.latest(connection, job_id)
        if last is not None and last.version >= MOST_FITS:
            return None
        due = recipe.stopping["pilot"] if last is None else 2 * last.steps
        steps = plans.judged_steps(connection, job_id)
        if steps < due or not plans.try_fit(connection, job_id):
            return None
        votes = plans.votes(connection, job_id, recipe.k, by_context=recipe.is_planned_by_context)
        plan = _fitted(votes, recipe, 1 if last is None else last.version + 1, steps)
        return plan if plans.add(connection, job_id, plan) else None


def newer_plan(database: Database, job_id: int, version: int | None) -> StoredPlan | None:
    """The job's newest plan, fitted now if one is due; None where that is `version`. Raises StoreError, NotFound."""
    fitted = refit(database, job_id)
    if fitted is not None:
        _log.info("job %d: plan %d, fitted to %d steps", job_id, fitted.version, fitted.steps, extra={"job": job_id})
        return fitted
    with database.transaction() as connection:
        last = plans.latest(connection, job_id)
    return None if last is None or last.version == version else last


def _fitted(votes: Votes, recipe: Recipe, version: int, steps: int) -> StoredPlan:
    k, threshold = recipe.k, recipe.threshold
    prior, wrong = fit_prior(votes.seen, k), fit_wrong(votes.totals, k, threshold)
    if not recipe.is_planned_by_context:
        return StoredPlan(version, steps, prior, wrong)
    by_cell: dict[int, Counter[tuple[int, int]]] = {}
    for earlier, seen in votes.by_context.items():
        # A context has as many rewards as there are steps before its step.
        by_cell.setdefault(cell_of(StepContext(len(earlier), earlier), threshold), Counter()).update(seen)
    return StoredPlan(version, steps, prior, wrong, fit_cells(by_cell, prior, k))
