"""What the loop refuses before anything is spent, and the folder that keeps its recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rprm_jobs.errors import ConfigError, Conflict, InputError, JudgeError
from rprm_jobs.judge import resolve
from rprm_jobs.launch import improve_checks
from rprm_jobs.launch.improve import Loop
from rprm_jobs.launch.improve_checks import check_loop, problem_digest, set_name
from rprm_jobs.settings import Limits

CONTEXT: Any = SimpleNamespace(settings=SimpleNamespace(limits=Limits()))


def rows(path: Path, names: Sequence[str], labels: Sequence[int] = (-1, 0)) -> str:
    solutions = [
        {"id": f"{name}-{i}", "problem": f"{name} ?", "steps": ["a", "b"], "label": label}
        for name in names
        for i, label in enumerate(labels)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in solutions))
    return str(path)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def loop(tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Loop:
    def resolve(arguments: Sequence[str]) -> Mapping[str, Any]:
        return {"learning_rate": 1e-6, "more": [one for one in arguments if "=" in one]}

    monkeypatch.setattr(improve_checks, "check_training", resolve)
    labelled = rows(tmp_path / "labelled.jsonl", ["one", "two"])
    held = rows(tmp_path / "held.jsonl", ["three"])
    return Loop(
        (labelled,), (held,), "tiny", tmp_path / "loop", 2, 4, 2, 0, (), "auto", (), True, lambda *_: None, said.append
    )


def test_an_equal_loop_goes_on_and_another_is_refused(loop: Loop, tmp_path: Path) -> None:
    check_loop(CONTEXT, loop)
    check_loop(CONTEXT, replace(loop, rounds=5, engine="vllm"))
    for change, words in {
        "train": ("more was", ("--learning-rate=1",)), "k": ("--critiques was 4 and is 8", 8),
        "labelled": ("other labelled rows", (rows(tmp_path / "l.jsonl", ["four"]),)),
        "validation": ("other --validate rows", (rows(tmp_path / "v.jsonl", ["five"]),)),
        "judge": ("another --judge", "tiny-sft"),
    }.items():  # fmt: skip
        with pytest.raises(Conflict, match=words[0]):
            check_loop(CONTEXT, replace(loop, **{change: words[1]}))


def test_problems_of_both_are_refused_or_left_out(loop: Loop, said: list[str], tmp_path: Path) -> None:
    mixed = replace(loop, validation=(rows(tmp_path / "m.jsonl", ["two ", "three"]),))
    with pytest.raises(InputError, match=r"1 of 2 problems to train on stand in the validation files") as refused:
        check_loop(CONTEXT, mixed)
    assert "--skip-shared" in refused.value.hint
    assert check_loop(CONTEXT, replace(mixed, skip_shared=True)).shared == {problem_digest("two ?")}
    assert "2 solutions left out of training" in said[-1]
    with pytest.raises(InputError, match="nothing is left to train on"):
        check_loop(CONTEXT, replace(loop, validation=loop.labelled, skip_shared=True))


def test_the_rest_is_refused_before_the_folder_is_made(loop: Loop, tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"train": ("--out=x",)}, ConfigError, "the loop sets this itself"),
        ({"labelled": ("-",)}, ConfigError, "standard input"),
        ({"seed": -1}, ConfigError, "no seed for every round"),
        ({"k": 0}, ConfigError, "k=0"),
        ({"judge": "scripted"}, JudgeError, "weights are needed"),
        ({"judge": "tiny-policy"}, JudgeError, "is a policy"),
        ({"validation": (rows(tmp_path / "r.jsonl", ["x"], [-1]),)}, InputError, "give no F1"),
        ({"labelled": (rows(tmp_path / "n.jsonl", ["x"], [7]),)}, InputError, "2 bad rows|1 bad row"),
    ]  # fmt: skip
    for change, error, words in cases:
        with pytest.raises(error, match=words):
            check_loop(CONTEXT, replace(loop, **change))
    assert not loop.out.exists()


def test_a_folder_that_cannot_be_written_is_refused(loop: Loop, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        check_loop(CONTEXT, replace(loop, out=tmp_path / "file" / "loop"))


def test_a_hubs_model_is_pinned_for_all_stages(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "pin", lambda *_: "a" * 40)
    monkeypatch.setattr(improve_checks, "_claim_folder", lambda *_: None)
    assert check_loop(CONTEXT, replace(loop, judge="org/model")).judge == f"org/model@{'a' * 40}"
    assert check_loop(CONTEXT, loop).judge == "tiny"


def test_folders_of_one_last_name_have_sets_of_their_own(tmp_path: Path) -> None:
    one, two = set_name(tmp_path / "a" / "loop", 1), set_name(tmp_path / "b" / "loop", 1)
    assert one != two
    assert one.startswith("loop-")
    assert set_name(tmp_path / "a" / ".." / "a" / "loop", 1) == one
