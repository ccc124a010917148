"""What a submission would cost, before anything is spent: tokens, critiques, time, and bytes in the database.

Where the store knows finished jobs that are like this one, theirs are the critique lengths, the critiques a step and
the speed; otherwise the published lengths. The answer says which, from how many jobs, and how far those lie apart.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rprm_jobs.errors import BadLine, InputError
from rprm_jobs.formats import InputRow, ReadOptions, ReadReport, read_solutions
from rprm_jobs.judge.families.family import Unit
from rprm_jobs.judge.families.scoring import ScoreFamily
from rprm_jobs.judge.prompt import PromptTemplate, format_previous, format_step
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.again import solutions_of
from rprm_jobs.services.jobs.job_size import estimate_bytes, most_critiques
from rprm_jobs.services.jobs.like import LikeJobs, Measured, like_jobs
from rprm_jobs.services.jobs.refusals import SHOWN
from rprm_jobs.services.jobs.reuse import ReuseCounter
from rprm_jobs.types import KeepCritiques

# R-PRM's critiques are about 600 tokens long; English and LaTeX have some 3.5 characters a token.
_PUBLISHED_CRITIQUE_TOKENS = 600.0
_PUBLISHED_CHARS_PER_TOKEN = 3.5
# Beyond what a solution's own text takes: its row, its keys, and the page it lies on.
_SOLUTION_ROW_BYTES = 150


@dataclass(frozen=True, slots=True)
class Estimate:
    """`prompt_tokens` counts each step's prompt once (the K critiques share it); `distinct_prompt_tokens` leaves out
    what a step's prompt shares with the step before, which the prefix cache holds. `most_critiques` is what the rule
    may sample, `critiques` what it did sample in like jobs, or the most where the store knows none.

    `tokens_per_critique`, `critiques_per_step` and `measured_tokens_per_s` are those of like jobs with their spread,
    None where there is none; `measured` says whether the critiques' lengths are. `seconds` is None while no speed is
    known.

    A judge that scores `writes` nothing: it has one score a step for a critique, and its prompts are read once.

    Of the `most_critiques`, `reused` are there already or belong to a step that equals another of the input; tokens
    and time are without them.
    """

    solutions: int
    steps: int
    critiques: int
    most_critiques: int
    refused: int
    prompt_tokens: int
    distinct_prompt_tokens: int
    critique_tokens: int
    tokens_per_s: float | None
    seconds: float | None
    bytes: int
    measured: bool
    tokens_per_critique: Measured | None
    critiques_per_step: Measured | None
    measured_tokens_per_s: Measured | None
    reused: int = 0
    read_as: tuple[str, ...] = ()
    writes: bool = True

    @property
    def critique_tokens_range(self) -> tuple[int, int] | None:
        """The fewest and the most tokens that the like jobs' own means lead to; None without such jobs."""
        length, per_step = self.tokens_per_critique, self.critiques_per_step
        if length is None or not self.writes:
            return None
        low, high = float(self.critiques), float(self.critiques)
        if per_step is not None:
            low, high = self.steps * per_step.low, self.steps * per_step.high
        fresh = max(0, self.most_critiques - self.reused) / self.most_critiques
        return round(fresh * low * length.low), round(fresh * high * length.high)


@dataclass(slots=True)
class _Sums:
    solutions: int = 0
    steps: int = 0
    refused: int = 0
    characters: int = 0
    distinct: int = 0
    texts: int = 0

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
        self.texts += len(solution.problem) + sum(map(len, solution.steps))


def estimate(
    context: Context,
    paths: tuple[str, ...],
    recipe: Recipe,
    reading: ReadOptions,
    *,
    from_job: int | None = None,
    keep: KeepCritiques,
    tokens_per_s: float | None = None,
    count_tokens: Callable[[str], int] | None = None,
    reuse: bool = True,
) -> Estimate:
    """Read the input, or the solutions of `from_job`, to its end and add up.

    `count_tokens` is the judge's tokenizer, asked about a few prompts only. Raises InputError when no row can be
    judged, and what `solutions_of` does.
    """
    template = PromptTemplate.parse(recipe.prompt)
    counter = ReuseCounter(context.database, recipe, keep) if reuse else None
    sums, report, per_token = _Sums(), ReadReport(), _PUBLISHED_CHARS_PER_TOKEN
    family = recipe.judge_family
    around = family.frame_characters if isinstance(family, ScoreFamily) else template.fixed_characters
    bad: list[BadLine] = []
    rows: Iterable[InputRow | BadLine] = read_solutions(paths, reading, context.settings.limits, report)
    if from_job is not None:
        rows = solutions_of(context, from_job)
    for row in rows:
        if isinstance(row, BadLine):
            sums.refused += 1
            if sums.refused <= SHOWN:
                bad.append(row)
            continue
        if count_tokens is not None and sums.solutions == 0:
            per_token = _characters_per_token(template if family.writes else None, row, count_tokens)
        sums.add(row, around)
        if counter is not None:
            counter.add(row.solution)
    if not sums.solutions:
        named = " ".join(map(shlex.quote, paths))
        raise InputError(
            "there is no solution to judge",
            where=", ".join(paths),
            hint=f"see how it is read: rprm-jobs inspect {named}",
            bad_lines=tuple(bad),
            n_bad=sums.refused,
        )
    like = like_jobs(context, recipe, sums.texts / sums.solutions)
    reused = 0 if counter is None else counter.total()
    return _estimate(sums, recipe, like, per_token, keep, tokens_per_s, tuple(report.lines()), reused)


def _estimate(
    sums: _Sums,
    recipe: Recipe,
    like: LikeJobs,
    per_token: float,
    keep: KeepCritiques,
    tokens_per_s: float | None,
    read_as: tuple[str, ...],
    reused: int,
) -> Estimate:
    family = recipe.judge_family
    most = most_critiques(recipe, sums.solutions, sums.steps)
    # Of a rule without an early end the number is known, and jobs that differ from it had failed solutions.
    early = recipe.stopping["kind"] != "fixed" or recipe.until_first_error
    per_step = like.critiques_per_step if early else None
    critiques = most if per_step is None else min(most, round(sums.steps * per_step.mean))
    length = like.tokens_per_critique
    # What is there was sampled by some rule of its own; of a rule that ends early it counts as so much less.
    fresh = max(0, most - reused) / most
    a_critique = length.mean if length else min(_PUBLISHED_CRITIQUE_TOKENS, recipe.sampling.max_new_tokens)
    writes = family.writes
    # What scores reads each solution once and generates nothing; its speed in prompt tokens is not recorded.
    tokens = fresh * critiques * a_critique if writes else 0.0
    keep = keep if writes else KeepCritiques.NONE
    rate = tokens_per_s or (like.tokens_per_s.mean if like.tokens_per_s else None)
    return Estimate(
        solutions=sums.solutions,
        steps=sums.steps,
        critiques=critiques,
        most_critiques=most,
        refused=sums.refused,
        prompt_tokens=round((sums.distinct if family.unit is Unit.SOLUTION else sums.characters) / per_token),
        distinct_prompt_tokens=round(sums.distinct / per_token),
        critique_tokens=round(tokens),
        tokens_per_s=rate,
        seconds=tokens / rate if rate and writes else None,
        bytes=estimate_bytes(critiques, sums.solutions, keep) + sums.texts + sums.solutions * _SOLUTION_ROW_BYTES,
        measured=length is not None,
        tokens_per_critique=length,
        critiques_per_step=per_step,
        measured_tokens_per_s=like.tokens_per_s,
        read_as=read_as,
        reused=reused,
        writes=writes,
    )


def _characters_per_token(template: PromptTemplate | None, row: InputRow, count_tokens: Callable[[str], int]) -> float:
    """Of the last step's prompt; of the solution's own text without a template."""
    solution = row.solution
    if template is None:
        prompt = "\n".join((solution.problem, *solution.steps))
    else:
        prompt = template.render(solution.problem, solution.steps, len(solution.steps) - 1)
    return len(prompt) / max(1, count_tokens(prompt))
