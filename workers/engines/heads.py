"""Heads of scoring judges, built from the names and shapes of their weights; and what reads logits of the vocabulary.

The published heads come with Python code of their own, written for old versions of transformers. None of it is needed:
each is one, two or three linear layers, which their weights' names tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rprm_jobs.errors import JudgeError
from rprm_jobs.judge.families.scoring import Head, ScoreFamily

if TYPE_CHECKING:
    from torch import Tensor

# Maps hidden states [n, width] to the numbers that the family reads [n, outputs].
ReadHead = Callable[["Tensor"], "Tensor"]
HEAD_NAME = re.compile(
    r"^(?:model\.|pretrained_model\.)?(?:v_head|value_head|reward_head|score_head|score|classifier)\."
)


def head_weights(folder: Path, *, allow_pickle: bool) -> dict[str, Tensor]:
    """The weights of the model's head by name, from all of its files."""
    weights: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        from safetensors import safe_open

        with safe_open(str(path), framework="pt") as file:
            weights |= {name: file.get_tensor(name) for name in file.keys() if _of_head(name, path)}  # noqa: SIM118
    if weights or not allow_pickle:
        return weights
    for path in sorted((*folder.glob("*.bin"), *folder.glob("*.pt"))):
        import torch

        state: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        weights |= {name: tensor for name, tensor in state.items() if _of_head(name, path)}
    return weights


def _of_head(name: str, path: Path) -> bool:
    return HEAD_NAME.match(name) is not None or path.stem in ("value_head", "v_head", "reward_head")


def build_head(family: ScoreFamily, weights: Mapping[str, Tensor], *, where: str) -> ReadHead:
    """The head that these weights are. Raises JudgeError when they are none, or not the one that the family reads."""
    if not weights:
        raise JudgeError(
            f"it has no head, and family {family.name} reads one", where=where, hint="put the judge's own weights there"
        )
    last = {name.rpartition(".")[0] + ".": name for name in weights if name.endswith("weight")}
    if family.head is Head.ENSEMBLE:
        return _ensemble(weights, where)
    if len(last) == 1:
        (prefix,) = last
        return _linear_layers(family, [_layer(weights, prefix)], where)
    if len(last) == 2:
        return _linear_layers(family, [_layer(weights, prefix) for prefix in sorted(last)], where)
    raise JudgeError(f"its head is not one that this version knows: {', '.join(sorted(weights)[:4])}", where=where)


def _layer(weights: Mapping[str, Tensor], prefix: str) -> tuple[Tensor, Tensor | None]:
    return weights[f"{prefix}weight"].float(), weights[f"{prefix}bias"].float() if f"{prefix}bias" in weights else None


def _linear_layers(family: ScoreFamily, layers: list[tuple[Tensor, Tensor | None]], where: str) -> ReadHead:
    """One linear layer, or two with a ReLU between them (as Qwen2.5-Math-PRM)."""
    outputs = int(layers[-1][0].shape[0])
    _check_outputs(family, outputs, where)
    moved = [_Moved(weight, bias) for weight, bias in layers]

    def read(hidden: Tensor) -> Tensor:
        from torch.nn.functional import linear, relu

        values = hidden
        for number, layer in enumerate(moved):
            # Beside the hidden states, in their precision, as the published code computes it.
            values = linear(relu(values) if number else values, *layer.like(hidden))
        return values

    return read


class _Moved:
    """A layer's weight and bias, kept where they were used last: they move once, and not at every batch."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight, self._bias = weight, bias

    def like(self, hidden: Tensor) -> tuple[Tensor, Tensor | None]:
        """Both beside `hidden` and in its precision."""
        self._weight = self._weight.to(hidden)
        self._bias = None if self._bias is None else self._bias.to(hidden)
        return self._weight, self._bias


def _ensemble(weights: Mapping[str, Tensor], where: str) -> ReadHead:
    """Several small networks of three layers each (ActPRM), however many; the numbers are their logits."""
    names = [f"score.model.{layer}" for layer in ("nn1", "nn2", "nn_out")]
    try:
        layers = [_Moved(weights[f"{name}.weight"].float(), weights[f"{name}.bias"].float()) for name in names]
    except KeyError as error:
        raise JudgeError(
            f"its head is no ensemble: {error.args[0]} is missing", where=where, hint="name its family with --family"
        ) from error

    members = len(weights[f"{names[0]}.weight"])

    def read(hidden: Tensor) -> Tensor:
        import torch

        # float32, as the published code computes it: the weights are stored so.
        values = hidden.float().expand(members, *hidden.shape)
        for number, layer in enumerate(layers):
            weight, bias = layer.like(values)
            values = torch.einsum("enh,ehm->enm", values.relu() if number else values, weight)
            values = values if bias is None else values + bias[:, None, :]
        return values[..., 0].T

    return read


def _check_outputs(family: ScoreFamily, outputs: int, where: str) -> None:
    if outputs != family.outputs:
        raise JudgeError(
            f"its head has {outputs} outputs, and family {family.name} reads {family.outputs}",
            where=where,
            hint="name the model's own family with --family; they are listed by: rprm-jobs judges --families",
        )


def vocabulary_head(family: ScoreFamily, model: Any, label_ids: tuple[int, ...]) -> ReadHead:
    """The logits of the labels, or the mean of all logits."""

    def read(hidden: Tensor) -> Tensor:
        logits = model.get_output_embeddings()(hidden)
        if family.head is Head.VOCABULARY_MEAN:
            mean: Tensor = logits.float().mean(dim=-1, keepdim=True)
            return mean
        chosen: Tensor = logits[:, list(label_ids)]
        return chosen

    return read
