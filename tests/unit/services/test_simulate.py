"""Simulations: the published table, and recorded votes with planned rules fitted to other solutions."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from rprm_jobs.errors import ConfigError, InputError
from rprm_jobs.services.evaluation.simulate import Line, Simulation, simulate_published, simulate_recorded
from rprm_jobs.settings import Limits
from rprm_jobs.stopping.prior import PUBLISHED


def line(found: Simulation, kind: str, **options: object) -> Line:
    fitted_to = options.pop("fitted_to", "")
    return next(
        one for one in found.lines if one.rule == {"kind": kind, **options} and one.fitted_to.endswith(str(fitted_to))
    )


def recorded(path: Path, n: int, *, soft: float = 0.0, seed: int = 0) -> str:
    rng = random.Random(seed)
    with path.open("w") as file:
        for _ in range(n):
            steps = []
            for yes in rng.choices(range(11), PUBLISHED, k=4):
                votes = rng.sample([1] * yes + [0] * (10 - yes), 10)
                steps.append([abs(vote - soft * rng.random()) for vote in votes])
            file.write(json.dumps({"votes": steps}) + "\n")
    return str(path)


def test_the_published_votes_keep_to_what_is_known_of_them() -> None:
    found = simulate_published()
    assert (found.k, found.steps) == (10, 83_456)
    assert line(found, "exact").outcome.critiques == pytest.approx(5.84, abs=0.01)
    assert line(found, "exact").outcome.changed == 0
    adaptive = line(found, "adaptive", confidence=0.95).outcome
    assert adaptive.critiques <= 4.0
    assert adaptive.changed <= 0.006
    for changed, critiques, share in ((0.0076, 3.22, 0.0076), (0.0025, 4.1, 0.0024), (0.0003, 5.1, 0.00024)):
        planned = line(found, "planned", changed=changed, fitted_to="the same votes").outcome
        assert planned.critiques <= critiques
        assert planned.changed <= share
        unseen = line(found, "planned", changed=changed, fitted_to="pilots of 1,000").outcome
        assert unseen.changed <= changed
        assert unseen.critiques <= critiques + 0.4


def test_json_is_in_percent() -> None:
    shown = simulate_published().as_json()
    assert shown["rules"][0] == {
        "rule": "fixed", "fitted_to": None, "critiques": 10.0, "changed_percent": 0.0,
        "changed_solutions_percent": None,
    }  # fmt: skip
    adaptive = next(one for one in shown["rules"] if one.get("confidence") == 0.95)
    assert adaptive["changed_percent"] == pytest.approx(0.511, abs=0.001)


def test_a_smaller_k_of_the_published_votes() -> None:
    assert simulate_published(k=4).lines[0].outcome.critiques == pytest.approx(4)
    with pytest.raises(ConfigError, match="says nothing about k=11"):
        simulate_published(k=11)


def test_recorded_votes(tmp_path: Path) -> None:
    found = simulate_recorded(recorded(tmp_path / "v.jsonl", 100, soft=0.2), Limits(), seed=1)
    assert (found.k, found.steps, found.left_out) == (10, 400, 0)
    assert line(found, "exact").outcome.changed_solutions == 0.0
    same = line(found, "planned", changed=0.0025, fitted_to="the same votes").outcome
    crossed = line(found, "planned", changed=0.0025, fitted_to="the other half").outcome
    assert same.critiques < line(found, "exact").outcome.critiques
    assert crossed.critiques == pytest.approx(same.critiques, abs=0.5)
    assert crossed.changed < 0.01


def test_steps_with_fewer_critiques_are_counted_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    path.write_text('{"votes": [[1, 1, 1], [1, 0], []]}\n{"votes": [0, 0, 1]}\n')
    assert simulate_recorded(str(path), Limits()).left_out == 2
    two = simulate_recorded(str(path), Limits(), k=2)
    assert (two.k, two.steps, two.left_out) == (2, 3, 1)
    with pytest.raises(InputError, match="no step has 4 critiques"):
        simulate_recorded(str(path), Limits(), k=4)


def test_rows_that_hold_no_votes_are_named(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    path.write_text('{"votes": [[1, 2]]}\n{"id": "a", "rewards": [0.5]}\n')
    with pytest.raises(InputError, match="2 rows") as error:
        simulate_recorded(str(path), Limits())
    assert [bad.line for bad in error.value.bad_lines] == [1, 2]
    path.write_text("")
    with pytest.raises(InputError, match="no step has any critiques"):
        simulate_recorded(str(path), Limits())
