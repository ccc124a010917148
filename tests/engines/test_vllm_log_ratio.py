"""EurusPRM in vLLM: two engines, the judge's and its reference's, against plain forward passes of both."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from rprm_jobs.errors import PromptTooLong
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.resolve import resolve_judge
from tests.support.score_models import BY_FAMILY, PROBLEM, SOLUTIONS, Published, build_folder
from tests.support.score_reference import Reference
from workers.engines import create_engine
from workers.engines.reaper import engine_processes
from workers.engines.vllm.log_ratio import VllmLogRatio
from workers.tasks.score import rewards_of

pytest.importorskip("vllm", reason="vLLM is not installed")
pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    # What vLLM and torch deprecate among themselves.
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:(torch|vllm|transformers)(\..*)?"),
]
FAMILY = "eurus-prm"


def test_rewards_are_those_of_both_models_and_a_long_solution_is_refused(
    tmp_path: Path, runner: asyncio.Runner
) -> None:
    folder = build_folder(tmp_path / "judge", BY_FAMILY[FAMILY], seed=1)
    other = build_folder(tmp_path, Published("rprm", "reference", "Qwen2ForCausalLM"), seed=2)
    judge = resolve_judge(str(folder), f"{FAMILY},reference={other}")
    family = judge.family
    assert isinstance(family, ScoreFamily)
    # Engines that run without processes of their own load twice as fast.
    scorer = create_engine("vllm", judge, {"max_num_seqs": "16", "distributed_executor_backend": "uni"})
    assert isinstance(scorer, VllmLogRatio)
    before = set(engine_processes(os.getpid()))

    async def all_at_once() -> list[list[float]]:
        return await asyncio.gather(*(rewards_of(scorer, family, PROBLEM, steps) for steps in SOLUTIONS.values()))

    runner.run(scorer.start())
    try:
        scored, reference = runner.run(all_at_once()), Reference(folder, other)
        for steps, rewards in zip(SOLUTIONS.values(), scored, strict=True):
            assert rewards == pytest.approx(reference.rewards(FAMILY, PROBLEM, steps), abs=1e-4)
        assert scorer.stats().prompt_tokens > 0
        with pytest.raises(PromptTooLong, match="must fit in the judge's 2048"):
            runner.run(rewards_of(scorer, family, PROBLEM, ["word " * 2000]))
    finally:
        runner.run(scorer.close())
    assert set(engine_processes(os.getpid())) == before
