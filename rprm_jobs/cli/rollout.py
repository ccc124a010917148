"""`rollout`: have a policy write solutions of problems, as a job, and have them judged when it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rprm_jobs.cli.shared.command import JOBS, Rule, add_command, needs
from rprm_jobs.cli.shared.common import say
from rprm_jobs.cli.shared.generating import (
    GREEDY_TOP_P_RULE,
    NO_WORKER_RULE,
    AnswerPatternOption,
    PolicyOption,
    PolicyTemperatureOption,
    PolicyTopPOption,
    ProblemsArgument,
    announce,
    conclude,
)
from rprm_jobs.cli.shared.options import (
    POLICY,
    CritiquesOption,
    EngineArgOption,
    EngineOption,
    JobNameOption,
    JsonOption,
    JudgeOption,
    NewOption,
    OwnWorkerOption,
    PolicyEngineArgOption,
    PolicyEngineOption,
    PriorityOption,
    SkipBadOption,
    WaitOption,
)
from rprm_jobs.cli.shared.outcome import FailOn, FailOnOption
from rprm_jobs.cli.shared.reading import problem_options
from rprm_jobs.cli.shared.stopping import (
    STOPPING_OPTIONS,
    STOPPING_RULES,
    ByContextOption,
    ChangedOption,
    ConfidenceOption,
    MinKOption,
    PilotOption,
    PriceOption,
    StoppingKind,
    StoppingOption,
    stopping_options,
)
from rprm_jobs.launch.servers import connected
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from rprm_jobs.formats import ReadOptions


@problem_options
def rollout(
    files: ProblemsArgument,
    policy: PolicyOption = "tiny-policy",
    n: Annotated[int, typer.Option("-n", "--responses", metavar="N", help="Solutions of each problem.")] = 8,
    then_score: Annotated[bool, typer.Option("--then-score", help="Judge the solutions when all are written.")] = False,
    judge: JudgeOption = "tiny",
    k: CritiquesOption = 10,
    stopping: StoppingOption = StoppingKind.FIXED,
    confidence: ConfidenceOption = None,
    min_k: MinKOption = None,
    changed: ChangedOption = None,
    price: PriceOption = None,
    by_context: ByContextOption = False,
    pilot: PilotOption = None,
    seed: Annotated[int, typer.Option(help="Seed of every solution and critique.", rich_help_panel=POLICY)] = 0,
    temperature: PolicyTemperatureOption = None,
    top_p: PolicyTopPOption = None,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-new-tokens",
            metavar="N",
            help="Length limit of a solution, in tokens.",
            show_default="the policy's own",
            rich_help_panel=POLICY,
        ),
    ] = None,
    answer_pattern: AnswerPatternOption = None,
    priority: PriorityOption = 0,
    skip_bad: SkipBadOption = False,
    name: JobNameOption = None,
    new: NewOption = False,
    wait: WaitOption = False,
    fail_on: FailOnOption = FailOn.ANY,
    worker: OwnWorkerOption = True,
    policy_engine: PolicyEngineOption = "auto",
    policy_engine_arg: PolicyEngineArgOption = None,
    engine: EngineOption = "auto",
    engine_arg: EngineArgOption = None,
    as_json: JsonOption = False,
    *,
    reading: ReadOptions,
) -> None:
    """Sample solutions of problems from a policy.

    The job's results are rows for `rprm-jobs submit`; --then-score submits them when the job is done.
    """
    from rprm_jobs.judge.places import model_paths
    from rprm_jobs.judge.policy import resolve_policy
    from rprm_jobs.judge.resolve import resolve_judge
    from rprm_jobs.launch.spare import spare_worker
    from rprm_jobs.launch.workers import WorkerChoice
    from rprm_jobs.services.jobs.generate import WriteRequest, make_generation_config, rollout_recipe, write
    from rprm_jobs.services.jobs.submit import make_recipe
    from rprm_jobs.services.upkeep.dependents import score_request

    resolved = resolve_policy(policy)
    generation_config = make_generation_config(
        resolved, temperature=temperature, top_p=top_p, max_new_tokens=max_new_tokens, answer_pattern=answer_pattern
    )
    options = stopping_options(
        stopping,
        k=k,
        confidence=confidence,
        min_k=min_k,
        changed=changed,
        price=price,
        by_context=by_context,
        pilot=pilot,
    )
    judging = resolve_judge(judge) if then_score else None
    scoring = None if judging is None else make_recipe(judging, k=k, stopping=options, seed=seed)
    paths = model_paths(judge=judging, policy=resolved.model)
    request = WriteRequest(
        tuple(files), rollout_recipe(resolved, generation_config, seed=seed), n, reading, priority, new, skip_bad,
        None if scoring is None else score_request(scoring, priority=priority), name, paths,
    )  # fmt: skip
    with spare_worker(wait and worker) as spare, connected() as context:
        submission = write(context, request)
        announce(submission, "solution to write", "solutions to write")
        if then_score:
            say(f"  then judged by {judge}, {counted(k, 'critique')} a step")
        writer = WorkerChoice(None, "auto", (), policy, policy_engine, tuple(policy_engine_arg or ()), spare=spare)
        then = WorkerChoice(judge, engine, tuple(engine_arg or ()), spare=spare) if then_score else None
        conclude(
            context,
            submission,
            wait=wait,
            fail_on=fail_on,
            choice=writer if worker else None,
            as_json=as_json,
            then=then,
        )


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(
        app,
        rollout,
        "rprm-jobs rollout problems.jsonl --policy tiny-policy -n 8 --wait",
        "rprm-jobs rollout problems.jsonl --policy ORG/MODEL -n 64 --then-score --judge ORG/JUDGE",
        group=JOBS,
        rules=(
            Rule(
                ("engine", "engine_arg"),
                lambda values: bool(values["then_score"]),
                "without --then-score",
                "say --policy-engine or --policy-engine-arg for the worker that writes, or add --then-score",
            ),
            needs("then_score", "judge", "k", *STOPPING_OPTIONS),
            *STOPPING_RULES,
            GREEDY_TOP_P_RULE,
            Rule(
                ("seed",),
                lambda values: values["temperature"] != 0 or bool(values["then_score"]),
                "with --temperature 0",
                "leave out --temperature 0 or {option}",
            ),
            needs("wait", "fail_on", "worker", "engine", "engine_arg", "policy_engine", "policy_engine_arg"),
            NO_WORKER_RULE,
        ),
    )
