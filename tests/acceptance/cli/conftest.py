"""The command line on the test's own servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import jobs as made
from tests.support.command_line import Cli
from tests.support.workers import Workers


@pytest.fixture
def cli(servers_env: dict[str, str], tmp_path: Path) -> Iterator[Cli]:
    """The command line on the test's own servers, in the test's folder."""
    running = Cli(servers_env, tmp_path)
    yield running
    running.destroy()


@pytest.fixture
def served(workers: Workers) -> None:
    """A scripted worker is there already: a command that waits for its job need not start one."""
    workers.start()


@pytest.fixture
def solutions(tmp_path: Path) -> Path:
    """Twenty solutions of three steps."""
    return made.write_jsonl(tmp_path / "solutions.jsonl", made.make_solutions(20))
