"""Training on rewards: `nice python -m benchmarks.grpo --out FOLDER [--seeds 1 2 3] [--steps 20] [--engine auto]`.

Runs `examples/grpo.py` with the judge's step rewards and with the final answer alone, once for each seed, beside a
service and a worker of `tiny`. Then some steps twice more, each on a store of its own, so that everything is judged
anew: once undisturbed, and once with an outage in the middle of a batch, in which the worker is killed and the service
restarted. Every reward of the two is compared; that needs an engine whose critiques depend on nothing else in a batch,
which transformers is. What is done is kept in FOLDER, and a benchmark that was cut goes on.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import machine, own_servers, report
from benchmarks.service_processes import Processes, service_and_worker
from rprm_jobs.settings import Settings
from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.store.session import Database
from tests.support.store import run

EXAMPLE = Path(__file__).parent.parent / "examples" / "grpo.py"
_OUTAGE_S = 5.0
# What a sum in another order makes of a probability.
_ROUNDING = 1e-5


def example(processes: Processes, folder: Path, reward: str, seed: int, options: argparse.Namespace, *,
            name: str, steps: int, problems: int = 200, outage: bool = False) -> dict[str, Any]:  # fmt: skip
    """One run of the example, unless FOLDER has it: what it printed, and how many seconds it took."""
    kept = folder / f"{name}.json"
    if kept.exists():
        done: dict[str, Any] = json.loads(kept.read_text())
        return done
    command = [
        sys.executable, str(EXAMPLE), "--reward", reward, "--seed", str(seed), "--service", processes.url,
        "--run", name, "-k", str(options.k), "--steps", str(steps), "--samples", str(options.samples),
        "--problems", str(problems), "--out", str(folder / name),
    ]  # fmt: skip
    struck = None if not outage else f"run {name}"
    began = time.monotonic()
    with (folder / f"{name}.log").open("ab") as log:
        training = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=processes.env, text=True)
        try:
            while training.poll() is None:
                if struck is not None and len(rewards_of(processes.settings, struck)) >= steps // 2 * 64 + 16:
                    strike(processes)
                    struck = None
                processes.tend()
                time.sleep(0.5)
        finally:
            training.terminate()
    assert training.stdout is not None
    if training.returncode or (outage and struck is not None):
        raise RuntimeError(f"{name} ended with {training.returncode}, see {folder / name}.log")
    result = {**json.loads(training.stdout.read()), "took_s": round(time.monotonic() - began)}
    # Beside the result, since the store of this benchmark ends with it.
    (folder / f"{name}.rewards.json").write_text(json.dumps(rewards_of(processes.settings, f"run {name}")))
    kept.write_text(json.dumps(result))
    return result


def strike(processes: Processes) -> None:
    """Kill the worker in the middle of a batch, and take the service away for a while; `tend` starts both again."""
    processes.running["worker"].kill()
    processes.running["service"].terminate()
    processes.running["service"].wait()
    time.sleep(_OUTAGE_S)


def rewards_of(settings: Settings, source: str) -> dict[str, list[float | None]]:
    """The rewards of the steps of every judged solution of a run, by its content's id."""
    database = Database(settings.database_url or "")
    try:
        by_id: dict[str, list[float | None]] = {}
        for job in run(database, "SELECT id FROM jobs WHERE sources::text LIKE :run", run=f'%"{source}"%'):
            scores, solutions = partition("scores", job.id), partition("solutions", job.id)
            rows = run(database, f"SELECT ext_id, rewards FROM {scores} JOIN {solutions} USING (ord)")
            by_id |= {row.ext_id: list(row.rewards) for row in rows}
        return by_id
    finally:
        database.close()


def compared(folder: Path, steady_name: str, struck_name: str) -> dict[str, Any]:
    """How the run with the outage differs from the one without; by nothing in a good run."""
    steady, struck = (json.loads((folder / f"{name}.json").read_text()) for name in (steady_name, struck_name))
    rewards, struck_rewards = (
        json.loads((folder / f"{name}.rewards.json").read_text()) for name in (steady_name, struck_name)
    )
    both = rewards.keys() & struck_rewards.keys()
    differences = [_difference(rewards[id_], struck_rewards[id_]) for id_ in both]
    return {
        "solutions": len(struck_rewards),
        "solutions_of_both_runs": len(both),
        "solutions_without_reward": sum(all(r is None for r in steps) for steps in struck_rewards.values()),
        "solutions_with_other_rewards": sum(difference > _ROUNDING for difference in differences),
        "largest_difference": max(differences, default=0.0),
        "training_steps_with_another_mean_reward": sum(
            a != b for a, b in zip(steady["rewards"], struck["rewards"], strict=True)
        ),
        "pass_at_1_differs_by": round(struck["after"] - steady["after"], 2),
    }


def _difference(steps: list[float | None], others: list[float | None]) -> float:
    """The largest of two solutions' steps; infinite where one has a reward and the other has none."""
    pairs = zip(steps, others, strict=True)
    return max(
        math.inf if (a is None) != (b is None) else abs(a - b) if a is not None and b is not None else 0.0
        for a, b in pairs
    )


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--outage-steps", type=int, default=6)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("-k", type=int, default=1, help="critiques of a step")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    before = machine()
    # So that everything that was started ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = train_all(options) if options.seeds else {}
    report("grpo", before, {"engine": options.engine, "runs": results, "outage": outage(options)})


def train_all(options: argparse.Namespace) -> dict[str, Any]:
    """Each reward with each seed, by name."""
    results = {}
    with own_servers() as (settings, folder), service_and_worker(settings, folder, "tiny", options.engine) as processes:
        for seed in options.seeds:
            for reward in ("steps", "answer"):
                name = f"{reward}-{seed}"
                results[name] = example(
                    processes, options.out, reward, seed, options, name=name, steps=options.steps
                )  # fmt: skip
    return results


def outage(options: argparse.Namespace) -> dict[str, Any]:
    """The same steps without and with an outage, and how they differ."""
    for name in ("steady", "struck"):
        with (
            own_servers() as (settings, folder),
            service_and_worker(settings, folder, "tiny", "transformers") as started,
        ):
            example(
                started, options.out, "steps", 1, options,
                name=name, steps=options.outage_steps, problems=20, outage=name == "struck",
            )  # fmt: skip
    return {"steps": options.outage_steps, **compared(options.out, "steady", "struck")}


if __name__ == "__main__":
    main()
