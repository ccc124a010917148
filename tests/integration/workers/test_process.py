"""One worker process in this one, from its first moment to its exit status."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from rprm_jobs.engine import EngineInfo
from rprm_jobs.errors import ConfigError, EngineDied, EngineError
from rprm_jobs.settings import Settings
from rprm_jobs.store.records import JobState
from rprm_jobs.store.session import Database
from tests.integration.workers.conftest import ObedientEngine
from tests.support import store
from tests.support.jobs import JUDGE, make_solutions, state, take_in, wait_for
from workers import process as module
from workers.process import ProcessOptions, Serving, run_worker
from workers.signals import Signals

pytestmark = [
    pytest.mark.integration,
    # Celery's own, when its consumer is stopped within this process.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


class Running:
    """A worker in a thread; `asked` stands for the signal."""

    def __init__(self, settings: Settings, engine: ObedientEngine, signals: Signals) -> None:
        self.signals, self.status, self.error = signals, None, None
        serving = Serving(JUDGE.queue, JUDGE.name, engine)

        def run() -> None:
            try:
                self.status = run_worker(settings, serving, ProcessOptions(2, 64), signals)
            except BaseException as error:  # noqa: BLE001
                self.error = error

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def wait(self) -> int | None:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.status


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> Signals:
    """Those of a process that is not this one."""
    monkeypatch.setattr("workers.signals.signal.signal", lambda *_: None)
    return Signals()


@pytest.fixture
def start(settings: Settings, signals: Signals) -> Iterator[Callable[[ObedientEngine], Running]]:
    """Start a worker with this engine."""
    started: list[Running] = []

    def start_one(engine: ObedientEngine) -> Running:
        started.append(Running(settings, engine, signals))
        return started[-1]

    yield start_one
    signals.ask()
    signals.ask()
    for running in started:
        running.wait()


def entered(database: Database) -> bool:
    return bool(store.run(database, "SELECT 1 FROM workers WHERE swept_at IS NOT NULL"))


def test_asked_to_stop_it_leaves_with_0_and_nothing_behind(
    database: Database, start: Callable[[ObedientEngine], Running]
) -> None:
    job = take_in(database, make_solutions(6), shard=2).job_id
    running = start(ObedientEngine())
    wait_for(lambda: state(database, job) is JobState.DONE and entered(database), what="the job is done")
    running.signals.ask()
    assert running.wait() == 0
    assert store.run(database, "SELECT 1 FROM workers") == []


def test_an_engine_that_dies_ends_it_with_8(database: Database, start: Callable[[ObedientEngine], Running]) -> None:
    job = take_in(database, make_solutions(6), shard=2).job_id
    engine = ObedientEngine()

    def die(_: str) -> None:
        raise EngineDied("dead")

    engine.before = die
    assert start(engine).wait() == 8
    assert [(row.state, row.failures) for row in store.shard_rows(database, job)] == [("ready", 0)] * 3
    assert store.run(database, "SELECT 1 FROM workers") == []


@pytest.mark.parametrize("loop", ["_sweep", "_create_dependents"])
def test_a_loop_that_ends_by_itself_ends_the_worker_with_1(
    database: Database, start: Callable[[ObedientEngine], Running], monkeypatch: pytest.MonkeyPatch, loop: str
) -> None:
    def end(_: object) -> None:
        raise SystemExit(0)

    monkeypatch.setattr(module.Maintenance, loop, end)
    running = start(ObedientEngine())
    assert running.wait() == 1
    assert store.run(database, "SELECT 1 FROM workers") == []


def test_an_engine_that_does_not_start_is_closed_and_its_error_is_the_callers(
    database: Database, start: Callable[[ObedientEngine], Running]
) -> None:
    closed: list[bool] = []

    class Broken(ObedientEngine):
        async def start(self) -> EngineInfo:
            raise EngineError("no memory")

        async def close(self) -> None:
            closed.append(True)

    running = start(Broken())
    assert running.wait() is None
    assert isinstance(running.error, EngineError)
    assert closed == [True]
    assert store.run(database, "SELECT 1 FROM workers") == []


def test_without_servers_it_says_what_is_missing(settings: Settings, signals: Signals) -> None:
    serving = Serving(JUDGE.queue, JUDGE.name, ObedientEngine())
    with pytest.raises(ConfigError, match="RPRM_DATABASE_URL and RPRM_REDIS_URL"):
        run_worker(replace(settings, redis_url=None), serving, ProcessOptions(1, 1), signals)
