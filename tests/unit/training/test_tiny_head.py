"""The two-class head of the arithmetic world: its examples, its checkpoints, and that its folder is a judge."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.judge.encode_solution import SolutionEncoder
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.resolve import resolve_judge
from training import tiny_head, tiny_head_examples
from training.folder import load_tokenizer
from training.tiny_head_examples import encoder_of, family, labelled, padded
from training.world import ERROR_KINDS, ChainSolution, draw_solution

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def encoder() -> SolutionEncoder:
    return encoder_of(load_tokenizer(resolve_judge("tiny")))


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer(resolve_judge("tiny"))


def drawn(seed: int, *, wrong: bool) -> ChainSolution:
    return draw_solution(random.Random(seed), wrong=wrong)


@pytest.mark.parametrize("wrong", [True, False])
def test_steps_are_labelled_up_to_the_first_wrong_one(tokenizer: Any, encoder: SolutionEncoder, wrong: bool) -> None:
    for seed in range(8):
        solution = drawn(seed, wrong=wrong)
        row = labelled(tokenizer, encoder, solution)
        assert [kind for _, kind in row.ends] == ([1] * solution.label + [0] if wrong else [1] * len(solution.steps))
        assert {row.ids[place] for place, _ in row.ends} == {encoder.encode("", ["x"]).ids[-1]}


def test_a_wrong_step_is_right_up_to_where_it_differs(tokenizer: Any, encoder: SolutionEncoder) -> None:
    kinds = set()
    for seed in range(40):
        solution = drawn(seed, wrong=True)
        row = labelled(tokenizer, encoder, solution)
        known = solution.steps[: solution.label + 1]
        assert tokenizer.decode([row.ids[place] for place, _ in row.inside]) == "".join(known)
        written = tokenizer.decode([row.ids[place] for place, kind in row.inside if kind])
        wrong, true = known[-1], solution.true_step(solution.label)
        same = next(at for at, pair in enumerate(zip(wrong, true, strict=False)) if pair[0] != pair[1])
        assert written == "".join(known[:-1]) + wrong[:same]
        kinds.add(solution.kind)
    assert kinds == set(ERROR_KINDS)


@pytest.mark.parametrize("wrong", [True, False])
def test_it_learns_to_write_the_steps_before_the_first_wrong_one(
    tokenizer: Any, encoder: SolutionEncoder, wrong: bool
) -> None:
    for seed in range(8):
        solution = drawn(seed, wrong=wrong)
        row = labelled(tokenizer, encoder, solution)
        right = solution.steps[: solution.label] if wrong else solution.steps
        expected = "".join(f"Step {number}: {step}\n" for number, step in enumerate(right, 1))
        assert tokenizer.decode([row.ids[at] for at in row.right]) == expected
        ids, ends, inside, following = (part[0].tolist() for part in padded([row], 0))
        assert ids == row.ids
        assert [(at, token) for at, token in enumerate(following) if token >= 0] == [
            (at - 1, row.ids[at]) for at in row.right
        ]
        assert [(at, kind) for at, kind in enumerate(ends) if kind >= 0] == row.ends
        assert [(at, kind) for at, kind in enumerate(inside) if kind >= 0] == row.inside


def test_a_training_that_was_cut_goes_on_and_its_folder_is_a_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_head_examples, "BATCH", 4)
    monkeypatch.setattr(tiny_head, "CHECKPOINT_EVERY", 2)
    monkeypatch.setattr(tiny_head, "evaluate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        tiny_head.build(tmp_path, steps=2)
    monkeypatch.undo()
    monkeypatch.setattr(tiny_head_examples, "BATCH", 4)
    measured = tiny_head.build(tmp_path, steps=3, count=4)
    assert measured["training"]["note"] == "resumed from a checkpoint"
    assert measured["evaluation"]["solutions"] == 4
    found = resolve_judge(str(tmp_path)).family
    assert isinstance(found, ScoreFamily)
    assert found == family()
    assert (found.name, found.lowest, found.threshold) == ("tiny-head", 0.0, 0.5)
    assert "tiny-head" in (tmp_path / "README.md").read_text()
