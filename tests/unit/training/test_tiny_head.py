"""The two-class head of the arithmetic world: its examples, its checkpoints, and that its folder is a judge."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from rprm_jobs.judge.encode_solution import SolutionEncoder
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.resolve import resolve_judge
from training import tiny_head
from training.folder import load_tokenizer
from training.world import draw_solution

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def encoder() -> SolutionEncoder:
    return SolutionEncoder(load_tokenizer(resolve_judge("tiny")), tiny_head.family())


def test_steps_are_labelled_up_to_the_first_wrong_one(encoder: SolutionEncoder) -> None:
    for wrong in (True, False):
        solution = draw_solution(random.Random(1), wrong=wrong)
        ids, places = tiny_head.labelled(encoder, solution)
        kinds = [kind for _, kind in places]
        assert kinds == ([1] * solution.label + [0] if wrong else [1] * len(solution.steps))
        assert {ids[place] for place, _ in places} == {encoder.encode("", ["x"]).ids[-1]}


def test_a_training_that_was_cut_goes_on_and_its_folder_is_a_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_head, "BATCH", 4)
    monkeypatch.setattr(tiny_head, "CHECKPOINT_EVERY", 2)
    monkeypatch.setattr(tiny_head, "evaluate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        tiny_head.build(tmp_path, steps=2)
    monkeypatch.undo()
    monkeypatch.setattr(tiny_head, "BATCH", 4)
    measured = tiny_head.build(tmp_path, steps=3, count=4)
    assert measured["training"]["note"] == "resumed from a checkpoint"
    assert measured["evaluation"]["solutions"] == 4
    family = resolve_judge(str(tmp_path)).family
    assert isinstance(family, ScoreFamily)
    assert family == tiny_head.family()
    assert (family.name, family.lowest, family.threshold) == ("tiny-head", 0.0, 0.5)
    assert "tiny-head" in (tmp_path / "README.md").read_text()
