"""The parts of decoding, each alone: drawing tokens, stopping at the verdict, holding keys and values."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rprm_jobs.judge.verdict import MARKER
from workers.engines.stop_strings import StopStrings
from workers.engines.transformers.attention import Slab
from workers.engines.transformers.sampler import choose, uniforms

pytestmark = pytest.mark.engine


def draw(logits: list[float], n: int, temperature: float = 1.0, top_p: float = 1.0) -> list[float]:
    import torch

    rows = torch.tensor([logits]).expand(n, -1)
    ids = choose(rows, torch.full((n,), temperature), torch.full((n,), top_p), uniforms(list(range(n)), [0] * n))
    return (torch.bincount(ids, minlength=len(logits)) / n).tolist()


def test_tokens_are_drawn_as_the_softmax_says() -> None:
    import torch

    logits = [0.0, 1.0, -1.0, 2.0]
    assert draw(logits, 20_000) == pytest.approx(torch.tensor(logits).softmax(-1).tolist(), abs=0.015)
    warm = (torch.tensor(logits) / 2).softmax(-1).tolist()
    assert draw(logits, 20_000, temperature=2.0) == pytest.approx(warm, abs=0.015)


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p() -> None:
    import math

    logits = [math.log(p) for p in (0.5, 0.3, 0.15, 0.05)]
    assert draw(logits, 5000, top_p=0.8)[2:] == [0, 0]
    assert draw(logits, 20_000, top_p=0.79)[:2] == pytest.approx([0.625, 0.375], abs=0.015)
    assert draw(logits, 5000, top_p=0.81)[3] == 0
    assert draw(logits, 5000, top_p=0.81)[2] > 0
    assert draw(logits, 100, top_p=1e-9) == [1, 0, 0, 0]
    assert draw(logits, 100, temperature=0.0) == [1, 0, 0, 0]


def test_a_nucleus_wider_than_the_first_look_is_drawn_whole() -> None:
    votes = draw([0.0] * 1000, 20_000)
    assert sum(share > 0 for share in votes) > 990


def test_random_numbers_depend_on_seed_and_position() -> None:
    import torch

    one = uniforms([1, 1, 2, 2**63 - 1], [0, 1, 0, 5])
    assert len(set(one.tolist())) == 4
    assert torch.equal(uniforms([2**63 - 1, 1], [5, 0]), one[[3, 0]])
    many = uniforms(list(range(10_000)), [3] * 10_000)
    assert 0 <= float(many.min()) < 0.001
    assert 0.999 < float(many.max()) < 1
    assert float(many.mean()) == pytest.approx(0.5, abs=0.01)


PIECES = [*"\nabcdefghijklmnopqrstuvwxyzVIYN()/:?.", " ", " Yes", " No", " Yes.", "Yes", MARKER, f"\n{MARKER} Y"]


STOPS = (f"\n{MARKER} Yes", f"\n{MARKER} No")


def decode(ids: Sequence[int]) -> str:
    return "".join(PIECES[i] for i in ids)


def spell(*pieces: str) -> list[int]:
    return [PIECES.index(piece) for piece in pieces]


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        (spell("a", "\n", MARKER, " Yes"), f"a\n{MARKER} Yes"),
        (spell("a", "\n", MARKER, " Yes."), f"a\n{MARKER} Yes"),
        (spell("\n", MARKER, " ", "N", "o"), f"\n{MARKER} No"),
        (spell("\n", *MARKER, " ", "Yes"), f"\n{MARKER} Yes"),
        (spell(f"\n{MARKER} Y", "e", "s"), f"\n{MARKER} Yes"),
        (spell("a", MARKER, " Yes"), None),
        (spell("\n", MARKER, " ", "Yes", "."), None),
        (spell("\n", MARKER, " "), None),
        (spell("s"), None),
    ],
)
def test_generation_stops_with_the_token_that_completes_a_stop_string(ids: list[int], text: str | None) -> None:
    assert StopStrings(STOPS, decode, len(PIECES)).cut(ids) == text


def test_a_slab_grows_and_keeps_what_it_holds() -> None:
    import torch

    slab = Slab(limit=100_000)
    like = torch.zeros(1, 2, 1, 4)
    keys, _ = slab.reserve(like, 3, 10)
    keys[2, :, :10] = 7.0
    keys, values = slab.reserve(like, 5, 200)
    assert keys.shape[0] >= 5
    assert keys.shape[2] >= 200
    assert values.shape == keys.shape
    assert bool((keys[2, :, :10] == 7.0).all())
    slab.move(2, 0, 10)
    assert bool((keys[0, :, :10] == 7.0).all())


def test_a_slab_does_not_grow_ahead_over_its_limit() -> None:
    import torch

    slab = Slab(limit=1000)
    like = torch.zeros(1, 1, 1, 1)
    slab.reserve(like, 50, 20)
    keys, _ = slab.reserve(like, 2, 500)
    assert keys.shape[0] * keys.shape[2] <= 1000
