"""The audit finds every kind of fault: each is made by hand in a clean store, found under its own name, and undone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import replace as change

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from rprm_jobs.errors import NotFound
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.services.context import Context
from rprm_jobs.services.upkeep.audit import audit as audit_jobs
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.session import Database
from rprm_jobs.store.upkeep import audit as store_audit
from rprm_jobs.store.upkeep.audit import Finding, audit
from tests.support import servers
from tests.support.jobs import make_recipe, make_solutions, take_in
from tests.support.store import claim, fail, fail_held, finish, judge, load, record, run, try_claim

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Store:
    """A database with a finished job of every outcome, and one that runs."""

    database: Database
    done: int
    running: int


@pytest.fixture(scope="module")
def store(server_session: servers.Session, template_database: str) -> Iterator[Store]:
    """One for all tests here: each undoes its damage."""
    name = server_session.create(template=template_database)
    database = Database(server_session.url(name))
    done = take_in(database, make_solutions(8), shard=4).job_id
    while (lease := try_claim(database)) is not None:
        solutions = load(database, lease)
        poison = [s for s in solutions if s.ord == 7]
        record(database, lease, [fail(s) if s.ord == 2 else judge(s) for s in solutions if s.ord != 7])
        if poison:
            fail_held(database, lease)
        else:
            finish(database, lease)
    running = take_in(database, make_solutions(6), make_recipe(seed=1), shard=2).job_id
    lease = claim(database)
    record(database, lease, [judge(load(database, lease)[0])])
    claim(database)
    yield Store(database, done, running)
    database.close()
    server_session.drop(name)


def damaged(store: Store, *statements: str, job: int | None = None, recipe: Recipe | None = None) -> list[Finding]:
    """What the audit finds after these statements, which are rolled back."""
    number = store.done if job is None else job
    connection = store.database.engine.connect()
    try:
        for statement in statements:
            assert connection.execute(text(statement.replace("{j}", str(number)))).rowcount != 0, statement
        stored = jobs.get(connection, number)
        return audit(connection, stored if recipe is None else change(stored, recipe=recipe))
    finally:
        connection.close()


CASES = [
    ("reused critiques counted and stored", "UPDATE verdicts_j{j} SET reused = true WHERE ord = 1 AND step = 1"),
    ("reused critiques counted and stored", "UPDATE scores_j{j} SET reused_per_step = '{0,1,0}' WHERE ord = 1"),
    ("solutions that the job was taken in with", "DELETE FROM solutions_j{j} WHERE ord = 7"),
    ("solutions that the job was taken in with", "UPDATE solutions_j{j} SET n_steps = 4 WHERE ord = 7"),
    ("solutions in no shard", "DELETE FROM shards WHERE job_id = {j} AND first_ord = 4"),
    ("solutions in no shard", "UPDATE shards SET last_ord = last_ord - 1 WHERE job_id = {j} AND first_ord = 0"),
    ("solutions of finished shards without an outcome", "DELETE FROM scores_j{j} WHERE ord = 1"),
    ("steps with fewer critiques than", "UPDATE scores_j{j} SET critiques_per_step = '{2,1,2}' WHERE ord = 1"),
    ("steps without a reward in", "UPDATE scores_j{j} SET rewards = '{0.5,NULL,0.5}' WHERE ord = 1"),
    ("steps without a reward in", "UPDATE scores_j{j} SET rewards = '{0.5,0.5}' WHERE ord = 1"),
    ("failed solutions without a reason", "UPDATE scores_j{j} SET reason = NULL WHERE ord = 2"),
    ("failed solutions without a reason", "UPDATE scores_j{j} SET reason = '' WHERE ord = 7"),
    ("solutions in two shards", "UPDATE shards SET last_ord = last_ord + 1 WHERE job_id = {j} AND first_ord = 0"),
    ("solutions in two shards", "UPDATE shards SET first_ord = 0 WHERE job_id = {j}"),
    ("more critiques of a step than", "INSERT INTO verdicts_j{j} VALUES ({j}, 1, 0, 2, 'yes', 0.5, 1, 'stop')"),
    ("critiques counted and critiques stored", "DELETE FROM verdicts_j{j} WHERE ord = 1 AND step = 1 AND k = 0"),
    ("critiques counted and critiques stored", "UPDATE verdicts_j{j} SET k = 5 WHERE ord = 1 AND step = 1 AND k = 0"),
    ("critiques counted and critiques stored", "DELETE FROM scores_j{j} WHERE ord = 1"),
    ("steps that were judged and steps to be judged", "UPDATE solutions_j{j} SET judge_steps = '{0,2}' WHERE ord = 1"),
    ("steps that were judged and steps to be judged", "UPDATE scores_j{j} SET critiques_per_step[1] = NULL"
     " WHERE ord = 1"),
    ("rewards that are not the mean", "UPDATE scores_j{j} SET rewards[2] = rewards[2] + 0.0001 WHERE ord = 1"),
    ("rewards that are not the mean", "UPDATE verdicts_j{j} SET p_yes = p_yes / 2 + 0.1 WHERE ord = 1 AND step = 2"),
    ("rewards that are not the mean", "UPDATE verdicts_j{j} SET verdict = 'unparsed' WHERE ord = 1 AND step = 2"),
    ("first errors that do not follow", "UPDATE scores_j{j} SET first_error = first_error + 1 WHERE ord = 1"),
    ("first errors that do not follow", "UPDATE scores_j{j} SET first_error = NULL WHERE ord = 1"),
    ("first errors that do not follow", "UPDATE scores_j{j} SET first_error = 0 WHERE ord = 2"),
    ("counters are not the number", "UPDATE shards SET n_ok = n_ok + 1 WHERE job_id = {j} AND first_ord = 0"),
    ("counters are not the number", "UPDATE shards SET n_ok = n_ok + 1, n_failed = n_failed - 1 WHERE job_id = {j}"),
    ("counters are not the number", "UPDATE shards SET steps_done = 0 WHERE job_id = {j} AND first_ord = 0"),
    ("outcomes without a solution", "UPDATE scores_j{j} SET ord = 99 WHERE ord = 1"),
    ("critique texts that the job keeps", "DELETE FROM critiques_j{j} WHERE ord = 1"),
    ("critique texts that the job keeps", "UPDATE jobs SET keep_critiques = 'disputed' WHERE id = {j};"
     "UPDATE verdicts_j{j} SET verdict = 'truncated' WHERE ord = 1 AND k = 0; DELETE FROM critiques_j{j}"),
    ("critique texts without an outcome", "UPDATE critiques_j{j} SET ord = 99 WHERE ord = 1"),
    ("written by an attempt that never held", "UPDATE scores_j{j} SET attempt = 99 WHERE ord = 1"),
    ("written by an attempt that never held", "UPDATE scores_j{j} SET attempt = 0 WHERE ord = 1"),
    ("written by an attempt that never held", "UPDATE scores_j{j} SET shard_id = 9999 WHERE ord = 1"),
    ("cancellation of an extension left", "UPDATE shards SET state = 'cancelled' WHERE job_id = {j} AND first_ord = 0"),
    ("live shards of a cancelled job", "UPDATE jobs SET cancelled_at = now() WHERE id = {j};"
     "UPDATE shards SET state = 'ready' WHERE job_id = {j} AND first_ord = 0"),
]  # fmt: skip


def test_an_undamaged_store_is_clean(store: Store) -> None:
    statuses = {r.status for r in run(store.database, f"SELECT status FROM scores_j{store.done}")}
    assert statuses == {"ok", "failed", "quarantined"}
    assert damaged(store) == []
    assert damaged(store, job=store.running) == []


@pytest.mark.parametrize(("check", "damage"), CASES)
def test_a_fault_is_found_under_its_name(store: Store, check: str, damage: str) -> None:
    found = damaged(store, *damage.split(";"))
    (finding,) = [f for f in found if check in f.check]
    assert finding.count >= 1
    assert all(finding.examples)
    assert damaged(store) == []


@pytest.mark.parametrize(("keep", "missing"), [("all", 1), ("disputed", 0), ("none", 0)])
def test_texts_are_missing_only_where_the_job_keeps_them(store: Store, keep: str, missing: int) -> None:
    agreed = "UPDATE verdicts_j{j} SET verdict = 'yes'"
    kept = f"UPDATE jobs SET keep_critiques = '{keep}' WHERE id = {{j}}"
    found = damaged(store, agreed, kept, "DELETE FROM critiques_j{j} WHERE ord = 1")
    assert sum("critique texts that the job keeps" in finding.check for finding in found) == missing


def test_a_lease_long_past_its_end_is_found_in_a_running_job(store: Store) -> None:
    late = "UPDATE shards SET lease_until = now() - interval '{s} s' WHERE job_id = {j} AND state = 'leased'"
    assert damaged(store, late.replace("{s}", "5"), job=store.running) == []
    (finding,) = damaged(store, late.replace("{s}", "100"), job=store.running)
    assert "leases long past their end" in finding.check
    assert finding.count == 2


def test_every_check_is_seen_to_find_something() -> None:
    seen = [check for check, _ in CASES] + ["leases long past their end"]
    assert [
        check
        for check in {**store_audit._CHECKS, **store_audit.OUTCOME_CHECKS}
        if not any(part in check for part in seen)
    ] == []


def test_an_adaptive_policy_may_ask_for_fewer_critiques(store: Store) -> None:
    assert {f.check.split(":")[0] for f in damaged(store, recipe=make_recipe(k=3))} == {"missing"}
    assert damaged(store, recipe=replace(make_recipe(k=3), stopping={"kind": "exact"})) == []


def test_many_faults_are_counted_and_a_few_named(store: Store) -> None:
    (finding,) = [
        f
        for f in damaged(store, "DELETE FROM scores_j{j}")
        if "without an outcome" in f.check and "finished" in f.check
    ]
    assert finding.count == 8
    assert finding.examples == ("s0", "s1", "s2", "s3", "s4")


def test_all_jobs_are_audited_or_those_named(context: Context, database: Database) -> None:
    one = take_in(database, make_solutions(2)).job_id
    other = take_in(database, make_solutions(2), make_recipe(k=3)).job_id
    run(database, f"DELETE FROM solutions_j{other} WHERE ord = 0")
    assert [(a.job_id, len(a.findings)) for a in audit_jobs(context)] == [(one, 0), (other, 1)]
    assert [a.job_id for a in audit_jobs(context, [one])] == [one]
    with pytest.raises(NotFound):
        audit_jobs(context, [77])


UP_TO_ERROR = replace(make_recipe(), until_first_error=True)
CUT = "UPDATE scores_j{j} SET critiques_per_step = '{2,2,NULL}', rewards[3] = NULL, first_error = %d WHERE ord = 1"
CUT_VERDICTS = "DELETE FROM verdicts_j{j} WHERE ord = 1 AND step = 2"
WRONG_STEP = "UPDATE scores_j{j} SET rewards[1:2] = '{0.9,0.4}' WHERE ord = 1"
WRONG_VERDICTS = "UPDATE verdicts_j{j} SET p_yes = CASE step WHEN 0 THEN 0.9 ELSE 0.4 END WHERE ord = 1 AND step < 2"
JUDGED = "disagreeing: steps that were judged and steps to be judged"


def test_steps_after_the_first_error_may_be_missing_where_the_recipe_stops_there(store: Store) -> None:
    cut = (CUT % 1, CUT_VERDICTS, WRONG_STEP, WRONG_VERDICTS)
    steps = "UPDATE shards SET steps_done = steps_done - 1 WHERE job_id = {j} AND first_ord = 0"
    assert damaged(store, *cut, steps, recipe=UP_TO_ERROR) == []
    assert [f.check for f in damaged(store, *cut, steps)] == [JUDGED]
    assert damaged(store, recipe=UP_TO_ERROR) == []


@pytest.mark.parametrize("first", [0, -1])
def test_a_step_is_missing_that_no_error_stands_before(store: Store, first: int) -> None:
    found = damaged(store, CUT % first, CUT_VERDICTS, WRONG_STEP, WRONG_VERDICTS, recipe=UP_TO_ERROR)
    assert JUDGED in [f.check for f in found]
