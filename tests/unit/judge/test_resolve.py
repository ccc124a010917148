"""From `--judge` to a judge: shipped names, folders, hub ids; fingerprints and queue names."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rprm_jobs.errors import ConfigError, JudgeError, NotFound
from rprm_jobs.judge import fingerprint
from rprm_jobs.judge.fingerprint import fingerprint_folder
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.resolve import check_has_weights, resolve_judge, shipped_judges
from rprm_jobs.types import Sampling, Turn


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that looks like a judge."""
    made = tmp_path / "My Judge v2"
    made.mkdir()
    (made / "config.json").write_text("{}")
    (made / "tokenizer.json").write_text("{}")
    (made / "model.safetensors").write_bytes(bytes(range(256)))
    return made


def test_the_shipped_judges_resolve() -> None:
    assert {"tiny", "scripted"} <= set(shipped_judges())
    for name in shipped_judges():
        judge = resolve_judge(name)
        assert judge.name == name
        assert re.fullmatch(rf"rprm\.{name}\.[0-9a-f]{{12}}", judge.queue)


def test_a_folder_is_a_judge_by_its_name_and_content(folder: Path) -> None:
    judge = resolve_judge(str(folder))
    assert (judge.name, judge.location) == ("My Judge v2", str(folder))
    assert judge.queue == f"rprm.my-judge-v2.{fingerprint_folder(folder)[:12]}"
    assert judge.template == PromptTemplate.default()
    assert judge.sampling == Sampling()


def test_the_card_brings_prompt_and_sampling(folder: Path) -> None:
    (folder / "p.txt").write_text("{} {} {}")
    (folder / "rprm_judge.json").write_text(json.dumps({"prompt": "p.txt", "temperature": 0.5}))
    judge = resolve_judge(str(folder))
    assert judge.template.source == "{} {} {}"
    assert judge.sampling == Sampling(temperature=0.5)


@pytest.mark.parametrize("card", ['{"promt": "p.txt"}', "{", '{"temperature": "hot"}'])
def test_a_bad_card_is_refused(folder: Path, card: str) -> None:
    (folder / "rprm_judge.json").write_text(card)
    with pytest.raises(ConfigError, match=r"rprm_judge\.json"):
        resolve_judge(str(folder))


def test_a_hub_id_with_its_commit_asks_nobody() -> None:
    judge, other = (resolve_judge(f"Org/Model-7B@{digit * 40}") for digit in "ab")
    assert (judge.name, judge.location, judge.revision) == (f"Org/Model-7B@{'a' * 40}", "Org/Model-7B", "a" * 40)
    assert judge.queue == f"rprm.org-model-7b.{judge.fingerprint[:12]}"
    assert judge.queue != other.queue
    assert resolve_judge(judge.name) == judge


def test_what_only_a_server_has_asks_no_hub_and_promises_no_commit() -> None:
    judge = resolve_judge("endpoint:org/model")
    assert (judge.name, judge.served_as, judge.revision) == ("endpoint:org/model", "org/model", None)
    assert judge.queue.startswith("rprm.endpoint-org-model.")
    assert judge.queue != resolve_judge("endpoint:org/other").queue


@pytest.mark.parametrize("name", ["endpoint:gpt", "scripted"])
def test_a_judge_without_weights_is_refused_where_they_are_needed(name: str) -> None:
    with pytest.raises(JudgeError, match="weights are needed"):
        check_has_weights(resolve_judge(name))


@pytest.mark.parametrize(
    "name", ["no-such-judge", "a/b/c", "/no/such/folder", "../up", "a b", "x/", "org/model@", "endpoint:", "endpoint: "]
)
def test_an_unknown_judge_says_what_may_be_named(name: str) -> None:
    with pytest.raises(NotFound, match="unknown judge") as caught:
        resolve_judge(name)
    assert "scripted" in caught.value.hint


@pytest.mark.parametrize(("missing", "message"), [("config.json", "config.json"), ("model.safetensors", "weights")])
def test_a_folder_that_holds_no_judge(folder: Path, missing: str, message: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(JudgeError, match=message):
        resolve_judge(str(folder))


def test_the_fingerprint_follows_the_content_and_not_the_place(folder: Path, tmp_path: Path) -> None:
    before = fingerprint_folder(folder)
    (folder / "README.md").write_text("notes do not count")
    assert fingerprint_folder(folder) == before
    moved = folder.rename(tmp_path / "elsewhere")
    assert fingerprint_folder(moved) == before
    (moved / "tokenizer.json").write_text("{ }")
    assert fingerprint_folder(moved) != before


def test_a_change_anywhere_in_large_weights_of_a_training_step_is_seen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint, "_WHOLE", 4096)
    monkeypatch.setattr(fingerprint, "_SAMPLE", 64)
    weights = folder / "model.safetensors"
    weights.write_bytes(bytes(100_000))
    before = fingerprint_folder(folder)
    weights.write_bytes(bytes([1]) + bytes(99_999))
    first = fingerprint_folder(folder)
    weights.write_bytes(bytes(99_999) + bytes([1]))
    last = fingerprint_folder(folder)
    weights.write_bytes(bytes(100_001))
    assert len({before, first, last, fingerprint_folder(folder)}) == 4


def test_a_very_long_name_keeps_its_queue_short(tmp_path: Path, folder: Path) -> None:
    judge = resolve_judge(str(folder.rename(tmp_path / ("x" * 200))))
    assert len(judge.queue) <= 5 + 40 + 1 + 12


def test_the_card_names_a_system_message(folder: Path) -> None:
    (folder / "rprm_judge.json").write_text('{"system_prompt": "Be strict."}')
    judge = resolve_judge(str(folder))
    assert judge.template.before == (Turn("system", "Be strict."),)


def test_what_is_asked_follows_the_file_and_the_system_message_that_are_given(folder: Path) -> None:
    judge = resolve_judge(str(folder))
    (folder / "other.txt").write_text("{} {} {}")
    assert judge.asked_with(None, None) == judge.template
    assert judge.asked_with(folder / "other.txt", None).source == "{} {} {}"
    asked = judge.asked_with(folder / "other.txt", "Be strict.").message("q", ["a"], 0)
    assert asked.before == (Turn("system", "Be strict."),)
    assert judge.asked_with(None, "Be strict.").render("q", ["a"], 0) == judge.template.render("q", ["a"], 0)
