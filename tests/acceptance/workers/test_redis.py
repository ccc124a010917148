"""Redis only carries notifications: lost, doubled, flushed, away or full of rubbish, it costs a delay and no work."""

from __future__ import annotations

import pytest
import redis

from rprm_jobs.broker import JUDGE_SHARD, make_app
from tests.support import store
from tests.support.jobs import JUDGE
from tests.support.servers import flush
from tests.support.trial import Trial

pytestmark = pytest.mark.acceptance


def test_every_message_three_times(trial: Trial) -> None:
    job = trial.take_in(24, shard=3)
    ids = [row.id for row in store.shard_rows(trial.database, job)]
    assert trial.context.notifier.notify(JUDGE.queue, ids * 3) == 24
    worker = trial.start()
    trial.context.notifier.notify(JUDGE.queue, ids)
    trial.finish(job)
    assert {row.attempt for row in store.shard_rows(trial.database, job)} == {1}
    trial.context.notifier.notify(JUDGE.queue, ids)
    assert worker.stop() == 0
    assert {row.attempt for row in store.shard_rows(trial.database, job)} == {1}


def test_flushed_between_submit_and_work_and_again_while_working(trial: Trial) -> None:
    job = trial.take_in(24)
    trial.context.notifier.notify(JUDGE.queue, [row.id for row in store.shard_rows(trial.database, job)])
    flush(trial.context.notifier.url)
    trial.start()
    trial.wait_recorded(job, 2)
    flush(trial.context.notifier.url)
    trial.finish(job)


def test_away_from_the_start(trial: Trial) -> None:
    job = trial.take_in(24)
    worker = trial.start(RPRM_REDIS_URL="redis://127.0.0.1:1/0")
    trial.finish(job)
    assert worker.stop() == 0
    assert "Traceback" not in worker.log()


def test_messages_of_another_version_and_rubbish(trial: Trial) -> None:
    app = make_app(trial.context.notifier.url)
    for message in ({"v": 2, "shard_id": 1}, {}, {"v": 1}, {"v": 1, "shard_id": "x"}):
        app.send_task(JUDGE_SHARD, kwargs={"message": message}, queue=JUDGE.queue)
    app.send_task(JUDGE_SHARD, kwargs={"no_message": 1}, queue=JUDGE.queue)
    app.send_task(JUDGE_SHARD, args=[None], queue=JUDGE.queue)
    app.send_task("no.such.task", queue=JUDGE.queue)
    with redis.Redis.from_url(trial.context.notifier.url) as client:
        client.lpush(JUDGE.queue, b"not json", b'{"body": 3}')
    worker = trial.start()
    job = trial.take_in(12)
    trial.finish(job)
    assert "message of version 2 ignored" in worker.log()
    more = trial.take_in(4, seed=3)
    trial.finish(more)
    assert worker.stop() == 0


def test_connections_killed_while_working(trial: Trial) -> None:
    job = trial.take_in(24)
    worker = trial.start()
    with redis.Redis.from_url(trial.context.notifier.url) as client:
        for goal in (2, 12):
            trial.wait_recorded(job, goal)
            client.client_kill_filter(_type="normal", skipme=True)
    trial.finish(job)
    assert worker.stop() == 0
