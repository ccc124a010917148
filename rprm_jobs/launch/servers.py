"""The servers that a command or a client works with: configured ones as they are, missing ones embedded and started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rprm_jobs.services.context import Context
    from rprm_jobs.settings import Settings


def server_settings(settings: Settings | None = None) -> Settings:
    """The settings (default: the environment's) with the URLs of both servers; one that is missing is started here."""
    from rprm_jobs.settings import load_settings

    settings = load_settings() if settings is None else settings
    if settings.database_url and settings.redis_url:
        return settings
    from rprm_jobs.local import ensure_services

    return ensure_services(settings)


@contextmanager
def running(settings: Settings | None = None) -> Iterator[Context]:
    """An open context of servers that run already; none is started. Raises ConfigError where one does not run."""
    from rprm_jobs.local import running_urls
    from rprm_jobs.services.context import open_context
    from rprm_jobs.settings import load_settings

    settings = load_settings() if settings is None else settings
    urls = running_urls(settings)
    with open_context(replace(settings, database_url=urls["postgres"], redis_url=urls["redis"])) as context:
        yield context


@contextmanager
def connected(settings: Settings | None = None, *, check_schema: bool = True) -> Iterator[Context]:
    """An open context. An embedded database is migrated on the way; a configured one is left to `db upgrade`."""
    from rprm_jobs.services.context import open_context, upgrade_schema
    from rprm_jobs.settings import load_settings

    requested = load_settings() if settings is None else settings
    embedded = requested.database_url is None
    with open_context(server_settings(requested), check_schema=check_schema and not embedded) as context:
        if embedded:
            upgrade_schema(context)
        yield context
