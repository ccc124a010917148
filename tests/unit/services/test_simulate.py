"""Simulations: the published table, and recorded votes with planned rules fitted to other solutions."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from rprm_jobs.errors import ConfigError, InputError
from rprm_jobs.services.evaluation.simulate import Line, Simulation, simulate_published
from rprm_jobs.services.evaluation.simulate_recorded import simulate_recorded
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
        "changed_solutions_percent": None, "score": None,
    }  # fmt: skip
    adaptive = next(one for one in shown["rules"] if one.get("confidence") == 0.95)
    assert adaptive["changed_percent"] == pytest.approx(0.511, abs=0.001)


def test_a_smaller_k_of_the_published_votes() -> None:
    assert simulate_published(k=4).lines[0].outcome.critiques == pytest.approx(4)
    with pytest.raises(ConfigError, match="say nothing about -k 11"):
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
    with pytest.raises(InputError, match="no step has a critique"):
        simulate_recorded(str(path), Limits())


def counted(path: Path, problems: int, *, seed: int = 0) -> str:
    """Rows of counted votes with labels: right steps mostly get Yes, wrong ones mostly No; two rows a problem."""
    rng = random.Random(seed)
    with path.open("w") as file:
        for number in range(2 * problems):
            wrong = [rng.random() < 0.3 for _ in range(6)]
            yes = [rng.choices(range(11), PUBLISHED if not w else PUBLISHED[::-1])[0] for w in wrong]
            errors = [place + 1 for place, w in enumerate(wrong) if w]
            row = {"id": str(number), "problem": f"p{number // 2}", "yes_of_10": yes, "error_steps": errors}
            file.write(json.dumps(row) + "\n")
    return str(path)


def test_labels_give_a_score_beside_the_calls_changed(tmp_path: Path) -> None:
    found = simulate_recorded(counted(tmp_path / "v.jsonl", 60), Limits(), seed=1)
    fixed, exact = line(found, "fixed").score, line(found, "exact").score
    assert fixed is not None
    assert exact is not None
    assert 60 < fixed.score < 100
    assert (fixed.difference, exact.difference, exact.score) == (0, 0, fixed.score)
    cheap = line(found, "planned", price=30.0, fitted_to="the other half")
    dear = line(found, "planned", price=250.0, fitted_to="the other half")
    assert cheap.outcome.critiques < dear.outcome.critiques < 6
    assert cheap.outcome.changed > dear.outcome.changed
    assert cheap.score is not None
    assert cheap.score.low < cheap.score.difference < cheap.score.high
    assert found.as_json()["rules"][0]["score"] == {"score": fixed.score, "difference": 0, "low": 0, "high": 0}


def test_the_score_is_that_of_prmbench(tmp_path: Path) -> None:
    # 3 right steps of which one is called wrong, 2 wrong ones of which one is called right: F1 of 66.7 and of 50.
    path = tmp_path / "v.jsonl"
    row = {"votes": [[1, 1], [1, 1], [0, 0], [0, 0], [1, 1], [1, 1]], "step_labels": [1, 1, 1, -1, -1, None]}
    path.write_text(json.dumps(row) + "\n")
    score = simulate_recorded(str(path), Limits()).lines[0].score
    assert score is not None
    assert score.score == pytest.approx((200 / 3 + 50) / 2)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"yes_of_10": [11]}, "whole numbers in 0..10"),
        ({"yes_of_10": [True]}, "whole numbers in 0..10"),
        ({"votes": [[1]], "error_steps": ["1"]}, "counted from 1"),
        ({"votes": [[1]], "step_labels": [1, 1]}, "a label for each step"),
        ({"votes": [[1]], "step_labels": ["good"]}, "1, 0, -1 or null"),
        ({"votes": [[1]], "label": 1}, "counted from 0"),
    ],
)
def test_labels_that_cannot_be_are_named(tmp_path: Path, row: dict[str, object], reason: str) -> None:
    path = tmp_path / "v.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError) as error:
        simulate_recorded(str(path), Limits())
    assert reason in error.value.bad_lines[0].reason


def test_problems_stay_on_one_side_of_the_split(tmp_path: Path) -> None:
    # One problem in two rows cannot be split, so nothing is fitted to another half.
    found = simulate_recorded(counted(tmp_path / "v.jsonl", 1), Limits())
    assert {one.fitted_to for one in found.lines} == {"", "the same votes"}
    assert "the other half" in {
        one.fitted_to for one in simulate_recorded(counted(tmp_path / "v.jsonl", 2), Limits()).lines
    }
