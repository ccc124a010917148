"""`services` and `db`: the servers and the schema."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from rprm_jobs.cli.shared.common import JsonOption, connected, print_json, say

if TYPE_CHECKING:
    from rprm_jobs.local import ServiceStatus

services_app = typer.Typer(no_args_is_help=True, help="The embedded Postgres and Redis.", rich_markup_mode=None)
db_app = typer.Typer(no_args_is_help=True, help="The database schema.", rich_markup_mode=None)


@services_app.command()
def up(as_json: JsonOption = False) -> None:
    """Start the embedded servers (those that are not configured)."""
    from rprm_jobs.local import services_status
    from rprm_jobs.settings import load_settings

    with connected(check_schema=False):
        _show_services(services_status(load_settings()), as_json)


@services_app.command()
def down(as_json: JsonOption = False) -> None:
    """Stop the embedded servers."""
    from rprm_jobs.local import stop_services
    from rprm_jobs.settings import load_settings

    stopped = stop_services(load_settings())
    if as_json:
        print_json({"stopped": stopped})
    else:
        say(f"stopped: {', '.join(stopped)}" if stopped else "no embedded server was running")


@services_app.command("status")
def services_status_command(as_json: JsonOption = False) -> None:
    """Show which servers are used and whether they run."""
    from rprm_jobs.local import services_status
    from rprm_jobs.settings import load_settings

    _show_services(services_status(load_settings()), as_json)


def _show_services(found: list[ServiceStatus], as_json: bool) -> None:
    if as_json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        print(f"{one.name:<9} {'up' if one.running else 'down':<5} {one.kind:<11} {one.where}")


@db_app.command()
def upgrade(as_json: JsonOption = False) -> None:
    """Bring the database to this version's schema, without losing data."""
    from rprm_jobs.store.schema import migrations

    with connected(check_schema=False) as context:
        before, after = migrations.upgrade(context.database)
    if as_json:
        print_json({"before": before, "after": after})
    else:
        say(f"schema {after}" + (" (it was there already)" if before == after else f" (was {before or 'empty'})"))


@db_app.command()
def current(as_json: JsonOption = False) -> None:
    """Show the database's schema and the one this version needs."""
    from rprm_jobs.store.schema import migrations

    with connected(check_schema=False) as context:
        now, head = migrations.current_revision(context.database), migrations.head_revision()
    if as_json:
        print_json({"current": now, "head": head})
    else:
        print(f"current {now or 'empty'}, this version needs {head}")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(services_app, name="services")
    app.add_typer(db_app, name="db")
