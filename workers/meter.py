"""What a worker counts while it works, for Prometheus: `--metrics-port` serves it; without one nothing is counted.

Work is counted when it is stored, so what is judged twice counts once; the engine's own tokens count what was
sampled in vain too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from rprm_jobs.engine import EngineStats
from rprm_jobs.errors import ConfigError, MissingExtra
from rprm_jobs.settings import Settings
from rprm_jobs.store.results.recording import Recorded
from rprm_jobs.types import SolutionScore, Verdict

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_TENTHS = tuple(n / 10 for n in range(1, 11))
_STATUSES = ("ok", "failed")
_ATTEMPT_ENDS = ("finished", "handed back", "failed", "lost", "lapsed", "engine died")
# A shard takes from under a second (scripted) to an hour (a 7B judge, ten critiques a step).
_SHARD_S = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


@dataclass(frozen=True, slots=True)
class Watched:
    """What is read when it is asked for: the engine's totals, leases held, slots, and whether something fails."""

    engine: str
    slots: int
    stats: Callable[[], EngineStats]
    leases: Callable[[], int]
    in_trouble: Callable[[], bool]


class Meter(Protocol):
    """Told by the attempts of a worker what they did; called from any thread."""

    def recorded(self, scores: Sequence[SolutionScore], added: Recorded) -> None:
        """These outcomes are stored; `added` is what they added to what was there."""
        ...

    def ended(self, outcome: str, seconds: float) -> None:
        """An attempt at a shard ended so: finished, handed back, failed, lost, lapsed."""
        ...

    def swept(self) -> None:
        """This worker has swept."""
        ...

    def watch(self, watched: Watched) -> None:
        """The engine is loaded: from now on this is read whenever somebody asks."""
        ...


class NoMeter:
    """Counts nothing."""

    def recorded(self, scores: Sequence[SolutionScore], added: Recorded) -> None:
        """Nothing."""

    def ended(self, outcome: str, seconds: float) -> None:
        """Nothing."""

    def swept(self) -> None:
        """Nothing."""

    def watch(self, watched: Watched) -> None:
        """Nothing."""


class PrometheusMeter:
    """Counts in a registry of its own. Raises MissingExtra without prometheus-client."""

    def __init__(self, judge: str) -> None:
        client = _client()
        self.registry: CollectorRegistry = client.CollectorRegistry()
        client.ProcessCollector(registry=self.registry)
        self._judge = judge

        def metric(kind: Any, name: str, what: str, *labels: str, **options: Any) -> Any:
            return kind(f"rprm_worker_{name}", what, ("judge", *labels), registry=self.registry, **options)

        counter, gauge, histogram = client.Counter, client.Gauge, client.Histogram
        self._solutions = metric(counter, "solutions", "solutions stored, by outcome", "status")
        self._steps = metric(counter, "steps", "judged steps stored")
        self._critiques = metric(counter, "critiques", "critiques stored")
        self._tokens = metric(counter, "tokens", "generated tokens of what was stored")
        self._verdicts = metric(counter, "verdicts", "critiques stored, by verdict", "verdict")
        self._rewards = metric(histogram, "step_reward", "rewards of judged steps, 0 to 1", buckets=_TENTHS)
        self._attempts = metric(counter, "attempts", "attempts at a shard, by how they ended", "outcome")
        self._shard_s = metric(histogram, "shard_seconds", "time from claim to end of an attempt", buckets=_SHARD_S)
        self._record_at = metric(gauge, "last_record_timestamp_seconds", "when results were last stored")
        self._sweep_at = metric(gauge, "last_sweep_timestamp_seconds", "when this worker last swept")
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """A series that begins with its first event has no rate for it."""
        for metric in (self._steps, self._critiques, self._tokens, self._rewards, self._shard_s):
            metric.labels(self._judge)
        for metric, values in (
            (self._solutions, _STATUSES), (self._verdicts, tuple(Verdict)), (self._attempts, _ATTEMPT_ENDS),
        ):  # fmt: skip
            for value in values:
                metric.labels(self._judge, value)

    def recorded(self, scores: Sequence[SolutionScore], added: Recorded) -> None:
        """As `Meter` has it."""
        judge = self._judge
        self._solutions.labels(judge, "ok").inc(added.ok)
        self._solutions.labels(judge, "failed").inc(added.failed)
        self._steps.labels(judge).inc(added.steps)
        # An extension replaces what it judges on; a counter cannot fall.
        self._critiques.labels(judge).inc(max(0, added.critiques))
        self._tokens.labels(judge).inc(max(0, added.tokens))
        for score in scores:
            for critique in score.critiques:
                self._verdicts.labels(judge, critique.verdict.value).inc()
            for reward in score.rewards:
                if reward is not None:
                    self._rewards.labels(judge).observe(reward)
        self._record_at.labels(judge).set_to_current_time()

    def ended(self, outcome: str, seconds: float) -> None:
        """As `Meter` has it."""
        self._attempts.labels(self._judge, outcome).inc()
        self._shard_s.labels(self._judge).observe(seconds)

    def swept(self) -> None:
        """As `Meter` has it."""
        self._sweep_at.labels(self._judge).set_to_current_time()

    def watch(self, watched: Watched) -> None:
        """As `Meter` has it."""
        self.registry.register(_WatchedCollector(self._judge, watched))

    def serve(self, host: str, port: int) -> Callable[[], None]:
        """Answer scrapes in a thread; returns what ends it. Raises ConfigError when the port is not to be had."""
        try:
            server, thread = _client().start_http_server(port, addr=host, registry=self.registry)
        except OSError as error:
            raise ConfigError(
                f"metrics cannot be served on {host}:{port}: {error.strerror}",
                hint="choose another --metrics-port, or RPRM_METRICS_HOST",
            ) from error

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join(5)

        return stop


class _WatchedCollector:
    def __init__(self, judge: str, watched: Watched) -> None:
        self._judge, self._watched = judge, watched

    def collect(self) -> Iterable[Any]:
        """What the worker is, and the engine's totals, at this moment."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        judge, watched, stats = self._judge, self._watched, self._watched.stats()
        info = InfoMetricFamily("rprm_worker", "the judge that is served, and its engine", labels=["judge"])
        info.add_metric([judge], {"engine": watched.engine})
        yield info
        values: list[tuple[Any, str, str, float | None]] = [
            (GaugeMetricFamily, "slots", "shards judged at the same time at most", watched.slots),
            (GaugeMetricFamily, "leases", "shards being judged", watched.leases()),
            (GaugeMetricFamily, "in_trouble", "1 while something fails that the log names", watched.in_trouble()),
            (CounterMetricFamily, "engine_prompt_tokens", "tokens that the engine has read", stats.prompt_tokens),
            (CounterMetricFamily, "engine_generated_tokens", "tokens that it generated", stats.generated_tokens),
            (GaugeMetricFamily, "prefix_cache_hit_ratio", "prompt tokens that it had cached", stats.prefix_hit_rate),
        ]
        for kind, name, what, value in values:
            family = kind(f"rprm_worker_{name}", what, labels=["judge"])
            if value is not None:
                family.add_metric([judge], float(value))
            yield family


@contextmanager
def serving_metrics(settings: Settings, judge: str) -> Iterator[Meter]:
    """A meter, and its page at the settings' port if they have one. Raises ConfigError, MissingExtra."""
    if settings.metrics_port is None:
        yield NoMeter()
        return
    meter = PrometheusMeter(judge)
    stop = meter.serve(settings.metrics_host, settings.metrics_port)
    try:
        yield meter
    finally:
        stop()


def _client() -> Any:
    try:
        import prometheus_client
    except ImportError as error:
        raise MissingExtra("metrics need prometheus-client", hint="pip install 'rprm-jobs[metrics]'") from error
    return prometheus_client
