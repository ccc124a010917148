"""A lock that Postgres frees the moment its holder's connection ends, however the holder's process died.

It is a session-level advisory lock, so it needs a session of its own: not a connection through a transaction pooler.
"""

from __future__ import annotations

import secrets
import select
from contextlib import ExitStack

import psycopg
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from rprm_jobs.errors import StoreError
from rprm_jobs.store.session import Database, driver_connection


class SessionLock:
    """At most one lock at a time. Its methods are for one thread."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Connection | None = None
        self._closing = ExitStack()

    def acquire(self) -> int:
        """Take a new lock on a new connection; returns its key, which nobody had before. Raises StoreError."""
        self.release()
        key = secrets.randbits(63)
        with ExitStack() as stack:
            connection = stack.enter_context(self._database.session())
            stack.callback(connection.invalidate)
            with connection.begin():
                # A server may end sessions that are idle for long, and this one always is.
                connection.execute(text("SET idle_session_timeout = 0"))
                connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": key})
            self._connection, self._closing = connection, stack.pop_all()
        return key

    def broken(self) -> bool:
        """Whether the lock is not held any more. Asks the server only when the connection has something to say."""
        if self._connection is None:
            return True
        try:
            if not select.select([driver_connection(self._connection).fileno()], [], [], 0)[0]:
                return False
            with self._connection.begin():
                self._connection.execute(text("SELECT 1"))
        except (SQLAlchemyError, psycopg.Error, OSError, StoreError):
            return True
        return False

    def release(self) -> None:
        """Give the lock back by closing its connection."""
        self._connection = None
        self._closing.close()
