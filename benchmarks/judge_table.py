"""The paper's table at our scale: `python -m benchmarks.judge_table SFT DPO`, F1 of two judges at K = 1 to 16.

800 held-out solutions of the tiny judges' world in ProcessBench's form, each judged with 16 critiques a step, once for
each seed; the first K of them serve K. The jobs are real ones in the database of the environment, so what was judged
before is found again, and a run that was cut goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.served import write_rows
from rprm_jobs.evaluation.processbench import score_rewards
from rprm_jobs.services.context import open_context
from rprm_jobs.services.results import result_rows
from rprm_jobs.settings import load_settings
from training.splits import as_row, draw_split

_KS = (1, 2, 4, 8, 16)


def main() -> None:
    """Parse, judge what is not judged yet, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("judges", nargs=2, metavar="JUDGE", help="before and after the preferences")
    parser.add_argument("--solutions", type=int, default=800)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--engine", default="vllm")
    args = parser.parse_args()
    before = harness.machine()
    rows = [as_row("heldout", n, one) for n, one in enumerate(draw_split("held-out", args.solutions))]
    with tempfile.TemporaryDirectory() as folder:
        file = write_rows(Path(folder) / "heldout.jsonl", rows)
        found = {judge: [_f1s(_job(file, judge, seed, args.engine)) for seed in args.seeds] for judge in args.judges}
    table = {judge: _by_k(runs) for judge, runs in found.items()}
    first, second = (table[judge] for judge in args.judges)
    gains = {k: round(second[k]["f1"] - first[k]["f1"], 2) for k in first}
    results = {"solutions": args.solutions, "seeds": args.seeds, "table": table, "gain": gains}
    harness.report("judge_table", before, {**results, "mean_gain": round(statistics.mean(gains.values()), 2)})


def _job(file: Path, judge: str, seed: int, engine: str) -> int:
    command = [sys.executable, "-m", "rprm_jobs", "submit", str(file), "--judge", judge, "-k", str(max(_KS))]
    command += ["--seed", str(seed), "--wait", "--engine", engine, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return int(json.loads(done.stdout)["job_id"])


def _f1s(job: int) -> dict[str, float]:
    """F1 by K; raises RuntimeError when a solution has no outcome that can be scored."""
    with open_context(load_settings()) as context:
        rows = list(result_rows(context, job, critiques=True))
    failed = [row["id"] for row in rows if row["status"] != "ok"]
    if failed:
        raise RuntimeError(f"job {job} has {len(failed)} solutions without a score, {failed[0]} for one")
    labels = [row["label"] for row in rows]
    return {str(k): score_rewards(labels, [list(_rewards(row, k)) for row in rows]).f1 for k in _KS}


def _rewards(row: dict[str, Any], k: int) -> Iterator[float | None]:
    for critiques in row["critiques"]:
        told = [one["p_yes"] for one in critiques[:k] if one["p_yes"] is not None]
        yield statistics.mean(told) if told else None


def _by_k(runs: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean F1 and standard deviation over the seeds, by K."""
    return {
        k: {
            "f1": round(statistics.mean(run[k] for run in runs), 2),
            "spread": round(statistics.stdev(run[k] for run in runs), 2) if len(runs) > 1 else 0.0,
        }
        for k in runs[0]
    }


if __name__ == "__main__":
    main()
