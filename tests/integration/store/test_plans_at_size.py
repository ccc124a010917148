"""How Postgres executes changes of a whole job of ten million solutions: along keys, whatever it knows of the tables.

The job has 20,000 solutions and the statistics of ten million. A statement that read a whole partition in every batch,
or once a shard, would be quadratic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from rprm_jobs.services.upkeep.dependents import score_request
from rprm_jobs.store.jobs import dependent_copy, extensions, jobs, retries
from rprm_jobs.store.jobs.dependent_copy import Progress
from rprm_jobs.store.jobs.new_job import NewJob
from rprm_jobs.store.schema import partitions, tables
from rprm_jobs.store.session import Database, driver_connection
from rprm_jobs.store.upkeep import audit, repair
from rprm_jobs.types import KeepCritiques
from tests.support.jobs import make_recipe, make_solutions, take_in
from tests.support.store import run

pytestmark = pytest.mark.integration

N, SHARD, CLAIMED = 20_000, 4, 10_000_000
TABLES = ("solutions", "scores", "verdicts", "critiques", "responses")
# What Postgres expects of a plan that reads each row a few times; one that compares each with each costs a thousand
# times as much.
MOST_COST_A_ROW = 100


@pytest.fixture
def job(database: Database) -> int:
    """A finished job of which every hundredth solution failed."""
    number = take_in(database, make_solutions(1, steps=1), shard=SHARD).job_id
    statements = (
        "INSERT INTO solutions_j{j} SELECT job_id, o, 's' || o, problem, steps, n_steps, label, step_labels, metadata,"
        f" source, o + 1, judge_steps FROM solutions_j{{j}}, generate_series(1, {N - 1}) AS o",
        "INSERT INTO shards (job_id, queue, priority, first_ord, last_ord) SELECT {j}, queue, 0, o, o + 3 FROM shards,"
        f" generate_series(4, {N - 4}, 4) AS o",
        f"UPDATE shards SET last_ord = 3 WHERE first_ord = 0; UPDATE jobs SET n_solutions = {N}, n_steps = {N}",
        "INSERT INTO scores_j{j} (job_id, ord, status, reason, rewards, first_error, critiques_per_step, by_votes,"
        " shard_id, attempt) SELECT {j}, s.ord, CASE WHEN s.ord % 100 = 7 THEN 'failed' ELSE 'ok' END,"
        " CASE WHEN s.ord % 100 = 7 THEN 'x' END, ARRAY[CASE WHEN s.ord % 100 = 7 THEN NULL ELSE 0.75 END],"
        " CASE WHEN s.ord % 100 = 7 THEN NULL ELSE -1 END, ARRAY[CASE WHEN s.ord % 100 = 7 THEN 0 ELSE 2 END], FALSE,"
        " h.id, 1 FROM solutions_j{j} AS s JOIN shards AS h ON h.first_ord = s.ord - s.ord % 4",
        "INSERT INTO verdicts_j{j} SELECT {j}, ord, 0, k, 'yes', 0.75, 9, 'stop' FROM scores_j{j},"
        " generate_series(0, 1) AS k WHERE status = 'ok'",
        "INSERT INTO critiques_j{j} (job_id, ord, texts) SELECT {j}, ord, '' FROM scores_j{j} WHERE status = 'ok'",
        "UPDATE shards SET state = 'done', attempt = 1, finished_at = now(), steps_done = 4,"
        " n_failed = (first_ord % 100 = 4)::int, n_ok = 4 - (first_ord % 100 = 4)::int",
        "UPDATE jobs SET keep_critiques = 'none'",
        "ANALYZE",
    )
    for statement in statements:
        for part in statement.split("; "):
            run(database, part.replace("{j}", str(number)))
    names = [f"{table}_j{number}" for table in TABLES if table != "responses"]
    run(database, "UPDATE pg_class SET reltuples = :claimed WHERE relname = ANY(:names)", claimed=CLAIMED, names=names)
    return number


@contextmanager
def whole_reads(database: Database) -> Iterator[list[str]]:
    """The statements that read a whole partition, but those of a snapshot, which do so once and lock nothing."""
    found: list[str] = []

    @sa.event.listens_for(database.engine, "before_cursor_execute")
    def look(connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if "REPEATABLE READ" in statement:
            connection.info["snapshot"] = True
        if connection.info.get("snapshot") or statement.split()[0].upper() not in {
            "SELECT",
            "UPDATE",
            "DELETE",
            "WITH",
        }:
            return
        with driver_connection(connection).cursor() as cursor:
            ((plan,),) = cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters).fetchall()
        if any(_reads_whole(node, above) for node, above in _nodes(plan[0]["Plan"])):
            found.append(" ".join(statement.split()))

    @sa.event.listens_for(database.engine, "begin")
    def begin(connection: Any) -> None:
        connection.info.pop("snapshot", None)

    yield found
    sa.event.remove(database.engine, "before_cursor_execute", look)
    sa.event.remove(database.engine, "begin", begin)


def _nodes(plan: dict[str, Any], above: str = "") -> Iterator[tuple[dict[str, Any], str]]:
    yield plan, above
    for child in plan.get("Plans", ()):
        yield from _nodes(child, plan["Node Type"])


def _reads_whole(node: dict[str, Any], above: str) -> bool:
    kind = node["Node Type"]
    if not node.get("Relation Name", "").startswith(tuple(f"{table}_j" for table in TABLES)):
        return False
    # A limit ends the walk along an index after its rows, such as the one row of max(ord).
    ended = above == "Limit" and "Filter" not in node
    along_keys = "Index" in kind and ("Index Cond" in node or ended)
    return not along_keys and kind in {"Seq Scan", "Index Scan", "Index Only Scan", "Tid Scan", "Sample Scan"}


def extend_and_cancel(database: Database, job_id: int) -> None:
    extensions.extend(database, job_id, 3)
    extensions.cancel(database, job_id)


CHANGES: dict[str, Callable[[Database, int], object]] = {
    "retry": lambda database, job_id: retries.retry_failed(database, job_id, quarantined=False),
    "extend": extend_and_cancel,
    "repair": lambda database, job_id: repair.repair(database, job_id),
}


@pytest.mark.parametrize("change", CHANGES)
def test_no_batch_reads_a_whole_partition(database: Database, job: int, change: str) -> None:
    if change == "repair":
        run(database, f"UPDATE scores_j{job} SET rewards = ARRAY[0.5] WHERE ord % 1000 = 1")
        run(database, f"DELETE FROM scores_j{job} WHERE ord % 1000 = 2")
        run(database, "DELETE FROM shards WHERE first_ord % 4000 = 8")
    with whole_reads(database) as found:
        CHANGES[change](database, job)
    assert found == []


def test_no_batch_of_a_copy_reads_a_whole_partition(database: Database, job: int) -> None:
    """The score job of a job of as many written solutions."""
    recipe = make_recipe(k=2)
    request = msgspec.json.encode(score_request(recipe)).decode()
    responses = f"responses_j{job}"
    with database.transaction() as connection:
        partitions.create_table(connection, tables.responses, job)
        partitions.index_primary(connection, tables.responses, job)
    run(database, f"INSERT INTO {responses} (job_id, ord, steps, finish, tokens)"
        f" SELECT {job}, ord, '[\"a\"]', 'stop', 1 FROM scores_j{job}")  # fmt: skip
    run(database, f"ANALYZE {responses}")
    run(database, "UPDATE pg_class SET reltuples = :claimed WHERE relname = :name", claimed=CLAIMED, name=responses)
    run(database, "UPDATE jobs SET follow = CAST(:request AS jsonb)", request=request)
    new = NewJob(recipe, 0, KeepCritiques.ALL, ("x",), 32, depends_on=job)
    progress, steps = Progress.MORE, 0
    with whole_reads(database) as found:
        while progress is Progress.MORE:
            with database.transaction() as connection:
                progress = dependent_copy.advance(connection, job, new)
            steps += 1
    assert found == []
    assert (progress, steps) == (Progress.CREATED, 1 + N // dependent_copy.ORDS + 3)
    assert run(database, "SELECT n_solutions FROM jobs WHERE follows = :job", job=job)[0].n_solutions == N * 99 // 100


def test_a_whole_read_is_noticed(database: Database, job: int) -> None:
    quadratic = (
        f"DELETE FROM verdicts_j{job} AS t WHERE NOT EXISTS (SELECT 1 FROM scores_j{job} AS s WHERE s.ord = t.ord)"
    )
    with whole_reads(database) as found:
        run(database, f"{quadratic} AND t.ord = ANY(:ords)", ords=[5])
        run(database, f"SELECT 1 FROM scores_j{job} WHERE ord BETWEEN 5 AND 9")
        assert found == []
        run(database, f"SELECT count(*) FROM scores_j{job} WHERE status = 'failed'")
        run(database, quadratic)
    assert len(found) == 2


def test_no_check_of_the_audit_compares_every_row_with_every_other(database: Database, job: int) -> None:
    costs: dict[str, float] = {}

    @sa.event.listens_for(database.engine, "before_cursor_execute")
    def look(connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if "faults AS MATERIALIZED" in statement:
            with driver_connection(connection).cursor() as cursor:
                ((plan,),) = cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters).fetchall()
            costs[" ".join(statement.split())] = max(node["Total Cost"] for node, _ in _nodes(plan[0]["Plan"]))

    try:
        with database.snapshot() as connection:
            audit.audit(connection, jobs.get(connection, job))
    finally:
        sa.event.remove(database.engine, "before_cursor_execute", look)
    assert len(costs) > 20
    assert {statement: cost for statement, cost in costs.items() if cost > MOST_COST_A_ROW * CLAIMED} == {}
