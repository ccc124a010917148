"""What a worker counts: each thing once, when it is stored, and how its attempts end."""

from __future__ import annotations

import socket
import urllib.request
from dataclasses import replace

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from rprm_jobs.engine import EngineStats
from rprm_jobs.errors import ConfigError, EngineDied, Refused
from rprm_jobs.settings import Settings
from rprm_jobs.types import Verdict
from tests.support import store
from tests.support.jobs import make_solutions, outcomes, take_in
from tests.support.worker_parts import WorkerParts
from workers.meter import NoMeter, PrometheusMeter, Watched, serving_metrics

pytestmark = pytest.mark.integration


@pytest.fixture
def meter(parts: WorkerParts) -> PrometheusMeter:
    meter = PrometheusMeter("scripted")
    parts.shared = replace(parts.shared, meter=meter)
    parts.use(parts.keeper)
    return meter


def values(meter: PrometheusMeter) -> dict[tuple[str, ...], float]:
    return samples(generate_latest(meter.registry).decode())


def samples(text: str) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sorted(v for k, v in sample.labels.items() if k != "judge")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_is_stored_is_counted(parts: WorkerParts, meter: PrometheusMeter) -> None:
    job = take_in(parts.database, make_solutions(4), shard=2).job_id
    parts.attempt()
    parts.attempt()
    seen = values(meter)
    rows = store.run(parts.database, "SELECT verdict, count(*) AS n, sum(tokens) AS tokens FROM verdicts GROUP BY 1")
    stored = {row.verdict: row.n for row in rows}
    assert all(seen["rprm_worker_verdicts_total", verdict] == stored.get(verdict, 0) for verdict in Verdict)
    assert seen["rprm_worker_critiques_total",] == sum(row.n for row in rows) == 24
    assert seen["rprm_worker_tokens_total",] == sum(row.tokens for row in rows)
    assert (seen["rprm_worker_solutions_total", "ok"], seen["rprm_worker_steps_total",]) == (4, 12)
    assert seen["rprm_worker_attempts_total", "finished"] == seen["rprm_worker_shard_seconds_count",] == 2
    rewards = [reward for outcome in outcomes(parts.database, job).values() for reward in outcome.rewards or []]
    assert seen["rprm_worker_step_reward_count",] == 12
    assert seen["rprm_worker_step_reward_sum",] == pytest.approx(sum(reward or 0.0 for reward in rewards))


def test_a_failure_is_counted_as_one_and_adds_no_reward(parts: WorkerParts, meter: PrometheusMeter) -> None:
    def refuse(_: str) -> None:
        raise Refused("not this")

    parts.engine.before = refuse
    take_in(parts.database, make_solutions(2), shard=2)
    parts.attempt()
    seen = values(meter)
    assert seen["rprm_worker_solutions_total", "failed"] == 2
    assert seen["rprm_worker_step_reward_count",] == 0


@pytest.mark.parametrize(
    ("error", "outcome"), [(RuntimeError("boom"), "failed"), (EngineDied("gone"), "engine died")], ids=str
)
def test_how_an_attempt_ended(parts: WorkerParts, meter: PrometheusMeter, error: Exception, outcome: str) -> None:
    def fail(_: str) -> None:
        raise error

    parts.engine.before = fail
    take_in(parts.database, make_solutions(2), shard=2)
    try:
        parts.attempt()
    except EngineDied:
        assert outcome == "engine died"
    assert values(meter)["rprm_worker_attempts_total", outcome] == 1


def test_a_page_for_prometheus_and_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = replace(Settings(home="."), metrics_port=taken.getsockname()[1])  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="cannot be served"), serving_metrics(busy, "scripted"):
            pass
    # Free by now.
    with serving_metrics(busy, "scripted") as meter:
        watched = Watched("scripted 1", 4, lambda: EngineStats(10, 20, 0.5), lambda: 3, lambda: True)
        meter.watch(watched)
        meter.swept()
        with urllib.request.urlopen(f"http://127.0.0.1:{busy.metrics_port}/metrics", timeout=10) as page:
            seen = samples(page.read().decode())
    assert (seen["rprm_worker_info", "scripted 1"], seen["rprm_worker_leases",]) == (1, 3)
    assert (seen["rprm_worker_in_trouble",], seen["rprm_worker_prefix_cache_hit_ratio",]) == (1, 0.5)
    assert seen["rprm_worker_engine_generated_tokens_total",] == 20
    assert seen["rprm_worker_last_sweep_timestamp_seconds",] > 1e9


def test_without_a_port_nothing_is_served() -> None:
    with serving_metrics(Settings(home="."), "scripted") as meter:  # type: ignore[arg-type]
        assert isinstance(meter, NoMeter)
