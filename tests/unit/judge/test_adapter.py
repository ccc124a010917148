"""An adapter is a judge of its own: found by its folder, asked as its base, and told apart from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.errors import JudgeError
from rprm_jobs.judge.card import POLICY_CARD
from rprm_jobs.judge.judgement import judgement_space
from rprm_jobs.judge.places import model_paths
from rprm_jobs.judge.policy import PolicyCard, resolve_policy, write_policy_card
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.resolve import Judge, check_trainable, resolve_judge
from rprm_jobs.services.jobs.submit import make_recipe
from rprm_jobs.types import Sampling
from tests.support.adapters import write_adapter

pytest.importorskip("safetensors", reason="safetensors is not installed")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    made = tmp_path / "base"
    made.mkdir()
    (made / "config.json").write_text('{"architectures": ["Qwen2ForCausalLM"]}')
    (made / "tokenizer.json").write_text("{}")
    (made / "model.safetensors").write_bytes(bytes(range(256)))
    (made / "p.txt").write_text("base {} {} {}")
    (made / "rprm_judge.json").write_text('{"prompt": "p.txt", "temperature": 0.5}')
    return made


def rewrite(folder: Path, **fields: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_it_is_asked_as_its_base_and_is_another_judge(base: Path, tmp_path: Path) -> None:
    judge, plain = resolve_judge(str(write_adapter(tmp_path / "mine", str(base)))), resolve_judge(str(base))
    assert (judge.name, judge.adapter, judge.home) == ("mine", str(tmp_path / "mine"), str(tmp_path / "mine"))
    assert (plain.adapter, plain.home) == (None, str(base))
    assert (judge.location, judge.revision, judge.family) == (plain.location, plain.revision, plain.family)
    assert (judge.template, judge.sampling) == (plain.template, Sampling(temperature=0.5))
    assert judge.fingerprint != plain.fingerprint
    assert judge.queue.startswith("rprm.mine.")
    assert judge.identity != plain.identity


def test_no_judgement_of_the_base_is_taken_for_one_of_its_own(base: Path, tmp_path: Path) -> None:
    judges = [resolve_judge(str(folder)) for folder in (base, write_adapter(tmp_path / "mine", str(base)))]
    plain, adapted = (judgement_space(make_recipe(judge, k=2), "transformers") for judge in judges)
    assert plain != adapted


def test_a_job_says_the_folder_by_which_it_is_found_again(base: Path, tmp_path: Path) -> None:
    judge = resolve_judge(str(write_adapter(tmp_path / "mine", str(base))))
    paths = model_paths(judge=judge, policy=judge)
    assert paths == {"judge": str(tmp_path / "mine"), "policy": str(tmp_path / "mine")}
    assert resolve_judge(paths["judge"]) == judge
    shipped = resolve_judge(str(write_adapter(tmp_path / "of-tiny", resolve_judge("tiny").location)))
    assert model_paths(judge=shipped) == {"judge": str(tmp_path / "of-tiny")}


def test_what_training_calls_adapter_has_the_name_of_the_folder_above(base: Path, tmp_path: Path) -> None:
    assert resolve_judge(str(write_adapter(tmp_path / "runs" / "cold" / "adapter", str(base)))).name == "cold-adapter"


def test_its_own_card_counts(base: Path, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "mine", str(base))
    (folder / "q.txt").write_text("own {} {} {}")
    (folder / "rprm_judge.json").write_text('{"prompt": "q.txt", "system_prompt": "Be strict.", "max_new_tokens": 7}')
    judge = resolve_judge(str(folder))
    assert judge.template == PromptTemplate.load(folder / "q.txt").with_system("Be strict.")
    assert judge.sampling == Sampling(temperature=0.5, max_new_tokens=7)
    (folder / "rprm_judge.json").write_text('{"family": "critic"}')
    assert resolve_judge(str(folder)).family.name == "critic"


def test_trainers_leave_more_than_the_adapter(base: Path, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "checkpoint-10", str(base))
    for name in ("optimizer.pt", "scheduler.pt", "scaler.pt", "training_args.bin", "rng_state.pth", "config.json"):
        (folder / name).write_bytes(b"{}")
    assert resolve_judge(str(folder)).adapter == str(folder)


@pytest.mark.parametrize("named", ["../base", "base"])
def test_the_base_may_be_named_from_the_adapter_or_from_the_working_folder(
    named: str, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_judge(str(write_adapter(tmp_path / "mine", named))).location == str(base)


def test_the_base_may_be_on_a_hub_at_a_revision(tmp_path: Path) -> None:
    commit = "a" * 40
    judge = resolve_judge(str(write_adapter(tmp_path / "mine", "Org/Model-7B", revision=commit)))
    assert (judge.name, judge.location, judge.revision) == ("mine", "Org/Model-7B", commit)
    other = resolve_judge(str(write_adapter(tmp_path / "other", "Org/Model-7B", revision="b" * 40)))
    assert judge.fingerprint != other.fingerprint


def _other_alpha(folder: Path) -> None:
    rewrite(folder, lora_alpha=9)


def _other_weights(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")


def _new_field(folder: Path) -> None:
    rewrite(folder, use_rslora=True)


@pytest.mark.parametrize("change", [_other_alpha, _other_weights, _new_field])
def test_what_changes_the_model_changes_the_fingerprint(
    change: Callable[[Path], None], base: Path, tmp_path: Path
) -> None:
    folder = write_adapter(tmp_path / "mine", str(base))
    before = resolve_judge(str(folder)).fingerprint
    change(folder)
    assert resolve_judge(str(folder)).fingerprint != before


def test_where_the_files_are_does_not(base: Path, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "mine", str(base))
    before = resolve_judge(str(folder)).fingerprint
    moved = base.rename(tmp_path / "moved")
    rewrite(folder, base_model_name_or_path=str(moved), revision="main", inference_mode=False)
    assert resolve_judge(str(folder.rename(tmp_path / "other"))).fingerprint == before
    (moved / "model.safetensors").write_bytes(b"another base")
    assert resolve_judge(str(tmp_path / "other")).fingerprint != before


@pytest.mark.parametrize(
    ("fields", "words", "hint"),
    [
        ({"base_model_name_or_path": None}, "does not say which model", "base_model_name_or_path"),
        ({"base_model_name_or_path": " "}, "does not say which model", "base_model_name_or_path"),
        ({"base_model_name_or_path": "/mnt/nfs/them/base"}, "is not here: /mnt/nfs/them/base", "folder or hub id"),
        ({"base_model_name_or_path": "gpt2"}, "is not here: gpt2", "folder or hub id"),
        ({"base_model_name_or_path": "."}, "is an adapter itself", "merge that one"),
        ({"peft_type": "IA3"}, "of type IA3", "merge it into its base"),
        ({"peft_type": None}, "of type None", "merge it into its base"),
        ({"init_lora_weights": "pissa_niter_4"}, "changes the base's weights", "path_initial_model"),
        ({"init_lora_weights": "loftq"}, "changes the base's weights", "path_initial_model"),
        ({"task_type": "SEQ_CLS"}, "for SEQ_CLS", "merge it into its base"),
    ],
)
def test_an_adapter_that_cannot_be_used_is_refused(
    fields: dict[str, Any], words: str, hint: str, base: Path, tmp_path: Path
) -> None:
    folder = write_adapter(tmp_path / "mine", str(base), **fields)
    with pytest.raises(JudgeError, match=words) as caught:
        resolve_judge(str(folder))
    assert hint in caught.value.hint
    assert str(folder) in caught.value.where


def _pointer(folder: Path) -> None:
    (folder / "adapter_model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")


def _no_weights(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()


def _pickle(folder: Path) -> None:
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")


def _cut(folder: Path) -> None:
    (folder / "adapter_model.safetensors").write_bytes(b"cut")


def _no_json(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{")


def _list(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("[]")


@pytest.mark.parametrize(
    ("damage", "words", "hint"),
    [
        (_pointer, "is a Git LFS pointer", "git lfs pull"),
        (_no_weights, "weights are missing", "put adapter_model.safetensors there"),
        (_pickle, "weights are pickled", "put adapter_model.safetensors there"),
        (_cut, "no LoRA weights", "save_pretrained"),
        (_no_json, "configuration cannot be read", "save_pretrained"),
        (_list, "no JSON object", "save_pretrained"),
    ],
)
def test_a_damaged_folder_is_refused(
    damage: Callable[[Path], None], words: str, hint: str, base: Path, tmp_path: Path
) -> None:
    folder = write_adapter(tmp_path / "mine", str(base))
    damage(folder)
    with pytest.raises(JudgeError, match=words) as caught:
        resolve_judge(str(folder))
    assert hint in caught.value.hint
    assert str(folder) in caught.value.where


def test_a_base_that_is_no_model_says_whose_base_it_is(base: Path, tmp_path: Path) -> None:
    (base / "model.safetensors").unlink()
    with pytest.raises(JudgeError, match="holds no weights") as caught:
        resolve_judge(str(write_adapter(tmp_path / "mine", str(base))))
    assert caught.value.where == f"{base}, the base of {tmp_path / 'mine'}"


def test_a_new_head_makes_no_judge_that_writes(base: Path, tmp_path: Path) -> None:
    import torch

    stem = "base_model.model.model.layers.0.self_attn.q_proj"
    weights = {f"{stem}.lora_A.weight": torch.ones(2), "base_model.model.score.weight": torch.ones(2)}
    with pytest.raises(JudgeError, match="trained to score"):
        resolve_judge(str(write_adapter(tmp_path / "mine", str(base), weights)))


@pytest.mark.parametrize("family", ["qwen-prm", None])
def test_an_adapter_of_a_judge_that_scores_is_refused(family: str | None, base: Path, tmp_path: Path) -> None:
    (base / "config.json").write_text('{"architectures": ["Qwen2ForProcessRewardModel"]}')
    named = {"family": "qwen-prm"} if family is None else {}
    (base / "rprm_judge.json").write_text(json.dumps(named))
    with pytest.raises(JudgeError, match="adapters are only for judges that write: family qwen-prm scores") as caught:
        resolve_judge(str(write_adapter(tmp_path / "mine", str(base))), family)
    assert "merge it into its base" in caught.value.hint


def test_an_adapter_may_be_a_policy(base: Path, tmp_path: Path) -> None:
    (base / "rprm_judge.json").unlink()
    folder = write_adapter(tmp_path / "mine", str(base))
    write_policy_card(PolicyCard(separator="\n"), base / POLICY_CARD)
    policy = resolve_policy(str(folder))
    assert (policy.model.adapter, policy.card.separator) == (str(folder), "\n")
    with pytest.raises(JudgeError, match="is a policy"):
        resolve_judge(str(folder))
    write_policy_card(PolicyCard(separator="\t"), folder / POLICY_CARD)
    assert resolve_policy(str(folder)).card.separator == "\t"
    # A judge that was trained from a policy's weights.
    (folder / POLICY_CARD).unlink()
    (folder / "rprm_judge.json").write_text("{}")
    assert resolve_judge(str(folder)).adapter == str(folder)
    with pytest.raises(JudgeError, match="is a judge"):
        resolve_policy(str(folder))


def test_training_begins_from_a_whole_model(base: Path, tmp_path: Path) -> None:
    check_trainable(resolve_judge(str(base)))
    adapted: Judge = resolve_judge(str(write_adapter(tmp_path / "mine", str(base))))
    with pytest.raises(JudgeError, match="training begins from a whole model") as caught:
        check_trainable(adapted)
    assert "merge it into its base" in caught.value.hint
