"""Changes of a whole job at size: `python -m benchmarks.upkeep --solutions 1000000`.

Audit, retry (of 1% that failed), extend and the cancel of the extension, repair of a clean job; and a score job that is
created from as many written solutions by one of six sweepers that start at once. Outcomes are put in by SQL, in the
shape that judging gives. WAL is what Postgres wrote to its log meanwhile.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import text

from benchmarks import harness
from rprm_jobs.judge.policy import resolve_policy
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs import control
from rprm_jobs.services.jobs.generate import make_generation_config, rollout_recipe
from rprm_jobs.services.jobs.submit import make_recipe
from rprm_jobs.services.upkeep.audit import audit, repair
from rprm_jobs.services.upkeep.dependents import create_dependents, score_request
from rprm_jobs.store.jobs.intake import Intake
from rprm_jobs.store.jobs.new_job import NewJob
from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.types import JobKind, KeepCritiques, Solution

_STEPS, _K, _SWEEPERS = 2, 2, 6


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--solutions", type=int, default=1_000_000)
    args = parser.parse_args()
    before = harness.machine()
    with harness.scratch_database() as url, harness.context(url) as context:
        result = {
            "solutions": args.solutions,
            **_score_job(context, args.solutions),
            **_then_score(url, args.solutions),
        }
    harness.report("upkeep", before, result)


def _score_job(context: Context, n: int) -> dict[str, Any]:
    recipe = make_recipe(resolve_judge("scripted"), k=_K)
    job_id = _submit(context, recipe, n, steps=_STEPS, kind=JobKind.SCORE)
    _judge(context, job_id)
    result = {
        "audit": _timed(context, lambda: audit(context, [job_id])),
        "repair_of_a_clean_job": _timed(context, lambda: repair(context, [job_id])),
        "retry": _timed(context, lambda: control.retry(context, job_id)),
    }
    _judge(context, job_id)
    result["extend"] = _timed(context, lambda: control.extend(context, job_id, 2 * _K))
    result["cancel_of_the_extension"] = _timed(context, lambda: control.cancel(context, job_id))
    findings = [finding.check for job in audit(context, [job_id]) for finding in job.findings]
    return {**result, "audit_findings": findings}


def _then_score(url: str, n: int) -> dict[str, Any]:
    policy = resolve_policy("scripted")
    request = score_request(make_recipe(resolve_judge("scripted"), k=_K))
    with harness.context(url) as context:
        job_id = _submit(
            context,
            rollout_recipe(policy, make_generation_config(policy)),
            n,
            steps=0,
            kind=JobKind.ROLLOUT,
            dependent=request,
        )
        _write(context, job_id)
        start = threading.Barrier(_SWEEPERS)

        def sweep(_: int) -> list[int]:
            with harness.context(url) as own:
                start.wait()
                return create_dependents(own)

        def sweep_together() -> list[int]:
            with ThreadPoolExecutor(_SWEEPERS) as pool:
                return [created for ids in pool.map(sweep, range(_SWEEPERS)) for created in ids]

        created: list[int] = []
        measured = _timed(context, lambda: created.extend(sweep_together()))
        if len(created) != 1:
            raise RuntimeError(f"one score job should have been created, and there are {len(created)}")
    return {"then_score": {**measured, "sweepers": _SWEEPERS}}


def _timed(context: Context, action: Callable[[], object]) -> dict[str, float]:
    _settle(context)
    before, started = _log_position(context), time.perf_counter()
    action()
    seconds = time.perf_counter() - started
    return {"seconds": round(seconds, 2), "wal_mib": round((_log_position(context) - before) / 2**20, 1)}


def _log_position(context: Context) -> int:
    with context.database.transaction() as connection:
        return int(connection.execute(text("SELECT pg_current_wal_insert_lsn() - '0/0'")).scalar_one())


def _settle(context: Context) -> None:
    """Statistics as autovacuum would have them soon, and no checkpoint in the middle."""
    with context.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("ANALYZE"))
        connection.execute(text("CHECKPOINT"))


def _submit(context: Context, recipe: Recipe, n: int, *, steps: int, kind: JobKind, dependent: Any = None) -> int:
    texts = tuple(f"Step text {i} " + "y" * 40 for i in range(steps))
    with context.database.transaction() as connection:
        intake = Intake(connection, kind)
        intake.load(_rows(n, texts))
        intake.repeated_ids(1)
        new = NewJob(recipe, 0, KeepCritiques.NONE, ("made",), 32, dependent=dependent)
        intake.seal(new, dedupe=False)
        return intake.job_id


def _rows(n: int, texts: tuple[str, ...]) -> Iterator[tuple[int, int, Solution]]:
    for i in range(n):
        yield 0, i + 1, Solution(f"s{i}", f"Problem {i} " + "x" * 80, texts)


def _judge(context: Context, job_id: int) -> None:
    """Give every solution without an outcome one: every hundredth fails."""
    scores, verdicts, solutions = (partition(name, job_id) for name in ("scores", "verdicts", "solutions"))
    new = f"NOT EXISTS (SELECT 1 FROM {scores} AS r WHERE r.ord = s.ord)"
    holder = (
        f"SELECT s.ord, h.id, h.attempt + 1 AS attempt, s.ord % 100 = 7 AND h.round = 0 AS failed FROM shards AS h"
        f" JOIN {solutions} AS s ON s.ord BETWEEN h.first_ord AND h.last_ord WHERE h.job_id = {job_id} AND {new}"
    )
    statements = [
        "SET LOCAL statement_timeout = 0",
        "SET LOCAL enable_seqscan = off",
        f"CREATE TEMPORARY TABLE judged ON COMMIT DROP AS {holder}",
        f"INSERT INTO {verdicts} SELECT {job_id}, j.ord, step, k, 'yes', 0.75, 20, 'stop' FROM judged AS j,"
        f" generate_series(0, {_STEPS - 1}) AS step, generate_series(0, {_K - 1}) AS k WHERE NOT j.failed",
        f"INSERT INTO {scores} (job_id, ord, status, reason, rewards, first_error, critiques_per_step, by_votes,"
        f" shard_id, attempt) SELECT {job_id}, ord, CASE WHEN failed THEN 'failed' ELSE 'ok' END,"
        " CASE WHEN failed THEN 'refused' END,"
        f" array_fill(CASE WHEN failed THEN NULL ELSE 0.75::float8 END, ARRAY[{_STEPS}]),"
        f" CASE WHEN failed THEN NULL ELSE -1 END,"
        f" array_fill(CASE WHEN failed THEN 0 ELSE {_K} END::smallint, ARRAY[{_STEPS}]), FALSE, id, attempt"
        " FROM judged",
        f"UPDATE shards AS h SET state = 'done', attempt = attempt + 1, claimed_at = now(), finished_at = now(),"
        f" n_ok = n_ok + j.ok, n_failed = n_failed + j.failed, steps_done = steps_done + {_STEPS} * (j.ok + j.failed)"
        " FROM (SELECT id, count(*) FILTER (WHERE NOT failed) AS ok, count(*) FILTER (WHERE failed) AS failed"
        "       FROM judged GROUP BY id) AS j WHERE h.id = j.id",
    ]
    with context.database.transaction() as connection:
        for statement in statements:
            connection.execute(text(statement))


def _write(context: Context, job_id: int) -> None:
    """Give every problem a solution of five steps."""
    solutions, scores, responses = (partition(name, job_id) for name in ("solutions", "scores", "responses"))
    steps = '["' + '", "'.join("step " + "z" * 60 for _ in range(5)) + '"]'
    statements = [
        "SET LOCAL statement_timeout = 0",
        f"INSERT INTO {responses} (job_id, ord, steps, finish, tokens, answer)"
        f" SELECT {job_id}, ord, '{steps}', 'stop', 100, '4' FROM {solutions}",
        f"INSERT INTO {scores} (job_id, ord, status, rewards, critiques_per_step, by_votes, shard_id, attempt)"
        f" SELECT {job_id}, ord, 'ok', '{{}}', '{{}}', FALSE, 1, 1 FROM {solutions}",
        f"UPDATE shards SET state = 'done', attempt = 1, claimed_at = now(), finished_at = now(),"
        f" n_ok = last_ord - first_ord + 1 WHERE job_id = {job_id}",
    ]
    with context.database.transaction() as connection:
        for statement in statements:
            connection.execute(text(statement))


if __name__ == "__main__":
    main()
