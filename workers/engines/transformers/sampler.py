"""Choosing tokens: temperature and nucleus sampling with random numbers that depend on (seed, position) alone.

So a critique is the same whatever else shares its batch: nothing is drawn from a generator that rows have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# The nucleus of a trained model nearly always lies within this many tokens; where it does not, all are sorted.
_FIRST_LOOK = 64


def uniforms(seeds: Sequence[int], positions: Sequence[int]) -> Tensor:
    """One number in [0, 1) per row, as float32: 24 bits of SplitMix64 at `seed + position` golden-ratio steps."""
    import numpy
    import torch

    u64 = numpy.uint64
    with numpy.errstate(over="ignore"):
        x = numpy.array(seeds, dtype=u64) + (numpy.array(positions, dtype=u64) + u64(1)) * u64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> u64(30))) * u64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> u64(27))) * u64(0x94D049BB133111EB)
        x = x ^ (x >> u64(31))
    return torch.from_numpy(((x >> u64(40)) / 2**24).astype(numpy.float32))


def choose(logits: Tensor, temperature: Tensor, top_p: Tensor, uniform: Tensor) -> Tensor:
    """Token ids [rows] from float32 logits [rows, vocabulary]; temperature 0 takes the most likely token.

    The nucleus is the smallest set of most likely tokens whose probability reaches `top_p` (all are float32 [rows]).
    """
    scaled = logits / temperature.clamp(min=1e-5).unsqueeze(1)
    total = scaled.logsumexp(-1, keepdim=True)
    values, ids = scaled.topk(min(_FIRST_LOOK, logits.shape[1]), dim=-1)
    probabilities = (values - total).exp()
    reached = probabilities.cumsum(-1)
    if bool((reached[:, -1] < top_p).any()):
        values, ids = scaled.sort(dim=-1, descending=True)
        probabilities = (values - total).exp()
        reached = probabilities.cumsum(-1)
    inside = reached - probabilities < top_p.unsqueeze(1)
    inside[:, 0] = True
    target = uniform * (probabilities * inside).sum(-1)
    index = (reached <= target.unsqueeze(1)).sum(-1).minimum(inside.sum(-1) - 1)
    drawn = ids.gather(1, index.unsqueeze(1)).squeeze(1)
    return drawn.where(temperature > 0, ids[:, 0])
