"""A LoRA adapter on the vLLM engine gives the P(Yes) of the weights it would be merged into."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.judge.verdict import find_verdicts
from tests.support.judges import render
from workers.engines import create_engine
from workers.parity import SecondPass

pytest.importorskip("vllm", reason="vLLM is not installed")
pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:(torch|vllm|transformers)(\..*)?"),
]

# SIZE changes P(Yes) and leaves the judge able to write.
RANK, ALPHA, SIZE = 4, 8, 0.1


def make_adapter(base: Path, adapter: Path, merged: Path) -> None:
    """A random adapter as PEFT writes it, and the base with the adapter merged in."""
    import torch
    from safetensors.torch import load_file, save_file

    torch.manual_seed(5)
    adapter.mkdir()
    shutil.copytree(base, merged)
    weights = load_file(base / "model.safetensors")
    parts = {}
    for name in [n for n in weights if n.endswith(("q_proj.weight", "v_proj.weight"))]:
        down, up = torch.randn(RANK, weights[name].shape[1]) * SIZE, torch.randn(weights[name].shape[0], RANK) * SIZE
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        parts[f"{stem}.lora_A.weight"], parts[f"{stem}.lora_B.weight"] = down, up
        weights[name] = weights[name] + (ALPHA / RANK) * (up @ down)
    save_file(parts, adapter / "adapter_model.safetensors")
    save_file(weights, merged / "model.safetensors", metadata={"format": "pt"})
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": ALPHA, "bias": "none"}
    config |= {"target_modules": ["q_proj", "v_proj"], "base_model_name_or_path": str(base)}
    (adapter / "adapter_config.json").write_text(json.dumps(config))


def test_an_adapter_judges_as_if_merged(drilled_folder: Path, tmp_path: Path, runner: asyncio.Runner) -> None:
    make_adapter(drilled_folder, tmp_path / "adapter", tmp_path / "merged")
    judge = resolve_judge(str(drilled_folder))
    text = render("What is 3 + 4?", "3 + 4 = 7")

    async def run() -> list[tuple[str, float]]:
        options = {"lora": str(tmp_path / "adapter"), "max_num_seqs": "16", "max_model_len": "512"}
        engine = create_engine("vllm", judge, options)
        await engine.start()
        try:
            made = await engine.sample(engine.encode(text), range(12), judge.sampling)
            return [(g.text, g.p_yes) for g in made if g.p_yes is not None]
        finally:
            await engine.close()

    made = runner.run(run())
    assert made
    merged, base = SecondPass(resolve_judge(str(tmp_path / "merged"))), SecondPass(judge)
    for critique, p_yes in made:
        assert find_verdicts(critique)
        assert p_yes == pytest.approx(merged.p_yes(text, critique), abs=1e-4)
        assert abs(p_yes - base.p_yes(text, critique)) > 1e-3
