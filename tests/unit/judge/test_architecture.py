"""A model that writes no critiques is refused by its architecture or its head, and the refusal says what it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rprm_jobs.errors import JudgeError
from rprm_jobs.judge.resolve import resolve_judge, shipped_judges


def model(folder: Path, architectures: object, *weights: str) -> Path:
    """A folder that looks like a model to whoever reads its configuration and its weights' names."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": architectures}))
    header = json.dumps({name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in weights}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    return folder


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        ("Qwen2ForTokenClassification", "token classifier"),
        ("LlamaForSequenceClassification", "sequence classifier"),
        ("Qwen2ForRewardModel", "reward model"),
        ("Qwen2ForPrmModel", "value head"),
        ("BertModel", "bare encoder"),
        ("SomethingElse", "no language model"),
    ],
)
def test_other_architectures_are_refused_by_name(tmp_path: Path, architecture: str, words: str) -> None:
    with pytest.raises(JudgeError, match=words) as caught:
        resolve_judge(str(model(tmp_path / "judge", [architecture], "model.embed_tokens.weight")))
    assert architecture in str(caught.value)
    assert "R-PRM" in caught.value.hint


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        ("v_head.summary.weight", "value head"),
        ("score.0.weight", "scoring head"),
        ("model.score.weight", "scoring head"),
        ("classifier.bias", "classification head"),
        ("pretrained_model.v_head.summary.bias", "value head"),
    ],
)
def test_a_language_model_with_another_head_is_refused(tmp_path: Path, weight: str, words: str) -> None:
    folder = model(tmp_path / "judge", ["Qwen2ForCausalLM"], "model.embed_tokens.weight", weight)
    with pytest.raises(JudgeError, match=words) as caught:
        resolve_judge(str(folder))
    assert weight in str(caught.value)


def test_a_head_in_a_file_of_its_own_counts(tmp_path: Path) -> None:
    folder = model(tmp_path / "judge", ["Qwen2ForCausalLM"], "model.embed_tokens.weight")
    (folder / "value_head.safetensors").write_bytes(b"")
    with pytest.raises(JudgeError, match=r"value_head\.safetensors"):
        resolve_judge(str(folder))


@pytest.mark.parametrize(
    "architectures",
    [["Qwen2ForCausalLM"], ["GPT2LMHeadModel"], ["Qwen2_5_VLForConditionalGeneration"], None, [], "x", [5]],
)
def test_models_that_write_and_those_that_do_not_say_are_taken(tmp_path: Path, architectures: object) -> None:
    names = ("lm_head.weight", "model.layers.0.mlp.scorer.weight", "model.embed_tokens.weight")
    assert resolve_judge(str(model(tmp_path / "judge", architectures, *names))).name == "judge"


@pytest.mark.parametrize("weights", [b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0{", b"\x02\0\0\0\0\0\0\0[]"])
def test_weights_that_cannot_be_read_are_the_engines_to_refuse(tmp_path: Path, weights: bytes) -> None:
    folder = model(tmp_path / "judge", ["Qwen2ForCausalLM"])
    (folder / "model.safetensors").write_bytes(weights)
    assert resolve_judge(str(folder)).name == "judge"


def test_the_shipped_judges_write() -> None:
    assert "tiny" in shipped_judges()
    assert resolve_judge("tiny").name == "tiny"


@pytest.mark.parametrize(
    ("folder", "architecture", "family"),
    [
        ("any", "Qwen2ForProcessRewardModel", "qwen-prm"),
        ("any", "Qwen2ForEnsemblePRM", "act-prm"),
        ("any", "ReasonEval_7B", "reason-eval"),
        ("any", "ReasonEval_34B", "reason-eval-34b"),
        ("Qwen2.5-Math-7B-PRM800K", "Qwen2ForProcessRewardModel", "qwen-prm"),
        ("Universal-PRM-7B", "Qwen2ForProcessRewardModel", "universal-prm"),
        ("PURE-PRM-7B", "Qwen2ForTokenClassification", "pure-prm"),
        ("math-shepherd-mistral-7b-prm", "MistralForCausalLM", "math-shepherd"),
        ("Llama3.1-8B-PRM-Deepseek-Data", "LlamaForCausalLM", "rlhflow-prm"),
        ("Skywork-o1-Open-PRM-Qwen-2.5-7B", "Qwen2ForCausalLM", "skywork-prm"),
        ("EurusPRM-Stage2", "Qwen2ForCausalLM", "eurus-prm"),
        # A critic that is called after a family whose labels trained it.
        ("my-Qwen2.5-Math-PRM-7B-critic", "Qwen2ForCausalLM", "rprm"),
    ],
)
def test_a_scoring_judge_is_recognised(tmp_path: Path, folder: str, architecture: str, family: str) -> None:
    assert (
        resolve_judge(str(model(tmp_path / folder, [architecture], "model.embed_tokens.weight"))).family.name == family
    )
