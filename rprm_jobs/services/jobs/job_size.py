"""How much a job is at the most: critiques, and bytes in the database."""

from __future__ import annotations

from rprm_jobs.judge.families.family import Unit
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.types import KeepCritiques

# Bytes in Postgres: a verdict row with its index entry; a critique's text after zstd (600 tokens of about 4 characters
# at a ratio of 3); a solution's outcome row.
_VERDICT_BYTES = 110
_TEXT_BYTES = 800
_OUTCOME_BYTES = 250


def estimate_bytes(critiques: int, solutions: int, keep: KeepCritiques) -> int:
    """What a job's outcomes will take in Postgres, about; DISPUTED keeps the texts of some four steps in ten."""
    kept_part = {KeepCritiques.ALL: 1.0, KeepCritiques.DISPUTED: 0.4, KeepCritiques.NONE: 0.0}[keep]
    return int(critiques * (_VERDICT_BYTES + kept_part * _TEXT_BYTES) + solutions * _OUTCOME_BYTES)


def most_critiques(recipe: Recipe, solutions: int, steps: int) -> int:
    """What it samples at the most; of a judge that scores: how many scores."""
    family = recipe.judge_family
    return (solutions if family.writes and family.unit is Unit.SOLUTION else steps) * recipe.k
