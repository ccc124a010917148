"""What every command works with: settings, the database, and the notifier, opened together and closed together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from rprm_jobs.errors import ConfigError
from rprm_jobs.settings import Settings
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


@contextmanager
def open_context(settings: Settings, *, check_schema: bool = True) -> Iterator[Context]:
    """Connect. Raises ConfigError without a URL, StoreUnavailable without a server, SchemaError before `db upgrade`."""
    if not settings.database_url:
        raise ConfigError("no Postgres is configured", hint="set RPRM_DATABASE_URL, or install rprm-jobs[local]")
    database = Database(settings.database_url)
    context = Context(settings, database)
    try:
        if check_schema:
            migrations.check(database)
        yield context
    finally:
        if "notifier" in vars(context):
            context.notifier.close()
        database.close()
