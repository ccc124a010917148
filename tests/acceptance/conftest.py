"""Real workers on the test's servers, destroyed after every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rprm_jobs.services.context import Context
from tests.support.workers import Workers


@pytest.fixture
def workers(servers_env: dict[str, str], context: Context, tmp_path: Path) -> Iterator[Workers]:
    """Starts workers; kills what is left of them at the end."""
    started = Workers(servers_env, context.database, tmp_path)
    yield started
    started.destroy()
