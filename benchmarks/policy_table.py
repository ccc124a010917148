"""What a judge does for a policy: `python -m benchmarks.policy_table`, the paper's policy table at our scale.

200 generated problems: eight responses of the tiny policy each, judged by the tiny judge; then guided search, greedy
and as a beam, with eight candidates a step. Once for each seed. A problem without an outcome counts as not solved in
every row, and `without_outcome` counts them. The jobs are real ones in the database of the environment, so what was
done before is found again, and an interrupted run can go on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.served import write_rows
from training.splits import as_problem, draw_split

_N = 8
_SEARCHES = {"greedy search": (), "beam search": ("--width", "4")}


def main() -> None:
    """Parse, write, judge, search, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", default="tiny-policy")
    parser.add_argument("--judge", default="tiny")
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--engine", default="vllm")
    args = parser.parse_args()
    before = harness.machine()
    rows = [as_problem("problems", n, chain) for n, chain in enumerate(draw_split("problems", args.problems))]
    with tempfile.TemporaryDirectory() as folder:
        file = write_rows(Path(folder) / "problems.jsonl", rows)
        runs = [_run(file, args, seed) for seed in args.seeds]
    table = {name: _over_seeds([run[name] for run in runs]) for name in runs[0] if name != "without_outcome"}
    harness.report(
        "policy_table",
        before,
        {
            "problems": args.problems,
            "k": args.k,
            "seeds": args.seeds,
            "without_outcome": sum(run["without_outcome"] for run in runs),
            "table": table,
        },
    )


def _run(file: Path, args: argparse.Namespace, seed: int) -> dict[str, float]:
    """Percentages of solved problems, by way of solving, and how many have no outcome."""
    models = ["--policy", args.policy, "--judge", args.judge, "-k", str(args.k), "--seed", str(seed)]
    models += ["--engine", args.engine, "--policy-engine", args.engine]
    rollouts = _command("rollout", str(file), *models, "-n", str(_N), "--then-score", "--wait")
    report = _command("eval", "best-of-n", str(rollouts["job_id"]), "--n", f"1,{_N}")
    solved_by = _of_report(report, args.problems)
    lost = args.problems - report["n_judged"]
    for name, options in _SEARCHES.items():
        job = _command("search", str(file), *models, "--candidates", str(_N), "--wait", *options)
        solved = _command("eval", "best-of-n", str(job["job_id"]))
        solved_by[name] = 100 * solved["pass@1"] * solved["n_problems"] / args.problems
        lost += args.problems - solved["n_problems"]
    return {**solved_by, "without_outcome": lost}


def _of_report(report: dict[str, Any], problems: int) -> dict[str, float]:
    whole, judged, n = report["n_problems"] / problems, report["n_judged"] / problems, str(_N)
    solved_by = {
        "pass@1": report["pass@1"] * whole,
        f"majority of {n}": report["majority"][n] * whole,
        f"pass@{n}": report[f"pass@{n}"] * whole,
    }
    solved_by |= {f"best of {n} by {name}": by_n[n] * judged for name, by_n in report["best_of"].items()}
    solved_by |= {
        f"majority of {n} weighted by {name}": by_n[n] * judged for name, by_n in report["weighted_majority"].items()
    }
    return {name: 100 * share for name, share in solved_by.items()}


def _over_seeds(values: Sequence[float]) -> dict[str, Any]:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": round(statistics.mean(values), 2), "spread": round(spread, 2), "runs": values}


def _command(*arguments: str) -> Any:
    command = [sys.executable, "-m", "rprm_jobs", *arguments, "--json"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)


if __name__ == "__main__":
    main()
