"""What `tiny-head` is shown and what it is to learn there: solutions of the arithmetic world with their labels."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from rprm_jobs.judge.encode_solution import SolutionEncoder
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.families.table import own_family
from training.world import ChainSolution, draw_scrambled, draw_solution

# Of its training examples; no other split has it.
HEAD_SEED = 6
BATCH = 32
# Rows that go through the model together, of about equal length.
_TOGETHER = 16
THRESHOLD = 0.5
# As PURE-PRM lays a solution out, with one line break for the blank line: a token of this tokenizer.
OPENING = "Step {number}: "
FAMILY = {
    "like": "pure-prm", "name": "tiny-head", "reading": "softmax", "threshold": THRESHOLD, "lowest": 0.0, "tag": "\n",
    "question": "Problem: {problem}\nPrevious steps:\n", "step": OPENING + "{step}",
}  # fmt: skip


def family() -> ScoreFamily:
    """How it is asked and read."""
    read = own_family(dict(FAMILY), where="tiny-head")
    if not isinstance(read, ScoreFamily):
        raise TypeError(f"{read.name} does not score")
    return read


def encoder_of(tokenizer: Any) -> SolutionEncoder:
    """Lays solutions out as it is shown them."""
    return SolutionEncoder(tokenizer, family())


class Labelled(NamedTuple):
    """A solution to learn from.

    `ends` are (index among the ids, class) of the tags behind the steps up to the first wrong one: is the step right?
    `inside` are those of the tokens before: is it right so far? What follows an error has no label. The ids of `right`
    are those of the steps before it, which follow from the problem.
    """

    ids: list[int]
    ends: list[tuple[int, int]]
    inside: list[tuple[int, int]]
    right: range


def labelled(tokenizer: Any, encoder: SolutionEncoder, solution: ChainSolution) -> Labelled:
    """Its ids and what is known of them."""
    encoded = encoder.encode(solution.problem, solution.steps)
    known = len(solution.steps) if solution.label < 0 else solution.label + 1
    ends = [(encoded.places[at], int(at != solution.label)) for at in range(known)]
    inside, begins = list[tuple[int, int]](), 0
    for index in range(known):
        written = _tokens(tokenizer, solution.steps[index])
        first = encoded.places[index] - len(written)
        if index == 0:
            begins = first - len(_tokens(tokenizer, OPENING.replace("{number}", "1")))
        slip = (
            _slip(written, _tokens(tokenizer, solution.true_step(index))) if index == solution.label else len(written)
        )
        inside += [(first + at, int(at < slip)) for at in range(len(written))]
    right = known if solution.label < 0 else solution.label
    end = encoded.places[right - 1] + 1 if right else begins
    return Labelled(list(encoded.ids), ends, inside, range(begins, end))


def _slip(written: Sequence[int], true: Sequence[int]) -> int:
    """The first place at which a wrong step differs from the true one."""
    return next(at for at, pair in enumerate(zip(written, true, strict=False)) if pair[0] != pair[1])


def _tokens(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def batch_at(tokenizer: Any, encoder: SolutionEncoder, step: int) -> list[list[Any]]:
    """One batch in parts, the same whenever it is asked for: ids, and what is to be learnt there, each [rows, width].

    Padded on the right. Learnt are the classes of `ends`, of `inside`, and the next tokens in `right`; -100 is none.
    """
    rng = random.Random(HEAD_SEED * 1_000_003 + step)
    rows = []
    for number in range(BATCH):
        scrambled = number % 3 == 2
        solution = draw_scrambled(rng) if scrambled else draw_solution(rng, wrong=number % 2 == 0)
        rows.append(labelled(tokenizer, encoder, solution))
    rows.sort(key=lambda row: len(row.ids))
    return [padded(rows[start : start + _TOGETHER], tokenizer.pad_token_id) for start in range(0, BATCH, _TOGETHER)]


def padded(rows: Sequence[Labelled], pad: int) -> list[Any]:
    """Rows of about equal length, the longest last, as `batch_at` returns them."""
    import torch

    ids = torch.full((len(rows), len(rows[-1].ids)), pad)
    ends, inside, following = (torch.full_like(ids, -100) for _ in range(3))
    for at, row in enumerate(rows):
        ids[at, : len(row.ids)] = torch.tensor(row.ids)
        tokens = [(place - 1, row.ids[place]) for place in row.right]
        for wanted, labels in ((ends, row.ends), (inside, row.inside), (following, tokens)):
            for place, kind in labels:
                wanted[at, place] = kind
    return [ids, ends, inside, following]
