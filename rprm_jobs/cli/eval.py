"""`eval`: how good a judge is, on ProcessBench, PRMBench, and as a picker among N responses.

Answers come from a finished job, from recorded predictions, or from a job that is submitted (or found) and awaited.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rprm_jobs.cli.shared.common import (
    CritiquesOption,
    EngineArgOption,
    EngineOption,
    JsonOption,
    JudgeOption,
    connected,
    say,
)
from rprm_jobs.cli.shared.judging import JobOption, SeedOption, WorkerOption
from rprm_jobs.cli.shared.stopping import (
    ChangedOption,
    ConfidenceOption,
    MinKOption,
    PilotOption,
    PriceOption,
    StoppingKind,
    StoppingOption,
    UntilOption,
    stopping_options,
)
from rprm_jobs.cli.shared.waiting import wait_for
from rprm_jobs.errors import ConfigError
from rprm_jobs.launch.judging import Judging
from rprm_jobs.types import JobKind

eval_app = typer.Typer(no_args_is_help=True, help="Measure a judge on benchmarks.", rich_markup_mode=None)

PredictionsOption = Annotated[
    str | None, typer.Option("--predictions", help="Recorded output of any system; nothing is judged.")
]
ThresholdOption = Annotated[float, typer.Option("--threshold", help="A step with a lower reward is called wrong.")]


@eval_app.command()
def processbench(
    files: Annotated[
        list[str] | None, typer.Argument(help="ProcessBench files [labels from the job or the predictions].")
    ] = None,
    job: JobOption = None,
    predictions: PredictionsOption = None,
    allow_incomplete: Annotated[
        bool, typer.Option("--allow-incomplete", help="F1 also of incomplete subsets: what is missing is a miss.")
    ] = False,
    threshold: ThresholdOption = 0.5,
    judge: JudgeOption = "tiny",
    k: CritiquesOption = 10,
    stopping: StoppingOption = StoppingKind.FIXED,
    confidence: ConfidenceOption = None,
    min_k: MinKOption = None,
    changed: ChangedOption = None,
    price: PriceOption = None,
    pilot: PilotOption = None,
    until_first_error: UntilOption = False,
    seed: SeedOption = 0,
    worker: WorkerOption = True,
    engine: EngineOption = "auto",
    engine_arg: EngineArgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the first wrong step: accuracies and F1 of each subset, and the mean F1."""
    from rprm_jobs.cli.shared.tables import show_processbench
    from rprm_jobs.evaluation.processbench_report import evaluate
    from rprm_jobs.services.evaluation.processbench import read_items, read_job, read_predictions
    from rprm_jobs.settings import load_settings

    _one_source(job, predictions, files)
    options = stopping_options(stopping, confidence=confidence, min_k=min_k, changed=changed, price=price, pilot=pilot)
    judging = Judging(judge, k, options, threshold, seed, engine, tuple(engine_arg or ()), worker, until_first_error)
    limits = load_settings().limits
    items = read_items(files, limits) if files else None
    if predictions is not None:
        answers = read_predictions(predictions, items, limits, threshold)
    else:
        with connected() as context:
            job_id = judging.run(context, files or [], wait=wait_for, say=say) if job is None else job
            answers = read_job(context, job_id, items, threshold=threshold)
    report = evaluate(answers.items, answers.answers, allow_incomplete=allow_incomplete, seed=seed)
    show_processbench(report, as_json=as_json)


@eval_app.command()
def prmbench(
    files: Annotated[list[str], typer.Argument(help="PRMBench files, or a folder of them.")],
    job: JobOption = None,
    predictions: PredictionsOption = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="A step with a lower score is called invalid [rows' own labels, else 0.5]."),
    ] = None,
    judge: JudgeOption = "tiny",
    k: CritiquesOption = 10,
    stopping: StoppingOption = StoppingKind.FIXED,
    confidence: ConfidenceOption = None,
    min_k: MinKOption = None,
    changed: ChangedOption = None,
    price: PriceOption = None,
    pilot: PilotOption = None,
    seed: SeedOption = 0,
    worker: WorkerOption = True,
    engine: EngineOption = "auto",
    engine_arg: EngineArgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Call every step valid or not: scores of the classes, the dimensions, overall, and the controls."""
    from rprm_jobs.cli.shared.tables import show_prmbench
    from rprm_jobs.evaluation.prmbench import evaluate
    from rprm_jobs.services.evaluation.prmbench import read_benchmark, read_job, read_predictions
    from rprm_jobs.settings import load_settings

    _one_source(job, predictions, files)
    options = stopping_options(stopping, confidence=confidence, min_k=min_k, changed=changed, price=price, pilot=pilot)
    cut = 0.5 if threshold is None else threshold
    judging = Judging(judge, k, options, cut, seed, engine, tuple(engine_arg or ()), worker)
    limits = load_settings().limits
    benchmark = read_benchmark(files, limits)
    if predictions is not None:
        results = read_predictions(predictions, benchmark, limits)
    else:
        with connected() as context:
            job_id = judging.run(context, files, benchmark.rows, wait=wait_for, say=say) if job is None else job
            results = read_job(context, job_id, benchmark)
    report = evaluate(benchmark.items, results, threshold)
    show_prmbench(report, as_json=as_json)


@eval_app.command("best-of-n")
def best_of_n(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE|JOB", help="Problems with responses, labels, maybe rewards; or a rollout job."),
    ],
    n: Annotated[str, typer.Option("--n", help="How many responses to pick among.")] = "1,2,4,8",
    job: JobOption = None,
    judge: Annotated[
        str | None, typer.Option("--judge", help="Judge the responses [rewards from the rows, if any].")
    ] = None,
    k: CritiquesOption = 10,
    seed: SeedOption = 0,
    worker: WorkerOption = True,
    engine: EngineOption = "auto",
    engine_arg: EngineArgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pick one of N responses: by rewards, by votes, by both; beside pass@1 and pass@N."""
    from rprm_jobs.cli.shared.tables import show_best_of_n
    from rprm_jobs.evaluation.best_of_n import evaluate
    from rprm_jobs.services.evaluation.best_of_n import read_problems, with_rewards_of
    from rprm_jobs.settings import load_settings

    if file.isdecimal() and not Path(file).exists():
        _of_rollouts(int(file), _numbers(n), job, judge, seed, as_json)
        return
    if job is not None and judge is not None:
        raise ConfigError("--job and --judge both name where rewards come from", hint="give one of them")
    ns = _numbers(n)
    read = read_problems([file], load_settings().limits)
    problems = list(read.problems)
    if job is not None or judge is not None:
        with connected() as context:
            if job is None:
                judging = Judging(judge or "", k, {"kind": "fixed"}, 0.5, seed, engine, tuple(engine_arg or ()), worker)
                job = judging.run(context, [file], read.rows, wait=wait_for, say=say)
            problems = with_rewards_of(context, job, problems)
    report = evaluate(problems, ns, seed=seed)
    show_best_of_n(report, as_json=as_json)


def _of_rollouts(rollouts: int, ns: list[int], scores: int | None, judge: str | None, seed: int, as_json: bool) -> None:
    from rprm_jobs.cli.shared.tables import show_best_of_n, show_compared
    from rprm_jobs.evaluation.best_of_n import evaluate
    from rprm_jobs.services.evaluation.rollouts import read_rollouts

    if judge is not None:
        raise ConfigError(
            "--judge judges the responses of a file", hint="of rollouts: rprm-jobs rollout ... --then-score"
        )
    with connected() as context:
        read = read_rollouts(context, rollouts, scores)
    show_compared(read)
    # A search has one answer a problem.
    ns = [1] if read.kind is JobKind.SEARCH else ns
    show_best_of_n(evaluate(read.problems, ns, seed=seed), as_json=as_json, more=read.counts)


def _one_source(job: int | None, predictions: str | None, files: list[str] | None) -> None:
    if job is not None and predictions is not None:
        raise ConfigError("--job and --predictions both name answers", hint="give one of them")
    if not files and job is None and predictions is None:
        raise ConfigError("there is nothing to evaluate", hint="name the benchmark's files, --job, or --predictions")


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--n {text!r} is not a list of whole numbers", hint="for example --n 1,2,4,8") from error


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(eval_app, name="eval")
