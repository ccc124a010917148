"""What spending fewer critiques costs and saves, live: `python -m benchmarks.stopping_live`.

800 held-out solutions of the tiny judge's world, K=10: every critique of every step, and the rules that end earlier,
with `--until-first-error` and without; each a job on a vLLM worker of its own, loaded and warm, of which a screen has
one beside it. Tokens are all that the engine generated, kept or given up; seconds are from before the submission to the
last record. The difference in F1 has
an interval from a paired bootstrap: solutions are drawn again, erroneous and correct ones apart, and both jobs answer
for the same draw.

What is judged is kept in `--keep`, and a way that is there is not judged again; `--only` names the ways to judge now.
`votes.jsonl` there has every critique of `fixed`: `python -m benchmarks.stopping_replay` asks the rules about those.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import text

from benchmarks import harness
from benchmarks.served import Served, screening, serving, write_rows
from rprm_jobs.evaluation.metrics import NO_ERROR, f1
from rprm_jobs.services.jobs.query import alive_workers
from rprm_jobs.services.jobs.results import result_rows
from training.splits import as_row, draw_split

_K, _DRAWS, _RENEW_S = 10, 2000, 2.0
NO_ANSWER = -2


def _by_context(price: float) -> dict[str, Any]:
    return {"kind": "planned", "price": price, "pilot": 100, "by_context": True}


_RULES: dict[str, dict[str, Any]] = {
    "fixed": {},
    "adaptive": {"stopping": {"kind": "adaptive"}},
    "planned, price 30": {"stopping": {"kind": "planned", "price": 30.0, "pilot": 100}},
    "planned, price 120": {"stopping": {"kind": "planned", "price": 120.0, "pilot": 100}},
    "planned, price 30, by context": {"stopping": _by_context(30.0)},
    "planned, price 120, by context": {"stopping": _by_context(120.0)},
    # Both as `benchmarks.cascade_fit` found them on other solutions.
    "screen tiny-head": {"screen": "tiny-head", "stopping": {"kind": "cascade", "weight": 1.0, "confidence": 0.85}},
}
WAYS = {**_RULES, **{f"{name}, up to the first error": _RULES[name] | {"until_first_error": True} for name in _RULES}}


def main() -> None:
    """Parse, judge in every way that is not there yet, print those that are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--solutions", type=int, default=800)
    parser.add_argument("--keep", type=Path, help="a folder for what is judged (default: a temporary one)")
    parser.add_argument("--only", action="append", choices=list(WAYS), help="judge this way; may be repeated")
    # Four times a worker's default. A step that gets one or two critiques fills little of the engine, and what is left
    # is filled with steps behind one that may be wrong: with 128 solutions in flight 11% of the tokens were given up.
    parser.add_argument("--shards-in-flight", type=int, default=16)
    parser.add_argument("--shard-solutions", type=int, default=32)
    args = parser.parse_args()
    before = harness.machine()
    solutions = draw_split("held-out", args.solutions)
    labels = np.array([chain.label for chain in solutions])
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        rows = [as_row("heldout", n, chain) for n, chain in enumerate(solutions)]
        file = write_rows(folder / "heldout.jsonl", rows)
        for name in args.only or WAYS:
            if not _file(folder, name).exists():
                _file(folder, name).write_text(json.dumps(_judge(file, name, args)))
        jobs = {name: json.loads(_file(folder, name).read_text()) for name in WAYS if _file(folder, name).exists()}
    hits = {name: np.array(job.pop("answers")) == labels for name, job in jobs.items()}
    ways = {name: _beside(jobs[name], jobs["fixed"], hits[name], hits["fixed"], labels) for name in jobs}
    asked = {"solutions": args.solutions, "k": _K, "judge": "tiny", "shards_in_flight": args.shards_in_flight}
    harness.report("stopping_live", before, {**asked, "shard_solutions": args.shard_solutions, "ways": ways})


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name.replace(', ', '-').replace(' ', '-')}.json"


def _judge(file: Path, name: str, args: argparse.Namespace) -> dict[str, Any]:
    """What the job took, with `answers`, the first error that each solution was given (-2 where there is none)."""
    settings = {"RPRM_RENEW_S": str(_RENEW_S), "RPRM_SHARD_SOLUTIONS": str(args.shard_solutions)}
    load = harness.machine()["load_1min_before"]
    way = WAYS[name]
    with ExitStack() as stack:
        served = stack.enter_context(serving(file.parent, "--shards-in-flight", str(args.shards_in_flight), **settings))
        if "screen" in way:
            stack.enter_context(screening(served.context, served.context.database.url, way["screen"]))
        before = _generated(served)
        done = served.run_job(file, _K, **way)
        generated = _generated(served) - before
        rows = list(result_rows(served.context, done["job"]))
        firsts = [row["first_error"] for row in rows]
        answers = [NO_ANSWER if first is None else first for first in firsts]
        if name == "fixed":
            write_rows(file.parent / "votes.jsonl", _votes(served, done["job"], rows))
        return {**done, "generated": generated, "load_1min": load, "answers": answers}


def _votes(served: Served, job: int, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each solution its label, and by step and critique P(Yes), null without a verdict, and the tokens."""
    query = text(f"SELECT s.ext_id, v.step, v.p_yes, v.tokens, v.verdict FROM verdicts_j{job} AS v"
                 f" JOIN solutions_j{job} AS s USING (ord) ORDER BY v.ord, v.step, v.k")  # fmt: skip
    votes: dict[str, dict[int, list[tuple[float | None, int]]]] = {}
    with served.context.database.transaction() as connection:
        for row in connection.execute(query):
            p_yes = row.p_yes if row.verdict in ("yes", "no") else None
            votes.setdefault(row.ext_id, {}).setdefault(row.step, []).append((p_yes, row.tokens))
    return [
        {
            "id": row["id"],
            "label": row["label"],
            "votes": [[vote for vote, _ in votes[row["id"]].get(step, ())] for step in range(len(row["rewards"]))],
            "tokens": [[tokens for _, tokens in votes[row["id"]].get(step, ())] for step in range(len(row["rewards"]))],
        }
        for row in rows
    ]


def _generated(served: Served) -> int:
    """Tokens that the worker's engine has generated; it tells with each sign of life, and this waits for the next."""
    time.sleep(2 * _RENEW_S)
    # A screen generates nothing.
    return sum(worker.generated_tokens for worker in alive_workers(served.context))


def _beside(job: dict[str, Any], fixed: dict[str, Any], hits: Any, others: Any, labels: Any) -> dict[str, Any]:
    low, high = interval(hits, others, labels)
    return {
        "f1": round(score(hits, labels), 2),
        "f1_beside_fixed": [round(low, 2), round(high, 2)],
        "failed": job["failed"],
        "critiques_a_step": round(job["critiques"] / fixed["steps"], 2),
        "tokens": job["generated"],
        "tokens_of_fixed": round(job["generated"] / fixed["generated"], 3),
        "tokens_given_up": round(1 - job["tokens"] / job["generated"], 4),
        "seconds": job["seconds"],
        "seconds_of_fixed": round(job["seconds"] / fixed["seconds"], 3),
        "load_1min": job["load_1min"],
    }


def score(hits: Any, labels: Any) -> float:
    return f1(100.0 * hits[labels != NO_ERROR].mean(), 100.0 * hits[labels == NO_ERROR].mean())


def interval(hits: Any, others: Any, labels: Any) -> tuple[float, float]:
    """The middle 95% of the difference in F1."""
    rng = np.random.default_rng(0)
    kinds = [np.flatnonzero(labels != NO_ERROR), np.flatnonzero(labels == NO_ERROR)]
    differences = []
    for _ in range(_DRAWS):
        drawn = np.concatenate([rng.choice(kind, len(kind)) for kind in kinds])
        differences.append(score(hits[drawn], labels[drawn]) - score(others[drawn], labels[drawn]))
    low, high = np.percentile(differences, [2.5, 97.5])
    return float(low), float(high)


if __name__ == "__main__":
    main()
