"""Migrations are one line without forks: two that were written at the same time must not share a revision."""

from __future__ import annotations

import re

from rprm_jobs.store.schema.migrations import migrations, revisions

_FOLLOWS = re.compile(r'^revision = "(\d+)"\ndown_revision = (?:"(\d+)"|None)$', re.MULTILINE)


def test_every_migration_follows_exactly_the_one_before() -> None:
    files = sorted((migrations() / "versions").glob("*.py"))
    links = sorted(link for file in files for link in _FOLLOWS.findall(file.read_text()))
    assert len(links) == len(files)
    numbers = [f"{number:04}" for number in range(1, len(files) + 1)]
    assert links == list(zip(numbers, ["", *numbers[:-1]], strict=True))
    assert revisions() == numbers
