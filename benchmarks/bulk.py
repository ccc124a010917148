"""A large job in, its status, and its results out: `python -m benchmarks.bulk --solutions 200000`.

Submit and results are the real commands in processes of their own. Outcomes are put in by SQL, since what is measured
is the way out and not the judging; they have the shape that judging gives (8 rewards and 80 verdicts a solution).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks import harness
from rprm_jobs.services.jobs.query import job_status
from rprm_jobs.store.schema.partitions import partition


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--solutions", type=int, default=200_000)
    args = parser.parse_args()
    before = harness.machine()
    with tempfile.TemporaryDirectory() as folder, harness.scratch_database() as url:
        report = _run(Path(folder), url, args.solutions)
    harness.report("bulk", before, report)


def _run(folder: Path, url: str, n: int) -> dict[str, Any]:
    env = harness.environment(url)
    source, scored = folder / "solutions.jsonl", folder / "scored.jsonl"
    harness.run_measured([sys.executable, "-m", "benchmarks.make_solutions", str(n), "--out", str(source)], env)
    base = [sys.executable, "-m", "rprm_jobs"]
    submitted = harness.run_measured([*base, "submit", str(source), "--judge", "scripted", "--json"], env)
    job_id = json.loads(submitted.stdout)["job_id"]
    insert_outcomes(url, job_id)
    status_seconds = _status(url, job_id)
    out = harness.run_measured([*base, "results", str(job_id), "-o", str(scored)], env)
    with scored.open("rb") as file:
        rows = sum(1 for _ in file)
    return {
        "solutions": n,
        "bytes_per_solution": round(source.stat().st_size / n),
        "submit": _rates(n, submitted),
        "status_database_seconds": status_seconds,
        "results": {**_rates(n, out), "rows": rows},
    }


def _rates(n: int, ran: harness.Ran) -> dict[str, float]:
    return {
        "seconds": round(ran.seconds, 2),
        "solutions_per_s": round(n / ran.seconds),
        "cpu_seconds": round(ran.cpu_seconds, 2),
        "peak_mib": round(ran.peak_mib),
    }


def insert_outcomes(url: str, job_id: int) -> None:
    """An outcome of eight rewards for every solution of the job."""
    with harness.context(url) as context, context.database.transaction() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(
            text(
                f"""
                INSERT INTO {partition("scores", job_id)} (job_id, ord, status, rewards, first_error,
                    critiques_per_step, by_votes, shard_id, attempt)
                SELECT :job, s.ord, 'ok',
                       ARRAY(SELECT ((s.ord::bigint * 7919 + n * 31) % 1000) / 1000.0
                             FROM generate_series(1, s.n_steps) AS n),
                       -1, array_fill(10::smallint, ARRAY[s.n_steps]), FALSE, h.id, 1
                FROM shards AS h CROSS JOIN LATERAL generate_series(h.first_ord, h.last_ord) AS o (ord)
                JOIN {partition("solutions", job_id)} AS s USING (ord)
                WHERE h.job_id = :job"""
            ),
            {"job": job_id},
        )
        connection.execute(
            text(
                "UPDATE shards SET state = 'done', attempt = 1, n_ok = last_ord - first_ord + 1, claimed_at = now(),"
                " finished_at = now() WHERE job_id = :job"
            ),
            {"job": job_id},
        )


def _status(url: str, job_id: int) -> float:
    """Median seconds of five status calls: all their queries, connection included."""
    times = []
    with harness.context(url) as context:
        for _ in range(5):
            started = time.perf_counter()
            job_status(context, job_id)
            times.append(time.perf_counter() - started)
    return round(sorted(times)[2], 4)


if __name__ == "__main__":
    main()
