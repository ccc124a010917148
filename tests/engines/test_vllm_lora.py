"""A LoRA adapter on the vLLM engine gives the P(Yes) of the weights it would be merged into."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from rprm_jobs.errors import JudgeError
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.judge.verdict import find_verdicts
from tests.support.adapters import make_adapter, write_adapter
from tests.support.judges import render
from workers.engines import create_engine
from workers.engines.reaper import engine_processes
from workers.parity import SecondPass

pytest.importorskip("vllm", reason="vLLM is not installed")
pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:(torch|vllm|transformers)(\..*)?"),
]


def test_an_adapter_judges_as_if_merged(drilled_folder: Path, tmp_path: Path, runner: asyncio.Runner) -> None:
    make_adapter(drilled_folder, tmp_path / "adapter", tmp_path / "merged")
    base, judge = resolve_judge(str(drilled_folder)), resolve_judge(str(tmp_path / "adapter"))
    text = render("What is 3 + 4?", "3 + 4 = 7")

    async def run() -> list[tuple[str, float]]:
        engine = create_engine("vllm", judge, {"max_num_seqs": "16", "max_model_len": "512"})
        await engine.start()
        try:
            made = await engine.sample(engine.encode(text), range(12), judge.sampling)
            return [(g.text, g.p_yes) for g in made if g.p_yes is not None]
        finally:
            await engine.close()

    made = runner.run(run())
    assert made
    merged, plain = SecondPass(resolve_judge(str(tmp_path / "merged"))), SecondPass(base)
    for critique, p_yes in made:
        assert find_verdicts(critique)
        assert p_yes == pytest.approx(merged.p_yes(text, critique), abs=1e-4)
        assert abs(p_yes - plain.p_yes(text, critique)) > 1e-3


def test_an_adapter_that_vllm_cannot_load_is_refused_at_the_start(
    drilled_folder: Path, tmp_path: Path, runner: asyncio.Runner
) -> None:
    import torch

    before = set(engine_processes(os.getpid()))
    stem = "base_model.model.model.layers.0.no_such_part"
    weights = {f"{stem}.lora_{part}.weight": torch.ones(4, 4) for part in "AB"}
    write_adapter(tmp_path / "adapter", str(drilled_folder), weights)
    engine = create_engine("vllm", resolve_judge(str(tmp_path / "adapter")), {"max_model_len": "512"})
    with pytest.raises(JudgeError, match="vLLM does not load the adapter") as caught:
        runner.run(engine.start())
    assert "merge it into its base" in caught.value.hint
    assert set(engine_processes(os.getpid())) == before
