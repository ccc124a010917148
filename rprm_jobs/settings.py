"""Configuration: environment variables, read once where a process starts and handed on as one frozen object.

Nothing configured means the embedded servers in `RPRM_HOME`. An unknown `RPRM_*` variable is an error, because a
misspelt setting that is silently dropped is worse than one that stops the command.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rprm_jobs.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one input row; a row beyond one is refused with the bound in the reason."""

    max_line_bytes: int = 16 * 1024 * 1024
    max_steps: int = 1000
    max_text_chars: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that comes from the environment. URLs may hold passwords: print them with `mask_url` only.

    Times are seconds. `lease_s` is how long a silent worker keeps a shard; `renew_s` how often it says it lives;
    `sweep_s` how often lapsed leases are collected and bells rung; `record_s` how often results are written;
    `grace_s` how long a stopping worker finishes what it has begun.
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


_SERVER_NAMES = {"RPRM_HOME": "home", "RPRM_DATABASE_URL": "database_url", "RPRM_REDIS_URL": "redis_url"}
_NUMBER_NAMES = {
    "RPRM_LEASE_S": ("lease_s", float),
    "RPRM_RENEW_S": ("renew_s", float),
    "RPRM_SWEEP_S": ("sweep_s", float),
    "RPRM_RECORD_S": ("record_s", float),
    "RPRM_GRACE_S": ("grace_s", float),
    "RPRM_SHARD_SOLUTIONS": ("shard_solutions", int),
}
_LIMIT_NAMES = {
    "RPRM_MAX_LINE_BYTES": "max_line_bytes",
    "RPRM_MAX_STEPS": "max_steps",
    "RPRM_MAX_TEXT_CHARS": "max_text_chars",
}
# Read by others: the tests, the fault injection of `rprm_jobs.crash`, an engine, and docker-compose.yml.
_OTHER_NAMES = {
    "RPRM_TEST_DATA",
    "RPRM_TEST_SERVERS",
    "RPRM_CRASH_AT",
    "RPRM_API_KEY",
    "RPRM_POSTGRES_PASSWORD",
    "RPRM_REDIS_PASSWORD",
    "RPRM_JUDGE",
}


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read `RPRM_*` from `environ` (default: the process's). Raises ConfigError on a bad value or an unknown name."""
    env = {k: v for k, v in (os.environ if environ is None else environ).items() if k.startswith("RPRM_")}
    known = {*_SERVER_NAMES, *_NUMBER_NAMES, *_LIMIT_NAMES}
    unknown = sorted(set(env) - known - _OTHER_NAMES)
    if unknown:
        raise ConfigError(
            f"unknown setting {unknown[0]}", where="environment", hint=f"known are {', '.join(sorted(known))}"
        )
    numbers = {name: _number(key, env[key], kind) for key, (name, kind) in _NUMBER_NAMES.items() if key in env}
    limits = {name: _number(key, env[key], int) for key, name in _LIMIT_NAMES.items() if key in env}
    return _checked(
        Settings(
            home=_home(env.get("RPRM_HOME")),
            database_url=env.get("RPRM_DATABASE_URL") or None,
            redis_url=env.get("RPRM_REDIS_URL") or None,
            limits=Limits(**limits),
            **numbers,
        )
    )


def _home(value: str | None) -> Path:
    if value:
        return Path(value).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("rprm-jobs")


def _number(name: str, text: str, kind: type[float] | type[int]) -> Any:
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
