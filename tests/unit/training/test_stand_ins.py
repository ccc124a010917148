"""The shipped head and critic: their folders are judges of their families, and their cards say what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import rprm_jobs
from rprm_jobs.judge.families.critic import CRITIC
from rprm_jobs.judge.resolve import resolve_judge
from training import tiny_critic, tiny_head
from training.folder import load_tokenizer
from training.tiny_head_examples import encoder_of, family

JUDGES = Path(rprm_jobs.__file__).parent / "judges"
CARDS = {"tiny-head": tiny_head.README, "tiny-critic": tiny_critic.README}
# The least F1 on 400 held-out solutions.
TARGETS = {"tiny-head": 40, "tiny-critic": 45}
NAMES = sorted(CARDS)


def measured(name: str) -> dict[str, Any]:
    return dict(json.loads((JUDGES / name / "measured.json").read_text("utf-8")))


@pytest.mark.parametrize("name", NAMES)
def test_the_folder_is_small_and_its_card_quotes_the_measurement(name: str) -> None:
    said = measured(name)
    assert (JUDGES / name / "README.md").read_text("utf-8") == CARDS[name].format(
        **said["training"], **said["evaluation"]
    )
    assert sum(path.stat().st_size for path in (JUDGES / name).iterdir()) < 2_500_000
    assert (said["evaluation"]["solutions"], said["training"]["base"]) == (400, "tiny")
    assert said["evaluation"]["f1"] >= TARGETS[name]


def test_they_are_found_by_name_and_know_their_family() -> None:
    critic, head = resolve_judge("tiny-critic"), resolve_judge("tiny-head")
    assert (critic.family, critic.template.source) == (CRITIC, tiny_critic.PROMPT)
    assert head.family == family()


@pytest.mark.engine
def test_the_shipped_head_is_as_good_as_its_card_says() -> None:
    from transformers import Qwen2ForTokenClassification

    model: Any = Qwen2ForTokenClassification.from_pretrained(JUDGES / "tiny-head")
    encoder = encoder_of(load_tokenizer(resolve_judge("tiny-head")))
    evaluation = tiny_head.evaluate(model.float(), encoder, 400)
    assert evaluation["f1"] == pytest.approx(measured("tiny-head")["evaluation"]["f1"], abs=2)
