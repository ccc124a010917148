"""The service's pages of a large job: `python -m benchmarks.pages --solutions 1000000`.

Each page is asked for several times of the application in this process; the time is that of the whole answer, and the
memory what the process has at most. Outcomes are put in by SQL, with a few failures among them.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import text

from benchmarks import harness
from benchmarks.bulk import insert_outcomes
from rprm_jobs.server.app import create_app
from rprm_jobs.services.context import Context
from rprm_jobs.store.schema.partitions import partition

_TIMES = 7
_COMPARED = 20_000
# One solution in so many has failed.
_FAILED = 10_007


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--solutions", type=int, default=1_000_000)
    args = parser.parse_args()
    before = harness.machine()
    with tempfile.TemporaryDirectory() as folder, harness.scratch_database() as url:
        large, small = _submit(Path(folder), url, args.solutions), _submit(Path(folder), url, _COMPARED)
        with harness.context(url, {"RPRM_HOME": folder}) as context:
            _fail_some(context, large)
            peak = _peak_mib()
            pages = {name: _measured(context, path) for name, path in _paths(large, small, args.solutions).items()}
    report = {"solutions": args.solutions, "pages": pages, "peak_mib_before": peak, "peak_mib": _peak_mib()}
    harness.report("pages", before, report)


def _submit(folder: Path, url: str, n: int) -> int:
    """A judged job of the first `n` of the same solutions."""
    env, source = harness.environment(url), folder / f"{n}.jsonl"
    harness.run_measured([sys.executable, "-m", "benchmarks.make_solutions", str(n), "--out", str(source)], env)
    command = [sys.executable, "-m", "rprm_jobs", "submit", str(source), "--judge", "scripted", "--json"]
    job_id: int = json.loads(harness.run_measured(command, env).stdout)["job_id"]
    insert_outcomes(url, job_id)
    return job_id


def _fail_some(context: Context, job_id: int) -> None:
    with context.database.transaction() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        failed = f"UPDATE {partition('scores', job_id)} SET status = 'failed', reason = 'refused' WHERE ord % :n = 0"
        connection.execute(text(failed), {"n": _FAILED})
        counted = (
            "UPDATE shards SET n_failed = 1, n_ok = n_ok - 1 WHERE job_id = :job"
            " AND last_ord / :n > (first_ord - 1) / :n"
        )
        connection.execute(text(counted), {"job": job_id, "n": _FAILED})
        for table in ("scores", "solutions"):
            connection.execute(text(f"ANALYZE {partition(table, job_id)}"))


def _paths(large: int, small: int, n: int) -> dict[str, str]:
    reader = f"/jobs/{large}/solutions"
    return {
        "jobs": "/",
        "job": f"/jobs/{large}",
        "reader, first page": reader,
        "reader, in the middle": f"{reader}?after={n // 2}",
        "reader, last page": f"{reader}?after={n - 30}",
        "reader, failed": f"{reader}?show=failed",
        "reader, failed, last": f"{reader}?show=failed&after={n - 2 * _FAILED}",
        "reader, with an error (there is none)": f"{reader}?show=with-error",
        "reader, an id": f"{reader}?q=rollout-{n - 1}",
        "reader, a text that is nowhere": f"{reader}?q=nothing+has+this",
        "one solution": f"{reader}/{n // 2}",
        "compare two judges": f"/compare?job={small}&job={large}",
        "results, a page by cursor": f"/v1/jobs/{large}/results?after={n // 2}",
    }


def _measured(context: Context, path: str) -> dict[str, Any]:
    with TestClient(create_app(context), base_url="http://127.0.0.1") as client:
        times = []
        for _ in range(_TIMES):
            began = time.perf_counter()
            answer = client.get(path)
            times.append(time.perf_counter() - began)
            answer.raise_for_status()
    return {
        "median_ms": round(1000 * statistics.median(times), 1), "most_ms": round(1000 * max(times), 1),
        "kib": round(len(answer.content) / 1024, 1),
    }  # fmt: skip


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
