"""Jobs that write: rollouts of a policy, and guided searches of a policy with a judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rprm_jobs.errors import BadLine, ConfigError
from rprm_jobs.formats import InputRow, ReadOptions, ReadReport
from rprm_jobs.formats.readers.problems import read_problem_rows
from rprm_jobs.judge.families.family import Unit
from rprm_jobs.judge.policy import Policy, check_answer_pattern, search_queue
from rprm_jobs.judge.recipe import GenerationConfig, Recipe
from rprm_jobs.judge.resolve import Judge
from rprm_jobs.search.guided import SearchOptions
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.submit import Submission, SubmitRequest, submit
from rprm_jobs.store.queue import dependents
from rprm_jobs.types import JobKind, Sampling, Solution

MAX_RESPONSES = 4096


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """Problems to be solved by a recipe with `generation_config`: `n` times each, or (searches) once.

    `dependent` is the score job to create from the solutions, see rprm_jobs.services.upkeep.dependents.
    """

    paths: tuple[str, ...]
    recipe: Recipe
    n: int = 1
    reading: ReadOptions = field(default_factory=ReadOptions)
    priority: int = 0
    new: bool = False
    skip_bad: bool = False
    dependent: Mapping[str, Any] | None = None
    name: str | None = None
    model_paths: Mapping[str, str] = field(default_factory=dict)


def make_generation_config(
    policy: Policy,
    *,
    temperature: float | None = None,
    top_p: float | None = None,
    max_new_tokens: int | None = None,
    answer_pattern: str | None = None,
    search: SearchOptions | None = None,
) -> GenerationConfig:
    """How the policy writes: its card's way where nothing is given. Raises ConfigError for a bad value."""
    own = policy.sampling
    pattern = policy.card.answer_pattern if answer_pattern is None else answer_pattern
    check_answer_pattern(pattern)
    return GenerationConfig(
        policy=policy.model.name,
        fingerprint=policy.model.fingerprint,
        prompt=policy.card.prompt,
        sampling=Sampling(
            own.temperature if temperature is None else temperature,
            own.top_p if top_p is None else top_p,
            own.max_new_tokens if max_new_tokens is None else max_new_tokens,
        ),
        separator=policy.card.separator,
        answer_pattern=pattern,
        search=search,
    )


def rollout_recipe(policy: Policy, generation_config: GenerationConfig, *, seed: int = 0) -> Recipe:
    """The recipe of plain rollouts. Raises ConfigError for a bad value."""
    return Recipe(
        judge=policy.model.name,
        fingerprint=policy.model.fingerprint,
        queue=policy.model.queue,
        # Nobody judges by it; the policy's own prompt stands in `generation_config`.
        prompt=policy.model.template.source,
        sampling=generation_config.sampling,
        k=1,
        seed=seed,
        generation_config=generation_config,
    )


def search_recipe(policy: Policy, judge: Judge, generation_config: GenerationConfig, judging: Recipe) -> Recipe:
    """The recipe of searches: `judging` is how candidates are judged. Raises ConfigError for a judge that cannot be."""
    if generation_config.search is None:
        raise ConfigError("a search needs its options")
    family = judge.family
    if family.writes and family.unit is Unit.SOLUTION:
        raise ConfigError(
            f"a search asks its judge about the last step of each candidate, and {family.name} judges whole solutions",
            hint="name a judge of steps, e.g. --judge tiny",
        )
    if generation_config.search.rank == "product" and (family.lowest is None or family.lowest < 0):
        raise ConfigError(
            f"--rank product wants rewards that are chances, and those of {family.name} can be below 0",
            hint="use --rank min or --rank last",
        )
    return Recipe(
        judge=judge.name,
        fingerprint=judge.fingerprint,
        queue=search_queue(policy, judge),
        prompt=judging.prompt,
        sampling=judging.sampling,
        k=judging.k,
        stopping=judging.stopping,
        threshold=judging.threshold,
        seed=judging.seed,
        family=judging.family,
        generation_config=generation_config,
    )


def write(context: Context, request: WriteRequest) -> Submission:
    """Store the job and notify workers. Raises InputError, with the first bad lines, when the input is refused."""
    if not 1 <= request.n <= MAX_RESPONSES:
        raise ConfigError(f"n={request.n} is not in 1..{MAX_RESPONSES}", hint="choose -n in that range")
    report = ReadReport()
    submission = submit(
        context,
        SubmitRequest(
            request.paths,
            request.recipe,
            priority=request.priority,
            new=request.new,
            skip_bad=request.skip_bad,
            rows=_rows(context, request, report),
            report=report,
            kind=JobKind.SEARCH if _searches(request.recipe) else JobKind.ROLLOUT,
            dependent=request.dependent,
            name=request.name,
            model_paths=request.model_paths,
        ),
    )
    if request.dependent is not None and not submission.created:
        with context.database.transaction() as connection:
            dependents.request(connection, submission.job_id, request.dependent)
    return submission


def _searches(recipe: Recipe) -> bool:
    return recipe.generation_config is not None and recipe.generation_config.search is not None


def _rows(context: Context, request: WriteRequest, report: ReadReport) -> Iterator[InputRow | BadLine]:
    """Response i (from 0) of problem p has the id `p#i`, as elsewhere; a search has its problem's own."""
    searching = _searches(request.recipe)
    for row in read_problem_rows(request.paths, context.settings.limits, request.reading, report):
        if isinstance(row, BadLine):
            yield row
            continue
        for number in range(request.n):
            id_ = row.id if searching else f"{row.id}#{number}"
            metadata = {**row.metadata, "problem_id": row.id, "response": number}
            yield InputRow(row.file, row.line, Solution(id_, row.problem, (), metadata=metadata))
