"""Keys and values of a batch of critiques in which the prompt's are held, and read, once for all its critiques.

A decoding step is bound by the bytes of keys and values it reads. K critiques of one prompt read that prompt's once:
their queries are stacked and meet it in one matrix product, and each critique's own tokens in another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

ATTENTION = "rprm_shared_prompt"
_GROWTH = 1.25
_ROUND = 64
_PADDING = 1.3


class Slab:
    """Keys and values of one layer, [items, kv heads, tokens, head width] each; grows, and keeps what is in use.

    `limit` bounds items x tokens where growing ahead of need would pass it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

    def reserve(self, like: Tensor, items: int, tokens: int) -> tuple[Tensor, Tensor]:
        """The two tensors, with room for `items` of `tokens` each; `like` has their heads, width, type and device."""
        have = (0, 0) if self.keys is None else (self.keys.shape[0], self.keys.shape[2])
        if self.keys is None or self.values is None or have[0] < items or have[1] < tokens:
            shape = self._grown(have, items, tokens)
            self.keys, self.values = (_resized(old, like, shape) for old in (self.keys, self.values))
        return self.keys, self.values

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy the first `tokens` of one item over another; an item that was never written has nothing to copy."""
        for tensor in (self.keys, self.values):
            if tensor is not None and source < tensor.shape[0]:
                tensor[target, :, :tokens] = tensor[source, :, :tokens]

    def _grown(self, have: tuple[int, int], items: int, tokens: int) -> tuple[int, int]:
        ahead = have[1] if have[1] >= tokens else -(-int(tokens * _GROWTH) // _ROUND) * _ROUND
        wide = have[0] if have[0] >= items else max(items, int(have[0] * _GROWTH))
        for shape in ((wide, ahead), (items, ahead)):
            if shape[0] * shape[1] <= self._limit:
                return shape
        return items, tokens


def _resized(old: Tensor | None, like: Tensor, shape: tuple[int, int]) -> Tensor:
    new = like.new_zeros((shape[0], like.shape[1], shape[1], like.shape[3]))
    if old is not None:
        items, tokens = min(old.shape[0], shape[0]), min(old.shape[2], shape[1])
        new[:items, :, :tokens] = old[:items, :, :tokens]
    return new


class AttentionPlan(Protocol):
    """What one forward pass does with the queries, keys and values of each layer."""

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        """Attention output [batch, tokens, heads, width] for inputs [batch, heads or kv heads, tokens, width]."""
        ...


@dataclass(slots=True)
class Prefill:
    """Prompts, padded on the right to one length, stored from item `first` on; padding is never attended to."""

    slabs: Sequence[Slab]
    first: int

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        from torch.nn.functional import scaled_dot_product_attention

        count, tokens = key.shape[0], key.shape[2]
        keys, values = self.slabs[layer].reserve(key, self.first + count, tokens)
        keys[self.first : self.first + count, :, :tokens] = key
        values[self.first : self.first + count, :, :tokens] = value
        shared = query.shape[1] != key.shape[1]
        out = scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling, enable_gqa=shared)
        return out.transpose(1, 2)


@dataclass(slots=True)
class Decode:
    """One token of each row. Row r belongs to prompt `place[r] // width`; its own keys stand at 0..`position[r]`.

    `lengths` are the prompts' tokens; `mask` [rows, 1, 1, longest prompt + own_tokens] is 0 where a row may look and
    -inf elsewhere.
    """

    prompts: Sequence[Slab]
    critiques: Sequence[Slab]
    lengths: Sequence[int]
    width: int
    own_tokens: int
    rows: Tensor
    place: Tensor
    position: Tensor
    mask: Tensor

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
        rows, heads, _, size = query.shape
        query = query.reshape(rows, key.shape[1], -1, size) * scaling
        keys, values = self.critiques[layer].reserve(key, rows, self.own_tokens)
        keys[self.rows, :, self.position] = key[:, :, 0]
        values[self.rows, :, self.position] = value[:, :, 0]
        own_keys, own_values = keys[:rows, :, : self.own_tokens], values[:rows, :, : self.own_tokens]
        shared = self.prompts[layer].reserve(key, len(self.lengths), max(self.lengths))

        import torch

        to_prompt = self._per_row(_look(self._per_prompt(query), shared[0], self.lengths))
        to_own = torch.matmul(query, own_keys.transpose(2, 3))
        weights = torch.cat((to_prompt, to_own), -1).float().add_(self.mask).softmax(-1).to(query.dtype)
        on_prompt, on_own = weights.tensor_split((max(self.lengths),), -1)
        out = self._per_row(_gather(self._per_prompt(on_prompt), shared[1], self.lengths))
        return (out + torch.matmul(on_own, own_values)).reshape(rows, 1, heads, size)

    def _per_prompt(self, x: Tensor) -> Tensor:
        """[rows, kv heads, n, size] -> [prompts, kv heads, width x n, size], zeros where a prompt has fewer rows."""
        heads, n, size = x.shape[1:]
        out = x.new_zeros((len(self.lengths) * self.width, heads, n, size))
        out[self.place] = x
        out = out.view(len(self.lengths), self.width, heads, n, size).transpose(1, 2)
        return out.reshape(len(self.lengths), heads, self.width * n, size)

    def _per_row(self, x: Tensor) -> Tensor:
        """The way back: [prompts, kv heads, width x n, size] -> [rows, kv heads, n, size]."""
        heads, size = x.shape[1], x.shape[3]
        x = x.view(len(self.lengths), heads, self.width, -1, size).transpose(1, 2)
        return x.reshape(len(self.lengths) * self.width, heads, -1, size)[self.place]


def _uneven(lengths: Sequence[int]) -> bool:
    """Whether one product over padded prompts would read so much padding that a product per prompt is faster."""
    return len(lengths) * max(lengths) > _PADDING * sum(lengths)


def _look(query: Tensor, keys: Tensor, lengths: Sequence[int]) -> Tensor:
    """Scores [prompts, kv heads, n, longest] of queries [prompts, kv heads, n, size]; past a prompt's end, anything."""
    import torch

    longest = max(lengths)
    if not _uneven(lengths):
        return torch.matmul(query, keys[: len(lengths), :, :longest].transpose(2, 3))
    scores = query.new_zeros((*query.shape[:3], longest))
    for i, n in enumerate(lengths):
        scores[i, :, :, :n] = torch.bmm(query[i], keys[i, :, :n].transpose(1, 2))
    return scores


def _gather(weights: Tensor, values: Tensor, lengths: Sequence[int]) -> Tensor:
    """Sums [prompts, kv heads, n, size] of values by weights [prompts, kv heads, n, longest], 0 past a prompt's end."""
    import torch

    if not _uneven(lengths):
        return torch.matmul(weights, values[: len(lengths), :, : max(lengths)])
    return torch.stack([torch.bmm(weights[i, :, :, :n], values[i, :, :n]) for i, n in enumerate(lengths)])


def register() -> None:
    """Make ATTENTION known to transformers; a model set to it must be called with `plan=`."""
    from transformers import AttentionInterface

    AttentionInterface.register(ATTENTION, _attention)


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, *, plan: AttentionPlan, **kwargs: Any
) -> tuple[Tensor, None]:
    del attention_mask
    scaling = kwargs.get("scaling") or query.shape[-1] ** -0.5
    return plan.attend(module.layer_idx, query, key, value, scaling), None
