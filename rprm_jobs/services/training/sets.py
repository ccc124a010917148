"""Building training sets out of judged, labelled jobs, and listing and deleting them.

A set is what its rules make of its jobs. Building it again finds it; a dry run does all the work and keeps nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rprm_jobs.errors import Conflict, InputError
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.resolve import Judge
from rprm_jobs.pairs.rows import SelectionCounts, TrainingRow, rows_of
from rprm_jobs.pairs.rules import Rules, SetKind
from rprm_jobs.services.context import Context
from rprm_jobs.services.training.refusals import check_arranged, check_jobs, common_prompt
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.results import judged
from rprm_jobs.store.session import Database
from rprm_jobs.store.training import sets
from rprm_jobs.store.training.intake import Arranged, SetIntake
from rprm_jobs.store.training.sets import TrainingSet

Counts = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build. `prompt` is shown in training instead of the jobs' own.

    `unfinished` allows jobs that still run or were cancelled; `replace` builds anew what has this name already.
    """

    name: str
    job_ids: tuple[int, ...]
    rules: Rules
    prompt: PromptTemplate | None = None
    unfinished: bool = False
    replace: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Built:
    """The set's name and counts; `created` is False for one that was there, and for a dry run."""

    name: str
    created: bool
    dry_run: bool
    n_train: int
    n_validation: int
    digest: str
    counts: Counts


class _DryRun(Exception):
    """Not an error: it rolls the build back, because only its counts were wanted."""

    def __init__(self, built: Built) -> None:
        self.built = built


def build(context: Context, request: BuildRequest) -> Built:
    """Build the set, or find it. Raises NotFound, InputError with counts and a hint, or Conflict for a taken name."""
    usable = check_jobs(context.database, request.job_ids, unfinished=request.unfinished)
    with context.database.transaction() as connection:
        existing = sets.find(connection, request.name)
    prompt = common_prompt(usable, request.prompt)
    used = tuple((job.id, n_outcomes) for job, n_outcomes in usable)
    if existing is not None and not request.replace:
        if _is_same(existing, request.rules, prompt, used):
            return _existing_set(existing, request.dry_run)
        raise Conflict(
            f"there is another set {request.name!r}: its rules, its jobs or what was judged of them differ",
            hint="choose another --name, or pass --replace",
        )
    try:
        with context.database.transaction() as connection:
            if existing is not None:
                sets.delete(connection, existing.id)
            intake = SetIntake(connection, request.name, request.rules, prompt.source, used)
            return _fill(context.database, intake, request, prompt)
    except _DryRun as dry:
        return dry.built


def _is_same(existing: TrainingSet, rules: Rules, prompt: PromptTemplate, used: tuple[tuple[int, int], ...]) -> bool:
    return (existing.rules, existing.prompt, existing.jobs) == (rules, prompt.source, used)


def _existing_set(existing: TrainingSet, dry_run: bool) -> Built:
    counts = {name: dict(group) for name, group in existing.counts.items()}
    return Built(existing.name, False, dry_run, existing.n_train, existing.n_validation, existing.digest, counts)


def _fill(database: Database, intake: SetIntake, request: BuildRequest, prompt: PromptTemplate) -> Built:
    tally = SelectionCounts()
    intake.load(_candidates(database, request.job_ids, request.rules, tally))
    arranged = intake.arrange()
    counts = _counts(tally, arranged)
    check_arranged(request.rules, arranged, counts)
    digest = set_digest(request.rules, prompt, tally)
    built = Built(
        request.name, not request.dry_run, request.dry_run, arranged.train, arranged.validation, digest, counts
    )
    if request.dry_run:
        raise _DryRun(built)
    intake.seal(arranged, digest, counts)
    return built


def _candidates(
    database: Database, job_ids: Sequence[int], rules: Rules, tally: SelectionCounts
) -> Iterator[tuple[int, TrainingRow]]:
    for job_id in job_ids:
        for batch in judged.read_judged(database, job_id):
            for solution in batch:
                for row in rows_of(solution, rules, tally):
                    yield job_id, row


def _counts(tally: SelectionCounts, arranged: Arranged) -> Counts:
    return {
        "labels": dict(tally.labels),
        "steps": dict(tally.steps),
        "critiques": dict(tally.critiques),
        "rows": {
            "correct": arranged.correct,
            "wrong": arranged.wrong,
            "cut by balancing": arranged.cut,
            "train": arranged.train,
            "validation": arranged.validation,
        },
        "problems": {"train": arranged.train_problems, "validation": arranged.validation_problems},
    }


def set_digest(rules: Rules, prompt: PromptTemplate, tally: SelectionCounts) -> str:
    """Hex digest of rules, prompt and candidate rows with their texts: all that decides what training reads."""
    return hashlib.sha256("\x1f".join((rules.digest, prompt.source, tally.digest)).encode()).hexdigest()


def list_sets(context: Context, kind: SetKind) -> list[TrainingSet]:
    """Every set of this kind, newest first."""
    with context.database.transaction() as connection:
        return sets.list_all(connection, kind)


def get_set(context: Context, name: str, kind: SetKind) -> TrainingSet:
    """The set of this name and kind. Raises NotFound."""
    with context.database.transaction() as connection:
        return sets.get(connection, name, kind)


def check_sampled_by(context: Context, name: str, judge: Judge) -> None:
    """Raise InputError when the set's pairs were written by other weights, or under another chat template.

    Preference optimisation pulls a judge between its own critiques: of another's both may be unlikely.
    """
    with context.database.transaction() as connection:
        pairs = sets.get(connection, name, SetKind.PAIRS)
        recipes = [jobs.get(connection, job_id).recipe for job_id, _ in pairs.jobs]
    others = sorted({recipe.judge for recipe in recipes if recipe.fingerprint != judge.fingerprint})
    if others:
        raise InputError(
            f"the pairs of {name!r} were written by {', '.join(others)}, which is not the judge {judge.name!r} to be"
            " trained: its weights, tokenizer or chat template differ",
            hint="sample with the judge that is to be trained, or pass --off-policy",
        )


def delete_set(context: Context, name: str, kind: SetKind) -> None:
    """Remove the set; its jobs stay. Raises NotFound."""
    with context.database.transaction() as connection:
        sets.delete(connection, sets.get(connection, name, kind).id)
