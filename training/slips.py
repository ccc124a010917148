"""A teacher that errs: the flawless critique with slips of the kinds that a large model makes too.

It sees a difference where there is none, overlooks one that is there, or concludes against its own findings. Keeping
only critiques whose verdict agrees with the label, as a cold start does, leaves the slips that the label cannot show:
wrong reasons for a right verdict. A judge that imitates them errs, and preferences among its own can correct it.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace

from training.teacher import Analyses, analyse, conclude
from training.world import ChainSolution

# Expected digit, written digit, mark: `33=,` or, at the end of a column, `3:3=,`.
_COMPARISON = re.compile(r"(?P<expected>\d)(?P<between>:?)(?P<written>\d)(?P<mark>[=!]),")


@dataclass(frozen=True, slots=True)
class SlipRates:
    """Probabilities of each slip in one critique."""

    imagined: float = 0.5
    overlooked: float = 0.3
    inconclusive: float = 0.1


RATES = SlipRates()


def slipping_critique(solution: ChainSolution, index: int, rng: random.Random, rates: SlipRates = RATES) -> str:
    """A critique of step `index` (0-based) by the teacher that errs."""
    analyses = analyse(solution, index)
    if rng.random() < rates.overlooked:
        analyses = _slip(rng, analyses, "!")
    if rng.random() < rates.imagined:
        analyses = _slip(rng, analyses, "=")
    against = rng.random() < rates.inconclusive
    return conclude(analyses, correct=analyses.correct is not against)


def _slip(rng: random.Random, analyses: Analyses, mark: str) -> Analyses:
    """Turn one comparison that is marked `mark` into its contrary; without one nothing changes."""
    marked = [
        (name, match)
        for name, check in analyses.checks.items()
        for match in _COMPARISON.finditer(check)
        if match["mark"] == mark
    ]
    if not marked:
        return analyses
    name, match = rng.choice(marked)
    check = analyses.checks[name]
    slipped = check[: match.start()] + _contrary(rng, match) + check[match.end() :]
    return replace(analyses, checks={**analyses.checks, name: slipped})


def _contrary(rng: random.Random, match: re.Match[str]) -> str:
    """The same comparison, misjudged: another digit is expected than the world has."""
    written = match["written"]
    if match["mark"] == "!":
        return f"{written}{match['between']}{written}=,"
    other = rng.choice([digit for digit in "0123456789" if digit != written])
    return f"{other}{match['between']}{written}!,"
