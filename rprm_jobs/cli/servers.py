"""`services` and `db`: start, stop and look at the servers, and bring the schema up to date."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from rprm_jobs.cli.shared.command import SERVERS, add_command, new_group
from rprm_jobs.cli.shared.common import print_json, say
from rprm_jobs.cli.shared.options import JsonOption
from rprm_jobs.launch.servers import connected, running
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.local import ServiceStatus
    from rprm_jobs.settings import Settings

services_app = new_group("Start, stop and look at the embedded Postgres and Redis.")
db_app = new_group("Look at the database schema, and upgrade it.")


def up(as_json: JsonOption = False) -> None:
    """Start the embedded servers.

    A server whose URL is configured is yours, and stays as it is.
    """
    from rprm_jobs.local import services_status
    from rprm_jobs.settings import load_settings

    with connected(check_schema=False):
        _show_services(services_status(load_settings()), as_json)


def down(as_json: JsonOption = False) -> None:
    """Stop the embedded servers.

    A server whose URL is configured is yours, and is not touched.
    """
    from rprm_jobs.local import stop_services
    from rprm_jobs.settings import load_settings

    settings = load_settings()
    urls = {"postgres": settings.database_url, "redis": settings.redis_url}
    configured = [name for name, url in urls.items() if url]
    if configured:
        say(f"{' and '.join(configured)}: configured by URL, and not touched")
    alive = [] if len(configured) == len(urls) else _alive(settings)
    if alive:
        them = counted(len(alive), "worker is", "workers are")
        say(f"{them} alive and can do nothing until the servers are up again: {', '.join(alive)}")
    stopped = stop_services(settings)
    if as_json:
        print_json({"stopped": stopped, "configured": configured, "alive_workers": alive})
    else:
        say(f"stopped: {', '.join(stopped)}" if stopped else "no embedded server was running")


def _alive(settings: Settings) -> list[str]:
    """The ids of the workers that are alive; none when the servers are down already."""
    from rprm_jobs.errors import RprmError
    from rprm_jobs.services.jobs.query import alive_workers

    with suppress(RprmError), running(settings) as context:
        return [worker.id for worker in alive_workers(context)]
    return []


def services_status_command(as_json: JsonOption = False) -> None:
    """Show which servers are used and whether they run."""
    from rprm_jobs.local import services_status
    from rprm_jobs.settings import load_settings

    _show_services(services_status(load_settings()), as_json)


def _show_services(services: list[ServiceStatus], as_json: bool) -> None:
    if as_json:
        print_json([asdict(service) for service in services])
        return
    for service in services:
        print(f"{service.name:<9} {'up' if service.running else 'down':<5} {service.kind:<11} {service.where}")


def upgrade(as_json: JsonOption = False) -> None:
    """Upgrade the database schema; no data is lost."""
    from rprm_jobs.services.context import upgrade_schema

    with connected(check_schema=False) as context:
        before, after = upgrade_schema(context)
    if as_json:
        print_json({"before": before, "after": after})
    else:
        say(f"schema {after}" + (" (as before)" if before == after else f" (was {before or 'empty'})"))


def current(as_json: JsonOption = False) -> None:
    """Show the schema of the database, and the one needed."""
    from rprm_jobs.store.schema import migrations

    with connected(check_schema=False) as context:
        now, head = migrations.current_revision(context.database), migrations.head_revision()
    if as_json:
        print_json({"current": now, "head": head})
    else:
        print(f"current {now or 'empty'}, this version needs {head}")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_command(services_app, up, "rprm-jobs services up")
    add_command(services_app, down, "rprm-jobs services down")
    add_command(services_app, services_status_command, "rprm-jobs services status", name="status")
    add_command(db_app, upgrade, "rprm-jobs db upgrade")
    add_command(db_app, current, "rprm-jobs db current")
    app.add_typer(services_app, name="services", rich_help_panel=SERVERS)
    app.add_typer(db_app, name="db", rich_help_panel=SERVERS)
