"""Reading back: in the order of the input, page by page, with what was asked for and nothing that is not there."""

from __future__ import annotations

import pytest

from rprm_jobs.errors import Deleted, NotFound
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.results.export import Outcome, read_outcomes, read_verdicts
from rprm_jobs.store.results.judged import read_judged
from rprm_jobs.store.results.responses import read_rollout_rows
from rprm_jobs.store.session import Database
from rprm_jobs.types import Solution
from tests.support.jobs import make_solutions, take_in
from tests.support.store import claim, fail, judge, load, record, try_claim, work_off_all

pytestmark = pytest.mark.integration


def read(database: Database, job_id: int, *, batch: int, steps: bool = False) -> list[list[Outcome]]:
    with database.transaction() as connection:
        job = jobs.get(connection, job_id)
    return list(read_outcomes(database, job, with_steps=steps, batch=batch))


@pytest.mark.parametrize("batch", [1, 3, 7, 8, 100])
@pytest.mark.parametrize("scattered", [False, True])
def test_pages_are_in_the_order_of_the_input(database: Database, batch: int, scattered: bool) -> None:
    given = [Solution(f"r{i}", f"p{i % 3 if scattered else i}", (f"step {i}",)) for i in range(7)]
    job = take_in(database, given, shard=2).job_id
    work_off_all(database)
    pages = read(database, job, batch=batch, steps=True)
    assert [o.id for page in pages for o in page] == [s.id for s in given]
    assert all(len(page) == batch for page in pages[:-1])
    assert [(o.problem, o.steps) for page in pages for o in page] == [(s.problem, list(s.steps)) for s in given]
    assert [o.line for page in pages for o in page] == list(range(1, 8))


def test_a_job_that_is_deleted_while_it_is_read_is_said_to_be(database: Database) -> None:
    job = take_in(database, make_solutions(4), shard=2).job_id
    work_off_all(database)
    with database.transaction() as connection:
        stored = jobs.get(connection, job)
    pages = read_outcomes(database, stored, batch=2)
    next(pages)
    with database.transaction() as connection:
        jobs.delete(connection, job)
    with pytest.raises(Deleted, match="was deleted while it was read") as caught:
        next(pages)
    assert (caught.value.where, caught.value.exit_code) == (f"job {job}", NotFound.exit_code)
    assert "upgrade" not in str(caught.value)
    for read_on in (read_judged(database, job), read_rollout_rows(database, stored)):
        with pytest.raises(Deleted, match=r"job \d+: the job was deleted"):
            next(read_on)


def test_what_is_not_judged_yet_has_no_outcome_and_no_row(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(4), shard=2).job_id
    lease = claim(database)
    record(database, lease, [judge(load(database, lease)[1])])
    (page,) = read(database, job, batch=10)
    assert [o.status for o in page] == [None, "ok", None, None]
    assert page[0].rewards is None
    assert page[0].problem is None
    assert [row["id"] for row in result_rows(context, job)] == ["s1"]


def test_a_page_begun_before_a_record_stays_as_it_was(database: Database) -> None:
    job = take_in(database, make_solutions(4), shard=4).job_id
    with database.transaction() as connection:
        pages = read_outcomes(database, jobs.get(connection, job), batch=2)
    assert [o.status for o in next(pages)] == [None, None]
    work_off_all(database)
    assert [o.status for o in next(pages)] == ["ok", "ok"]


def test_verdicts_of_some_solutions(database: Database) -> None:
    job = take_in(database, make_solutions(3), shard=3).job_id
    lease = claim(database)
    scores = [judge(s) for s in load(database, lease)]
    record(database, lease, scores)
    with database.transaction() as connection:
        found = read_verdicts(connection, job, [2, 0])
    expected = [(s.ord, c.step, c.k, c.verdict.value, c.p_yes) for s in (scores[0], scores[2]) for c in s.critiques]
    assert found == expected


def test_a_row_is_what_is_promised(context: Context, database: Database) -> None:
    given = [
        Solution("a", "p", ("x", "y"), 1, (1, 0), {"source": "web", "rewards": "mine", "id2": None}),
        Solution("b", "q", ("x",)),
        Solution("c", "r", ("x",)),
    ]
    job = take_in(database, given, shard=3).job_id
    lease = claim(database)
    one, two, _ = load(database, lease)
    score = judge(one)
    record(database, lease, [score, fail(two, "too long")])
    first, second = result_rows(context, job, steps=True)
    assert first == {
        "id": "a", "status": "ok", "rewards": list(score.rewards), "first_error": score.first_error,
        "critiques_per_step": [2, 2], "sampling_policy": "fixed", "reward_source": "logprobs", "problem": "p",
        "steps": ["x", "y"], "label": 1, "step_labels": [1, 0], "source": "web", "metadata.rewards": "mine",
        "id2": None,
    }  # fmt: skip
    assert second == {
        "id": "b", "status": "failed", "reason": "too long", "rewards": [None], "first_error": None,
        "critiques_per_step": [0], "sampling_policy": "fixed", "reward_source": "logprobs", "problem": "q",
        "steps": ["x"],
    }  # fmt: skip
    assert list(first)[:2] == ["id", "status"]


def test_an_unknown_job_has_no_rows(context: Context) -> None:
    with pytest.raises(NotFound):
        next(result_rows(context, 77))


def test_critiques_come_with_every_page(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(450, steps=1), shard=100).job_id
    while (lease := try_claim(database)) is not None:
        record(database, lease, [judge(s, k=1) for s in load(database, lease)])
        with database.transaction() as connection:
            from rprm_jobs.store.queue import leases

            leases.finish(connection, lease)
    rows = list(result_rows(context, job, critiques=True))
    assert len(rows) == 450
    assert [row["critiques"][0][0]["text"] for row in rows] == [f"critique {i}.0.0" for i in range(450)]
