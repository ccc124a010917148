"""Migrations: bring a database to this version's schema, and say which it has.

An advisory lock makes simultaneous upgrades wait for each other. Migrations go forward and lose no data. Their
revisions count up and are read out of the files' text, so that only an upgrade has to load Alembic: every command asks
for the revision first.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.errors import SchemaError
from rprm_jobs.settings import mask_url
from rprm_jobs.store.pooler import refuse_transaction_pooler
from rprm_jobs.store.schema import (
    access_tables,  # noqa: F401
    metadata,
    training_tables,  # noqa: F401 - the last two fill the first
)
from rprm_jobs.store.session import Database

if TYPE_CHECKING:
    from alembic.config import Config

METADATA = metadata.metadata
_UPGRADE_LOCK = 0x5250524E
_REVISION = re.compile(r'^revision = "(\d{4})"$', re.MULTILINE)
_PARTITION = re.compile(r"(solutions|scores|verdicts|critiques|responses)_j\d+|training_rows_s\d+")


def is_ours(_object: Any, name: str | None, kind: str, _reflected: bool, _compared: Any) -> bool:
    """Leave the partitions of single jobs and sets out of schema comparisons."""
    return not (kind == "table" and name is not None and _PARTITION.fullmatch(name))


def migrations() -> Path:
    """The folder of the migrations, in the package or in the checkout."""
    packaged = Path(str(files("rprm_jobs"))) / "_migrations"
    return packaged if packaged.is_dir() else Path(str(files("rprm_jobs"))).parent / "migrations"


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    return config


def revisions() -> list[str]:
    """All that this version knows, oldest first."""
    texts = (path.read_text() for path in (migrations() / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))
    return sorted(number for text_ in texts for number in _REVISION.findall(text_))


def head_revision() -> str:
    """The revision that this version works with."""
    known = revisions()
    if not known:
        raise SchemaError("the package holds no migrations", hint="pip install --force-reinstall rprm-jobs")
    return known[-1]


def current_revision(database: Database) -> str | None:
    """The revision of the database, None for an empty one."""
    with database.transaction() as connection:
        return revision(connection)


def revision(connection: Connection) -> str | None:
    """As `current_revision`, within a transaction."""
    # By way of pg_class: a session that has looked before and then waited for a lock remembers that there was no table.
    there = text("SELECT 1 FROM pg_class WHERE oid = to_regclass('alembic_version')")
    if connection.execute(there).one_or_none() is None:
        return None
    stored = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return None if stored is None else str(stored)


def upgrade(database: Database) -> tuple[str | None, str]:
    """Migrate to this version's schema; returns (revision before, revision after).

    Raises SchemaError when the database is newer than this version, ConfigError through a transaction pooler.
    """
    head = head_revision()
    if current_revision(database) == head:
        return head, head
    refuse_transaction_pooler(database, "the schema cannot be upgraded")
    from alembic import command

    config = _config()
    with database.transaction() as connection:
        connection.execute(text("SET LOCAL lock_timeout = '60s'"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
        before = revision(connection)
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
            hint="run: rprm-jobs db upgrade",
        )


def _refuse_unknown(revision: str | None, database: Database) -> None:
    if revision is not None and revision not in revisions():
        raise SchemaError(
            f"the database is at schema {revision}, which this version does not know",
            where=mask_url(database.url),
            hint="a newer version has upgraded it: pip install -U rprm-jobs",
        )
