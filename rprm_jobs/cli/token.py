"""`token`: who may use the HTTP service, and who did what with it."""

from __future__ import annotations

import getpass
import socket
from typing import Annotated

import typer

from rprm_jobs.cli.shared.command import SERVERS, add_command, new_group
from rprm_jobs.cli.shared.common import print_json, say
from rprm_jobs.cli.shared.options import JsonOption
from rprm_jobs.launch.servers import connected

token_app = new_group("Manage tokens of the HTTP service, and read its log.")
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The token's name, as the audit log shows it.")]


def create(
    name: NameArgument,
    scope: Annotated[str, typer.Option("--scope", metavar="SCOPE", help="read, submit or admin.")] = "read",
    days: Annotated[
        float | None, typer.Option("--days", metavar="DAYS", help="Days until it expires.", show_default="never")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Create a token and print it.

    Only its digest is stored, so it is shown this once.
    """
    from rprm_jobs.errors import ConfigError
    from rprm_jobs.services.access import Scope, create_token

    if scope not in list(Scope):
        raise ConfigError(f"--scope {scope!r} is unknown", hint=f"it is one of {', '.join(Scope)}")
    with connected() as context:
        secret, stored = create_token(context, name, Scope(scope), days=days, actor=_actor())
    if as_json:
        print_json({"name": stored.name, "scope": stored.scope, "expires_at": stored.expires_at, "token": secret})
    else:
        say(f"token {stored.name}, scope {stored.scope}; it is not shown again:")
        print(secret)


def list_(as_json: JsonOption = False) -> None:
    """List the tokens, without the tokens themselves."""
    from rprm_jobs.cli.shared.tables import Table, print_table
    from rprm_jobs.services.access import list_tokens

    with connected() as context:
        listed = list_tokens(context)
    if as_json:
        fields = ("name", "scope", "live", "created_at", "expires_at", "revoked_at")
        print_json([{field: getattr(token, field) for field in fields} for token in listed])
        return
    table = Table(("name", "scope", "state", "created", "expires"), left=("name", "scope", "state", "created"))
    for token in listed:
        state = "revoked" if token.revoked_at else "live" if token.live else "expired"
        expires = f"{token.expires_at:%Y-%m-%d %H:%MZ}" if token.expires_at else "never"
        table.add_row(token.name, token.scope, state, f"{token.created_at:%Y-%m-%d %H:%MZ}", expires)
    print_table(table)


def revoke(name: NameArgument, as_json: JsonOption = False) -> None:
    """Revoke a token: a running service refuses it within a second."""
    from rprm_jobs.services.access import revoke_token

    with connected() as context:
        revoke_token(context, name, actor=_actor())
    if as_json:
        print_json({"name": name, "revoked": True})
    else:
        say(f"token {name} is revoked")


def log(
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Number of entries.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show who did what with the service, newest first."""
    from rprm_jobs.cli.shared.tables import Table, print_table
    from rprm_jobs.services.access import read_log

    with connected() as context:
        entries = read_log(context, limit)
    if as_json:
        fields = ("at", "actor", "client", "action", "status")
        print_json([{field: getattr(entry, field) for field in fields} for entry in entries])
        return
    table = Table(("at", "actor", "from", "status", "action"), left=("at", "actor", "from"), below=("action",))
    for entry in entries:
        status = str(entry.status or "")
        table.add_row(f"{entry.at:%Y-%m-%d %H:%M:%SZ}", entry.actor, entry.client, status, entry.action)
    print_table(table)


def _actor() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_command(token_app, create, "rprm-jobs token create trainer --scope submit")
    add_command(token_app, list_, "rprm-jobs token list", name="list")
    add_command(token_app, revoke, "rprm-jobs token revoke trainer")
    add_command(token_app, log, "rprm-jobs token log --limit 20")
    app.add_typer(token_app, name="token", rich_help_panel=SERVERS)
