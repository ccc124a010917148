"""Plans of a planned job: due after the pilot and then at each doubling, fitted to all votes, stored once."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from rprm_jobs.services.upkeep.plans import refit
from rprm_jobs.stopping.cells import CELLS
from rprm_jobs.store.jobs import extensions, plans
from rprm_jobs.store.jobs.plans import StoredPlan
from rprm_jobs.store.session import Database
from tests.support.jobs import JUDGE, make_recipe, make_solutions, take_in
from tests.support.store import claim, finish, judge_on, load, record, run, work_off, work_off_all
from tests.support.worker_parts import WorkerParts
from workers.engines.scripted.engine import ScriptedEngine, ScriptedOptions
from workers.tasks.spec import JudgeSpec

pytestmark = pytest.mark.integration

PLANNED = replace(make_recipe(k=2), stopping={"kind": "planned", "changed": 0.01, "pilot": 6})


def stored(database: Database, job: int) -> StoredPlan | None:
    with database.transaction() as connection:
        return plans.latest(connection, job)


def test_a_plan_is_due_after_the_pilot_and_at_each_doubling(database: Database) -> None:
    job = take_in(database, make_solutions(10), PLANNED, shard=1).job_id
    made = {}
    for number in range(1, 11):
        work_off(database, claim(database))
        if (plan := refit(database, job)) is not None:
            assert stored(database, job) == plan
            made[number] = plan
        assert refit(database, job) is None
    assert {number: (plan.version, plan.steps) for number, plan in made.items()} == {2: (1, 6), 4: (2, 12), 8: (3, 24)}
    assert made[2].prior != made[8].prior
    assert all(sum(plan.prior) == pytest.approx(1) for plan in made.values())


def test_the_votes_are_counted_as_the_verdicts_have_them(database: Database) -> None:
    job = take_in(database, make_solutions(2, steps=2), PLANNED, shard=2).job_id
    work_off(database, claim(database))
    one = "WHERE ord = 0 AND step = 0"
    run(database, f"UPDATE verdicts_j{job} SET verdict = 'unparsed', p_yes = NULL {one} AND k = 1")
    run(database, f"UPDATE verdicts_j{job} SET verdict = 'yes', p_yes = NULL {one} AND k = 0")
    run(database, f"UPDATE verdicts_j{job} SET verdict = 'no', p_yes = 0.2 WHERE NOT (ord = 0 AND step = 0)")
    with database.transaction() as connection:
        votes = plans.votes(connection, job, 2)
    assert (votes.steps, dict(votes.seen)) == (4, {(1, 1): 1, (2, 0): 3})
    assert list(votes.totals) == pytest.approx([0.4] * 3)


def test_votes_are_told_apart_by_the_rewards_before_their_step(database: Database) -> None:
    job = take_in(database, make_solutions(3, steps=3), PLANNED, shard=3).job_id
    work_off(database, claim(database))
    run(database, f"UPDATE scores_j{job} SET rewards = ARRAY[0.25, NULL, 0.75] WHERE ord = 0")
    run(database, f"UPDATE scores_j{job} SET rewards = ARRAY[1.0, 0.5, 0.75] WHERE ord > 0")
    with database.transaction() as connection:
        plain, votes = (plans.votes(connection, job, 2, by_context=told) for told in (False, True))
    assert plain.by_context == {}
    assert (votes.seen, sorted(votes.totals)) == (plain.seen, sorted(plain.totals))
    counts = {earlier: sum(seen.values()) for earlier, seen in votes.by_context.items()}
    assert counts == {(): 3, (0.25,): 1, (0.25, None): 1, (1.0,): 2, (1.0, 0.5): 2}


def test_a_plan_by_context_has_a_prior_for_each_and_comes_back_as_it_was_stored(database: Database) -> None:
    by_context = {"kind": "planned", "price": 30.0, "pilot": 6, "by_context": True}
    job = take_in(database, make_solutions(4), replace(make_recipe(k=2), stopping=by_context), shard=4).job_id
    work_off_all(database)
    plan = refit(database, job)
    assert plan is not None
    assert plan.priors is not None
    assert stored(database, job) == plan
    assert len(plan.priors) == CELLS
    # Cells that were met are not as all steps are.
    assert len(set(plan.priors)) > 1
    rule = JudgeSpec.of(replace(make_recipe(k=2), stopping=by_context), 0, plan).stopping.now[0]
    assert rule.in_order


def test_a_plan_is_fitted_to_a_bounded_number_of_votes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    job = take_in(database, make_solutions(20), PLANNED, shard=2).job_id
    work_off_all(database)
    monkeypatch.setattr(plans, "MOST_STEPS", 12)
    with database.transaction() as connection:
        assert plans.votes(connection, job, 2).steps == 12
    plan = refit(database, job)
    assert plan is not None
    # It is due again when twice as many are judged, not twice as many as were read.
    assert plan.steps == 60
    assert refit(database, job) is None


def test_an_extension_is_planned_by_its_own_votes(database: Database) -> None:
    job = take_in(database, make_solutions(8), PLANNED, shard=1).job_id
    work_off_all(database)
    extensions.extend(database, job, 4)
    assert refit(database, job) is None
    fitted = []
    for _ in range(8):
        lease = claim(database)
        record(database, lease, [judge_on(s, k=4) for s in load(database, lease)])
        finish(database, lease)
        with database.transaction() as connection:
            votes = plans.votes(connection, job, 4)
        # Those of the earlier K, which another rule stopped, are no votes on this one.
        assert {parsed for parsed, _ in votes.seen} == {4}
        plan = refit(database, job)
        fitted.append(None if plan is None else plan.steps)
    assert fitted == [None, 6, None, 12, None, None, None, 24]
    extensions.extend(database, job, 5)
    extensions.cancel(database, job)
    with database.transaction() as connection:
        assert {parsed for parsed, _ in plans.votes(connection, job, 2).seen} == {2}


def test_of_workers_that_find_a_plan_due_one_fits(database: Database) -> None:
    job = take_in(database, make_solutions(2), PLANNED, shard=2).job_id
    work_off_all(database)
    with database.transaction() as connection:
        assert plans.try_fit(connection, job)
        assert refit(database, job) is None
    assert refit(database, job) is not None


def test_a_version_is_stored_once_and_goes_with_its_job(database: Database) -> None:
    job = take_in(database, make_solutions(2), PLANNED).job_id
    one, other = StoredPlan(1, 6, (0.5, 0.2, 0.3), None), StoredPlan(1, 7, (0.4, 0.3, 0.3), (1.0, 0.5, 0.0))
    with database.transaction() as connection:
        assert plans.add(connection, job, one)
        assert not plans.add(connection, job, other)
        assert not plans.add(connection, job + 1, other)
    assert stored(database, job) == one
    run(database, f"DELETE FROM jobs WHERE id = {job}")
    assert run(database, "SELECT * FROM plans") == []


def test_jobs_of_other_policies_have_no_plan(database: Database) -> None:
    job = take_in(database, make_solutions(4)).job_id
    work_off(database, claim(database))
    assert refit(database, job) is None


def test_a_pilot_ends_in_the_middle_of_a_shard_and_newer_plans_follow(database: Database) -> None:
    """Of one large shard: what waits for room when a plan is there is judged by it."""
    parts = WorkerParts(database, ScriptedEngine(JUDGE, ScriptedOptions(delay_s=0.01)), in_flight=24)
    try:
        recipe = replace(make_recipe(k=6), stopping={"kind": "planned", "price": 9.0, "pilot": 12})
        job = take_in(database, make_solutions(80), recipe, shard=80).job_id
        parts.runtime.notify()
    finally:
        parts.close()
    rows = run(database, f"SELECT plan, critiques_per_step AS counts FROM scores_j{job}")
    pilot, planned = ([n for row in rows if (row.plan is None) is which for n in row.counts] for which in (True, False))
    assert len(pilot) + len(planned) == 80 * 3
    assert set(pilot) == {6}
    assert len(planned) > 80
    assert sum(planned) < 4 * len(planned)
    assert {row.plan for row in rows} > {None, 1}
