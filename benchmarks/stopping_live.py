"""What spending fewer critiques costs and saves, live: `python -m benchmarks.stopping_live`.

800 held-out solutions of the tiny judge's world, K=10: every critique of every step against `adaptive` up to the first
error, and `planned` beside it; each a job on a vLLM worker of its own, loaded and warm. Tokens are all that the engine
generated, kept or given up; seconds are from before the submission to the last record. The difference in F1 has an
interval from a paired bootstrap: solutions are drawn again, erroneous and correct ones apart, and both jobs answer for
the same draw.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.served import Served, serving, write_rows
from rprm_jobs.evaluation.metrics import NO_ERROR, f1
from rprm_jobs.services.jobs.query import alive_workers
from rprm_jobs.services.jobs.results import result_rows
from training.splits import as_row, draw_split

_K, _DRAWS, _RENEW_S = 10, 2000, 2.0
_WAYS: dict[str, dict[str, Any]] = {
    "fixed": {},
    "adaptive, up to the first error": {"stopping": {"kind": "adaptive"}, "until_first_error": True},
    "planned, up to the first error": {"stopping": {"kind": "planned"}, "until_first_error": True},
}


def main() -> None:
    """Parse, judge in every way, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--solutions", type=int, default=800)
    # Twice a worker's default: a job that stops early keeps fewer critiques of a solution in flight, so it takes more
    # solutions to fill the engine with what is surely needed, and the rest are guesses (11% of the tokens given up with
    # 4, 6% with 8). A job that judges everything fills it either way.
    parser.add_argument("--shards-in-flight", type=int, default=8)
    args = parser.parse_args()
    before = harness.machine()
    solutions = draw_split("held-out", args.solutions)
    labels = np.array([chain.label for chain in solutions])
    with tempfile.TemporaryDirectory() as folder:
        rows = [as_row("heldout", n, chain) for n, chain in enumerate(solutions)]
        file = write_rows(Path(folder) / "heldout.jsonl", rows)
        jobs = {name: _judge(file, options, args.shards_in_flight) for name, options in _WAYS.items()}
    hits = {name: job.pop("answers") == labels for name, job in jobs.items()}
    ways = {name: _beside(jobs[name], jobs["fixed"], hits[name], hits["fixed"], labels) for name in _WAYS}
    asked = {"solutions": args.solutions, "k": _K, "judge": "tiny", "shards_in_flight": args.shards_in_flight}
    harness.report("stopping_live", before, {**asked, "ways": ways})


def _judge(file: Path, options: dict[str, Any], shards: int) -> dict[str, Any]:
    """What the job took, with `answers`, the first error that each solution was given (-2 where there is none)."""
    with serving(file.parent, "--shards-in-flight", str(shards), RPRM_RENEW_S=str(_RENEW_S)) as served:
        before = _generated(served)
        done = served.run_job(file, _K, **options)
        firsts = [row["first_error"] for row in result_rows(served.context, done["job"])]
        answers = np.array([-2 if first is None else first for first in firsts])
        return {**done, "generated": _generated(served) - before, "answers": answers}


def _generated(served: Served) -> int:
    """Tokens that the worker's engine has generated; it tells with each sign of life, and this waits for the next."""
    time.sleep(2 * _RENEW_S)
    (worker,) = alive_workers(served.context)
    return worker.generated_tokens


def _beside(job: dict[str, Any], fixed: dict[str, Any], hits: Any, others: Any, labels: Any) -> dict[str, Any]:
    low, high = _interval(hits, others, labels)
    return {
        "f1": round(_f1(hits, labels), 2),
        "f1_beside_fixed": [round(low, 2), round(high, 2)],
        "failed": job["failed"],
        "critiques_a_step": round(job["critiques"] / fixed["steps"], 2),
        "tokens": job["generated"],
        "tokens_of_fixed": round(job["generated"] / fixed["generated"], 3),
        "tokens_given_up": round(1 - job["tokens"] / job["generated"], 4),
        "seconds": job["seconds"],
        "seconds_of_fixed": round(job["seconds"] / fixed["seconds"], 3),
    }


def _f1(hits: Any, labels: Any) -> float:
    return f1(100.0 * hits[labels != NO_ERROR].mean(), 100.0 * hits[labels == NO_ERROR].mean())


def _interval(hits: Any, others: Any, labels: Any) -> tuple[float, float]:
    """The middle 95% of the difference in F1."""
    rng = np.random.default_rng(0)
    kinds = [np.flatnonzero(labels != NO_ERROR), np.flatnonzero(labels == NO_ERROR)]
    differences = []
    for _ in range(_DRAWS):
        drawn = np.concatenate([rng.choice(kind, len(kind)) for kind in kinds])
        differences.append(_f1(hits[drawn], labels[drawn]) - _f1(others[drawn], labels[drawn]))
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(low), float(high)


if __name__ == "__main__":
    main()
