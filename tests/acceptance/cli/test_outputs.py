"""Outputs that cannot be written: a full disk, a place that takes no files. What is there is never half a result."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import Cli

pytestmark = [pytest.mark.acceptance, pytest.mark.usefixtures("served")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def job(cli: Cli, solutions: Path) -> str:
    """A finished job with more critiques than fit on the small disk."""
    return str(cli.json("submit", str(solutions), "--judge", "scripted", "-k", "20", "--wait")["job_id"])


def test_a_full_disk_is_named_and_what_was_there_stays(cli: Cli, small_disk: Path, job: str) -> None:
    old = small_disk / "r.jsonl"
    cli("results", job, "-o", str(old))
    before = old.read_bytes()
    for target in (old, small_disk / "r.parquet"):
        done = cli("results", job, "--critiques", "-o", str(target), code=2)
        assert f"{target}: the output cannot be written: No space left on device" in done.stderr
        assert [file.name for file in small_disk.iterdir()] == ["r.jsonl"]
        assert old.read_bytes() == before
    page = small_disk / "report.html"
    assert "No space left on device" in cli("report", job, "-o", str(page), code=2).stderr


def test_a_place_that_takes_no_files(cli: Cli, job: str) -> None:
    for command in (("results", job, "-o", "/sys/r.jsonl"), ("report", job, "-o", "/sys/r.html")):
        assert "writable folder" in cli(*command, code=2).stderr
