"""A LoRA adapter on the transformers engine judges as the weights that it would be merged into, or is refused."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.engine import Generation
from rprm_jobs.errors import ConfigError, JudgeError, MissingExtra
from rprm_jobs.judge.resolve import Judge, resolve_judge
from rprm_jobs.judge.verdict import find_verdicts
from tests.support.adapters import ALPHA, RANK, make_adapter, write_adapter
from tests.support.judges import render
from workers import parity
from workers.engines import create_engine, extras
from workers.engines.adapter import check_tied
from workers.engines.reference import reference_of
from workers.engines.vllm.adapter import check_served
from workers.parity import SecondPass

pytest.importorskip("peft", reason="PEFT is not installed")
pytestmark = pytest.mark.engine
TEXT = render("What is 3 + 4?", "3 + 4 = 7")


def sampled(judge: Judge, runner: asyncio.Runner) -> list[Generation]:
    engine: Any = create_engine("transformers", judge, {"device": "cpu", "threads": "1"})

    async def run() -> list[Generation]:
        await engine.start()
        try:
            made: list[Generation] = await engine.sample(engine.encode(TEXT), range(12), judge.sampling)
            return made
        finally:
            await engine.close()

    return runner.run(run())


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({}, ALPHA / RANK),
        ({"use_rslora": True}, ALPHA / RANK**0.5),
        ({"alpha_pattern": {"q_proj": 12, "v_proj": 12}}, 12 / RANK),
    ],
)
def test_an_adapter_judges_as_if_merged(
    config: dict[str, Any], scale: float, drilled_folder: Path, tmp_path: Path, runner: asyncio.Runner
) -> None:
    make_adapter(drilled_folder, tmp_path / "mine", tmp_path / "merged", scale=scale, **config)
    adapted, merged = (resolve_judge(str(tmp_path / name)) for name in ("mine", "merged"))
    made, base = sampled(adapted, runner), SecondPass(resolve_judge(str(drilled_folder)))
    for ours, theirs in zip(made, sampled(merged, runner), strict=True):
        assert ours.text == theirs.text
        assert ours.p_yes == pytest.approx(theirs.p_yes, abs=1e-5)
    judged = [(g.text, g.p_yes) for g in made if g.p_yes is not None and find_verdicts(g.text)]
    assert judged
    assert max(abs(p_yes - base.p_yes(TEXT, text)) for text, p_yes in judged) > 1e-3
    # What parity compares with is the adapter, unmerged.
    second = SecondPass(adapted)
    assert all(p_yes == pytest.approx(second.p_yes(TEXT, text), abs=1e-5) for text, p_yes in judged)


def weights_of(base: Path) -> dict[str, Any]:
    import torch
    from safetensors.torch import load_file

    rows = {name: w for name, w in load_file(base / "model.safetensors").items() if name.endswith("q_proj.weight")}
    shapes = {f"base_model.model.{name.removesuffix('.weight')}": w.shape for name, w in rows.items()}
    return {
        f"{stem}.lora_{part}.weight": torch.ones(shape)
        for stem, (out, into) in shapes.items()
        for part, shape in (("A", (RANK, into)), ("B", (out, RANK)))
    }


def _without_a_layer(weights: dict[str, Any]) -> dict[str, Any]:
    return {name: weight for name, weight in weights.items() if ".layers.1." not in name}


def _with_a_layer_more(weights: dict[str, Any]) -> dict[str, Any]:
    return weights | {name.replace(".layers.1.", ".layers.7."): weight.clone() for name, weight in weights.items()}


def _of_another_width(weights: dict[str, Any]) -> dict[str, Any]:
    return {name: weight[:, :3].clone() if "lora_A" in name else weight for name, weight in weights.items()}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_without_a_layer, "the adapter's file lacks 2 of its weights"),
        (_with_a_layer_more, "the base has no place for 2 of the adapter's weights"),
        (_of_another_width, "cannot be added to its base"),
    ],
)
def test_an_adapter_of_another_base_is_refused(
    change: Callable[[dict[str, Any]], dict[str, Any]],
    words: str,
    drilled_folder: Path,
    tmp_path: Path,
    runner: asyncio.Runner,
) -> None:
    weights = change(weights_of(drilled_folder))
    write_adapter(tmp_path / "mine", str(drilled_folder), weights, target_modules=["q_proj"])
    with pytest.raises(JudgeError, match=words) as caught:
        sampled(resolve_judge(str(tmp_path / "mine")), runner)
    assert "base_model_name_or_path" in caught.value.hint
    assert caught.value.where == str(tmp_path / "mine")


def test_weights_that_the_base_uses_twice_are_refused(
    drilled_folder: Path, tmp_path: Path, runner: asyncio.Runner
) -> None:
    import torch

    stem = "base_model.model.lm_head"
    weights = {f"{stem}.lora_A.weight": torch.ones(RANK, 64), f"{stem}.lora_B.weight": torch.ones(9, RANK)}
    write_adapter(tmp_path / "mine", str(drilled_folder), weights, target_modules=["lm_head"])
    with pytest.raises(JudgeError, match="the same weights at both ends"):
        sampled(resolve_judge(str(tmp_path / "mine")), runner)

    class Untied:
        tie_word_embeddings = False

    check_tied(weights, Untied, tmp_path)


def test_another_chat_template_is_refused(drilled_folder: Path, tmp_path: Path, runner: asyncio.Runner) -> None:
    from transformers import AutoTokenizer

    folder = write_adapter(
        tmp_path / "mine", str(drilled_folder), weights_of(drilled_folder), target_modules=["q_proj"]
    )
    tokenizer: Any = AutoTokenizer.from_pretrained(drilled_folder)
    # As trainers leave it there.
    tokenizer.save_pretrained(folder)
    assert sampled(resolve_judge(str(folder)), runner)
    for file in folder.glob("chat_template*"):
        file.unlink()
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": "{{ messages }}"}))
    with pytest.raises(JudgeError, match="another chat template"):
        sampled(resolve_judge(str(folder)), runner)
    (folder / "chat_template.jinja").write_text(tokenizer.chat_template)
    assert sampled(resolve_judge(str(folder)), runner)


def test_without_peft_it_is_said_what_to_install(
    drilled_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = resolve_judge(str(write_adapter(tmp_path / "mine", str(drilled_folder))))
    monkeypatch.setattr(extras, "has_module", lambda name: name != "peft")
    for start in (lambda: create_engine("transformers", judge, {}), lambda: parity.SecondPass(judge)):
        with pytest.raises(MissingExtra) as caught:
            start()
        assert caught.value.hint == "pip install 'rprm-jobs[lora]'"


def test_an_adapter_of_a_hub_is_not_loaded_on_whatever_base(
    drilled_folder: Path, tmp_path: Path, runner: asyncio.Runner
) -> None:
    make_adapter(drilled_folder, tmp_path / "mine", tmp_path / "merged")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(drilled_folder / name, tmp_path / "mine")
    # A hub id has no folder to be looked at before, and is loaded by transformers in the same way.
    judge = replace(resolve_judge(str(tmp_path / "mine")), location=str(tmp_path / "mine"), adapter=None)
    with pytest.raises(JudgeError, match="the commit of its base is not known"):
        sampled(judge, runner)


def test_the_reference_of_a_log_ratio_is_a_whole_model(drilled_folder: Path, tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "mine", str(drilled_folder))
    judge = resolve_judge(str(drilled_folder), f"eurus-prm,reference={folder}")
    with pytest.raises(JudgeError, match="the reference model is an adapter"):
        reference_of(judge)


@pytest.mark.parametrize("engine", ["transformers", "vllm", "auto"])
def test_an_adapter_is_no_engine_argument(engine: str, drilled: Judge) -> None:
    with pytest.raises(ConfigError, match="an adapter is a judge of its own") as caught:
        create_engine(engine, drilled, {"lora": "runs/adapter"})
    assert "--judge runs/adapter" in caught.value.hint


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "lora_only"}, "bias=lora_only"),
        ({"lora_bias": True}, "biases of its own"),
        ({"alora_invocation_tokens": [1]}, "aLoRA"),
        ({"trainable_token_indices": [1]}, "trained tokens"),
    ],
)
def test_what_vllm_does_not_serve_is_said_without_vllm(
    config: dict[str, Any], words: str, drilled_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = resolve_judge(str(write_adapter(tmp_path / "mine", str(drilled_folder), **config)))
    monkeypatch.setattr(extras, "has_module", lambda name: name != "vllm")
    with pytest.raises(JudgeError, match="which vLLM does not serve") as caught:
        create_engine("vllm", judge, {})
    assert words in caught.value.what
    assert "--engine transformers" in caught.value.hint


def test_vllm_must_not_leave_out_larger_embeddings(drilled_folder: Path, tmp_path: Path) -> None:
    import torch

    weights = weights_of(drilled_folder)
    assert check_served(write_adapter(tmp_path / "plain", str(drilled_folder), weights)).name == "plain"
    weights["base_model.model.model.embed_tokens.base_layer.weight"] = torch.ones(2, 2)
    with pytest.raises(JudgeError, match=r"has base_model\.model\.model\.embed_tokens\.base_layer\.weight, which vLLM"):
        check_served(write_adapter(tmp_path / "mine", str(drilled_folder), weights))


def test_dora_and_new_modules_are_served_by_transformers(
    drilled_folder: Path, tmp_path: Path, runner: asyncio.Runner
) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    library: Any = AutoModelForCausalLM
    shutil.copytree(drilled_folder, tmp_path / "merged")
    config = LoraConfig(
        r=RANK, target_modules=["q_proj"], task_type="CAUSAL_LM", use_dora=True, modules_to_save=["norm"], bias="all",
        init_lora_weights=False,
    )  # fmt: skip
    adapted: Any = get_peft_model(library.from_pretrained(drilled_folder), config)
    adapted.save_pretrained(tmp_path / "mine")
    adapted.merge_and_unload().save_pretrained(tmp_path / "merged")
    ours, theirs = (sampled(resolve_judge(str(tmp_path / name)), runner) for name in ("mine", "merged"))
    assert [g.text for g in ours] == [g.text for g in theirs]
    assert [g.p_yes for g in ours] == pytest.approx([g.p_yes for g in theirs], abs=1e-5)
