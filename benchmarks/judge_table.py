"""The paper's table at our scale: `python -m benchmarks.judge_table SFT DPO`, F1 of two judges at K = 1 to 16.

800 held-out solutions of the tiny judges' world in ProcessBench's form, each judged with 16 critiques a step, once for
each seed; the first K of them serve K. Steps after the labelled first error are not judged: whether the first step
called wrong is the labelled one does not depend on them, and neither does any number here. The jobs are real ones in
the database of the environment, so what was judged before is found again, and an interrupted run can go on.
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
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.services.context import open_context
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.settings import load_settings
from training.splits import as_row, draw_split

_KS = (1, 2, 4, 8, 16)


Runs = dict[str, dict[str, float]]


def main() -> None:
    """Parse, judge what is not judged yet, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("judges", nargs=2, metavar="JUDGE", help="before and after the preferences")
    parser.add_argument("--solutions", type=int, default=800)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--engine", default="vllm")
    parser.add_argument("--known", type=Path, help="an earlier output, for the seeds that it has")
    args = parser.parse_args()
    before = harness.machine()
    solutions = draw_split("held-out", args.solutions)
    rows = [_up_to_the_error(as_row("heldout", n, chain)) for n, chain in enumerate(solutions)]
    labels = [chain.label for chain in solutions]
    by_judge: dict[str, dict[str, Any]] = {
        judge: _known(args.known, resolve_judge(judge).fingerprint, args.solutions) for judge in args.judges
    }
    with tempfile.TemporaryDirectory() as folder:
        file = write_rows(Path(folder) / "heldout.jsonl", rows)
        for seed in args.seeds:
            for judge in args.judges:
                if str(seed) not in by_judge[judge]["runs"]:
                    by_judge[judge]["runs"][str(seed)] = _f1s(_job(file, judge, seed, args.engine), labels)
    for judged in by_judge.values():
        judged["f1"] = _by_k(list(judged["runs"].values()))
    first, second = (by_judge[judge]["f1"] for judge in args.judges)
    gains = {k: round(second[k]["mean"] - first[k]["mean"], 2) for k in first}
    results = {"solutions": args.solutions, "judges": {resolve_judge(j).name: judged for j, judged in by_judge.items()}}
    mean_gain = round(statistics.mean(gains.values()), 2)
    harness.report("judge_table", before, {**results, "gain": gains, "mean_gain": mean_gain})


def _known(output: Path | None, fingerprint: str, solutions: int) -> dict[str, Any]:
    """The runs of these weights in an earlier output, by seed."""
    runs: Runs = {}
    if output is not None:
        results = json.loads(output.read_text(encoding="utf-8"))
        if results["solutions"] == solutions:
            matching = [judged for judged in results["judges"].values() if judged["fingerprint"] == fingerprint]
            runs = matching[0]["runs"] if matching else {}
    return {"fingerprint": fingerprint, "runs": runs}


def _up_to_the_error(row: dict[str, Any]) -> dict[str, Any]:
    """The row with step labels instead of its label, none for the steps after the first error."""
    label, n = row.pop("label"), len(row["steps"])
    labels = [1] * n if label < 0 else [1] * label + [-1] + [None] * (n - label - 1)
    return row | {"step_labels": labels}


def _job(file: Path, judge: str, seed: int, engine: str) -> int:
    command = [sys.executable, "-m", "rprm_jobs", "sample", str(file), "--judge", judge, "-k", str(max(_KS))]
    command += ["--seed", str(seed), "--wait", "--engine", engine, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return int(json.loads(done.stdout)["job_id"])


def _f1s(job: int, labels: Sequence[int]) -> dict[str, float]:
    """F1 by K; raises RuntimeError when a solution has no outcome that can be scored."""
    with open_context(load_settings()) as context:
        rows = list(result_rows(context, job, critiques=True))
    failed = [row["id"] for row in rows if row["status"] != "ok"]
    if failed:
        raise RuntimeError(f"job {job} has {len(failed)} solutions without a score, {failed[0]} for one")
    return {str(k): score_rewards(labels, [list(_rewards(row, k)) for row in rows]).f1 for k in _KS}


def _rewards(row: dict[str, Any], k: int) -> Iterator[float | None]:
    for critiques in row["critiques"]:
        if not critiques:
            return
        votes = [critique["p_yes"] for critique in critiques[:k] if critique["p_yes"] is not None]
        yield statistics.mean(votes) if votes else None


def _by_k(runs: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Mean F1 and standard deviation over the seeds, by K."""
    return {
        k: {
            "mean": round(statistics.mean(run[k] for run in runs), 2),
            "spread": round(statistics.stdev(run[k] for run in runs), 2) if len(runs) > 1 else 0.0,
        }
        for k in runs[0]
    }


if __name__ == "__main__":
    main()
