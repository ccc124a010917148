"""vLLM's own model of a scoring judge in this process, without an engine: no caches, no batches, no further process.

Its attention is a plain one over a single text. What is compared is the body's other layers, the weights that vLLM
loads, and the head.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from rprm_jobs.judge.families.scoring import ScoreFamily
from workers.engines.vllm.scorer import VllmScorer


@contextmanager
def one_process() -> Iterator[None]:
    """This process as the only worker of vLLM."""
    from vllm.config import VllmConfig, set_current_vllm_config
    from vllm.distributed import parallel_state

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with set_current_vllm_config(VllmConfig()):
        parallel_state.init_distributed_environment(1, 0, f"tcp://127.0.0.1:{port}", 0, backend="gloo")
        parallel_state.initialize_model_parallel(1, 1)
    try:
        yield
    finally:
        parallel_state.destroy_model_parallel()
        parallel_state.destroy_distributed_environment()


class VllmModel:
    """The model that the scorer would have its engine load."""

    def __init__(self, scorer: VllmScorer, family: ScoreFamily) -> None:
        from vllm.config import set_current_vllm_config
        from vllm.model_executor.model_loader import get_model

        self._scorer, self._family = scorer, family
        config = scorer.prepare().create_engine_config()
        # As vLLM's own worker of a CPU does: there is no accelerator whose cache could be emptied.
        with set_current_vllm_config(config), patch("torch.accelerator.empty_cache"):
            self._model: Any = get_model(vllm_config=config)

    def rewards(self, problem: str, steps: Sequence[str]) -> list[float]:
        """The reward of each step."""
        import torch
        from vllm.forward_context import set_forward_context
        from vllm.model_executor.layers.attention import Attention

        prompt = self._scorer.encode_solution(problem, steps)
        ids = torch.tensor(prompt.ids)
        head = self._model.pooler.poolers_by_task["token_classify"].head
        plain = patch.object(Attention, "forward", _plain_attention)
        with plain, torch.no_grad(), set_forward_context(None, self._model.vllm_config):
            hidden = self._model(ids, torch.arange(len(ids)))
            rows = head.classifier(hidden)[list(prompt.places)].tolist()
        return [self._family.reward(row) for row in rows]


def _plain_attention(self: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> Any:
    from torch.nn.functional import scaled_dot_product_attention

    def by_head(states: Any, count: int) -> Any:
        return states.view(-1, count, self.head_size).transpose(0, 1)[None]

    mixed = scaled_dot_product_attention(
        by_head(query, self.num_heads),
        by_head(key, self.num_kv_heads),
        by_head(value, self.num_kv_heads),
        is_causal=True,
        scale=self.impl.scale,
        enable_gqa=True,
    )
    return mixed[0].transpose(0, 1).reshape(query.shape[0], -1)
