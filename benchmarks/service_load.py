"""The reward service under open load: `python -m benchmarks.service_load [--callers 64 512] [--seconds 60] [--faults]`.

Requests come on a schedule (each caller one every `--period` seconds) whether or not earlier ones were answered, and a
latency counts from the scheduled moment. One in ten repeats an earlier body. A scripted worker judges: the service, the
queue and Postgres are what is measured, beside the same solutions on the bare engine in one process. With --faults each
fault of `benchmarks.service_faults` strikes in a run of its own, with callers that send again on 429 and 5xx.

Every run ends with a look for what was lost (no reward), judged twice (more critiques than bodies ask for), or differs
from the reward of the undisturbed engine, and with the audit.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from benchmarks.harness import machine, own_servers, report
from benchmarks.service_processes import Processes, service_and_worker
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.live import content_id
from rprm_jobs.services.jobs.submit import make_recipe
from rprm_jobs.services.upkeep.audit import audit
from rprm_jobs.settings import Settings
from rprm_jobs.store.records import StoredSolution
from rprm_jobs.store.session import Database
from rprm_jobs.types import SolutionScore
from tests.support.jobs import JUDGE
from tests.support.store import run
from workers.engines import create_engine
from workers.tasks.budget import Budget
from workers.tasks.judge import judge_solutions
from workers.tasks.spec import JudgeSpec

STEPS, K, REPEATED = 3, 2, 0.1
_QUERY = "judge=scripted&k=2&run="
_ANSWER_S = 120.0


@dataclass
class Load:
    """One run: what came back, seconds from the scheduled moment, and how often a request was sent again."""

    rewards: dict[str, set[float | None]] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    lost: int = 0
    again: Counter[str] = field(default_factory=Counter)

    def summary(self, seconds: float) -> dict[str, Any]:
        """Percentiles in milliseconds, and answers a second."""
        ordered = sorted(self.latencies)
        at = {f"p{p:g}_ms": round(1000 * ordered[int(p / 100 * (len(ordered) - 1))], 1) for p in (50, 90, 99, 99.9)}
        return {
            "answers": len(ordered), "answers_per_s": round(len(ordered) / seconds, 1), **at,
            "lost": self.lost, "sent_again": dict(self.again),
        }  # fmt: skip


def bodies(count: int, rng: random.Random) -> list[dict[str, Any]]:
    """Small solutions, of which a tenth repeats an earlier one."""
    sent: list[dict[str, Any]] = []
    for number in range(count):
        if sent and rng.random() < REPEATED:
            sent.append(rng.choice(sent))
        else:
            steps = [f"{number} + {step} = {number + step}." for step in range(STEPS)]
            sent.append({"problem": f"Sum number {number}: what comes out?", "steps": steps})
    return sent


async def drive(url: str, sent: Sequence[dict[str, Any]], rate: float, *, patient: bool) -> Load:
    """Send the bodies on schedule; `patient` callers send again until there is an answer."""
    load = Load()
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60)
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        started = time.perf_counter()
        tasks = []
        for number, body in enumerate(sent):
            due = started + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(_ask(session, url, body, due, load, patient=patient)))
        await asyncio.gather(*tasks)
    return load


async def _ask(
    session: aiohttp.ClientSession, url: str, body: dict[str, Any], due: float, load: Load, *, patient: bool
) -> None:
    deadline = time.perf_counter() + _ANSWER_S
    while True:
        try:
            async with session.post(url, json=body) as answer:
                document = await answer.json(content_type=None)
                if answer.status == 200:
                    load.latencies.append(time.perf_counter() - due)
                    load.rewards.setdefault(content_id(body["problem"], body["steps"]), set()).add(document["reward"])
                    return
                load.again[str(answer.status)] += 1
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            load.again[type(error).__name__] += 1
        if not patient or time.perf_counter() > deadline:
            load.lost += 1
            return
        await asyncio.sleep(random.uniform(0.2, 0.6))


def bare_engine(sent: Sequence[dict[str, Any]]) -> tuple[float, dict[str, float]]:
    """Solutions a second of the engine alone, and the reward of each body by its content's id."""
    unique = {content_id(body["problem"], body["steps"]): body for body in sent}
    stored = [
        StoredSolution(number, id_, body["problem"], tuple(body["steps"]))
        for number, (id_, body) in enumerate(unique.items())
    ]
    scores: list[SolutionScore] = []

    async def judge() -> float:
        engine = create_engine("scripted", JUDGE, {})
        await engine.start()
        started = time.perf_counter()
        spec = JudgeSpec.of(make_recipe(JUDGE, k=K), 0)
        await judge_solutions(engine, Budget(512), spec, stored, scores.append, lambda: False)  # type: ignore[arg-type]
        return time.perf_counter() - started

    seconds = asyncio.run(judge())
    rewards = {stored[score.ord].id: min(r for r in score.rewards if r is not None) for score in scores}
    return len(stored) / seconds, rewards


def check(
    settings: Settings, run_name: str, sent: Sequence[dict[str, Any]], load: Load, rewards: dict[str, float]
) -> dict[str, Any]:
    """What was lost, doubled or changed; all zero in a good run."""
    database = Database(settings.database_url or "")
    try:
        unique = {content_id(body["problem"], body["steps"]) for body in sent}
        (job,) = run(
            database, "SELECT id, n_solutions FROM jobs WHERE sources::text LIKE :run", run=f'%"run {run_name}"%'
        )
        (done,) = run(database, "SELECT sum(critiques_done) AS n FROM shards WHERE job_id = :job", job=job.id)
        findings = [
            finding for job_audit in audit(Context(settings, database), [job.id]) for finding in job_audit.findings
        ]
        wrong = sum(values != {rewards[id_]} for id_, values in load.rewards.items())
        return {
            "bodies": len(unique), "without_reward": len(unique - load.rewards.keys()),
            "judged_twice": job.n_solutions - len(unique) + int(done.n) - len(unique) * STEPS * K,
            "other_reward_than_the_engine": wrong, "audit_findings": [str(finding) for finding in findings],
        }  # fmt: skip
    finally:
        database.close()


def measure(processes: Processes, name: str, callers: int, seconds: float, period: float, *,
            fault: Callable[[], object] | None = None) -> dict[str, Any]:  # fmt: skip
    """One run, with a fault in its middle where there is one."""
    rate = callers / period
    sent = bodies(int(rate * seconds), random.Random(name))
    engine_rate, rewards = bare_engine(sent)

    async def go() -> Load:
        driving = asyncio.create_task(
            drive(f"{processes.url}/reward?{_QUERY}{name}", sent, rate, patient=fault is not None)
        )
        if fault is not None:
            await asyncio.sleep(seconds / 3)
            await asyncio.to_thread(fault)
        while not driving.done():
            await asyncio.sleep(0.2)
            processes.tend()
        return driving.result()

    started = time.perf_counter()
    load = asyncio.run(go())
    took = time.perf_counter() - started
    return {
        "callers": callers, "offered_per_s": round(rate, 1), **load.summary(took),
        "bare_engine_solutions_per_s": round(engine_rate, 1), **check(processes.settings, name, sent, load, rewards),
    }  # fmt: skip


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, nargs="+", default=[64, 512])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--period", type=float, default=4.0)
    parser.add_argument("--faults", action="store_true")
    options = parser.parse_args()
    before, results = machine(), {}
    with own_servers() as (settings, folder), service_and_worker(settings, folder) as processes:
        measure(processes, "warm", 16, 3.0, 1.0)
        for callers in options.callers:
            results[f"{callers} callers"] = measure(processes, f"n{callers}", callers, options.seconds, options.period)
        if options.faults:
            from benchmarks.service_faults import faults_of

            for name, fault in faults_of(processes).items():
                run_name = name.replace(" ", "-").replace(",", "")
                results[name] = measure(processes, run_name, 64, 15.0, options.period, fault=fault)
    report("service_load", before, {"seconds": options.seconds, "period_s": options.period, "runs": results})


if __name__ == "__main__":
    main()
