"""A scoring judge in vLLM's engine, with its processes and batches, against plain forward passes.

It is of an architecture that vLLM does not have. What vLLM makes of every family's model is in `test_vllm_models.py`;
`python -m benchmarks.engine_parity` starts an engine for each, by hand: one takes half a minute.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from rprm_jobs.errors import JudgeError, PromptTooLong
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.families.table import FAMILIES
from rprm_jobs.judge.resolve import resolve_judge
from tests.support.score_models import BY_FAMILY, HOSTILE, PROBLEM, SOLUTIONS, build_folder
from tests.support.score_reference import Reference
from workers.engines import create_engine
from workers.engines.heads import build_head
from workers.engines.reaper import engine_processes
from workers.engines.vllm.models import Spec, of_body
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
FAMILY = "act-prm"
Running = tuple[VllmScorer, ScoreFamily, Reference]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, runner: asyncio.Runner) -> Iterator[Running]:
    folder = build_folder(tmp_path_factory.mktemp("judges"), BY_FAMILY[FAMILY], seed=1)
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


def test_what_vllm_cannot_score_is_said_before_anything_is_loaded(
    tmp_path_factory: pytest.TempPathFactory, runner: asyncio.Runner
) -> None:
    # The engine of the other tests may still run.
    root, before = tmp_path_factory.mktemp("judges"), set(engine_processes(os.getpid()))
    judge = resolve_judge(str(build_folder(root, BY_FAMILY["eurus-prm"])), f"eurus-prm,reference={root / 'nowhere'}")
    with pytest.raises(JudgeError, match="the reference model cannot be used") as caught:
        create_engine("vllm", judge, {})
    assert "reference=FOLDER" in caught.value.hint
    other_head = resolve_judge(str(build_folder(root, BY_FAMILY["reason-eval"])), "reason-eval,outputs=4")
    with pytest.raises(JudgeError, match="3 outputs, and family reason-eval reads 4"):
        runner.run(create_engine("vllm", other_head, {}).start())
    assert set(engine_processes(os.getpid())) == before


@pytest.mark.parametrize("tied", [False, True])
def test_logits_of_the_vocabulary_become_a_head_of_their_own(tied: bool) -> None:
    import torch

    torch.manual_seed(0)
    rows, hidden = torch.randn(40, 8), torch.randn(5, 8)
    name = "model.embed_tokens.weight" if tied else "lm_head.weight"
    weights = [("model.norm.weight", torch.ones(8)), (name, rows), ("score.weight", rows), ("v_head.bias", rows)]
    for family, expected in (("math-shepherd", (hidden @ rows.T)[:, [7, 3]]), ("llemma-prm", hidden @ rows.T)):
        made: dict[str, torch.Tensor] = {}
        spec = Spec(score_family_of(family), "folder", label_ids=(7, 3))
        body = [name for name, _ in of_body(weights, spec, made, tied=tied)]
        assert body == (["model.norm.weight", name] if tied else ["model.norm.weight"])
        read = build_head(spec.family, made, where="folder")(hidden)
        wanted = expected if family == "math-shepherd" else expected.mean(dim=-1, keepdim=True)
        assert torch.allclose(read, wanted, atol=1e-5)


def score_family_of(name: str) -> ScoreFamily:
    family = FAMILIES[name].family
    assert isinstance(family, ScoreFamily)
    return family
