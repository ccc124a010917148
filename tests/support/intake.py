"""Jobs taken in by hand, as far as the moment before they are sealed."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from rprm_jobs.store.jobs.intake import Intake
from rprm_jobs.store.jobs.new_job import NewJob
from rprm_jobs.store.session import Database
from rprm_jobs.types import KeepCritiques, Solution
from tests.support.jobs import make_recipe
from tests.support.store import run

NEW = NewJob(make_recipe(), 0, KeepCritiques.ALL, ("a.jsonl",), 8)


def filled(connection: Connection, solutions: list[Solution]) -> Intake:
    """An intake that holds these and waits for its seal."""
    intake = Intake(connection)
    intake.load((0, i + 1, s) for i, s in enumerate(solutions))
    assert intake.repeated_ids(20) == ([], 0)
    return intake


def job_count(database: Database) -> int:
    """Jobs in the store."""
    return int(run(database, "SELECT count(*) FROM jobs")[0][0])


def partitions(database: Database) -> int:
    """Partitions of single jobs in the store."""
    query = "SELECT count(*) AS n FROM pg_class WHERE relkind IN ('r', 'p') AND relname ~ '_j[0-9]'"
    return int(run(database, query)[0].n)
