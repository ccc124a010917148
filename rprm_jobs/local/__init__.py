"""Embedded servers: a real Postgres and a real Redis from wheels, for each server that is not configured.

They live in `Settings.home`, keep running after the command that started them, and serve all later commands.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal

from rprm_jobs.errors import ServiceError
from rprm_jobs.local.paths import find_paths, locked
from rprm_jobs.local.postgres import EmbeddedPostgres
from rprm_jobs.local.redis import EmbeddedRedis
from rprm_jobs.settings import Settings, mask_url


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One server. `where` is its URL without the password or, while it is down, its folder."""

    name: Literal["postgres", "redis"]
    kind: Literal["configured", "embedded"]
    running: bool
    where: str


def ensure_services(settings: Settings) -> Settings:
    """The settings with both URLs; a server that is not configured is started unless it runs.

    Raises MissingExtra without the wheels, ServiceError with the end of the server's log when one does not start.
    """
    if settings.database_url and settings.redis_url:
        return settings
    with locked(settings.home) as paths:
        database_url = settings.database_url or EmbeddedPostgres(paths).ensure()
        redis_url = settings.redis_url or EmbeddedRedis(paths).ensure()
    return replace(settings, database_url=database_url, redis_url=redis_url)


def running_urls(settings: Settings) -> dict[str, str | None]:
    """The URL of each server that is configured or running, with passwords; None for the others. Starts nothing."""
    paths = find_paths(settings.home)
    return {
        "postgres": settings.database_url or EmbeddedPostgres(paths).running_url(),
        "redis": settings.redis_url or EmbeddedRedis(paths).running_url(),
    }


def services_status(settings: Settings) -> list[ServiceStatus]:
    """The state of both servers; configured ones are contacted. Starts nothing."""
    urls, base = running_urls(settings), find_paths(settings.home).base
    return [
        _status("postgres", settings.database_url, urls["postgres"], str(base)),
        _status("redis", settings.redis_url, urls["redis"], str(base)),
    ]


def stop_services(settings: Settings) -> list[str]:
    """Stop the embedded servers; returns the names of those that ran. Raises ServiceError when one does not stop."""
    if not find_paths(settings.home).base.exists():
        return []
    with locked(settings.home) as paths:
        stopped = {"redis": EmbeddedRedis(paths).stop(), "postgres": EmbeddedPostgres(paths).stop()}
    return [name for name, ran in stopped.items() if ran]


def _status(name: Literal["postgres", "redis"], configured: str | None, url: str | None, base: str) -> ServiceStatus:
    if configured is not None:
        return ServiceStatus(name, "configured", _answers(name, configured), mask_url(configured))
    return ServiceStatus(name, "embedded", url is not None, mask_url(url) if url else base)


def _answers(name: str, url: str) -> bool:
    try:
        if name == "redis":
            from rprm_jobs.broker import Notifier

            with closing(Notifier(url)) as notifier:
                notifier.ping()
        else:
            from rprm_jobs.store.session import Database

            with closing(Database(url, application="rprm-jobs services")) as database:
                database.server_version()
    except ServiceError:
        return False
    return True
