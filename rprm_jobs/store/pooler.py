"""Whether a connection pooler (PgBouncer or its kind) stands between this process and Postgres.

Transactions work through any of them, because no statement of the store leaves anything in its session. Migrations and
the locks of workers need a session of their own: they are refused or left out where transactions are pooled.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.errors import ConfigError
from rprm_jobs.settings import mask_url
from rprm_jobs.store.session import Database, driver_connection

DIRECT_HINT = "set RPRM_DATABASE_DIRECT_URL to the URL of Postgres itself"


class Pooling(StrEnum):
    """What stands before Postgres: nothing that pools, or something that lends out sessions or single transactions."""

    NONE = "none"
    SESSION = "session"
    TRANSACTION = "transaction"


def find_pooling(database: Database) -> Pooling:
    """Compare the server process that a connection was told of, which a pooler makes up, with the one that serves it.

    Raises StoreUnavailable.
    """
    with database.transaction() as connection:
        server = _server_pid(connection)
        if driver_connection(connection).info.backend_pid == server:
            return Pooling.NONE
    return Pooling.TRANSACTION if _is_shared(database) else Pooling.SESSION


def _is_shared(database: Database) -> bool:
    """Whether one connection's session is lent to another while the first is idle."""
    with database.session() as idle:
        with idle.begin():
            before = _server_pid(idle)
        with database.transaction() as other:
            if _server_pid(other) == before:
                return True
            # Pools that take turns lend out another session: the first one's next must be the same then.
            with idle.begin():
                return _server_pid(idle) != before


def _server_pid(connection: Connection) -> int:
    return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def refuse_transaction_pooler(database: Database, what: str) -> None:
    """Raises ConfigError, which names the pooler, where `what` needs a session and would not have one."""
    if find_pooling(database) is Pooling.TRANSACTION:
        raise ConfigError(
            f"{what} through a pooler that lends out single transactions (PgBouncer or its kind)",
            where=mask_url(database.url),
            hint=DIRECT_HINT,
        )


def refuse_another_database(direct: Database, pooled: Database) -> None:
    """Raises ConfigError unless both lead to the same database of the same server."""
    query = text("SELECT current_database(), pg_postmaster_start_time()")
    identities = []
    for database in (direct, pooled):
        with database.transaction() as connection:
            identities.append(tuple(connection.execute(query).one()))
    if identities[0] != identities[1]:
        raise ConfigError(
            "RPRM_DATABASE_DIRECT_URL and RPRM_DATABASE_URL lead to different databases",
            where=mask_url(direct.url),
            hint="both must name one database, with and without the pooler",
        )
