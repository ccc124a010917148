"""What reuse costs and saves: `python -m benchmarks.reuse`, on a store of its own, with the scripted engine.

`again`: a job of 10,000 solutions, and the same with 5% more, by one worker process. `recording`: outcomes of ten steps
and ten critiques recorded without keys, with keys, and with keys that are looked up before, in turns, in processor time
of this process and of the database's, which other work on the machine does not change; and by the clock.
`look_ups`: random keys, as a worker asks for those of a shard, in a store of `--judgements` judgements, of which a part
is there; and 20,000 at a time, as an estimate asks.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace as with_
from typing import Any
from uuid import UUID

import numpy as np
import psutil
from msgspec.structs import replace
from sqlalchemy import text

from benchmarks import harness
from rprm_jobs.aggregation import score_solution
from rprm_jobs.judge.judgement import judgement_key, judgement_space, step_contents
from rprm_jobs.judge.recipe import BY_CONTENT
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.query import alive_workers, job_status
from rprm_jobs.store.queue import leases
from rprm_jobs.store.records import JobState, StoredSolution
from rprm_jobs.store.results import judgements, recording
from rprm_jobs.types import Critique, Finish, KeepCritiques, SolutionScore, Verdict
from tests.support.jobs import JUDGE, make_recipe, make_solutions, take_in

_STEPS, _K, _SHARD = 10, 10, 64
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
    """Of (seconds, processor seconds): quartiles of paired ratios by the clock, and the ratio of the processor's."""
    clock = [this / that for (this, _), (that, _) in zip(these, those, strict=True)]
    processor = sum(used for _, used in these) / sum(used for _, used in those)
    quartiles = [round(float(value), 3) for value in np.percentile(clock, [25, 50, 75])]
    return {"processor": round(processor, 3), "clock": quartiles}


def _processor_seconds(context: Context) -> float:
    """Used so far by this process, and by the database's for its connections; theirs are told in hundredths."""
    with context.database.transaction() as connection:
        query = text("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid IS NOT NULL")
        pids = connection.execute(query).scalars().all()
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return time.process_time() + sum(used.user + used.system for used in times)


def _record_shard(context: Context, *, keys: bool = False, look_up: bool = False) -> tuple[float, float]:
    database = context.database
    solutions = make_solutions(_SHARD, steps=_STEPS, seed=time.monotonic_ns())
    take_in(database, solutions, _RECIPE, shard=_SHARD)
    with database.transaction() as connection:
        lease = leases.claim(connection, queue=JUDGE.queue, owner="bench", engine="scripted 1", lease_s=600)
        assert lease is not None
        stored = recording.load_unfinished(connection, lease)
    scores = [_judged(solution) for solution in stored]
    used, started = _processor_seconds(context), time.perf_counter()
    if keys:
        space = judgement_space(_RECIPE, "scripted")
        scores = [_keyed(score, solution, space) for score, solution in zip(scores, stored, strict=True)]
    if look_up:
        with database.transaction() as connection:
            wanted = {key for score in scores for key in score.keys if key is not None}
            judgements.look_up(connection, wanted, KeepCritiques.ALL)
    with database.transaction() as connection:
        recording.record(connection, lease, scores, KeepCritiques.ALL)
    took = time.perf_counter() - started
    used = _processor_seconds(context) - used
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


def _keyed(score: SolutionScore, solution: StoredSolution, space: bytes) -> SolutionScore:
    contents = step_contents(solution.problem, solution.steps)
    return with_(score, keys=tuple(judgement_key(space, content) for content in contents))


def _look_ups(context: Context, stored: int, asked: int) -> dict[str, Any]:
    job_id = take_in(context.database, make_solutions(1), _RECIPE).job_id
    rng = np.random.default_rng(0)
    with context.database.transaction() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        fill = (
            "INSERT INTO judgements SELECT md5(i::text)::uuid, :job, i % 1000000, 0, 10"
            " FROM generate_series(1, :n) AS i"
        )
        connection.execute(text(fill), {"job": job_id, "n": stored})
    with context.database.transaction() as connection:
        connection.execute(text("ANALYZE judgements"))
    keys = [UUID(bytes=rng.bytes(16)) for _ in range(asked)]
    rates = {}
    for name, size in (("a_shard_at_a_time", _SHARD * _STEPS), ("an_estimate", 20_000)):
        started = time.perf_counter()
        for start in range(0, asked, size):
            with context.database.transaction() as connection:
                part = keys[start : start + size]
                if name == "an_estimate":
                    judgements.count_known(connection, part, KeepCritiques.ALL, _K)
                else:
                    judgements.look_up(connection, part, KeepCritiques.ALL)
        rates[f"{name}_per_s"] = round(asked / (time.perf_counter() - started))
    return {"judgements": stored, "keys": asked, **rates}


if __name__ == "__main__":
    main()
