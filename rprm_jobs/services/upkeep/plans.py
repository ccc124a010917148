"""Keeping the plan of a `planned` job up to date: compiled from a pilot of the job itself, fitted again as votes come.

The pilot's steps get all K critiques. A plan is fitted again whenever twice as many steps are judged as the last one
had seen, some times only, and from a bounded number of votes: past that another fit changes next to nothing.
"""

from __future__ import annotations

from rprm_jobs.stopping.prior import fit_prior, fit_wrong
from rprm_jobs.store.jobs import jobs, plans
from rprm_jobs.store.jobs.plans import StoredPlan
from rprm_jobs.store.session import Database

_FITS = 7


def refit(database: Database, job_id: int) -> StoredPlan | None:
    """Fit and store the job's next plan when it is due; returns it, else None. Raises StoreError, NotFound.

    Of workers that find it due at once, one fits.
    """
    with database.transaction() as connection:
        recipe = jobs.get(connection, job_id).recipe
        if not recipe.is_planned:
            return None
        last = plans.latest(connection, job_id)
        if last is not None and last.version >= _FITS:
            return None
        due = recipe.stopping["pilot"] if last is None else 2 * last.steps
        steps = plans.judged_steps(connection, job_id)
        if steps < due or not plans.try_fit(connection, job_id):
            return None
        votes = plans.votes(connection, job_id, recipe.k)
        prior = fit_prior(votes.seen, recipe.k)
        wrong = fit_wrong(votes.totals, recipe.k, recipe.threshold)
        plan = StoredPlan(1 if last is None else last.version + 1, steps, prior, wrong)
        return plan if plans.add(connection, job_id, plan) else None
