"""Connections and transactions. No sqlalchemy or psycopg exception travels past this module's context managers.

This layer never retries: a caller that may repeat a transaction does so itself (`rprm_jobs.services.retry`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg import errors as pg
from sqlalchemy import exc
from sqlalchemy.engine import Connection

from rprm_jobs.errors import (
    CommitUnknown,
    ConfigError,
    Deleted,
    NotPermitted,
    RowRefused,
    SchemaError,
    StoreError,
    StoreUnavailable,
)
from rprm_jobs.settings import mask_url
from rprm_jobs.store.response_timeout import set_response_timeout

# SQLSTATE classes that speak of the values: data exception, integrity constraint violation, program limit exceeded.
_OF_THE_ROW = ("22", "23", "54")
# A worker that freezes inside a transaction must lose it, and its locks, before its lease lapses. Every transaction
# sets these for itself: a transaction pooler refuses or drops what a connection asks for at its start, and lends a
# session that was set up to somebody else.
_TRANSACTION_SETTINGS = {
    "idle_in_transaction_session_timeout": "30s",
    "lock_timeout": "10s",
    "statement_timeout": "120s",
    "timezone": "UTC",
    "jit": "off",
}
_SET_LOCAL = "; ".join(f"SET LOCAL {name} = '{value}'" for name, value in _TRANSACTION_SETTINGS.items())
# A network that swallows packets must be noticed in seconds and not in the kernel's two hours.
_NETWORK_OPTIONS = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
# The partition of a job or of a training set, as a message names it in whatever language.
_PARTITION = re.compile(r"\w_([js])(\d+)\"")
# As PgBouncer says it.
_STARTUP_REFUSED = "unsupported startup parameter"


class Database:
    """One pool of connections to one Postgres. Raises ConfigError when the URL is not a Postgres URL.

    `response_timeout_s` is how long one answer may take before the connection is given up; None: for ever.
    """

    def __init__(
        self, url: str, *, application: str = "rprm-jobs", pool_size: int = 5, response_timeout_s: float | None = None
    ) -> None:
        self.url = url
        self.engine = sa.create_engine(
            _driver_url(url),
            pool_size=pool_size,
            max_overflow=10,
            pool_pre_ping=True,
            connect_args={
                "application_name": application[:63],
                "client_encoding": "utf8",
                # A prepared statement belongs to a session, which behind a pooler is another's in the next moment.
                "prepare_threshold": None,
                **_NETWORK_OPTIONS,
            },
        )
        sa.event.listen(self.engine, "begin", _set_up)
        if response_timeout_s is not None:
            set_response_timeout(self.engine, response_timeout_s)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction that commits at the end of the block and rolls back on any error.

        Raises StoreUnavailable when the server or the connection fails, CommitUnknown when it fails while committing,
        SchemaError when tables are missing, RowRefused for values that it cannot hold, StoreError for anything else.
        """
        with self._translated(), self.engine.connect() as connection:
            transaction = connection.begin()
            try:
                yield connection
            except BaseException:
                _rollback(transaction)
                raise
            self._commit(transaction)

    @staticmethod
    def _commit(transaction: sa.RootTransaction) -> None:
        try:
            transaction.commit()
        except (exc.DBAPIError, psycopg.Error) as error:
            if _is_connection_failure(error):
                raise CommitUnknown(
                    f"the connection broke at COMMIT: {_first_line(error)}", hint="read back, then repeat"
                ) from error
            raise

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A read-only transaction in which every statement sees the same moment; it may take long."""
        with self.transaction() as connection:
            connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
            yield connection

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """A connection that nobody else gets until the block ends; `begin` each transaction on it. Errors as above."""
        with self._translated(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (exc.DBAPIError, psycopg.Error) as error:
            raise _translate(error, self.url) from error

    def server_version(self) -> str:
        """The version of Postgres, for `doctor`. Raises StoreUnavailable."""
        with self.transaction() as connection:
            return str(connection.execute(sa.text("SHOW server_version")).scalar_one())

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def driver_connection(connection: Connection) -> psycopg.Connection[Any]:
    """The psycopg connection below, for COPY."""
    raw = connection.connection.driver_connection
    if not isinstance(raw, psycopg.Connection):
        raise StoreError("the database driver is not psycopg", hint="use a postgresql:// URL")
    return raw


def copy_rows(connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write `rows` into `table` by COPY, within the connection's transaction."""
    with driver_connection(connection).cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _driver_url(url: str) -> sa.URL:
    try:
        parsed = sa.make_url(url)
    except exc.ArgumentError as error:
        raise ConfigError("RPRM_DATABASE_URL is not a URL", hint="write postgresql://user@host:5432/name") from error
    if parsed.drivername not in {"postgres", "postgresql", "postgresql+psycopg"}:
        raise ConfigError(
            f"the database is {parsed.drivername}, and only Postgres will do",
            where=mask_url(url),
            hint="write postgresql://user@host:5432/name",
        )
    return parsed.set(drivername="postgresql+psycopg")


def _set_up(connection: Connection) -> None:
    connection.exec_driver_sql(_SET_LOCAL)


def _rollback(transaction: sa.RootTransaction) -> None:
    # A rollback on a broken connection has nothing left to undo, and must not hide the error that led here.
    try:
        transaction.rollback()
    except (exc.DBAPIError, psycopg.Error):
        transaction.connection.invalidate()


def _is_connection_failure(error: Exception) -> bool:
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
        return not isinstance(cause, pg.DiskFull | pg.OutOfMemory)
    return isinstance(error, exc.DBAPIError) and error.connection_invalidated


def _translate(error: Exception, url: str) -> StoreError:
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    where = mask_url(url)
    if isinstance(cause, pg.UndefinedTable) and (partition := _PARTITION.search(str(cause))):
        what = {"j": "job", "s": "training set"}[partition[1]]
        return Deleted(f"the {what} was deleted while it was read", where=f"{what} {partition[2]}",
                       hint=f"list what there is: rprm-jobs {'jobs' if what == 'job' else 'pairs list'}")  # fmt: skip
    if isinstance(cause, pg.UndefinedTable | pg.UndefinedColumn | pg.UndefinedFunction):
        return SchemaError(f"the database schema is not this version's: {_first_line(cause)}", where=where,
                           hint="run: rprm-jobs db upgrade")  # fmt: skip
    if isinstance(cause, pg.InsufficientPrivilege):
        return NotPermitted(f"this database role may not do that: {_first_line(cause)}", where=where,
                            hint="use a role that may; docs/operations.md has the SQL of each")  # fmt: skip
    if isinstance(cause, pg.DiskFull):
        return StoreError("the database has no space left", where=where, hint="free disk space, then run it again")
    if _STARTUP_REFUSED in str(cause):
        return StoreError(f"a connection pooler stands before Postgres and refuses: {_first_line(cause)}", where=where,
                          hint="take `options` out of the URL and PGOPTIONS out of the environment, or set"
                               " ignore_startup_parameters = options in pgbouncer.ini")  # fmt: skip
    if isinstance(cause, pg.LockNotAvailable | pg.DeadlockDetected | pg.QueryCanceled):
        return StoreUnavailable(f"Postgres is busy: {_first_line(cause)}", where=where, hint="try again in a minute")
    if isinstance(cause, psycopg.Error) and (cause.sqlstate or "").startswith(_OF_THE_ROW):
        return RowRefused(f"Postgres cannot hold this: {_first_line(cause)}", where=where,
                          hint="run again with --debug for the statement")  # fmt: skip
    if isinstance(cause, pg.OutOfMemory):
        return StoreError(f"Postgres has no memory left: {_first_line(cause)}", where=where,
                          hint="give the server more memory, or lower max_connections or work_mem")  # fmt: skip
    if isinstance(cause, pg.ReadOnlySqlTransaction):
        return StoreError("the database is read-only", where=where,
                          hint="name the primary server in RPRM_DATABASE_URL")  # fmt: skip
    if _is_connection_failure(error):
        return StoreUnavailable(f"Postgres: {_first_line(cause)}", where=where,
                                hint="check that the server runs: rprm-jobs doctor")  # fmt: skip
    return StoreError(f"Postgres: {_first_line(cause)}", where=where, hint="run again with --debug for the statement")


def _first_line(error: BaseException | None) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
