"""Judges' folders as the hub has them: remote code, old fields, shards, other widths and heads that stand apart.

Each is a tiny model of a published kind, changed as published folders differ from what `save_pretrained` writes today.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.errors import JudgeError
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.resolve import resolve_judge
from tests.support.score_models import BY_FAMILY, PROBLEM, SOLUTIONS, build_folder
from workers.engines import create_engine
from workers.tasks.score import rewards_of

pytestmark = pytest.mark.engine
STEPS = SOLUTIONS["plain"]


def rewards(folder: Path, runner: asyncio.Runner, **options: str) -> list[float]:
    judge = resolve_judge(str(folder))
    scorer: Any = create_engine("transformers", judge, {"device": "cpu", "threads": "1", **options})
    family = judge.family
    assert isinstance(family, ScoreFamily)
    runner.run(scorer.start())
    try:
        return runner.run(rewards_of(scorer, family, PROBLEM, STEPS))
    finally:
        runner.run(scorer.close())


def configured(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **fields}
    path.write_text(json.dumps({name: value for name, value in config.items() if value != "gone"}))


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def written(folder: Path, tensors: dict[str, Any], name: str = "model.safetensors") -> None:
    from safetensors.torch import save_file

    save_file(tensors, folder / name, metadata={"format": "pt"})


def remote_code(folder: Path) -> None:
    """Qwen2.5-Math-PRM's: code of its own, which is not there, and the language head that it no longer uses."""
    modules = {"AutoConfig": "configuration_qwen2_rm.Qwen2RMConfig", "AutoModel": "modeling_qwen2_rm.Qwen2ForX"}
    configured(folder, auto_map=modules)
    held = weights(folder)
    written(folder, {**held, "lm_head.weight": held["model.embed_tokens.weight"].clone()})


def old_fields(folder: Path) -> None:
    """As transformers 4.37 wrote it."""
    config = json.loads((folder / "config.json").read_text())
    theta = config["rope_parameters"]["rope_theta"]
    configured(
        folder, rope_theta=theta, rope_parameters="gone", dtype="gone", torch_dtype="float32", layer_types="gone",
        sliding_window=4096, use_sliding_window=False, max_window_layers=28, transformers_version="4.37.0",
    )  # fmt: skip


def shards(folder: Path) -> None:
    """Two files and their index, the head in the last one."""
    held = weights(folder)
    names = sorted(held, key=lambda name: name.startswith("score"))
    files = {name: f"model-0000{1 + (at >= len(names) // 2)}-of-00002.safetensors" for at, name in enumerate(names)}
    for file in set(files.values()):
        written(folder, {name: held[name] for name in names if files[name] == file}, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    (folder / "model.safetensors").unlink()


def files_beside(folder: Path) -> None:
    """What repositories hold besides: a readme, code, logs of a training, a second copy in another format."""
    for name in ("README.md", "modeling_qwen2_rm.py", ".gitattributes", "trainer_state.json", "training_args.bin"):
        (folder / name).write_bytes(b"not to be read")
    (folder / "runs").mkdir()


@pytest.mark.parametrize("change", [remote_code, old_fields, shards, files_beside])
def test_a_published_folder_scores_as_the_plain_one(
    tmp_path: Path, runner: asyncio.Runner, change: Callable[[Path], None]
) -> None:
    folder = build_folder(tmp_path, BY_FAMILY["qwen-prm"])
    expected = rewards(folder, runner)
    change(folder)
    assert rewards(folder, runner) == pytest.approx(expected, abs=1e-6)


def test_an_ensemble_has_as_many_heads_as_it_has(tmp_path: Path, runner: asyncio.Runner) -> None:
    folder = build_folder(tmp_path, BY_FAMILY["act-prm"])
    expected, held = rewards(folder, runner), weights(folder)
    heads = {name for name in held if name.startswith("score.")}
    # ActPRM's own script trains 32. Those here say the same four times over.
    written(folder, {n: t.repeat(4, *[1] * (t.dim() - 1)) if n in heads else t for n, t in held.items()})
    assert rewards(folder, runner) == pytest.approx(expected, abs=1e-6)


def test_a_head_in_a_file_of_its_own_is_found(tmp_path: Path, runner: asyncio.Runner) -> None:
    folder = build_folder(tmp_path, BY_FAMILY["pqm"])
    expected, held = rewards(folder, runner), weights(folder)
    heads = {name for name in held if name.startswith("v_head.")}
    written(folder, {name: tensor for name, tensor in held.items() if name not in heads})
    # As LLaMA-Factory and TRL write it beside the weights of the language model.
    written(folder, {name: held[name] for name in heads}, "value_head.safetensors")
    assert rewards(folder, runner) == pytest.approx(expected, abs=1e-6)


def test_a_snapshot_in_the_hubs_cache_is_known_by_its_repository(tmp_path: Path) -> None:
    built = build_folder(tmp_path, BY_FAMILY["math-shepherd"])
    snapshots = tmp_path / "hub" / "models--peiyi9979--math-shepherd-mistral-7b-prm" / "snapshots"
    snapshots.mkdir(parents=True)
    folder = built.rename(snapshots / ("0123456789" * 4))
    assert resolve_judge(str(folder)).family.name == "math-shepherd"


def test_an_adapter_alone_is_no_judge(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(JudgeError, match="an adapter without the model") as caught:
        resolve_judge(str(tmp_path))
    assert "merge_and_unload" in caught.value.hint


def test_a_value_head_of_a_published_family_is_not_taken_for_a_critic(tmp_path: Path) -> None:
    # The architecture is a language model's, so only the name says what it is.
    folder = build_folder(tmp_path, BY_FAMILY["pqm"])
    with pytest.raises(JudgeError, match="trained to score, not to write") as caught:
        resolve_judge(str(folder.rename(tmp_path / "mine")))
    assert "--family" in caught.value.hint
