"""Sampling critiques of labelled steps, to train on: a job of its own kind, all of whose critiques are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from rprm_jobs.errors import BadLine, ConfigError, InputError
from rprm_jobs.formats import InputRow, ReadOptions, ReadReport
from rprm_jobs.formats.readers.labelled import LabelCounts, read_labelled
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.submit import Submission, SubmitRequest, submit
from rprm_jobs.types import JobKind, KeepCritiques, Solution


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """What to sample, and how; `skip_neutral` leaves steps rated neutral out, the rest is as in SubmitRequest.

    `keep` says which solutions to take, by default all.
    """

    paths: tuple[str, ...]
    recipe: Recipe
    reading: ReadOptions = field(default_factory=ReadOptions)
    priority: int = 0
    new: bool = False
    skip_bad: bool = False
    skip_neutral: bool = False
    keep: Callable[[Solution], bool] | None = None
    name: str | None = None
    model_paths: Mapping[str, str] = field(default_factory=dict)
    reuse: bool = True


@dataclass(frozen=True, slots=True)
class SampleSubmission:
    """The job, and the labels of the input: those of the steps to be judged and those left out."""

    submission: Submission
    labels: LabelCounts


def sample(context: Context, request: SampleRequest) -> SampleSubmission:
    """Store the job and notify workers. Raises InputError when a row has no label, or no step at all has one."""
    family = request.recipe.judge_family
    if not family.writes:
        raise ConfigError(
            f"{family.name} writes no critiques to train on", hint="sample those of a judge that writes, e.g. tiny"
        )
    counts, report = LabelCounts(), ReadReport()
    submission = submit(
        context,
        SubmitRequest(
            request.paths,
            request.recipe,
            request.reading,
            request.priority,
            KeepCritiques.ALL,
            request.new,
            request.skip_bad,
            rows=_rows(context, request, counts, report),
            report=report,
            kind=JobKind.SAMPLE,
            name=request.name,
            model_paths=request.model_paths,
            reuse=request.reuse,
        ),
    )
    return SampleSubmission(submission, counts)


def _rows(
    context: Context, request: SampleRequest, counts: LabelCounts, report: ReadReport
) -> Iterator[InputRow | BadLine]:
    any_step = False
    limits = context.settings.limits
    rows = read_labelled(
        request.paths, request.reading, limits, counts, skip_neutral=request.skip_neutral, report=report
    )
    for row in rows:
        any_step = True
        if request.keep is None or isinstance(row, BadLine) or request.keep(row.solution):
            yield row
    if not any_step:
        raise InputError(
            "no step of the input is to be judged: none has a label",
            where=", ".join(request.paths),
            hint="give labelled solutions"
            + (", or leave out --skip-neutral" if request.skip_neutral and counts.neutral_left_out else ""),
        )
