"""Taking jobs in: all of it or nothing, ids by the unique index, shards that cover all."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from rprm_jobs.errors import NotFound, StoreUnavailable
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.jobs.intake import Intake
from rprm_jobs.store.session import Database
from rprm_jobs.types import Solution
from tests.support.intake import NEW, filled, job_count, partitions
from tests.support.jobs import make_recipe, make_solutions, outcomes, take_in
from tests.support.store import run, shard_rows

pytestmark = pytest.mark.integration


def test_nothing_is_seen_before_the_commit(database: Database) -> None:
    with database.transaction() as connection:
        intake = filled(connection, make_solutions(20))
        assert intake.seal(NEW, dedupe=True) is None
        for table in ("jobs", "shards"):
            assert run(database, f"SELECT count(*) FROM {table}")[0][0] == 0
        assert partitions(database) == 0
    assert partitions(database) == 4
    assert run(database, "SELECT count(*) FROM solutions")[0][0] == 20


def test_a_failing_input_leaves_nothing(database: Database) -> None:
    def rows() -> Any:
        yield 0, 1, make_solutions(1)[0]
        raise ValueError("the file ends in the middle")

    with pytest.raises(ValueError, match="in the middle"), database.transaction() as connection:
        Intake(connection).load(rows())
    assert partitions(database) == 0
    assert job_count(database) == 0


def test_a_connection_killed_in_the_middle_leaves_nothing(database: Database) -> None:
    def rows() -> Any:
        for i, solution in enumerate(make_solutions(20_000)):
            if i == 100:
                run(
                    database,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()",
                )
            yield 0, i + 1, solution

    with pytest.raises(StoreUnavailable), database.transaction() as connection:
        Intake(connection).load(rows())
    assert partitions(database) == 0
    # The next one takes a fresh connection by itself.
    assert take_in(database, make_solutions(3)).created


def test_what_was_taken_in_is_what_was_given(database: Database) -> None:
    metadata = {"b": [1, {"c": None}], "a": 0.5}
    given = [
        Solution("a", "p\nq \\neq é 漢 😀 \t", ("s {} {now_step}", "\\N", "  "), 1, (1, None, None), metadata),
        Solution("b" * 500, "", ("x",), -1, None, {}),
        Solution('"', "\\.", ("\\.",), None, None, {"id": "kept"}),
    ]
    job = take_in(database, given).job_id
    rows = run(database, f"SELECT * FROM solutions_j{job} ORDER BY ord")
    read = [
        Solution(r.ext_id, r.problem, tuple(r.steps), r.label, r.step_labels and tuple(r.step_labels), r.metadata)
        for r in rows
    ]
    assert read == given
    assert [r.n_steps for r in rows] == [3, 1, 1]
    with database.transaction() as connection:
        stored = jobs.get(connection, job)
    assert (stored.n_solutions, stored.n_steps, stored.recipe) == (3, 5, make_recipe())


@pytest.mark.parametrize(("n", "size"), [(1, 1), (1, 8), (8, 8), (9, 8), (16, 8), (17, 3)])
def test_shards_cover_every_solution_once(database: Database, n: int, size: int) -> None:
    job = take_in(database, make_solutions(n), shard=size, priority=5).job_id
    rows = shard_rows(database, job)
    assert [o for r in rows for o in range(r.first_ord, r.last_ord + 1)] == list(range(n))
    assert all(r.last_ord - r.first_ord < size for r in rows)
    assert {(r.state, r.attempt, r.failures, r.round, r.priority) for r in rows} == {("ready", 0, 0, 0, 5)}


def test_repeated_ids_are_listed_by_where_they_stand(database: Database) -> None:
    one, two, three = make_solutions(3)
    rows = [(0, 1, one), (0, 2, two), (0, 7, one), (1, 1, two), (1, 2, three), (1, 3, one)]
    with database.transaction() as connection:
        intake = Intake(connection)
        intake.load(rows)
        found, number = intake.repeated_ids(2)
        assert [(r.id, r.source, r.line, r.first_source, r.first_line) for r in found] == [
            (one.id, 0, 7, 0, 1),
            (two.id, 1, 1, 0, 2),
        ]
        assert number == 3
        intake.drop_repeated_ids()
        assert (intake.n_solutions, intake.n_steps) == (3, 9)
        assert intake.seal(NEW, dedupe=False) is None
    assert list(outcomes(database, intake.job_id)) == [one.id, two.id, three.id]


def test_dropped_repetitions_leave_shards_that_can_be_finished(database: Database) -> None:
    one, two = make_solutions(2)
    with database.transaction() as connection:
        intake = Intake(connection)
        intake.load([(0, i, one) for i in range(1, 30)] + [(0, 30, two)])
        intake.repeated_ids(1)
        intake.drop_repeated_ids()
        intake.seal(NEW, dedupe=False)
    rows = shard_rows(database, intake.job_id)
    stored = {r.ord for r in run(database, f"SELECT ord FROM solutions_j{intake.job_id}")}
    assert stored == {0, 29}
    assert stored <= {o for r in rows for o in range(r.first_ord, r.last_ord + 1)}


def test_the_digest_follows_what_is_judged_and_not_how_it_was_written(database: Database) -> None:
    def digest(solutions: list[Solution], lines: int = 1) -> str:
        with database.transaction() as connection:
            intake = Intake(connection)
            intake.load((0, i * lines, s) for i, s in enumerate(solutions))
            return intake.input_digest

    solutions = make_solutions(3)
    base = digest(solutions)
    assert digest(make_solutions(3)) == base
    assert digest(solutions, lines=7) == base
    first = solutions[0]
    changed = [
        replace(first, id="other"),
        replace(first, problem=first.problem + " "),
        replace(first, steps=(*first.steps, "x")),
        replace(first, steps=("".join(first.steps),)),
        replace(first, label=0),
        replace(first, step_labels=(1,)),
        replace(first, metadata={"n": 1}),
    ]
    others = [digest([one, *solutions[1:]]) for one in changed] + [digest(solutions[:2]), digest(solutions[::-1])]
    assert len({base, *others}) == len(others) + 1


def test_scattered_rollouts_of_one_problem_are_judged_together_and_read_in_the_order_of_the_input(
    database: Database,
) -> None:
    def rollout(i: int) -> Solution:
        return Solution(f"r{i}", f"problem {i % 3}", (f"step of {i}",))

    job = take_in(database, [rollout(i) for i in range(12)], shard=4).job_id
    by_ord = run(database, f"SELECT ext_id, problem FROM solutions_j{job} ORDER BY ord")
    assert [r.problem for r in by_ord] == [f"problem {p}" for p in range(3) for _ in range(4)]
    assert [r.ext_id for r in by_ord][:4] == ["r0", "r3", "r6", "r9"]
    assert list(outcomes(database, job)) == [f"r{i}" for i in range(12)]
    with database.transaction() as connection:
        assert jobs.get(connection, job).grouped_by_problem
    neighbours = take_in(database, [rollout(i) for i in (0, 3, 1, 4, 2, 5)]).job_id
    with database.transaction() as connection:
        assert not jobs.get(connection, neighbours).grouped_by_problem


def test_a_scattered_job_keeps_its_unique_ids(database: Database) -> None:
    rows = [Solution(f"r{i}", f"problem {i % 3}", ("s",)) for i in range(6)]
    job = take_in(database, rows).job_id
    with pytest.raises(Exception, match="uq_"):
        run(database, f"INSERT INTO solutions_j{job} SELECT job_id, 99, ext_id, problem, steps, n_steps, label,"
                      f" step_labels, metadata, source, 99 FROM solutions_j{job} WHERE ord = 0")  # fmt: skip


def test_a_job_is_deleted_while_another_is_taken_in(database: Database) -> None:
    old = take_in(database, make_solutions(3)).job_id
    with database.transaction() as connection:
        jobs.cancel(connection, old)
    loaded, go_on = threading.Event(), threading.Event()

    def rows() -> Any:
        yield 0, 1, make_solutions(1)[0]
        loaded.set()
        go_on.wait(20)

    def long_submission() -> int:
        with database.transaction() as connection:
            intake = Intake(connection)
            intake.load(rows())
            intake.repeated_ids(1)
            intake.seal(NEW, dedupe=False)
            return intake.job_id

    with ThreadPoolExecutor(1) as pool:
        submission = pool.submit(long_submission)
        assert loaded.wait(10)
        began = time.monotonic()
        try:
            with database.transaction() as connection:
                jobs.delete(connection, old)
        finally:
            go_on.set()
        assert time.monotonic() - began < 5
        submission.result(20)
    with pytest.raises(NotFound), database.transaction() as connection:
        jobs.get(connection, old)
