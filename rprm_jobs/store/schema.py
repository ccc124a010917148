"""Migrations: bring a database to this version's schema, and say which it has.

An advisory lock makes simultaneous upgrades wait for each other. Migrations go forward and lose no data.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from rprm_jobs.errors import SchemaError
from rprm_jobs.settings import mask_url
from rprm_jobs.store import metadata, tables, training_tables  # noqa: F401 - the last two fill the first
from rprm_jobs.store.session import Database

METADATA = metadata.metadata
_UPGRADE_LOCK = 0x5250524E
_PARTITION = re.compile(r"(solutions|scores|verdicts|critiques)_j\d+|training_rows_s\d+")


def is_ours(_object: Any, name: str | None, kind: str, _reflected: bool, _compared: Any) -> bool:
    """Leave the partitions of single jobs and sets out of schema comparisons."""
    return not (kind == "table" and name is not None and _PARTITION.fullmatch(name))


def _config() -> Config:
    packaged = Path(str(files("rprm_jobs"))) / "_migrations"
    checkout = Path(str(files("rprm_jobs"))).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(packaged if packaged.is_dir() else checkout).replace("%", "%%"))
    return config


def head_revision() -> str:
    """The revision that this version works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise SchemaError("the package holds no migrations", mend="install rprm-jobs again")
    return head


def current_revision(database: Database) -> str | None:
    """The revision of the database, None for an empty one."""
    with database.transaction() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(database: Database) -> tuple[str | None, str]:
    """Migrate to this version's schema; returns (revision before, revision after).

    Raises SchemaError when the database is newer than this version.
    """
    head = head_revision()
    config = _config()
    with database.transaction() as connection:
        connection.execute(text("SET LOCAL lock_timeout = '60s'"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
        before = MigrationContext.configure(connection).get_current_revision()
        if before == head:
            return before, head
        _refuse_unknown(before, database)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before, head


def check(database: Database) -> None:
    """Raises SchemaError unless the database has this version's schema."""
    current, head = current_revision(database), head_revision()
    if current != head:
        _refuse_unknown(current, database)
        raise SchemaError(
            f"the database is at schema {current or 'none'}, this version needs {head}",
            where=mask_url(database.url),
            mend="run: rprm-jobs db upgrade",
        )


def _refuse_unknown(revision: str | None, database: Database) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision is not None and revision not in known:
        raise SchemaError(
            f"the database is at schema {revision}, which this version does not know",
            where=mask_url(database.url),
            mend="use the newer rprm-jobs that made it",
        )
