"""What a training set cannot be built from, each with its reason and, where there is one, the option that allows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rprm_jobs.errors import Conflict, InputError
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.pairs.labels import Neutral
from rprm_jobs.pairs.rules import PairRule, PairRules, Rules
from rprm_jobs.pairs.select import StepDisposition
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.records import Job, JobState
from rprm_jobs.store.results import judged
from rprm_jobs.store.session import Database
from rprm_jobs.store.training.intake import Arranged
from rprm_jobs.types import KeepCritiques
from rprm_jobs.words import counted

UsedJobs = Sequence[tuple[Job, int]]


def check_jobs(database: Database, job_ids: Sequence[int], *, unfinished: bool) -> UsedJobs:
    """The jobs, each with its number of outcomes. Raises NotFound, InputError or Conflict for one that will not do."""
    repeated = next((job_id for i, job_id in enumerate(job_ids) if job_id in job_ids[:i]), None)
    if repeated is not None:
        raise InputError(f"job {repeated} is named twice", hint="name each job once")
    return [_check_job(database, job_id, unfinished) for job_id in job_ids]


def _check_job(database: Database, job_id: int, unfinished: bool) -> tuple[Job, int]:
    with database.transaction() as connection:
        job = jobs.get(connection, job_id)
        labelled = judged.has_labels(connection, job_id)
        state = jobs.progress(connection, job_id).state(job)
        n_outcomes = judged.count_outcomes(connection, job_id)
    if not labelled:
        raise InputError(
            f"job {job.id} has no labels, so nothing says which of its critiques are right",
            hint="sample critiques of labelled steps: rprm-jobs sample LABELLED.jsonl",
        )
    if not job.recipe.judge_family.writes:
        raise InputError(
            f"the judge of job {job.id} ({job.recipe.judge_family.name}) writes no critiques",
            hint="sample those of a judge that writes: rprm-jobs sample LABELLED.jsonl --judge JUDGE",
        )
    if job.keep_critiques is KeepCritiques.NONE:
        raise InputError(
            f"the critique texts of job {job.id} were not kept",
            hint="sample again, which keeps them all: rprm-jobs sample LABELLED.jsonl",
        )
    if state is not JobState.DONE and not unfinished:
        raise Conflict(
            f"job {job.id} is {state.value}: not all of its steps are judged",
            hint=f"wait for it (rprm-jobs status {job.id} --watch), or pass --unfinished to use what there is",
        )
    return job, n_outcomes


def common_prompt(used: UsedJobs, requested: PromptTemplate | None) -> PromptTemplate:
    """The prompt that training is to show: the requested one, else the one that all jobs were asked with.

    Worked examples were for the teacher: what it wrote is trained on with the prompt that judges get. Raises
    InputError when the jobs differ.
    """
    if requested is not None:
        return requested
    teacher, default = PromptTemplate.teacher(), PromptTemplate.default()
    prompts: dict[str, int] = {}
    for job, _ in used:
        source = default.source if job.recipe.prompt == teacher.source else job.recipe.prompt
        prompts.setdefault(source, job.id)
    if len(prompts) > 1:
        first, second = list(prompts.values())[:2]
        raise InputError(
            f"jobs {first} and {second} were asked with different prompts, and a set shows one",
            hint="name one with --prompt FILE, or build two sets",
        )
    return PromptTemplate.parse(next(iter(prompts)))


def check_arranged(rules: Rules, arranged: Arranged, counts: Mapping[str, Mapping[str, int]]) -> None:
    """Raises InputError when no row is left, or when the split leaves one side without problems."""
    if not arranged.correct + arranged.wrong:
        raise InputError(f"no step gives a row: {_said(counts['steps'])}", hint=_looser(rules, counts["steps"]))
    if not arranged.train + arranged.validation:
        lacking = "correct" if not arranged.correct else "wrong"
        what = f"balancing leaves nothing: no row is of a step labelled {lacking}"
        raise InputError(what, hint=_balanced(rules, lacking))
    if not arranged.train:
        raise InputError(
            f"the validation split takes all {counted(arranged.validation_problems, 'problem')}"
            f" ({counted(arranged.validation, 'row')}): splitting a problem would put it on both sides",
            hint="ask for a smaller --validation (0 for none), or add problems",
        )


def _balanced(rules: Rules, lacking: str) -> str:
    """With labels of only 0 and 1 no step seems wrong; an unbalanced set of them would call wrong steps correct."""
    if lacking == "wrong" and rules.neutral is Neutral.CORRECT:
        return "if 0 means wrong in your step_labels, add --neutral wrong; only if no step is wrong, add --no-balance"
    return "use every row: --no-balance"


def _said(counts: Mapping[str, int]) -> str:
    return "; ".join(
        f"{counted(count, 'step')} {reason}" for reason, count in sorted(counts.items(), key=lambda c: -c[1])
    )


def _looser(rules: Rules, steps: Mapping[str, int]) -> str:
    """What would let some of these steps give a row; a rule is named only where one of its own kept a step out."""
    filtered = steps.get(StepDisposition.FILTERED) or steps.get(StepDisposition.NONE_ENDS)
    if filtered and isinstance(rules, PairRules) and rules.rule is PairRule.PAPER:
        return "--rule all or distinct filters less; or sample more critiques a step"
    if steps.get(StepDisposition.LENGTHS):
        return "--max-length-difference 1 allows any lengths; or sample more critiques a step"
    return "sample more critiques a step, or look at some: rprm-jobs results JOB --critiques"
