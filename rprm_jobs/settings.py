"""Configuration: environment variables, read once where a process starts and handed on as one frozen object.

Nothing configured means the embedded servers in `RPRM_HOME`. An unknown `RPRM_*` variable is an error, because a
misspelt setting that is silently dropped is worse than one that stops the command.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rprm_jobs.errors import ConfigError

# Steps are numbered from 0 in a SMALLINT.
MOST_STEPS = 32_767


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one input row; a row beyond one is refused with the bound in the reason."""

    max_line_bytes: int = 16 * 1024 * 1024
    max_steps: int = 1000
    max_text_chars: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that comes from the environment. URLs may hold passwords: print them with `mask_url` only.

    Times are seconds; `VARIABLES` says what each field means.
    """

    home: Path
    database_url: str | None = None
    redis_url: str | None = None
    lease_s: float = 90.0
    renew_s: float = 15.0
    sweep_s: float = 5.0
    record_s: float = 2.0
    grace_s: float = 20.0
    shard_solutions: int = 32
    limits: Limits = field(default_factory=Limits)
    database_direct_url: str | None = None
    log_format: str = "text"
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable. `docs/configuration.md` is generated from these.

    `field` is the field of Settings that takes the value, "" for a variable that is read elsewhere. `kind` is the
    value's type. `shown` is the default as the documents show it; without it they show the field's own.
    """

    name: str
    what: str
    field: str = ""
    kind: type[str] | type[int] | type[float] = str
    shown: str = ""


VARIABLES = (
    Variable(
        "RPRM_DATABASE_URL",
        "Postgres 15 or newer, "
        "`postgresql://user:password@host:5432/name?sslmode=verify-full&sslrootcert=/path/ca.pem`",
        "database_url",
        shown="embedded",
    ),
    Variable(
        "RPRM_REDIS_URL",
        "Redis 6.2 or newer, `redis://:password@host:6379/0`, or with TLS "
        "`rediss://:password@host:6379/0?ssl_cert_reqs=required&ssl_ca_certs=/path/ca.pem`",
        "redis_url",
        shown="embedded",
    ),
    Variable(
        "RPRM_DATABASE_DIRECT_URL",
        "the same database past a transaction pooler such as PgBouncer, for `db upgrade` and the locks of workers; "
        "not needed without a pooler",
        "database_direct_url",
    ),
    Variable("RPRM_HOME", "where the embedded servers and the logs live", "home", shown="the user's data folder"),
    Variable("RPRM_LOG_FORMAT", "how workers log: `text`, or `json` for one object a line", "log_format"),
    Variable(
        "RPRM_METRICS_PORT",
        "the port on which a worker serves `/metrics`; several workers of one command take this one and those after it",
        "metrics_port",
        int,
        shown="no metrics",
    ),
    Variable("RPRM_METRICS_HOST", "the address on which it does; `0.0.0.0` for all", "metrics_host"),
    Variable("RPRM_LEASE_S", "seconds for which a silent worker keeps a shard", "lease_s", float),
    Variable(
        "RPRM_RENEW_S", "seconds between a worker's renewals of its leases; at most half a lease", "renew_s", float
    ),
    Variable("RPRM_SWEEP_S", "seconds between looks for lapsed leases and for waiting shards", "sweep_s", float),
    Variable("RPRM_RECORD_S", "seconds between records of finished solutions", "record_s", float),
    Variable("RPRM_GRACE_S", "seconds for which a stopping worker goes on with what it has started", "grace_s", float),
    Variable(
        "RPRM_SHARD_SOLUTIONS",
        "most solutions of a shard; of one-pass judges eight times as many",
        "shard_solutions",
        int,
    ),
    Variable("RPRM_MAX_LINE_BYTES", "longest line of an input, in bytes", "max_line_bytes", int),
    Variable("RPRM_MAX_STEPS", "most steps of a solution", "max_steps", int),
    Variable("RPRM_MAX_TEXT_CHARS", "most characters of a problem with its steps", "max_text_chars", int),
    Variable("RPRM_API_KEY", "the key of an OpenAI-compatible server; only the environment may hold it"),
    Variable("RPRM_TOKEN", "the token of a Python client for the service that it is given by URL"),
    Variable("RPRM_POSTGRES_PASSWORD", "must be set for `docker-compose.yml`, which alone reads it"),
    Variable("RPRM_REDIS_PASSWORD", "must be set for `docker-compose.yml`, which alone reads it"),
    Variable("RPRM_METRICS_TOKEN", "the token by which `docker-compose.yml`'s Prometheus asks the service"),
    Variable("RPRM_JUDGE", "the judge of `docker-compose.yml`'s worker, which alone reads it", shown="`tiny`"),
)
# Read by the tests, and by the fault injection of `rprm_jobs.crash`.
TEST_NAMES = {"RPRM_TEST_DATA", "RPRM_TEST_FUZZ", "RPRM_TEST_SERVERS", "RPRM_CRASH_AT"}


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read `RPRM_*` from `environ` (default: the process's). Raises ConfigError on a bad value or an unknown name."""
    env = {k: v for k, v in (os.environ if environ is None else environ).items() if k.startswith("RPRM_")}
    read_here = {variable.name: variable for variable in VARIABLES if variable.field}
    unknown = sorted(set(env) - {variable.name for variable in VARIABLES} - TEST_NAMES)
    if unknown:
        raise ConfigError(
            f"unknown setting {unknown[0]}", where="environment", hint=f"known are {', '.join(sorted(read_here))}"
        )
    values = {
        v.field: _number(v.name, env[v.name], v.kind) for v in read_here.values() if v.name in env and v.kind is not str
    }
    limits = {field.name: values.pop(field.name) for field in fields(Limits) if field.name in values}
    return _checked(
        Settings(
            home=_home(env.get("RPRM_HOME")),
            database_url=env.get("RPRM_DATABASE_URL") or None,
            redis_url=env.get("RPRM_REDIS_URL") or None,
            database_direct_url=env.get("RPRM_DATABASE_DIRECT_URL") or None,
            log_format=env.get("RPRM_LOG_FORMAT") or "text",
            metrics_host=env.get("RPRM_METRICS_HOST") or "127.0.0.1",
            limits=Limits(**limits),
            **values,
        )
    )


def _home(value: str | None) -> Path:
    if value:
        return Path(value).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("rprm-jobs")


def _number(name: str, text: str, kind: type[Any]) -> Any:
    try:
        value = kind(text)
    except ValueError:
        value = kind(0)
    if not 0 < value < float("inf"):
        raise ConfigError(f"{name}={text!r} is not a positive number", where="environment", hint=f"set {name} to one")
    return value


def _checked(settings: Settings) -> Settings:
    if settings.renew_s * 2 > settings.lease_s:
        raise ConfigError(
            f"RPRM_RENEW_S={settings.renew_s:g} leaves no second chance within RPRM_LEASE_S={settings.lease_s:g}",
            where="environment",
            hint="renew at least twice in a lease",
        )
    if settings.database_direct_url and not settings.database_url:
        raise ConfigError(
            "RPRM_DATABASE_DIRECT_URL is set without RPRM_DATABASE_URL",
            where="environment",
            hint="set RPRM_DATABASE_URL to the pooler's URL, or without a pooler to this one",
        )
    if settings.metrics_port is not None and settings.metrics_port > 65_535:
        raise ConfigError(
            f"RPRM_METRICS_PORT={settings.metrics_port} is no port", where="environment", hint="such as 9464"
        )
    if settings.limits.max_steps > MOST_STEPS:
        raise ConfigError(
            f"RPRM_MAX_STEPS={settings.limits.max_steps} is more than the {MOST_STEPS:,} that the database can number",
            where="environment",
            hint="set RPRM_MAX_STEPS to that or less, and split longer solutions",
        )
    return settings


def mask_url(url: str) -> str:
    """`url` with any password replaced by `***`, also one given as a query parameter; `***` alone for what is no URL.

    A password with unescaped `/`, `#`, `?` or `@` ends at the last `@`, wherever a parser would see it end.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "***" if url else ""
    user, at, server = rest.rpartition("@")
    if at:
        name, colon, _ = user.partition(":")
        rest = f"{name}{':***' if colon else ''}@{server}"
    return scheme + separator + re.sub(r"(?i)(password=)[^&]*", r"\1***", rest)


def check_redis_url(url: str) -> None:
    """Raises ConfigError unless this is the URL of a Redis."""
    if not _is_redis_url(url):
        raise ConfigError(
            "RPRM_REDIS_URL is not a Redis URL",
            where=mask_url(url),
            hint="write redis://:password@host:6379/0, with / # ? @ in the password as %2F %23 %3F %40",
        )


def _is_redis_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # Read for its ValueError: a port that is no number is mostly a piece of a password.
        _ = parts.port
    except ValueError:
        return False
    is_ours = url.startswith(("redis://", "rediss://")) and bool(parts.hostname)
    return is_ours and re.fullmatch(r"/?|/\d+", parts.path) is not None
