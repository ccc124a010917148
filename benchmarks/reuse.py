"""What reuse costs and saves: `python -m benchmarks.reuse`, on a store of its own, with the scripted engine.

`again`: a job of 10,000 solutions, and the same with 5% more, by one worker process. `recording`: outcomes of ten steps
and ten critiques recorded without keys, with keys, and with keys that are looked up before, in turns, in processor time
of this process and of the database's, which other work on the machine does not change; and by the clock.
`look_ups`: as a worker asks for those of a shard, in a store of `--judgements` judgements, of which half are there;
and 20,000 at a time, as an estimate asks.
"""

from __future__ import annotations

import argparse
import hashlib
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace as with_
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace
from sqlalchemy import text

from benchmarks import harness
from rprm_jobs.aggregation import score_solution
from rprm_jobs.judge.judgement import judgement_keys, judgement_space, step_contents
from rprm_jobs.judge.recipe import BY_CONTENT
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.query import alive_workers, job_status
from rprm_jobs.store.queue import leases
from rprm_jobs.store.records import JobState, StoredSolution
from rprm_jobs.store.results import judgements, recording
from rprm_jobs.types import Critique, Finish, KeepCritiques, SolutionScore, Verdict
from tests.support.jobs import JUDGE, make_recipe, make_solutions, take_in

_STEPS, _K, _SHARD = 10, 10, 64
# Processes of the database, by its URL.
_BACKENDS: dict[str, list[int]] = {}
_RECIPE = replace(make_recipe(k=_K), seed_rule=BY_CONTENT)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--solutions", type=int, default=10_000)
    parser.add_argument("--judgements", type=int, default=10_000_000)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=5)
    args = parser.parse_args()
    before = harness.machine()
    with harness.scratch_database() as url, harness.context(url) as context:
        again = _again(context, url, args.solutions)
    with harness.scratch_database() as url, harness.context(url) as context:
        recorded = _recording(context, args.pairs)
    with harness.scratch_database() as url, harness.context(url) as context:
        looked_up = _look_ups(context, args.judgements, args.keys)
    harness.report("reuse", before, {"again": again, "recording": recorded, "look_ups": looked_up})


def _again(context: Context, url: str, count: int) -> dict[str, Any]:
    first = make_solutions(count, steps=4)
    more = [*first, *make_solutions(count // 20, steps=4, seed=1, prefix="new")]
    command = [sys.executable, "-m", "workers", "--judge", "scripted", "--log-level", "WARNING"]
    worker = subprocess.Popen(command, env=harness.environment(url))
    try:
        while not alive_workers(context):
            time.sleep(0.1)
        runs = [_run(context, solutions) for solutions in (first, more)]
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(60)
    return {"first": runs[0], "second": runs[1], "tokens_of_first": round(runs[1]["tokens"] / runs[0]["tokens"], 4)}


def _run(context: Context, solutions: Any) -> dict[str, Any]:
    job_id = take_in(context.database, solutions, _RECIPE, shard=_SHARD).job_id
    while (status := job_status(context, job_id)).state is not JobState.DONE:
        time.sleep(0.1)
    progress = status.progress
    assert progress.started_at is not None and progress.finished_at is not None  # noqa: PT018 - no test
    return {
        "solutions": len(solutions),
        "critiques": progress.critiques,
        "critiques_reused": progress.critiques_reused,
        "tokens": progress.tokens,
        "seconds": round((progress.finished_at - progress.started_at).total_seconds(), 2),
    }


def _recording(context: Context, pairs: int) -> dict[str, Any]:
    """What a shard's outcomes take with keys, and with their look-up too, against what they take without."""
    ways: Sequence[dict[str, bool]] = ({}, {"keys": True}, {"keys": True, "look_up": True})
    rounds = [[_record_shard(context, **way) for way in ways] for _ in range(9 * pairs)][pairs:]
    bare, keyed, looked_up = zip(*rounds, strict=True)
    return {
        "rounds": len(rounds),
        "critiques_a_shard": _SHARD * _STEPS * _K,
        "critiques_per_s": round(_SHARD * _STEPS * _K / statistics.median(seconds for seconds, _ in looked_up)),
        "with_keys_to_without": _ratios(keyed, bare),
        "looked_up_to_not": _ratios(looked_up, keyed),
        "looked_up_with_keys_to_without": _ratios(looked_up, bare),
    }


def _ratios(these: Sequence[tuple[float, float]], those: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Of (seconds, processor seconds) by round: quartiles of the paired ratios, by the processor and by the clock.

    `best` is the ratio of the least processor times, which what else runs on the machine raises least.
    """
    pairs = list(zip(these, those, strict=True))
    ratios = {"processor": [this[1] / that[1] for this, that in pairs], "clock": [a[0] / b[0] for a, b in pairs]}
    best = min(used for _, used in these) / min(used for _, used in those)
    quartiles = {by: [round(float(q), 3) for q in np.percentile(v, [25, 50, 75])] for by, v in ratios.items()}
    return {"best": round(best, 3), **quartiles}


def _processor_seconds(context: Context) -> float:
    """Used so far by this process, and by the database's for its connections: by the scheduler, in nanoseconds."""
    url = context.database.url
    if url not in _BACKENDS:
        with context.database.transaction() as connection:
            query = text("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid IS NOT NULL")
            _BACKENDS[url] = list(connection.execute(query).scalars())
    used = [int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in _BACKENDS[url]]
    return time.process_time() + sum(used) / 1e9


def _record_shard(context: Context, *, keys: bool = False, look_up: bool = False) -> tuple[float, float]:
    database = context.database
    solutions = make_solutions(_SHARD, steps=_STEPS, seed=time.monotonic_ns())
    take_in(database, solutions, _RECIPE, shard=_SHARD)
    with database.transaction() as connection:
        lease = leases.claim(connection, queue=JUDGE.queue, owner="bench", engine="scripted 1", lease_s=600)
        assert lease is not None
        stored = recording.load_unfinished(connection, lease)
    scores = [_judged(solution) for solution in stored]
    # The seeds of the critiques are made of them too.
    contents = [step_contents(solution.problem, solution.steps) for solution in stored]
    with database.transaction() as connection:
        # A worker looks up in the transaction in which it reads the shard.
        connection.execute(text("SELECT"))
        used, started = _processor_seconds(context), time.perf_counter()
        if keys:
            space = judgement_space(_RECIPE, "scripted")
            scores = [with_(s, keys=tuple(judgement_keys(space, c))) for s, c in zip(scores, contents, strict=True)]
        if look_up:
            judgements.look_up(connection, {score.keys[0]: set(score.keys) for score in scores}, KeepCritiques.ALL)
        took, used_looking = time.perf_counter() - started, _processor_seconds(context) - used
    used, started = _processor_seconds(context), time.perf_counter()
    with database.transaction() as connection:
        recording.record(connection, lease, scores, KeepCritiques.ALL)
    took += time.perf_counter() - started
    used = used_looking + _processor_seconds(context) - used
    with database.transaction() as connection:
        leases.finish(connection, lease)
    return took, used


_TEXT = " ".join(f"{i} + {i + 1} = {2 * i + 1}, as the step says." for i in range(60))


def _judged(solution: StoredSolution) -> SolutionScore:
    """Critiques of 2 KB, as an engine writes them."""
    critiques = [
        Critique(step, k, Verdict.YES, 0.9, 600, Finish.STOP, f"{solution.id}.{step}.{k} {_TEXT}")
        for step in range(len(solution.steps))
        for k in range(_K)
    ]
    return score_solution(solution.ord, len(solution.steps), critiques, 0.5)


def _look_ups(context: Context, stored: int, asked: int) -> dict[str, Any]:
    """Keys a second among `stored` judgements of solutions of ten steps; every second solution asked for is there.

    What is found is then looked for in the job's outcomes, of which there are none: their reading is not timed.
    """
    job_id = take_in(context.database, make_solutions(1), _RECIPE).job_id
    with context.database.transaction() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        fill = """
            INSERT INTO judgements SELECT md5(i::text)::uuid, :job, i, 0, 10, (
              SELECT string_agg(decode(md5(concat(i, CASE WHEN s > 1 THEN '.' || s END)), 'hex'), '' ORDER BY s)
              FROM generate_series(1, 10) AS s
            ), array_fill(10::smallint, ARRAY[10]) FROM generate_series(1, :n) AS i"""
        connection.execute(text(fill), {"job": job_id, "n": stored // _STEPS})
    with context.database.transaction() as connection:
        connection.execute(text("ANALYZE judgements"))
    numbers = np.random.default_rng(0).integers(0, 2 * (stored // _STEPS), asked // _STEPS)
    solutions = [_keys_of(number) for number in numbers]
    rates = {}
    for name, size in (("a_shard_at_a_time", _SHARD), ("an_estimate", 20_000 // _STEPS)):
        seconds = 0.0
        for start in range(0, asked // _STEPS, size):
            wanted = {keys[0]: set(keys) for keys in solutions[start : start + size]}
            started = time.perf_counter()
            with context.database.transaction() as connection:
                if name == "an_estimate":
                    judgements.count_known(connection, wanted, KeepCritiques.ALL, _K)
                else:
                    judgements.look_up(connection, wanted, KeepCritiques.ALL)
            seconds += time.perf_counter() - started
        rates[f"{name}_per_s"] = round(asked / seconds)
    return {"judgements": stored, "keys": asked, **rates}


def _keys_of(number: int) -> list[bytes]:
    """The keys of a solution's steps; those of the solutions from 1 on are in the store."""
    names = [str(number), *(f"{number}.{step}" for step in range(2, _STEPS + 1))]
    return [hashlib.md5(name.encode(), usedforsecurity=False).digest() for name in names]


if __name__ == "__main__":
    main()
