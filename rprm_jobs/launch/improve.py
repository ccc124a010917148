"""The self-evolving loop: sample, build pairs, train with DPO, evaluate, and again with the new judge.

Every stage finds what it has done before (a job by its recipe and input, a set by its rules, a run by its folder), so
that an interrupted loop continues when it is run again. A folder keeps the recipe of its loop, and refuses another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rprm_jobs.errors import Conflict, InputError
from rprm_jobs.launch.improve_checks import Checked, check_loop, problem_digest, set_name
from rprm_jobs.launch.judging import Judging, Wait
from rprm_jobs.launch.training import run_training
from rprm_jobs.launch.workers import Say, WorkerChoice, worker_environment
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.services.context import Context
    from rprm_jobs.services.training.sets import Built

_FIXED: dict[str, Any] = {"kind": "fixed"}


@dataclass(frozen=True, slots=True)
class Loop:
    """What to improve, on what, and how. Critiques of round r have the seed `seed` + r, so that rounds differ.

    `eval_k` critiques a step judge the validation files; `train` are options of the training program. `wait` waits
    until a job has ended, `say` prints a message. `skip_shared` leaves the validation files' problems out of training.
    """

    labelled: tuple[str, ...]
    validation: tuple[str, ...]
    judge: str
    out: Path
    rounds: int
    k: int
    eval_k: int
    seed: int
    train: tuple[str, ...]
    engine: str
    engine_args: tuple[str, ...]
    worker: bool
    wait: Wait
    say: Say
    skip_shared: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """One judge and what it was trained on; round 0 is the judge to start from. `f1` is in percent.

    `accuracy` is the share of validation pairs that the trained judge orders rightly. `pairs`, `validation_pairs` and
    `accuracy` are None in round 0.
    """

    number: int
    judge: str
    f1: float
    missing: int
    eval_job: int
    sample_job: int | None = None
    pairs: int | None = None
    validation_pairs: int | None = None
    accuracy: float | None = None


def improve(context: Context, loop: Loop) -> Iterator[Round]:
    """Yields each round when it is done; ends after `rounds`, or with the first whose F1 is not better.

    Raises before anything is spent where options, files or folder do not allow the loop.
    """
    checked = check_loop(context, loop)
    best = _evaluated(context, loop, 0, checked.judge)
    yield best
    for number in range(1, loop.rounds + 1):
        current = _round(context, loop, checked, number, best.judge)
        yield current
        if current.f1 <= best.f1:
            loop.say(f"round {number} is no better on the validation files: the loop ends")
            return
        best = current


def _round(context: Context, loop: Loop, checked: Checked, number: int, judge: str) -> Round:
    loop.say(f"round {number}: sampling with {judge}")
    job = _sample(context, loop, checked, number, judge)
    built = _pairs(context, loop, number, job)
    folder = loop.out / f"round-{number}"
    record = _train(context, loop, checked, judge, built, folder)
    evaluated = _evaluated(context, loop, number, str(folder))
    # The weights that were kept are those of the lowest loss.
    kept = min((e for e in record["log"] if "eval_loss" in e), key=lambda e: e["eval_loss"], default=None)
    return Round(
        number, str(folder), evaluated.f1, evaluated.missing, evaluated.eval_job, job, built.n_train,
        built.n_validation, None if kept is None else kept["eval_rewards/accuracies"],
    )  # fmt: skip


def _sample(context: Context, loop: Loop, checked: Checked, number: int, judge: str) -> int:
    from rprm_jobs.judge.places import model_paths
    from rprm_jobs.judge.resolve import resolve_judge
    from rprm_jobs.services.jobs.sample import SampleRequest, sample
    from rprm_jobs.services.jobs.submit import make_recipe

    resolved = resolve_judge(judge)
    recipe = make_recipe(resolved, k=loop.k, seed=loop.seed + number)
    keep = (lambda solution: problem_digest(solution.problem) not in checked.shared) if checked.shared else None
    job = sample(
        context, SampleRequest(loop.labelled, recipe, keep=keep, model_paths=model_paths(judge=resolved))
    ).submission.job_id
    loop.wait(context, job, WorkerChoice(judge, loop.engine, loop.engine_args) if loop.worker else None)
    return job


def _pairs(context: Context, loop: Loop, number: int, job: int) -> Built:
    from rprm_jobs.pairs.rules import pair_rules
    from rprm_jobs.services.training.sets import BuildRequest, build

    rules = pair_rules(bounds={}, seed=loop.seed + number, validation=0.1)
    built = build(context, BuildRequest(set_name(loop.out, number), (job,), rules))
    loop.say(f"round {number}: {counted(built.n_train, 'pair')} to train on, {built.n_validation:,} to validate")
    return built


def _train(context: Context, loop: Loop, checked: Checked, judge: str, built: Built, folder: Path) -> dict[str, Any]:
    """The run's own record. Raises Conflict when the folder holds a judge that was trained otherwise."""
    record_file = folder / "run.json"
    if not record_file.exists():
        resume = ["--resume"] if any((folder / "checkpoints").glob("checkpoint-*")) else []
        arguments = ["dpo", "--judge", judge, "--set", built.name, "--out", str(folder), *resume, *loop.train]
        run_training(arguments, worker_environment(context))
    record: dict[str, Any] = json.loads(record_file.read_text(encoding="utf-8"))
    for what, same in (
        ("on other pairs", record["data"]["digest"] == built.digest),
        ("with other options", record["recipe"] == checked.recipe),
    ):
        if not same:
            raise Conflict(
                f"the folder holds a judge that was trained {what}",
                where=str(folder),
                hint="name a new folder: --out NEW",
            )
    return record


def _evaluated(context: Context, loop: Loop, number: int, judge: str) -> Round:
    from rprm_jobs.evaluation.processbench_report import evaluate
    from rprm_jobs.services.evaluation.processbench import read_items, read_job

    items = read_items(loop.validation, context.settings.limits)
    judging = Judging(judge, loop.eval_k, _FIXED, None, loop.seed, loop.engine, loop.engine_args, loop.worker)
    job = judging.run(context, loop.validation, wait=loop.wait, say=loop.say)
    answers = read_job(context, job, items)
    report = evaluate(answers.items, answers.answers, allow_incomplete=True, seed=loop.seed)
    if report.average_f1 is None:
        raise InputError(
            "the validation files give no F1: every subset needs correct and wrong solutions",
            where=", ".join(loop.validation),
            hint=f"look at rprm-jobs eval processbench --job {job}, and name files that have both",
        )
    return Round(number, judge, report.average_f1, report.missing, job)
