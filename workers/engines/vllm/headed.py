"""Heads that vLLM does not have, inside vLLM: the body is vLLM's own, the head that of the transformers engine.

vLLM's processes import this module by the name of `HeadedWorker` (its argument `worker_extension_cls`), which makes the
models known there. They are made on first use: nothing of vLLM is imported with the module.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from rprm_jobs.judge.families.scoring import Head, ScoreFamily
from workers.engines.heads import HEAD_NAME, build_head, head_weights

if TYPE_CHECKING:
    from torch import Tensor

# By `model_type`: the name of vLLM's language model, less its ForCausalLM, which is its module's in lower case.
_BODIES = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2"}
_SUFFIX = "WithStepHead"
_FAMILY = "step_head_family"


class HeadedWorker:
    """Adds nothing to vLLM's worker. A worker that names it has imported this module before it loads a model."""


def overrides(model_type: str, family: ScoreFamily) -> dict[str, Any] | None:
    """What vLLM must take a model of this type for, to give it the family's head; None where it has no such body."""
    if model_type not in _BODIES:
        return None
    name = f"{_BODIES[model_type]}{_SUFFIX}"
    return {"architectures": [name], _FAMILY: msgspec.json.encode(family).decode(), "num_labels": family.outputs}


def register() -> None:
    """Make the models known to vLLM in this process."""
    from vllm import ModelRegistry

    for body in _BODIES.values():
        ModelRegistry.register_model(f"{body}{_SUFFIX}", f"{__name__}:{body}{_SUFFIX}")


def __getattr__(name: str) -> Any:
    body = name.removesuffix(_SUFFIX)
    if body == name or body not in _BODIES.values():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _model_class(body)


@cache
def _model_class(body: str) -> Any:
    from vllm.model_executor.layers.pooler import DispatchPooler
    from vllm.model_executor.models.adapters import as_embedding_model

    module = import_module(f"vllm.model_executor.models.{body.lower()}")
    base: Any = as_embedding_model(getattr(module, f"{body}ForCausalLM"))

    class ModelWithStepHead(base):  # type: ignore[misc]
        def _init_pooler(self, vllm_config: Any, prefix: str = "") -> Any:  # noqa: ARG002
            self._model_config = vllm_config.model_config
            return DispatchPooler.for_seq_cls(vllm_config.model_config.pooler_config, classifier=self._read_head)

        def _read_head(self, hidden: Tensor) -> Tensor:
            numbers: Tensor = self._head(hidden)
            return numbers

        def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> Any:
            family = msgspec.json.decode(getattr(self._model_config.hf_config, _FAMILY), type=ScoreFamily)
            parts = _Parts(family, tied=bool(self._model_config.hf_config.tie_word_embeddings))
            loaded = super().load_weights(parts.of_body(weights))
            device = next(self.parameters()).device
            self._head = build_head(
                family, parts.of_head(self._model_config, device), where=str(self._model_config.model)
            )
            return loaded

    ModelWithStepHead.__name__ = ModelWithStepHead.__qualname__ = f"{body}{_SUFFIX}"
    return ModelWithStepHead


class _Parts:
    """Takes a model's weights apart, as they come, into those of the body and what makes the head."""

    def __init__(self, family: ScoreFamily, *, tied: bool) -> None:
        self._family = family
        self._vocabulary = "embed_tokens.weight" if tied else "lm_head.weight"
        self._mean: Tensor | None = None

    def of_body(self, weights: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
        """The weights that vLLM loads itself."""
        for name, tensor in weights:
            if self._family.head is Head.VOCABULARY_MEAN and name.endswith(self._vocabulary):
                # The mean of all logits is one more logit: of the mean of their rows.
                self._mean = tensor.float().mean(dim=0, keepdim=True)
            if not (HEAD_NAME.match(name) or name.startswith("lm_head.") or "." not in name):
                yield name, tensor

    def of_head(self, model_config: Any, device: Any) -> dict[str, Tensor]:
        """The head's weights by name, in float32 on the device."""
        if self._mean is not None:
            return {"score.weight": self._mean.to(device)}
        weights = head_weights(_folder(model_config), allow_pickle=False)
        return {name: tensor.float().to(device) for name, tensor in weights.items()}


def _folder(model_config: Any) -> Path:
    if Path(model_config.model).is_dir():
        return Path(model_config.model)
    from huggingface_hub import snapshot_download

    patterns = ["*.safetensors", "*.json"]
    return Path(snapshot_download(model_config.model, revision=model_config.revision, allow_patterns=patterns))
