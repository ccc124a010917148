"""The database roles that docs/operations.md describes, made from the SQL on that page."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from rprm_jobs.store.session import Database, driver_connection

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
NAMES = ("rprm_worker", "rprm_reader")
PASSWORD = "choose-one"


def create_roles(database: Database, suffix: str) -> dict[str, str]:
    """Create the roles under names of the caller's own, since roles belong to the whole server; those names by role."""
    (statements,) = re.findall(r"```plpgsql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {name: f"{name}_{suffix}" for name in NAMES}
    for name, own in names.items():
        statements = statements.replace(name, own)
    with database.transaction() as connection:
        driver_connection(connection).execute(statements.replace("choose-another", PASSWORD))
    return names


def url_as(url: str, role: str) -> str:
    """The same database, as this role."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{role}:{PASSWORD}@{host}").geturl()
