"""The page: one HTML file that loads nothing, with all texts of users and models escaped.

In addition to the escaping, its content security policy lets only its own script run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rprm_jobs.errors import ConfigError, InputError
from rprm_jobs.evaluation.processbench_answers import Answer, answer_of_status, predict
from rprm_jobs.evaluation.processbench_report import ProcessBenchItem, SubsetReport, evaluate, subset_of
from rprm_jobs.report.figures import draw_all
from rprm_jobs.report.training import draw_training
from rprm_jobs.services.evaluation.report import ReportData, ReportSample
from rprm_jobs.words import counted

# A real judge's critique is a page long; of the others only the verdicts are listed.
_TEXTS = 4


def render(data: ReportData) -> str:
    """The whole page. Raises ConfigError when jinja2 or matplotlib is not installed."""
    job, progress = data.status.job, data.status.outcomes
    facts = [
        ("solutions", f"{progress.solutions:,}"),
        ("failed", f"{progress.failed + progress.quarantined:,}"),
        ("steps judged", f"{progress.steps:,}"),
        ("critiques a step", f"{progress.critiques / progress.steps:.2f}" if progress.steps else "-"),
        ("tokens", f"{progress.tokens:,}"),
        ("tokens a critique", f"{progress.tokens / progress.critiques:.0f}" if progress.critiques else "-"),
    ]
    until = ", up to the first error" if job.recipe.until_first_error else ""
    subsets = _subsets(data.sample, job.recipe.threshold)
    page: str = (
        environment()
        .get_template("report.html.j2")
        .render(
            job=job,
            state=data.status.state.value,
            stopping=f"at most {counted(job.recipe.k, 'critique')} a step, {job.recipe.stopping['kind']}{until}",
            facts=facts,
            subsets=subsets,
            incomplete=any(report.missing for _, report in subsets),
            training=[] if data.trained is None else draw_training(*data.trained),
            trained=None if data.trained is None else data.trained[0],
            figures=draw_all(data.sample, job.recipe.threshold),
            sampled=f"{len(data.sample):,}",
            labelled=any(row.label is not None or row.step_labels is not None for row in data.sample),
            shown=data.shown,
            texts=_TEXTS,
        )
    )
    return page


def environment() -> Any:
    """What templates are rendered with: everything is escaped. Raises ConfigError when jinja2 is not installed."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise ConfigError(
            "the report needs jinja2, which is not installed", hint="pip install 'rprm-jobs[report]'"
        ) from error
    rendering = Environment(
        loader=PackageLoader("rprm_jobs", "report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    filters = (("percent", _percent), ("span", _span), ("shade", _shade), ("style", _style), ("reward", _reward))
    rendering.filters.update({**dict(filters), "error": _error})
    return rendering


def _subsets(sample: Sequence[ReportSample], threshold: float) -> list[tuple[str, SubsetReport]]:
    """ProcessBench's table over the labelled solutions, by the part of the id before the dash if all have one."""
    labelled = [row for row in sample if row.label is not None]
    prefix = "" if all(map(_names_subset, labelled)) else "all-"
    items = [
        ProcessBenchItem(f"{prefix}{row.id}", row.label, len(row.rewards)) for row in labelled if row.label is not None
    ]
    answers = {f"{prefix}{row.id}": _answer(row, threshold) for row in labelled}
    return list(evaluate(items, answers).subsets.items())


def _names_subset(row: ReportSample) -> bool:
    try:
        subset_of(row.id)
    except InputError:
        return False
    return True


def _answer(row: ReportSample, threshold: float) -> Answer:
    return predict(row.rewards, threshold) if row.status == "ok" else answer_of_status(row.status)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _span(value: tuple[float, float] | None) -> str:
    return "" if value is None else f"{value[0]:.1f} to {value[1]:.1f}"


def _shade(reward: float | None) -> str:
    return "none" if reward is None else "r"


def _style(reward: float | None) -> Any:
    from markupsafe import Markup

    return Markup("") if reward is None else Markup(' style="--v:{:.3f}"').format(reward)


def _reward(reward: float | None) -> str:
    return "–" if reward is None else f"{reward:.2f}"


def _error(first: int | None) -> str:
    return "no answer" if first is None else "all right" if first < 0 else f"step {first + 1} is wrong"
