"""Tokens of the HTTP service and its audit log: created, listed, revoked, checked, and read."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from dataclasses import dataclass
from enum import StrEnum

from rprm_jobs.errors import ConfigError, StoreError
from rprm_jobs.services.context import Context
from rprm_jobs.store.access import audit_log, tokens
from rprm_jobs.store.access.audit_log import LogEntry
from rprm_jobs.store.access.tokens import StoredToken
from rprm_jobs.store.records import MAX_ID

_PREFIX = "rprm_"
_NAME = re.compile(r"[\w.@-]{1,100}")
MOST_DAYS = 3650.0


class Scope(StrEnum):
    """What a token allows, each with all before it: to look; to submit, judge and steer jobs; everything."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"

    def allows(self, needed: Scope) -> bool:
        """Whether a token of this scope is enough."""
        order = list(Scope)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request: a token's name, or whoever is on this machine."""

    name: str
    scope: Scope


def create_token(
    context: Context, name: str, scope: Scope, *, days: float | None, actor: str
) -> tuple[str, StoredToken]:
    """A new token, and what is stored of it. Raises ConfigError for a bad name, Conflict for one that is taken."""
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name for a token", hint="up to 100 letters, digits and . _ @ -")
    if days is not None and not 0 < days <= MOST_DAYS:
        raise ConfigError(f"--days {days:g} is not in (0, {MOST_DAYS:g}]", hint="leave it out for a token without end")
    secret = _PREFIX + secrets.token_urlsafe(32)
    with context.database.transaction() as connection:
        stored = tokens.create(connection, name=name, scope=scope.value, digest=_digest(secret), days=days)
        audit_log.add(connection, actor=actor, client="", action=f"token create {name} --scope {scope}", status=0)
    return secret, stored


def revoke_token(context: Context, name: str, *, actor: str) -> None:
    """End a token at once. Raises NotFound."""
    with context.database.transaction() as connection:
        tokens.revoke(connection, name)
        audit_log.add(connection, actor=actor, client="", action=f"token revoke {name}", status=0)


def list_tokens(context: Context) -> list[StoredToken]:
    """Every token that there ever was, oldest first."""
    with context.database.transaction() as connection:
        return tokens.list_all(connection)


def write_log(context: Context, caller: str, client: str, action: str, status: int) -> None:
    """Enter into the audit log that the caller did this."""
    with context.database.transaction() as connection:
        audit_log.add(connection, actor=caller, client=client, action=action, status=status)


def read_log(context: Context, limit: int, *, before: int | None = None) -> list[LogEntry]:
    """The newest entries of the audit log first."""
    with context.database.transaction() as connection:
        return audit_log.read(connection, limit, before=before or MAX_ID)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


class TokenBook:
    """The live tokens, read again from the store every `fresh_s` seconds at most: a flood of bad ones asks it no more.

    While the store does not answer, what was read last holds. A token is revoked within `fresh_s` seconds.
    """

    def __init__(self, context: Context, *, fresh_s: float = 1.0) -> None:
        self._context, self._fresh_s = context, fresh_s
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._live: dict[str, Caller] = {}
        self.any = False

    @property
    def stale(self) -> bool:
        """Whether `refresh` would read the store."""
        return time.monotonic() - self._read_at >= self._fresh_s

    def refresh(self) -> None:
        """Read the tokens again if they are stale. Raises StoreError when nothing was ever read."""
        with self._lock:
            if not self.stale:
                return
            first = self._read_at == float("-inf")
            try:
                stored = list_tokens(self._context)
            except StoreError:
                if first:
                    raise
                self._read_at = time.monotonic()
                return
            self._live = {token.digest: Caller(token.name, Scope(token.scope)) for token in stored if token.live}
            self.any = bool(stored)
            self._read_at = time.monotonic()

    def find(self, secret: str) -> Caller | None:
        """Whose token this is, None for an unknown one."""
        return self._live.get(_digest(secret))
