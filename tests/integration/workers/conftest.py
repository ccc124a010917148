"""A worker's parts in this process, on a real Postgres, with an engine that does what the test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from rprm_jobs.engine import Generation, Prompt
from rprm_jobs.store.session import Database
from rprm_jobs.types import Sampling
from tests.support import servers, store
from tests.support.jobs import JUDGE
from tests.support.worker_parts import WorkerParts, allow
from workers.engines.scripted.engine import ScriptedEngine, ScriptedOptions


class ObedientEngine(ScriptedEngine):
    """The scripted engine, after calling `before(prompt)`, which may raise."""

    def __init__(self) -> None:
        super().__init__(JUDGE, ScriptedOptions())
        self.before: Callable[[str], object] = lambda _: None

    async def sample(
        self, prompt: Prompt, seeds: Sequence[int], sampling: Sampling, *, stop: Sequence[str] | None = None
    ) -> list[Generation]:
        self.before(prompt.text)
        return await super().sample(prompt, seeds, sampling, stop=stop)


@pytest.fixture(scope="module")
def shared_database(server_session: servers.Session, template_database: str) -> Iterator[Database]:
    """One database for the tests of a module, which each begin without jobs: a clone takes longer than a test."""
    name = server_session.create(template=template_database)
    database = Database(server_session.url(name), application="rprm-jobs tests")
    yield database
    database.close()
    server_session.drop(name)


@pytest.fixture
def parts(shared_database: Database) -> Iterator[WorkerParts]:
    """One worker with two slots, and no job."""
    worker = WorkerParts(shared_database, ObedientEngine(), slots=2)
    yield worker
    worker.close()
    for table in ("verdicts", "shards", "workers"):
        allow(shared_database, table)
    store.run(shared_database, "DELETE FROM jobs")
    store.run(shared_database, "DELETE FROM workers")
