"""`eval`: how good a judge is, on ProcessBench and PRMBench. As a picker among N responses: `eval_best_of_n`.

Answers come from a finished job, from recorded predictions, or from a job that is submitted (or found) and awaited.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from rprm_jobs.cli.eval_best_of_n import add_best_of_n
from rprm_jobs.cli.shared.command import ANSWERS, add_command, excludes, new_group
from rprm_jobs.cli.shared.common import say
from rprm_jobs.cli.shared.eval_options import ONE_JUDGE_RULE, CalibratedOption, JudgesOption, PredictionsOption
from rprm_jobs.cli.shared.evaluations import check_source, check_threshold
from rprm_jobs.cli.shared.options import (
    EngineArgOption,
    EngineOption,
    FamilyCritiquesOption,
    FamilyOption,
    FamilyThresholdOption,
    JsonOption,
    JudgedJobOption,
    JudgeOption,
    OwnWorkerOption,
    PromptOption,
    SeedOption,
    SystemPromptOption,
)
from rprm_jobs.cli.shared.stopping import (
    SCREEN_RULES,
    STOPPING_OPTIONS,
    STOPPING_RULES,
    ByContextOption,
    ChangedOption,
    ConfidenceOption,
    MinKOption,
    PilotOption,
    PriceOption,
    ScreenFamilyOption,
    ScreenOption,
    StoppingKind,
    StoppingOption,
    UntilOption,
    WeightOption,
    rule_options,
)
from rprm_jobs.cli.shared.submitting import NO_WORKER_RULE
from rprm_jobs.cli.shared.waiting import wait_until_done
from rprm_jobs.launch.judging import Judging
from rprm_jobs.launch.servers import connected

eval_app = new_group("Measure a judge on benchmarks.")


def processbench(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE", help="ProcessBench files.", show_default="labels of the job or predictions"),
    ] = None,
    job: JudgedJobOption = None,
    predictions: PredictionsOption = None,
    allow_incomplete: Annotated[
        bool,
        typer.Option("--allow-incomplete", help="Give F1 of incomplete subsets too: a missing answer is a miss."),
    ] = False,
    threshold: FamilyThresholdOption = None,
    calibrated: CalibratedOption = None,
    judge: JudgesOption = None,
    family: FamilyOption = None,
    k: FamilyCritiquesOption = None,
    stopping: StoppingOption = StoppingKind.FIXED,
    confidence: ConfidenceOption = None,
    min_k: MinKOption = None,
    changed: ChangedOption = None,
    price: PriceOption = None,
    by_context: ByContextOption = False,
    pilot: PilotOption = None,
    weight: WeightOption = None,
    screen: ScreenOption = None,
    screen_family: ScreenFamilyOption = None,
    until_first_error: UntilOption = False,
    prompt: PromptOption = None,
    system_prompt: SystemPromptOption = None,
    seed: SeedOption = 0,
    worker: OwnWorkerOption = True,
    engine: EngineOption = "auto",
    engine_arg: EngineArgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the first wrong step: accuracies and F1 by subset.

    Answers come from a job over FILE (submitted or found again), from --job, or from --predictions. Several judges are
    compared as by `compare`.
    """
    from rprm_jobs.cli.shared.evaluations import show_processbench
    from rprm_jobs.evaluation.processbench_report import evaluate
    from rprm_jobs.services.evaluation.calibrated_reports import calibrated_processbench
    from rprm_jobs.services.evaluation.processbench import read_items, read_job, read_predictions
    from rprm_jobs.settings import load_settings

    judges = judge or ["tiny"]
    if job is None:
        for name in judges:
            check_threshold(threshold, name, family, judged=predictions is None)
    check_source(job, predictions, files)
    options = rule_options(
        stopping, k=k or 10, screen=screen, weight=weight, confidence=confidence, min_k=min_k, changed=changed,
        price=price, by_context=by_context, pilot=pilot,
    )  # fmt: skip
    judging = Judging(
        judges[0], k, options, threshold, seed, engine, tuple(engine_arg or ()), worker, until_first_error,
        prompt=prompt, system_prompt=system_prompt, family=family, screen=screen, screen_family=screen_family,
    )  # fmt: skip
    if len(judges) > 1:
        _compare(judges, judging, files or [], as_json=as_json)
        return
    limits = load_settings().limits
    items = read_items(files, limits) if files else None
    better = None
    if predictions is not None:
        answers = read_predictions(predictions, items, limits, 0.5 if threshold is None else threshold)
    else:
        with connected() as context:
            job_id = judging.run(context, files or [], wait=wait_until_done, say=say) if job is None else job
            answers = read_job(context, job_id, items, threshold=threshold)
            if calibrated is not None:
                better = calibrated_processbench(
                    context, job_id, items, calibrated, allow_incomplete=allow_incomplete, seed=seed
                )
    report = evaluate(answers.items, answers.answers, allow_incomplete=allow_incomplete, seed=seed)
    show_processbench(report, as_json=as_json, calibrated=better)


def prmbench(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="PRMBench files, or a folder of them.")],
    job: JudgedJobOption = None,
    predictions: PredictionsOption = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            metavar="REWARD",
            help="A step with a lower score is called invalid.",
            show_default="the rows' own labels, else the family's published one",
        ),
    ] = None,
    calibrated: CalibratedOption = None,
    judge: JudgeOption = "tiny",
    family: FamilyOption = None,
    k: FamilyCritiquesOption = None,
    stopping: StoppingOption = StoppingKind.FIXED,
    confidence: ConfidenceOption = None,
    min_k: MinKOption = None,
    changed: ChangedOption = None,
    price: PriceOption = None,
    by_context: ByContextOption = False,
    pilot: PilotOption = None,
    weight: WeightOption = None,
    screen: ScreenOption = None,
    screen_family: ScreenFamilyOption = None,
    prompt: PromptOption = None,
    system_prompt: SystemPromptOption = None,
    seed: SeedOption = 0,
    worker: OwnWorkerOption = True,
    engine: EngineOption = "auto",
    engine_arg: EngineArgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Call every step valid or not: scores by class and overall.

    Answers come from a job over FILE (submitted or found again), from --job, or from --predictions.
    """
    from rprm_jobs.cli.shared.evaluations import show_prmbench
    from rprm_jobs.evaluation.prmbench import evaluate
    from rprm_jobs.services.evaluation.calibrated_reports import calibrated_prmbench
    from rprm_jobs.services.evaluation.prmbench import read_benchmark, read_job, read_predictions
    from rprm_jobs.settings import load_settings

    if job is None:
        check_threshold(threshold, judge, family, judged=predictions is None)
    check_source(job, predictions, files)
    options = rule_options(
        stopping, k=k or 10, screen=screen, weight=weight, confidence=confidence, min_k=min_k, changed=changed,
        price=price, by_context=by_context, pilot=pilot,
    )  # fmt: skip
    judging = Judging(
        judge, k, options, threshold, seed, engine, tuple(engine_arg or ()), worker,
        prompt=prompt, system_prompt=system_prompt, family=family, screen=screen, screen_family=screen_family,
    )  # fmt: skip
    limits = load_settings().limits
    benchmark = read_benchmark(files, limits)
    better = None
    if predictions is not None:
        results = read_predictions(predictions, benchmark, limits)
    else:
        with connected() as context:
            job_id = judging.run(context, files, benchmark.rows, wait=wait_until_done, say=say) if job is None else job
            results = read_job(context, job_id, benchmark)
            if calibrated is not None:
                better = calibrated_prmbench(context, job_id, benchmark, calibrated)
    report = evaluate(benchmark.items, results, threshold)
    show_prmbench(report, as_json=as_json, calibrated=better)


def _compare(judges: Sequence[str], judging: Judging, files: list[str], *, as_json: bool) -> None:
    """Judge the files by each of the judges, and show them side by side."""
    from rprm_jobs.cli.shared.comparing import show_comparison
    from rprm_jobs.services.evaluation.comparing import compare_jobs

    with connected() as context:
        jobs = [replace(judging, judge=name).run(context, files, wait=wait_until_done, say=say) for name in judges]
        compared = compare_jobs(context, jobs, seed=judging.seed)
    show_comparison(compared, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    prompts = ("prompt", "system_prompt")
    screening = ("screen", "screen_family", "weight")
    judging = ("judge", "family", "k", *STOPPING_OPTIONS, *screening, *prompts, "worker", "engine", "engine_arg")
    rules = (*SCREEN_RULES, *STOPPING_RULES, NO_WORKER_RULE)
    add_command(
        eval_app,
        processbench,
        "rprm-jobs eval processbench gsm8k.json --judge tiny",
        "rprm-jobs eval processbench --job 7 --threshold 0.4",
        "rprm-jobs eval processbench gsm8k.json --judge tiny --judge tiny-sft",
        "rprm-jobs eval processbench --job 7 --calibrated prm800k",
        "rprm-jobs eval processbench gsm8k.json --judge ORG/MODEL --screen Qwen/Qwen2.5-Math-PRM-7B",
        rules=(
            excludes("predictions", "job", "calibrated", *judging, "until_first_error"),
            excludes("job", *judging, "until_first_error"),
            ONE_JUDGE_RULE,
            *rules,
        ),
    )
    add_command(
        eval_app,
        prmbench,
        "rprm-jobs eval prmbench prmbench.jsonl --judge tiny",
        rules=(
            excludes("predictions", "job", "calibrated", "seed", *judging),
            excludes("job", "seed", *judging),
            *rules,
        ),
    )
    add_best_of_n(eval_app)
    app.add_typer(eval_app, name="eval", rich_help_panel=ANSWERS)
