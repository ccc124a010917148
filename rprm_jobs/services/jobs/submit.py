"""Submitting: read, validate, store and notify. One transaction, so the outcome is a whole job or nothing at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rprm_jobs.errors import BadLine, ConfigError, InputError
from rprm_jobs.formats import InputRow, ReadOptions, ReadReport, read_solutions
from rprm_jobs.judge.families.rprm import CritiqueFamily
from rprm_jobs.judge.families.table import stored
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.recipe import BY_CONTENT, BY_SOLUTION, Recipe
from rprm_jobs.judge.resolve import Judge
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.job_size import estimate_bytes, most_critiques
from rprm_jobs.services.jobs.refusals import SHOWN, Refusals
from rprm_jobs.services.upkeep.sweep import notify_first
from rprm_jobs.stopping import make_rule, resolve_options
from rprm_jobs.store.access import repeats
from rprm_jobs.store.access.repeats import Repeat
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.jobs.intake import Intake
from rprm_jobs.store.jobs.new_job import NewJob, shard_size
from rprm_jobs.store.records import Job
from rprm_jobs.types import JobKind, KeepCritiques, Sampling, Solution

MAX_PRIORITY = 1_000_000
MOST_NAME_CHARS = 100
_MANY = 2_000_000_000


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    """What to judge, and how. `new` makes a job even when an equal one exists; `skip_bad` leaves bad rows out.

    `rows` are judged instead of what the files at `paths` hold, where a caller reads those itself and reports it; or
    the solutions of `from_job`, a job that judges, copied in the store. `dependent` is the job to create from this
    one's solutions (rprm_jobs.services.upkeep.dependents). `repeat`: a later request of this key
    finds the job, also a `new` one. `name` is what the user calls the job; `model_paths` are the folders of its models
    (rprm_jobs.judge.places). With `reuse`, judgements that the store has are not sampled again. `refusals` collect the
    bad rows where the caller wants to have them.
    """

    paths: tuple[str, ...]
    recipe: Recipe
    reading: ReadOptions = field(default_factory=ReadOptions)
    priority: int = 0
    keep_critiques: KeepCritiques = KeepCritiques.ALL
    new: bool = False
    skip_bad: bool = False
    rows: Iterable[InputRow | BadLine] | None = None
    report: ReadReport | None = None
    kind: JobKind = JobKind.SCORE
    dependent: Mapping[str, Any] | None = None
    from_job: Job | None = None
    repeat: Repeat | None = None
    name: str | None = None
    model_paths: Mapping[str, str] = field(default_factory=dict)
    reuse: bool = True
    refusals: Refusals | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """The job that answers a request.

    `critiques` is the most it will sample, or its scores; `bytes` estimates what they will take.
    """

    job_id: int
    created: bool
    solutions: int
    steps: int
    critiques: int
    bytes: int
    refused: int
    refused_files: tuple[str, ...]
    read_as: tuple[str, ...] = ()


class _SameJob(Exception):
    """Not an error: it rolls the intake back, because the job is there already."""

    def __init__(self, job_id: int) -> None:
        self.job_id = job_id


def make_recipe(
    judge: Judge,
    *,
    k: int | None,
    threshold: float | None = None,
    seed: int = 0,
    template: PromptTemplate | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    max_new_tokens: int | None = None,
    stopping: Mapping[str, Any] | None = None,
    until_first_error: bool = False,
    force_verdict: bool = False,
) -> Recipe:
    """The resolved recipe: the judge's own defaults where nothing is given. Raises ConfigError for a bad value.

    `stopping` is how many critiques of a step to sample, such as {"kind": "adaptive"} (default: all `k`). `k` and
    `threshold` are the family's own where None; a family that has no use for an option refuses it.
    """
    own, family = judge.sampling, judge.family
    options = resolve_options(stopping or {"kind": "fixed"})
    family.check_recipe(stopping=str(options["kind"]), until_first_error=until_first_error)
    k = family.resolve_k(k)
    threshold = family.threshold if threshold is None else threshold
    template = template or judge.template
    family.check_prompt(template)
    if not family.writes:
        _refuse_writing_options(judge, template, temperature, top_p, max_new_tokens)
    greedy = family.greedy_alone and k == 1
    make_rule(options, k=k, threshold=threshold)
    return Recipe(
        judge=judge.name,
        fingerprint=judge.fingerprint,
        queue=judge.queue,
        prompt=template.source,
        sampling=Sampling(
            (0.0 if greedy else own.temperature) if temperature is None else temperature,
            own.top_p if top_p is None else top_p,
            own.max_new_tokens if max_new_tokens is None else max_new_tokens,
        ),
        k=k,
        stopping=options,
        threshold=threshold,
        seed=seed,
        until_first_error=until_first_error,
        family=stored(family),
        force_verdict=force_verdict,
        seed_rule=BY_CONTENT if isinstance(family, CritiqueFamily) else BY_SOLUTION,
    )


def _refuse_writing_options(judge: Judge, template: PromptTemplate, *sampling: float | None) -> None:
    """Raises ConfigError for a prompt or a way of sampling, which a judge that does not write cannot follow."""
    name = judge.family.name
    if template.source != judge.template.source:
        raise ConfigError(
            f"a prompt has no effect: {name} lays out its text itself", hint="leave out --prompt and --system-prompt"
        )
    if any(value is not None for value in sampling):
        raise ConfigError(f"{name} samples nothing", hint="leave out --temperature, --top-p and --max-new-tokens")


def check_priority(priority: int) -> None:
    """Raises ConfigError unless the priority is in -MAX_PRIORITY..MAX_PRIORITY."""
    if abs(priority) > MAX_PRIORITY:
        raise ConfigError(
            f"--priority {priority} is not in -{MAX_PRIORITY:,}..{MAX_PRIORITY:,}",
            hint="choose a smaller number; jobs with a higher one go first, and most have 0",
        )


def check_name(name: str | None) -> None:
    """Raises ConfigError for a name that nobody could read or type."""
    if name is not None and not (name.strip() and name.isprintable() and len(name) <= MOST_NAME_CHARS):
        raise ConfigError(
            f"{name[:MOST_NAME_CHARS]!r} is no name for a job",
            hint=f"choose one of 1 to {MOST_NAME_CHARS} characters in one line: --name baseline",
        )


def submit(context: Context, request: SubmitRequest) -> Submission:
    """Store the job and notify workers. Raises InputError, with the first bad lines, when the input is refused.

    Raises ConfigError for a priority beyond what the queue can order by.
    """
    check_priority(request.priority)
    check_name(request.name)
    refusals, report = request.refusals or Refusals(skip=request.skip_bad), request.report or ReadReport()
    try:
        try:
            job_id, created = _store(context, request, refusals, report), True
        except _SameJob as same:
            job_id, created = same.job_id, False
    finally:
        refusals.close()
    notify_first(context, request.recipe.queue)
    with context.database.transaction() as connection:
        job = jobs.get(connection, job_id)
    critiques = most_critiques(job.recipe, job.n_solutions, job.n_steps)
    return Submission(
        job_id=job_id,
        created=created,
        solutions=job.n_solutions,
        steps=job.n_steps,
        critiques=critiques,
        bytes=estimate_bytes(critiques, job.n_solutions, job.keep_critiques),
        refused=refusals.count,
        refused_files=refusals.files,
        read_as=tuple(report.lines()),
    )


def _store(context: Context, request: SubmitRequest, refusals: Refusals, report: ReadReport) -> int:
    sources: dict[str, int] = {}
    with context.database.transaction() as connection:
        intake = Intake(connection, request.kind)
        if request.from_job is None:
            intake.load(_good_rows(context, request, refusals, sources, report))
        else:
            intake.copy(request.from_job.id)
            sources = {name: at for at, name in enumerate(request.from_job.sources)}
        _refuse_repeated(intake, list(sources), refusals, skip=request.skip_bad)
        refusals.check(sources)
        if intake.n_solutions == 0:
            raise InputError(
                f"there is no {'problem to solve' if request.kind.writes else 'solution to judge'}",
                where=", ".join(request.paths),
                hint="give one JSON object a line",
            )
        # Before the job is stored: rows that can be written nowhere must not be lost.
        refusals.write()
        digest = f"{request.recipe.digest}:{intake.input_digest}:{request.priority}:{request.keep_critiques}"
        if request.repeat is not None and (same := repeats.find(connection, request.repeat, digest)) is not None:
            raise _SameJob(same)
        same = intake.seal(
            NewJob(
                recipe=request.recipe,
                priority=request.priority,
                # What scores has no texts, so none are missed.
                keep_critiques=request.keep_critiques if request.recipe.judge_family.writes else KeepCritiques.NONE,
                sources=tuple(sources),
                reading=report.to_builtins() if request.from_job is None else request.from_job.reading,
                shard_solutions=shard_size(intake.n_solutions, context.settings.shard_solutions, request.recipe),
                dependent=request.dependent,
                name=request.name,
                model_paths=request.model_paths,
                reuse=request.reuse,
            ),
            dedupe=not request.new,
        )
        if same is not None:
            raise _SameJob(same)
        if request.repeat is not None:
            same = repeats.store(connection, request.repeat, digest, intake.job_id)
            if same is not None:
                raise _SameJob(same)
        return intake.job_id


def _good_rows(
    context: Context, request: SubmitRequest, refusals: Refusals, sources: dict[str, int], report: ReadReport
) -> Iterator[tuple[int, int, Solution]]:
    rows: Iterable[InputRow | BadLine] | None = request.rows
    if rows is None:
        rows = read_solutions(request.paths, request.reading, context.settings.limits, report)
    for row in rows:
        source = sources.setdefault(row.file, len(sources))
        if isinstance(row, BadLine):
            refusals.add(row)
            if refusals.hopeless:
                return
        else:
            yield source, row.line, row.solution


def _refuse_repeated(intake: Intake, sources: list[str], refusals: Refusals, *, skip: bool) -> None:
    repeated, _ = intake.repeated_ids(_MANY if skip else SHOWN)
    for row in repeated:
        first = f"{sources[row.first_source]}:{row.first_line}"
        reason = f"id {row.id!r} is repeated, it stood first at {first}"
        refusals.add_repeated(BadLine(sources[row.source], row.line, reason))
    if repeated and skip:
        intake.drop_repeated_ids()
