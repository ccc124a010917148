"""`rollout`: sample solutions of problems from a policy, as a job, and have them judged when it is done."""

from __future__ import annotations

from typing import Annotated

import typer

from rprm_jobs.cli.shared.common import (
    CritiquesOption,
    EngineArgOption,
    EngineOption,
    JsonOption,
    JudgeOption,
    PolicyEngineArgOption,
    PolicyEngineOption,
    SplitOption,
    connected,
    say,
)
from rprm_jobs.cli.shared.generating import (
    AnswerPatternOption,
    PolicyOption,
    ProblemsArgument,
    TemperatureOption,
    TopPOption,
    announce,
    conclude,
)
from rprm_jobs.cli.shared.stopping import (
    ChangedOption,
    ConfidenceOption,
    MinKOption,
    PilotOption,
    PriceOption,
    StoppingKind,
    StoppingOption,
    stopping_options,
)
from rprm_jobs.cli.shared.submitting import NewOption, PriorityOption, SkipBadOption, WaitOption, WorkerOption


def rollout(
    files: ProblemsArgument,
    policy: PolicyOption = "tiny-policy",
    n: Annotated[int, typer.Option("-n", "--responses", help="Solutions of each problem.")] = 8,
    then_score: Annotated[
        bool, typer.Option("--then-score", help="Judge the solutions when they are written.")
    ] = False,
    judge: JudgeOption = "tiny",
    k: CritiquesOption = 10,
    stopping: StoppingOption = StoppingKind.FIXED,
    confidence: ConfidenceOption = None,
    min_k: MinKOption = None,
    changed: ChangedOption = None,
    price: PriceOption = None,
    pilot: PilotOption = None,
    seed: Annotated[int, typer.Option(help="Seed of every solution, and of every critique.")] = 0,
    temperature: TemperatureOption = None,
    top_p: TopPOption = None,
    max_new_tokens: Annotated[
        int | None, typer.Option("--max-new-tokens", help="Longest solution in tokens [policy's].")
    ] = None,
    answer_pattern: AnswerPatternOption = None,
    priority: PriorityOption = 0,
    split: SplitOption = None,
    skip_bad: SkipBadOption = False,
    new: NewOption = False,
    wait: WaitOption = False,
    worker: WorkerOption = True,
    policy_engine: PolicyEngineOption = "auto",
    policy_engine_arg: PolicyEngineArgOption = None,
    engine: EngineOption = "auto",
    engine_arg: EngineArgOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sample solutions of problems from a policy. Its `results` are rows for `submit`; --then-score judges them."""
    from rprm_jobs.judge.policy import resolve_policy
    from rprm_jobs.judge.resolve import resolve_judge
    from rprm_jobs.launch.workers import WorkerChoice
    from rprm_jobs.services.jobs.generate import WriteRequest, make_generation_config, rollout_recipe, write
    from rprm_jobs.services.jobs.submit import make_recipe
    from rprm_jobs.services.upkeep.dependents import score_request

    found = resolve_policy(policy)
    generation_config = make_generation_config(
        found, temperature=temperature, top_p=top_p, max_new_tokens=max_new_tokens, answer_pattern=answer_pattern
    )
    options = stopping_options(stopping, confidence=confidence, min_k=min_k, changed=changed, price=price, pilot=pilot)
    scoring = make_recipe(resolve_judge(judge), k=k, stopping=options, seed=seed) if then_score else None
    request = WriteRequest(
        tuple(files), rollout_recipe(found, generation_config, seed=seed), n, split, priority, new, skip_bad,
        None if scoring is None else score_request(scoring, priority=priority),
    )  # fmt: skip
    with connected() as context:
        made = write(context, request)
        announce(made, "solutions to write")
        if then_score:
            say(f"  then judged by {judge}, {k} critiques a step")
        writer = WorkerChoice(None, "auto", (), policy, policy_engine, tuple(policy_engine_arg or ()))
        then = WorkerChoice(judge, engine, tuple(engine_arg or ())) if then_score else None
        conclude(context, made, wait=wait, choice=writer if worker else None, as_json=as_json, then=then)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(rollout)
