"""What a submission would cost, before anything is spent: tokens, critiques, time, and bytes in the database.

Where the store knows finished work of the same judge, its own critique lengths and speed are used; otherwise the
published ones, and the answer says which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rprm_jobs.errors import BadLine, InputError
from rprm_jobs.formats import InputRow, ReadOptions, ReadReport, read_solutions
from rprm_jobs.judge.prompt import PromptTemplate, format_previous, format_step
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.submit import estimate_bytes
from rprm_jobs.store.jobs import jobs
from rprm_jobs.types import KeepCritiques

# R-PRM's critiques are about 600 tokens long; English and LaTeX have some 3.5 characters a token.
_PUBLISHED_CRITIQUE_TOKENS = 600.0
_PUBLISHED_CHARS_PER_TOKEN = 3.5
# Beyond what a solution's own text takes: its row, its keys, and the page it lies on.
_SOLUTION_ROW_BYTES = 150


@dataclass(frozen=True, slots=True)
class Estimate:
    """`prompt_tokens` counts each step's prompt once (the K critiques share it); `distinct_prompt_tokens` leaves out
    what a step's prompt shares with the step before, which the prefix cache holds. `seconds` is None while no speed
    is known. `measured`: critique length and speed come from this store.
    """

    solutions: int
    steps: int
    critiques: int
    refused: int
    prompt_tokens: int
    distinct_prompt_tokens: int
    critique_tokens: int
    tokens_per_s: float | None
    seconds: float | None
    bytes: int
    measured: bool
    read_as: tuple[str, ...] = ()


@dataclass(slots=True)
class _Sums:
    solutions: int = 0
    steps: int = 0
    refused: int = 0
    characters: int = 0
    distinct: int = 0
    stored: int = 0

    def add(self, row: InputRow, template_characters: int) -> None:
        solution = row.solution
        self.solutions += 1
        self.steps += len(solution.steps)
        before = 0
        for index, step in enumerate(solution.steps):
            now = len(format_step(index, step))
            shown = before - 1 if index else len(format_previous(()))
            self.characters += template_characters + len(solution.problem) + shown + now
            before += now + 1
        self.distinct += template_characters + len(solution.problem) + before
        self.stored += len(solution.problem) + sum(map(len, solution.steps)) + _SOLUTION_ROW_BYTES


def estimate(
    context: Context,
    paths: tuple[str, ...],
    recipe: Recipe,
    reading: ReadOptions,
    *,
    keep: KeepCritiques,
    tokens_per_s: float | None = None,
    count_tokens: Callable[[str], int] | None = None,
) -> Estimate:
    """Read the input to its end and add up. `count_tokens` is the judge's tokenizer, asked about a few prompts only.

    Raises InputError when no row can be judged.
    """
    template = PromptTemplate.parse(recipe.prompt)
    sums, report, per_token = _Sums(), ReadReport(), _PUBLISHED_CHARS_PER_TOKEN
    for row in read_solutions(paths, reading, context.settings.limits, report):
        if isinstance(row, BadLine):
            sums.refused += 1
            continue
        if count_tokens is not None and sums.solutions == 0:
            per_token = _characters_per_token(template, row, count_tokens)
        sums.add(row, template.fixed_characters)
    if not sums.solutions:
        raise InputError("there is no solution to judge", where=", ".join(paths), hint="see rprm-jobs inspect")
    with context.database.transaction() as connection:
        speed = jobs.speed(connection, recipe.queue)
    critiques = sums.steps * recipe.k
    length = speed.tokens_per_critique if speed else min(_PUBLISHED_CRITIQUE_TOKENS, recipe.sampling.max_new_tokens)
    rate = tokens_per_s or (speed.tokens_per_s if speed else None)
    return Estimate(
        solutions=sums.solutions,
        steps=sums.steps,
        critiques=critiques,
        refused=sums.refused,
        prompt_tokens=round(sums.characters / per_token),
        distinct_prompt_tokens=round(sums.distinct / per_token),
        critique_tokens=round(critiques * length),
        tokens_per_s=rate,
        seconds=critiques * length / rate if rate else None,
        bytes=estimate_bytes(critiques, sums.solutions, keep) + sums.stored,
        measured=speed is not None,
        read_as=tuple(report.lines()),
    )


def _characters_per_token(template: PromptTemplate, row: InputRow, count_tokens: Callable[[str], int]) -> float:
    solution = row.solution
    prompt = template.render(solution.problem, solution.steps, len(solution.steps) - 1)
    return len(prompt) / max(1, count_tokens(prompt))
