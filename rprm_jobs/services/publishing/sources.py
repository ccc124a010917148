"""What is published of a job and of a training set: their rows, and the facts that their cards tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from rprm_jobs.evaluation.processbench_answers import answer_of_status, predict
from rprm_jobs.evaluation.processbench_report import ProcessBenchItem, evaluate
from rprm_jobs.formats.writers import RESULTS, SetSchema
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.pairs.rules import SetKind
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.query import job_status
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.services.publishing.card import DatasetCard, Section
from rprm_jobs.services.publishing.push import Publication
from rprm_jobs.services.training import export
from rprm_jobs.services.training.sets import get_set
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.records import Job
from rprm_jobs.store.results.export import read_outcomes
from rprm_jobs.types import ItemStatus

_RESULTS = (
    "A row is one solution: `rewards` has the mean P(Yes) of each step (null where there is none), `first_error` the"
    " first step called wrong (counted from 0, -1 for none). Fields of the input that have no column are JSON in"
    " `metadata`."
)
_ROWS = {
    SetKind.PAIRS: "A row is one preference pair in TRL's columns `prompt`, `chosen` and `rejected`: two critiques of"
    " the same step, of which the chosen one agrees with the step's label.",
    SetKind.SFT: "A row is one critique to imitate, in TRL's columns `prompt` and `completion`: it agrees with the"
    " step's label and ends in its verdict.",
}
_TAGS = {
    SetKind.PAIRS: ("dpo", "preference", "trl", "prm", "synthetic"),
    SetKind.SFT: ("sft", "trl", "prm", "synthetic"),
}


def of_results(
    context: Context, job_id: int, *, title: str, license: str | None, critiques: bool, steps: bool
) -> Publication:
    """The result rows of a job. Raises NotFound."""
    status = job_status(context, job_id)
    job, progress = status.job, status.progress
    counts = {
        "state": status.state.value,
        "solutions": f"{progress.solutions:,} of {job.n_solutions:,}",
        "failed": f"{progress.failed:,}",
        "quarantined": f"{progress.quarantined:,}",
        "steps": f"{progress.steps:,}",
        "critiques": f"{progress.critiques:,}",
        "generated tokens": f"{progress.tokens:,}",
    }
    sections = [
        Section("Rows", _RESULTS),
        Section("How they were judged", facts=_recipe(job)),
        Section("Counts", facts=counts),
        *_measured(context, job),
    ]
    card = DatasetCard(
        title, "Step rewards of sampled solutions.", ("prm", "reward-modeling", "synthetic"), license, sections
    )
    rows = {"train": lambda: result_rows(context, job_id, critiques=critiques, steps=steps)}
    return Publication(card, rows, RESULTS)


def of_set(context: Context, name: str, kind: SetKind, *, title: str, license: str | None) -> Publication:
    """The rows of a training set. Raises NotFound."""
    training_set = get_set(context, name, kind)
    with context.database.transaction() as connection:
        used = [jobs.get(connection, job_id) for job_id, _ in training_set.jobs]
    rules = {key: value for key, value in training_set.rules.to_builtins().items() if key != "kind"}
    counts = {f"{group}, {what}": f"{n:,}" for group, part in training_set.counts.items() for what, n in part.items()}
    sections = [
        Section("Rows", _ROWS[kind]),
        Section("Rules", facts={**rules, "digest": training_set.digest}),
        *(Section(f"Critiques of job {job.id}", facts=_recipe(job)) for job in used),
        Section("Counts", facts=counts),
    ]
    splits = {"train": training_set.n_train, "validation": training_set.n_validation}
    rows = {
        split: lambda split=split: export.rows(context, name, kind, split) for split, count in splits.items() if count
    }
    what = "Preference pairs" if kind is SetKind.PAIRS else "Critiques to imitate"
    return Publication(
        DatasetCard(title, f"{what} for training a step judge.", _TAGS[kind], license, sections),
        rows,
        SetSchema(pairs=kind is SetKind.PAIRS),
    )


def _recipe(job: Job) -> dict[str, Any]:
    """Files by their names alone: a machine's folders are nobody's business."""
    recipe: Recipe = job.recipe
    sampling = recipe.sampling
    stopping = {name: value for name, value in recipe.stopping.items() if name not in ("prior", "wrong", "priors")}
    return {
        "judge": PurePath(recipe.judge).name if PurePath(recipe.judge).is_absolute() else recipe.judge,
        "its fingerprint": recipe.fingerprint,
        "its family": recipe.judge_family.name,
        "critiques a step": recipe.k,
        "stopping rule": ", ".join(f"{name} {value}" for name, value in stopping.items()),
        "threshold": recipe.threshold,
        "sampling": f"temperature {sampling.temperature}, top_p {sampling.top_p}, {sampling.max_new_tokens} new tokens",
        "seed": recipe.seed,
        "recipe digest": recipe.digest,
        "sources": ", ".join(PurePath(source).name for source in job.sources),
        "date": f"{job.created_at:%Y-%m-%d}",
    }


def _measured(context: Context, job: Job) -> Iterator[Section]:
    """First errors against the labels that came with the solutions, as on ProcessBench."""
    if job.kind.writes:
        return
    items, answers = [], {}
    for batch in read_outcomes(context.database, job):
        for outcome in batch:
            if outcome.label is None or outcome.status is None:
                continue
            item = ProcessBenchItem(f"all-{outcome.id}", outcome.label)
            items.append(item)
            ok = outcome.status == ItemStatus.OK
            answers[item.id] = (
                predict(outcome.rewards or (), job.recipe.threshold) if ok else answer_of_status(outcome.status)
            )
    for report in evaluate(items, answers, allow_incomplete=True).subsets.values():
        facts: Mapping[str, Any] = {
            "labelled solutions": f"{report.n_error + report.n_correct:,} ({report.n_error:,} erroneous)",
            "error accuracy": _percent(report.error_acc),
            "correct accuracy": _percent(report.correct_acc),
            "F1": _percent(report.f1),
            "without a prediction": f"{report.without_prediction + report.missing:,}",
        }
        yield Section("Measured", "First wrong steps against the labels of the solutions.", facts)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}%"
