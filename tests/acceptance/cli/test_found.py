"""A job that is found keeps what it was called, and `submit` says so; `report -o -` is the page and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import Cli

pytestmark = pytest.mark.acceptance


def test_a_name_for_a_job_that_is_found_is_not_lost_silently(cli: Cli, solutions: Path) -> None:
    line = ("submit", str(solutions), "--judge", "scripted", "-k", "2", "--name")
    first, second = cli(*line, "first"), cli(*line, "second")
    assert second.stdout == first.stdout
    assert "--name" not in first.stderr + cli(*line, "first").stderr
    assert "--name has no effect on a job that is found, which keeps its own; --new makes another job" in second.stderr
    assert cli.json("jobs")[0]["name"] == "first"


def test_a_report_may_go_to_standard_output(cli: Cli, solutions: Path, served: object) -> None:  # noqa: ARG001
    job = str(cli.json("submit", str(solutions), "--judge", "scripted", "-k", "2", "--wait")["job_id"])
    page = cli("report", job, "-o", "-").stdout
    assert page.startswith("<!")
    assert page.rstrip().endswith("</html>")
