"""What every command works with: settings, the database, and the notifier, opened together and closed together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from rprm_jobs.errors import ConfigError
from rprm_jobs.settings import Settings
from rprm_jobs.store import pooler
from rprm_jobs.store.schema import migrations
from rprm_jobs.store.session import Database

if TYPE_CHECKING:
    from rprm_jobs.broker import Notifier


@dataclass
class Context:
    """Open connections to the two servers. The notifier is made, and Celery loaded, when it is first used."""

    settings: Settings
    database: Database

    @cached_property
    def notifier(self) -> Notifier:
        """The broker. Raises ConfigError when no URL is known."""
        if not self.settings.redis_url:
            raise ConfigError("no Redis is configured", hint="set RPRM_REDIS_URL, or install rprm-jobs[local]")
        from rprm_jobs.broker import Notifier

        return Notifier(self.settings.redis_url)

    @cached_property
    def direct_database(self) -> Database:
        """Postgres itself, past a pooler that has a URL of its own; otherwise `database`."""
        url = self.settings.database_direct_url
        return Database(url) if url else self.database

    def close_notifier(self) -> None:
        """Close the notifier, if there is one."""
        if "notifier" in vars(self):
            self.notifier.close()

    def close(self) -> None:
        """Close what was opened."""
        self.close_notifier()
        if "direct_database" in vars(self):
            self.direct_database.close()
        self.database.close()


def upgrade_schema(context: Context) -> tuple[str | None, str]:
    """Migrate, by the direct URL where one is set; returns (revision before, revision after).

    Raises SchemaError when the database is newer than this version; ConfigError where only a transaction pooler is
    known, or where the two URLs lead to two databases.
    """
    if context.direct_database is not context.database:
        pooler.refuse_another_database(context.direct_database, context.database)
    return migrations.upgrade(context.direct_database)


def check_database(context: Context) -> None:
    """Raises StoreUnavailable unless Postgres answers, and SchemaError unless it has this version's schema."""
    migrations.check(context.database)


@contextmanager
def open_context(settings: Settings, *, check_schema: bool = True) -> Iterator[Context]:
    """Connect. Raises ConfigError without a URL, StoreUnavailable without a server, SchemaError before `db upgrade`."""
    if not settings.database_url:
        raise ConfigError("no Postgres is configured", hint="set RPRM_DATABASE_URL, or install rprm-jobs[local]")
    context = Context(settings, Database(settings.database_url))
    try:
        if check_schema:
            migrations.check(context.database)
        yield context
    finally:
        context.close()
