"""A network that loses answers, falls silent or hangs up: nothing is lost, nothing is there twice, and work goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import jobs, store
from tests.support.proxy import Proxy, wait_lost
from tests.support.trial import Trial

pytestmark = pytest.mark.acceptance


@pytest.fixture
def postgres(trial: Trial) -> Iterator[tuple[Proxy, str]]:
    """A proxy before Postgres, and the URL through it."""
    proxy, url = Proxy.before(trial.env["RPRM_DATABASE_URL"])
    yield proxy, url
    proxy.close()


@pytest.fixture
def redis(trial: Trial) -> Iterator[tuple[Proxy, str]]:
    """A proxy before Redis, and the URL through it."""
    proxy, url = Proxy.before(trial.env["RPRM_REDIS_URL"])
    yield proxy, url
    proxy.close()


def test_answers_to_commit_lost_again_and_again(trial: Trial, postgres: tuple[Proxy, str]) -> None:
    proxy, url = postgres
    job = trial.take_in(36, shard=6)
    worker = trial.start(RPRM_DATABASE_URL=url)
    for wanted in range(1, 9):
        proxy.lose_answers = 1
        if trial.recorded(job) == 36:
            break
        wait_lost(proxy, wanted)
    assert proxy.lost >= 5
    trial.finish(job)
    assert trial.failures(job) == 0
    assert worker.process.poll() is None
    assert worker.stop() == 0


@pytest.mark.parametrize(
    "statement",
    [b"SET state = 'leased'", b"COPY ", b"SET state = 'done'"],
    ids=["of a claim", "of a record", "of a finish"],
)
def test_the_answer_to_one_commit_is_lost(trial: Trial, postgres: tuple[Proxy, str], statement: bytes) -> None:
    proxy, url = postgres
    proxy.lose_of, proxy.lose_answers = statement, 3
    job = trial.take_in(24, shard=6)
    worker = trial.start(RPRM_DATABASE_URL=url)
    wait_lost(proxy, 3)
    trial.finish(job)
    assert trial.failures(job) == 0
    assert worker.stop() == 0


def test_a_submit_whose_answer_was_lost_is_one_job_when_repeated(
    trial: Trial, postgres: tuple[Proxy, str], tmp_path: Path
) -> None:
    proxy, url = postgres
    file = jobs.write_jsonl(tmp_path / "s.jsonl", jobs.make_solutions(10))
    arguments = ("submit", str(file), "--judge", "scripted", "-k", "2")
    seen = 0
    for _ in range(4):
        # The submission's own COMMIT is one of the first few of the command.
        proxy.lose_answers = 1
        done = trial.command(*arguments, RPRM_DATABASE_URL=url)
        if done.returncode == 5:
            seen += 1
            assert "COMMIT" in done.stderr or "Postgres" in done.stderr
    proxy.lose_answers = 0
    last = trial.command(*arguments, "--json", RPRM_DATABASE_URL=url)
    assert seen >= 1, done.stderr
    job = json.loads(last.stdout)["job_id"]
    assert store.run(trial.database, "SELECT array_agg(id) FROM jobs")[0][0] == [job]
    trial.start()
    trial.wait_done(job)
    jobs.assert_clean(trial.context)


def test_a_postgres_that_falls_silent_is_left_and_found_again(trial: Trial, postgres: tuple[Proxy, str]) -> None:
    proxy, url = postgres
    job = trial.take_in(36, shard=6)
    worker = trial.start(RPRM_DATABASE_URL=url)
    trial.wait_recorded(job)
    proxy.silent.set()
    time.sleep(1.0)
    before = trial.recorded(job)
    time.sleep(2.0)
    assert trial.recorded(job) == before < 36
    # New connections are served, the old ones never hear of it: they must be given up.
    proxy.silent.clear()
    trial.finish(job, within=60)
    assert worker.process.poll() is None
    assert worker.stop() == 0


def test_a_redis_that_falls_silent_or_hangs_up_stops_nobody(trial: Trial, redis: tuple[Proxy, str]) -> None:
    proxy, url = redis
    job = trial.take_in(36, shard=6)
    worker = trial.start(RPRM_REDIS_URL=url)
    trial.wait_recorded(job)
    proxy.silent.set()
    trial.wait_recorded(job, 24)
    proxy.silent.clear()
    assert proxy.hang_up() >= 1
    trial.finish(job, within=60)
    assert trial.failures(job) == 0
    assert worker.process.poll() is None
    assert worker.stop() == 0
