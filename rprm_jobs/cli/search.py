"""`search`: solve problems step by step, a judge deciding which of a policy's candidates is gone on with."""

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
from rprm_jobs.cli.shared.submitting import NewOption, PriorityOption, SkipBadOption, WaitOption, WorkerOption


def search(
    files: ProblemsArgument,
    policy: PolicyOption = "tiny-policy",
    judge: JudgeOption = "tiny",
    candidates: Annotated[int, typer.Option("--candidates", help="Candidates sampled at each step, in all.")] = 8,
    width: Annotated[int, typer.Option("--width", help="Paths kept: 1 is greedy, more is a beam.")] = 1,
    diverse: Annotated[bool, typer.Option("--diverse", help="Every path of the beam keeps its own best.")] = False,
    rank: Annotated[str, typer.Option("--rank", help="Rank paths by their last, min or product of rewards.")] = "last",
    max_steps: Annotated[int, typer.Option("--max-steps", help="Longest solution in steps.")] = 30,
    k: CritiquesOption = 10,
    seed: Annotated[int, typer.Option(help="Seed of every candidate and critique.")] = 0,
    temperature: TemperatureOption = None,
    top_p: TopPOption = None,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", help="Longest step in tokens.")] = 512,
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
    """Search for solutions of problems: sample candidate steps from a policy, go on from the best rewarded ones."""
    from rprm_jobs.judge.policy import resolve_policy
    from rprm_jobs.judge.resolve import resolve_judge
    from rprm_jobs.launch.workers import WorkerChoice
    from rprm_jobs.search.guided import SearchOptions
    from rprm_jobs.services.jobs.generate import WriteRequest, make_generation_config, search_recipe, write
    from rprm_jobs.services.jobs.submit import make_recipe

    found, judging = resolve_policy(policy), resolve_judge(judge)
    generation_config = make_generation_config(
        found,
        temperature=temperature,
        top_p=top_p,
        max_new_tokens=max_new_tokens,
        answer_pattern=answer_pattern,
        search=SearchOptions(candidates, width, diverse, rank, max_steps),
    )
    recipe = search_recipe(found, judging, generation_config, make_recipe(judging, k=k, seed=seed))
    with connected() as context:
        made = write(context, WriteRequest(tuple(files), recipe, 1, split, priority, new, skip_bad))
        announce(made, "problems to search")
        choice = WorkerChoice(
            judge, engine, tuple(engine_arg or ()), policy, policy_engine, tuple(policy_engine_arg or ())
        )
        conclude(context, made, wait=wait, choice=choice if worker else None, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(search)
