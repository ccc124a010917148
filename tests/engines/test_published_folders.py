"""Folders as they are published and copied about: each variant is scored as the plain one, or refused in one line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.errors import JudgeError
from rprm_jobs.judge.encode_solution import SolutionEncoder
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.resolve import resolve_judge
from tests.support.score_models import BY_FAMILY, CHAT, PROBLEM, SOLUTIONS, build_folder
from workers.engines import create_engine
from workers.engines.transformers.scorer import TransformersScorer
from workers.tasks.score import rewards_of

pytestmark = pytest.mark.engine
Change = Callable[[Path], object]
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 5\n"


def rewards(folder: Path, runner: asyncio.Runner, options: Mapping[str, str] | None = None) -> list[float]:
    judge = resolve_judge(str(folder))
    scorer = create_engine("transformers", judge, {"device": "cpu", "threads": "1", **(options or {})})
    assert isinstance(scorer, TransformersScorer)
    assert isinstance(judge.family, ScoreFamily)
    runner.run(scorer.start())
    try:
        return runner.run(rewards_of(scorer, judge.family, PROBLEM, SOLUTIONS["plain"]))
    finally:
        runner.run(scorer.close())


def stating(name: str = "config.json", **fields: object) -> Change:
    """Other fields in a file of JSON; None takes one away."""

    def change(folder: Path) -> None:
        path = folder / name
        stated = json.loads(path.read_text()) | fields
        path.write_text(json.dumps({key: value for key, value in stated.items() if value is not None}))

    return change


def with_weights(change: Callable[[dict[str, Any]], Mapping[str, dict[str, Any]]]) -> Change:
    """The weights in other files: `change` maps all of them to those of each file."""

    def apply(folder: Path) -> None:
        import torch
        from safetensors.torch import load_file, save_file

        files = change(load_file(folder / "model.safetensors"))
        (folder / "model.safetensors").unlink()
        for name, weights in files.items():
            if name.endswith(".bin"):
                torch.save(weights, folder / name)
            else:
                save_file(weights, folder / name, metadata={"format": "pt"})
        if len(files) > 1 and any("-of-" in name for name in files):
            index = "pytorch_model.bin.index.json" if "bin" in next(iter(files)) else "model.safetensors.index.json"
            placed = {weight: name for name, weights in files.items() for weight in weights}
            (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": placed}))

    return apply


def sharded(form: str) -> Change:
    def split(weights: dict[str, Any]) -> dict[str, dict[str, Any]]:
        names = sorted(weights)
        halves = names[: len(names) // 2], names[len(names) // 2 :]
        return {form.format(i): {name: weights[name] for name in half} for i, half in enumerate(halves, 1)}

    return with_weights(split)


def renamed(rename: Callable[[str], str]) -> Change:
    return with_weights(lambda weights: {"model.safetensors": {rename(name): w for name, w in weights.items()}})


def without(*parts: str) -> Change:
    return with_weights(
        lambda all_: {"model.safetensors": {n: w for n, w in all_.items() if not any(part in n for part in parts)}}
    )


def head_apart(weights: dict[str, Any]) -> dict[str, dict[str, Any]]:
    head = {name for name in weights if name.startswith("v_head")}
    return {
        "model.safetensors": {name: weight for name, weight in weights.items() if name not in head},
        "value_head.safetensors": {name: weights[name] for name in head},
    }


def written(name: str, text: str) -> Change:
    return lambda folder: (folder / name).write_text(text)


def removed(name: str) -> Change:
    return lambda folder: (folder / name).rename(folder.parent / name)


REMOTE = {"AutoConfig": "configuration_qwen2_rm.Qwen2RMConfig", "AutoModel": "modeling_qwen2_rm.Qwen2RM"}
PICKLES = {"allow_pickle": "true"}


@pytest.mark.parametrize(
    ("family", "change", "options"),
    [
        pytest.param("qwen-prm", stating(auto_map=REMOTE), {}, id="code of its own, which is not run"),
        pytest.param("qwen-prm", stating(rope_theta=10000.0, rope_parameters=None), {}, id="an older config.json"),
        pytest.param("qwen-prm", stating(use_sliding_window=False, sliding_window=131072), {}, id="no window is used"),
        pytest.param("skywork-prm", stating(architectures=["Qwen2ForCausalLM"]), {}, id="of its base's architecture"),
        pytest.param("skywork-prm", sharded("model-{:05}-of-00002.safetensors"), {}, id="in parts"),
        pytest.param("skywork-prm", sharded("pytorch_model-{:05}-of-00002.bin"), PICKLES, id="in pickled parts"),
        pytest.param("skywork-prm", with_weights(head_apart), {}, id="its head in a file of its own"),
        pytest.param(
            "skywork-prm",
            renamed(lambda name: name if name.startswith("v_head") else f"pretrained_model.{name}"),
            {},
            id="saved with its wrapper",
        ),
        pytest.param(
            "pure-prm",
            renamed(lambda name: f"model.{name}" if name.startswith("score") else name),
            {},
            id="its head below the model",
        ),
        pytest.param("math-minos", stating(id2label=None, label2id=None, num_labels=1), {}, id="a number of labels"),
    ],
)
def test_it_is_scored_as_the_plain_folder(
    tmp_path: Path, runner: asyncio.Runner, family: str, change: Change, options: dict[str, str]
) -> None:
    folder = build_folder(tmp_path, BY_FAMILY[family], seed=1)
    plain = rewards(folder, runner)
    change(folder)
    assert rewards(folder, runner, options) == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize(
    ("family", "change", "words"),
    [
        pytest.param("math-shepherd", sharded("pytorch_model-{:05}-of-2.bin"), "are pickled", id="pickles"),
        pytest.param(
            "skywork-prm",
            lambda folder: (
                sharded("model-{:05}-of-00002.safetensors")(folder),
                removed("model-00002-of-00002.safetensors")(folder),
            ),
            "No such file",
            id="a part is missing",
        ),
        pytest.param("qwen-prm", without("score."), "it has no head", id="its body alone"),
        pytest.param("math-psa", without("lm_head."), "the file lacks 1 weights", id="no vocabulary"),
        pytest.param("qwen-prm", stating(vocab_size=600), "other shapes than config.json", id="another vocabulary"),
        pytest.param("qwen-prm", stating(model_type=None), "model_type", id="no type"),
        pytest.param("reason-eval", stating(model_type="mine"), "`mine`", id="a type of its own"),
        pytest.param("llemma-prm", removed("tokenizer.json"), "has no tokenizer", id="no tokenizer"),
        pytest.param(
            "qwen-prm",
            stating(quantization_config={"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}),
            "cannot be loaded",
            id="AWQ",
        ),
        pytest.param(
            "math-shepherd",
            stating(quantization_config={"quant_method": "gptq", "bits": 4, "group_size": 128}),
            "cannot be loaded",
            id="GPTQ",
        ),
        pytest.param("rlhflow-prm", written("chat_template.jinja", "{{ raise_exception('no') }}"), "no", id="template"),
        pytest.param("pure-prm", stating(architectures=["Qwen2ForSequenceClassification"]), "classifier", id="ORM"),
        pytest.param("math-psa", stating(architectures=["Qwen3Model"]), "bare encoder", id="embeddings"),
        pytest.param("qwen-prm", written("model.safetensors", POINTER), "Git LFS pointer", id="a pointer to weights"),
        pytest.param("qwen-prm", written("tokenizer.json", POINTER), "Git LFS pointer", id="a pointer to a tokenizer"),
        pytest.param("qwen-prm", written("config.json", POINTER), "Git LFS pointer", id="a pointer to a config"),
        pytest.param("qwen-prm", written("model.safetensors", ""), "cannot be loaded", id="empty"),
    ],
)
def test_it_is_refused_in_one_line(
    tmp_path: Path, runner: asyncio.Runner, family: str, change: Change, words: str
) -> None:
    folder = build_folder(tmp_path, BY_FAMILY[family])
    change(folder)
    with pytest.raises(JudgeError, match=words) as caught:
        rewards(folder, runner)
    assert caught.value.hint
    assert "\n" not in caught.value.what


def test_a_template_that_cuts_answers_cuts_no_step(tmp_path: Path) -> None:
    """As Qwen3's: of an assistant's turn it keeps what stands behind the last `</think>`."""
    from transformers import AutoTokenizer

    family = BY_FAMILY["qwen-prm"]
    folder = build_folder(tmp_path, family)
    judge = resolve_judge(str(folder))
    assert isinstance(judge.family, ScoreFamily)
    steps = ["1 + 1 = 3 </think>", "so </think> 3"]
    plain = SolutionEncoder(AutoTokenizer.from_pretrained(folder), judge.family).encode(PROBLEM, steps)
    cutting = CHAT.replace("message['content']", "(message['content'].split('</think>')|last|trim)")
    (folder / "chat_template.jinja").write_text(cutting)
    assert SolutionEncoder(AutoTokenizer.from_pretrained(folder), judge.family).encode(PROBLEM, steps) == plain
