"""A judge that cannot be used is refused before any work is taken, with what is wrong and what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.errors import ConfigError, EngineError, JudgeError, MissingExtra, RprmError
from rprm_jobs.judge.resolve import Judge, resolve_judge
from workers.engines import create_engine, extras

pytestmark = pytest.mark.engine


@pytest.fixture
def folder(drilled_folder: Path, tmp_path: Path) -> Path:
    """A copy of the judge that a test may spoil."""
    return Path(shutil.copytree(drilled_folder, tmp_path / "judge"))


async def start(judge: Judge, **options: str) -> None:
    engine = create_engine("transformers", judge, {"device": "cpu", "threads": "1", **options})
    try:
        await engine.start()
    finally:
        await engine.close()


def refused(runner: Any, folder: Path, kind: type[RprmError], **options: str) -> str:
    with pytest.raises(kind) as caught:
        runner.run(start(resolve_judge(str(folder)), **options))
    assert caught.value.hint
    return str(caught.value)


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_whole_judge_starts(runner: Any, folder: Path) -> None:
    runner.run(start(resolve_judge(str(folder))))


def test_no_weights(runner: Any, folder: Path) -> None:
    judge = resolve_judge(str(folder))
    (folder / "model.safetensors").unlink()
    with pytest.raises(JudgeError, match="holds no weights"):
        runner.run(start(judge))


def test_weights_cut_short(runner: Any, folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "weights cannot be loaded" in refused(runner, folder, JudgeError)


def test_weights_of_another_shape(runner: Any, folder: Path) -> None:
    edit_json(folder / "config.json", intermediate_size=64)
    assert "weights cannot be loaded" in refused(runner, folder, JudgeError)


def test_weights_that_lack_a_layer(runner: Any, folder: Path) -> None:
    edit_json(folder / "config.json", num_hidden_layers=3, layer_types=["full_attention"] * 3)
    assert "lacks" in refused(runner, folder, JudgeError)


def test_pickled_weights_need_an_option(runner: Any, folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    assert "allow_pickle" in refused(runner, folder, JudgeError)
    runner.run(start(resolve_judge(str(folder)), allow_pickle="true"))


def test_a_judge_with_its_own_code_needs_an_option(runner: Any, folder: Path) -> None:
    (folder / "own.py").write_text("raise SystemExit('the judge\\'s own code ran')\n")
    edit_json(
        folder / "config.json",
        model_type="own",
        architectures=["Own"],
        auto_map={"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"},
    )
    refused(runner, folder, JudgeError)


def test_a_tokenizer_that_spells_words_out_tells_yes_from_no_by_their_first_letters(runner: Any, folder: Path) -> None:
    document = json.loads((folder / "tokenizer.json").read_text())
    document["model"]["merges"] = []
    (folder / "tokenizer.json").write_text(json.dumps(document))
    runner.run(start(resolve_judge(str(folder))))


def test_no_tokenizer(runner: Any, folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()
    refused(runner, folder, JudgeError)


def test_no_chat_template(runner: Any, folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    assert "chat template" in refused(runner, folder, JudgeError)


def test_an_architecture_with_sliding_windows(runner: Any, folder: Path) -> None:
    edit_json(
        folder / "config.json",
        use_sliding_window=True,
        sliding_window=16,
        layer_types=["full_attention", "sliding_attention"],
    )
    assert "--engine vllm" in refused(runner, folder, JudgeError)


def test_no_memory_for_the_weights(runner: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModelForCausalLM

    def load(*_: object, **__: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", load)
    with pytest.raises(EngineError, match="not enough memory"):
        runner.run(start(resolve_judge(str(folder))))


@pytest.mark.parametrize(
    "options",
    [
        {"max_model_len": "4096"},
        {"device": "tpu"},
        {"dtype": "int3"},
        {"max_batch": "-1"},
        {"max_batches": "4"},
        {"threads": "two"},
    ],
)
def test_a_wrong_option(runner: Any, folder: Path, options: dict[str, str]) -> None:
    refused(runner, folder, ConfigError, **options)


def test_a_cuda_device_that_is_not_there(runner: Any, folder: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    assert "no CUDA device" in refused(runner, folder, EngineError, device="cuda")


def test_a_library_that_is_not_installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", {}.get)
    with pytest.raises(MissingExtra, match=r"pip install 'rprm-jobs\[cpu\]'"):
        create_engine("transformers", resolve_judge(str(folder)), {})


def test_nothing_of_a_judge_is_needed_to_name_what_is_known(folder: Path) -> None:
    with pytest.raises(ConfigError, match="max_batch"):
        create_engine("transformers", resolve_judge(str(folder)), {"max_batchs": "3"})
