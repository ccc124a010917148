"""Scoring judges in vLLM against plain forward passes: one of each way in which vLLM gets a family's head.

`python -m benchmarks.engine_parity` does this for all families, by hand: an engine takes half a minute to start.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from rprm_jobs.errors import ConfigError, JudgeError, PromptTooLong
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.resolve import resolve_judge
from tests.support.score_models import BY_FAMILY, HOSTILE, PROBLEM, SOLUTIONS, build_folder
from tests.support.score_reference import Reference
from workers.engines import create_engine
from workers.engines.reaper import engine_processes
from workers.engines.vllm.scorer import VllmScorer
from workers.tasks.score import rewards_of

pytest.importorskip("vllm", reason="vLLM is not installed")
pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    # What vLLM and torch deprecate among themselves.
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:(torch|vllm|transformers)(\..*)?"),
]
# vLLM's own head; chosen logits that vLLM makes a head of.
WAYS = ("qwen-prm", "math-shepherd")
Running = tuple[VllmScorer, ScoreFamily, Reference]


@pytest.fixture(scope="module", params=WAYS)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, runner: asyncio.Runner
) -> Iterator[Running]:
    folder = build_folder(tmp_path_factory.mktemp("judges"), BY_FAMILY[request.param], seed=1)
    judge = resolve_judge(str(folder))
    scorer = create_engine("vllm", judge, {"max_num_seqs": "16"})
    assert isinstance(scorer, VllmScorer)
    assert isinstance(judge.family, ScoreFamily)
    runner.run(scorer.start())
    yield scorer, judge.family, Reference(folder)
    runner.run(scorer.close())
    assert engine_processes(os.getpid()) == []


def test_scores_are_those_of_the_published_code(running: Running, runner: asyncio.Runner) -> None:
    scorer, family, reference = running

    async def all_at_once() -> list[list[float]]:
        solutions = [*SOLUTIONS.values(), HOSTILE]
        return await asyncio.gather(*(rewards_of(scorer, family, PROBLEM, steps) for steps in solutions))

    *scored, hostile = runner.run(all_at_once())
    for steps, rewards in zip(SOLUTIONS.values(), scored, strict=True):
        assert rewards == pytest.approx(reference.rewards(family.name, PROBLEM, steps), abs=1e-4)
    assert len(hostile) == len(HOSTILE)


def test_a_solution_beyond_the_window_is_refused_and_never_cut(running: Running, runner: asyncio.Runner) -> None:
    scorer, family, _ = running
    with pytest.raises(PromptTooLong, match="must fit in the judge's 2048"):
        runner.run(rewards_of(scorer, family, PROBLEM, ["word " * 2000]))


def test_what_vllm_cannot_score_is_said_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, runner: asyncio.Runner
) -> None:
    root = tmp_path_factory.mktemp("judges")
    for family in ("eurus-prm", "pqm", "act-prm", "llemma-prm"):
        judge = resolve_judge(str(build_folder(root, BY_FAMILY[family])))
        with pytest.raises(ConfigError, match=f"no head of the kind that family {family} reads") as caught:
            create_engine("vllm", judge, {})
        assert "--engine transformers" in caught.value.hint
    scorer = create_engine("vllm", resolve_judge(str(build_folder(root, BY_FAMILY["reason-eval"]))), {})
    with pytest.raises(JudgeError, match="vLLM has no ReasonEval_7B") as caught_too:
        runner.run(scorer.start())
    assert "--engine transformers" in caught_too.value.hint
