"""The service in this process, spoken to as HTTP without a socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from rprm_jobs.server.app import create_app
from rprm_jobs.services.context import Context
from tests.support.workers import Workers


@pytest.fixture
def http(context: Context) -> Iterator[TestClient]:
    """A client of the service; what the service raises is answered, as it is outside."""
    with TestClient(create_app(context), base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def workers(context: Context, servers_env: dict[str, str], tmp_path: Path) -> Iterator[Workers]:
    """One scripted worker that serves, and those that a test starts itself."""
    started = Workers(servers_env, context.database, tmp_path)
    try:
        started.start()
        yield started
    finally:
        started.destroy()
