"""Every scoring family as vLLM loads it: the body that vLLM has, the head that it has not, without an engine.

vLLM's model is built in this process and its attention is a plain one over a single text, so what an engine adds
(batches, caches, processes) is not here: `test_vllm_scoring.py` starts two of them, `benchmarks.engine_parity` all.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.judge.families.scoring import Head, ScoreFamily
from rprm_jobs.judge.families.table import ROWS
from rprm_jobs.judge.resolve import resolve_judge
from tests.support.score_models import BY_FAMILY, PROBLEM, SOLUTIONS, build_folder
from tests.support.score_reference import Reference
from workers.engines import create_engine
from workers.engines.vllm.scorer import VllmScorer

pytest.importorskip("vllm", reason="vLLM is not installed")
pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # What vLLM and torch deprecate among themselves.
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning"),
    pytest.mark.filterwarnings(r"ignore::FutureWarning"),
    pytest.mark.filterwarnings(r"ignore::UserWarning"),
]
SCORING = [row.family for row in ROWS if isinstance(row.family, ScoreFamily)]
LOADED = [family.name for family in SCORING if family.head is not Head.LOG_RATIO]


@pytest.fixture(scope="module")
def _one_process() -> Iterator[None]:
    """This process as the only worker of vLLM."""
    from vllm.config import VllmConfig, set_current_vllm_config
    from vllm.distributed import parallel_state

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with set_current_vllm_config(VllmConfig()):
        parallel_state.init_distributed_environment(1, 0, f"tcp://127.0.0.1:{port}", 0, backend="gloo")
        parallel_state.initialize_model_parallel(1, 1)
    yield
    parallel_state.destroy_model_parallel()
    parallel_state.destroy_distributed_environment()


def plain_attention(self: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> Any:
    """Of one text: nothing is cached, and no metadata says where texts begin."""
    from torch.nn.functional import scaled_dot_product_attention

    heads = [
        states.view(-1, count, self.head_size).transpose(0, 1)[None]
        for states, count in ((query, self.num_heads), (key, self.num_kv_heads), (value, self.num_kv_heads))
    ]
    mixed = scaled_dot_product_attention(*heads, is_causal=True, scale=self.impl.scale, enable_gqa=True)
    return mixed[0].transpose(0, 1).reshape(query.shape[0], -1)


def rewards(scorer: VllmScorer, family: ScoreFamily, model: Any, steps: list[str]) -> list[float]:
    import torch
    from vllm.forward_context import set_forward_context

    prompt = scorer.encode_solution(PROBLEM, steps)
    ids = torch.tensor(prompt.ids)
    with torch.no_grad(), set_forward_context(None, model.vllm_config):
        hidden = model(ids, torch.arange(len(ids)))
        rows = model.pooler.poolers_by_task["token_classify"].head.classifier(hidden)[list(prompt.places)].tolist()
    return [family.reward(row) for row in rows]


@pytest.mark.usefixtures("_one_process")
@pytest.mark.parametrize("name", LOADED)
def test_the_model_scores_as_the_published_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from vllm.config import set_current_vllm_config
    from vllm.model_executor.layers.attention import Attention
    from vllm.model_executor.model_loader import get_model

    monkeypatch.setattr(Attention, "forward", plain_attention)
    # As vLLM's own worker of a CPU does: there is no accelerator whose cache could be emptied.
    monkeypatch.setattr("torch.accelerator.empty_cache", lambda: None)
    folder = build_folder(tmp_path, BY_FAMILY[name], seed=1)
    judge = resolve_judge(str(folder))
    scorer = create_engine("vllm", judge, {})
    assert isinstance(scorer, VllmScorer)
    assert isinstance(judge.family, ScoreFamily)
    config = scorer.prepare().create_engine_config()
    with set_current_vllm_config(config):
        model = get_model(vllm_config=config)
    reference = Reference(folder)
    for steps in SOLUTIONS.values():
        expected = reference.rewards(name, PROBLEM, steps)
        assert rewards(scorer, judge.family, model, steps) == pytest.approx(expected, abs=1e-4)
