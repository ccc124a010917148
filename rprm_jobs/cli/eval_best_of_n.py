"""`eval best-of-n`: how often the response that a judge picks among N is a correct one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rprm_jobs.cli.shared.command import add_command, excludes, needs
from rprm_jobs.cli.shared.common import say
from rprm_jobs.cli.shared.options import (
    EngineArgOption,
    EngineOption,
    FamilyCritiquesOption,
    FamilyOption,
    JsonOption,
    JudgedJobOption,
    OwnWorkerOption,
    PromptOption,
    SeedOption,
    SystemPromptOption,
)
from rprm_jobs.cli.shared.submitting import NO_WORKER_RULE
from rprm_jobs.cli.shared.waiting import wait_until_done
from rprm_jobs.errors import ConfigError
from rprm_jobs.launch.judging import Judging
from rprm_jobs.launch.servers import connected
from rprm_jobs.types import JobKind

_NUMBERS = "1,2,4,8"


def best_of_n(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE|JOB", help="Problems with responses and labels, or the id of a rollout job."),
    ],
    n: Annotated[
        str | None,
        typer.Option("--n", metavar="N,N,...", help="Numbers of responses to pick among.", show_default="1,2,4,8"),
    ] = None,
    job: JudgedJobOption = None,
    judge: Annotated[
        str | None,
        typer.Option("--judge", metavar="JUDGE", help="Judge the responses.", show_default="take the rows' rewards"),
    ] = None,
    family: FamilyOption = None,
    k: FamilyCritiquesOption = None,
    prompt: PromptOption = None,
    system_prompt: SystemPromptOption = None,
    seed: SeedOption = 0,
    worker: OwnWorkerOption = True,
    engine: EngineOption = "auto",
    engine_arg: EngineArgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pick one of N responses by rewards, by votes and by both.

    The table stands beside pass@1 and pass@N.
    """
    from rprm_jobs.cli.shared.evaluations import show_best_of_n
    from rprm_jobs.evaluation.best_of_n import evaluate
    from rprm_jobs.services.evaluation.best_of_n import read_problems, with_rewards_of
    from rprm_jobs.settings import load_settings

    if file.isdecimal() and not Path(file).exists():
        _of_rollouts(int(file), n, job, judge, seed, as_json)
        return
    ns = _numbers(n or _NUMBERS)
    read = read_problems([file], load_settings().limits)
    problems = list(read.problems)
    if job is not None or judge is not None:
        with connected() as context:
            if job is None:
                judging = Judging(
                    judge or "", k, {"kind": "fixed"}, None, seed, engine, tuple(engine_arg or ()), worker,
                    prompt=prompt, system_prompt=system_prompt, family=family,
                )  # fmt: skip
                job = judging.run(context, [file], read.rows, wait=wait_until_done, say=say)
            problems = with_rewards_of(context, job, problems)
    report = evaluate(problems, ns, seed=seed)
    show_best_of_n(report, as_json=as_json)


def _of_rollouts(rollouts: int, n: str | None, scores: int | None, judge: str | None, seed: int, as_json: bool) -> None:
    from rprm_jobs.cli.shared.evaluations import show_best_of_n, show_compared
    from rprm_jobs.evaluation.best_of_n import evaluate
    from rprm_jobs.services.evaluation.rollouts import read_rollouts

    if judge is not None:
        raise ConfigError(
            "--judge has no effect on a rollout job: it judges the responses of a file",
            hint="rprm-jobs rollout ... --then-score judges the solutions of a rollout job",
        )
    ns = _numbers(n or _NUMBERS)
    with connected() as context:
        read = read_rollouts(context, rollouts, scores)
    if read.kind is JobKind.SEARCH:
        if n is not None:
            raise ConfigError(
                f"--n has no effect: job {rollouts} is a search, which has one answer a problem", hint="leave out --n"
            )
        ns = [1]
    show_compared(read)
    show_best_of_n(evaluate(read.problems, ns, seed=seed), as_json=as_json, more=read.counts)


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--n {text!r} is not a list of whole numbers", hint="for example --n 1,2,4,8") from error


def add_best_of_n(group: typer.Typer) -> None:
    """Add the command to `eval`."""
    add_command(
        group,
        best_of_n,
        "rprm-jobs eval best-of-n responses.jsonl --judge tiny",
        "rprm-jobs eval best-of-n 12 --n 1,4,16",
        name="best-of-n",
        rules=(
            excludes("job", "judge"),
            needs("judge", "family", "k", "prompt", "system_prompt", "worker", "engine", "engine_arg"),
            NO_WORKER_RULE,
        ),
    )
