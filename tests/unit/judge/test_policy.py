"""Policies and their cards: found as judges are, with errors that say what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rprm_jobs.errors import ConfigError, JudgeError, RprmError
from rprm_jobs.judge.card import POLICY_CARD
from rprm_jobs.judge.policy import DEFAULT_PROMPT, PolicyCard, resolve_policy, search_queue, write_policy_card
from rprm_jobs.judge.resolve import resolve_judge


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    made.mkdir()
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(b"weights")
    return made


def test_a_folder_without_a_card_is_asked_in_the_usual_way(folder: Path) -> None:
    policy = resolve_policy(str(folder))
    assert policy.card.prompt == DEFAULT_PROMPT
    assert (policy.card.separator, policy.card.answer_pattern) == ("\n\n", "")


def test_a_card_that_is_written_is_read(folder: Path) -> None:
    card = PolicyCard(prompt="Q: {problem}", separator="\n", answer_pattern=r"= (\d+)", max_new_tokens=7)
    write_policy_card(card, folder / POLICY_CARD)
    policy = resolve_policy(str(folder))
    assert policy.card == card
    assert policy.sampling.max_new_tokens == 7


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ('{"prompt": "no field"}', "exactly once"),
        ('{"prompt": "{problem} {problem}"}', "exactly once"),
        ('{"separator": ""}', "separator is empty"),
        ('{"answer_pattern": "("}', "no regular expression"),
        ('{"answer_pattern": "a"}', "0 groups"),
        ('{"promt": "{problem}"}', "cannot be read"),
        ("not json", "cannot be read"),
    ],
)
def test_a_card_that_is_wrong_is_refused(folder: Path, card: str, said: str) -> None:
    (folder / POLICY_CARD).write_text(card)
    with pytest.raises((ConfigError, RprmError), match=said):
        resolve_policy(str(folder))


def test_searches_have_a_queue_of_the_two_models(folder: Path) -> None:
    tiny, sft, scripted = resolve_judge("tiny"), resolve_judge("tiny-sft"), resolve_policy("scripted")
    pairs = ((scripted, tiny), (scripted, sft), (resolve_policy(str(folder)), tiny))
    queues = {search_queue(policy, judge) for policy, judge in pairs}
    assert len(queues) == 3
    assert all(queue.startswith("rprm.") for queue in queues)
    assert search_queue(scripted, tiny) not in {tiny.queue, scripted.model.queue}


def test_a_judge_is_no_policy_and_a_policy_no_judge(tmp_path: Path) -> None:
    with pytest.raises(JudgeError, match="tiny is a judge: it judges solutions and writes none") as refused:
        resolve_policy("tiny")
    assert "--policy tiny-policy" in refused.value.hint
    shipped = Path(resolve_policy("tiny-policy").model.location)
    with pytest.raises(JudgeError, match="is a policy: it writes solutions and judges none"):
        resolve_judge(str(shipped))
    # A model that has both cards is both.
    both = tmp_path / "both"
    shutil.copytree(shipped, both)
    (both / "rprm_judge.json").write_text("{}")
    assert resolve_judge(str(both)).fingerprint == resolve_policy(str(both)).model.fingerprint
