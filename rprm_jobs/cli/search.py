"""`search`: solve problems step by step; a judge picks among the steps that a policy proposes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rprm_jobs.cli.shared.command import JOBS, Rule, add_command, needs
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
    EngineArgOption,
    EngineOption,
    FamilyCritiquesOption,
    FamilyOption,
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
from rprm_jobs.launch.servers import connected

if TYPE_CHECKING:
    from rprm_jobs.formats import ReadOptions

# A heading of its help.
SEARCH = "Search"


@problem_options
def search(
    files: ProblemsArgument,
    policy: PolicyOption = "tiny-policy",
    judge: JudgeOption = "tiny",
    family: FamilyOption = None,
    candidates: Annotated[
        int,
        typer.Option(
            "--candidates", metavar="N", help="Candidates for each step, over all paths.", rich_help_panel=SEARCH
        ),
    ] = 8,
    width: Annotated[
        int,
        typer.Option("--width", metavar="N", help="Paths kept: 1 is greedy, more is a beam.", rich_help_panel=SEARCH),
    ] = 1,
    diverse: Annotated[
        bool,
        typer.Option("--diverse", help="Each path of the beam keeps its own best candidate.", rich_help_panel=SEARCH),
    ] = False,
    rank: Annotated[
        str,
        typer.Option(
            "--rank", help="Rank paths by their last reward, their min, or their product.", rich_help_panel=SEARCH
        ),
    ] = "last",
    max_steps: Annotated[
        int,
        typer.Option("--max-steps", metavar="N", help="Length limit of a solution, in steps.", rich_help_panel=SEARCH),
    ] = 30,
    k: FamilyCritiquesOption = None,
    seed: Annotated[int, typer.Option(help="Seed of every candidate and critique.", rich_help_panel=POLICY)] = 0,
    temperature: PolicyTemperatureOption = None,
    top_p: PolicyTopPOption = None,
    max_new_tokens: Annotated[
        int,
        typer.Option(
            "--max-new-tokens", metavar="N", help="Length limit of a step, in tokens.", rich_help_panel=POLICY
        ),
    ] = 512,
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
    """Search for solutions step by step, guided by a judge.

    A policy samples candidates for the next step, the judge rewards them, and the best are continued.
    """
    from rprm_jobs.judge.places import model_paths
    from rprm_jobs.judge.policy import resolve_policy
    from rprm_jobs.judge.resolve import resolve_judge
    from rprm_jobs.launch.spare import spare_worker
    from rprm_jobs.launch.workers import WorkerChoice
    from rprm_jobs.search.guided import SearchOptions
    from rprm_jobs.services.jobs.generate import WriteRequest, make_generation_config, search_recipe, write
    from rprm_jobs.services.jobs.submit import make_recipe

    resolved, judging = resolve_policy(policy), resolve_judge(judge, family)
    generation_config = make_generation_config(
        resolved,
        temperature=temperature,
        top_p=top_p,
        max_new_tokens=max_new_tokens,
        answer_pattern=answer_pattern,
        search=SearchOptions(candidates, width, diverse, rank, max_steps),
    )
    recipe = search_recipe(resolved, judging, generation_config, make_recipe(judging, k=k, seed=seed))
    with spare_worker(wait and worker) as spare, connected() as context:
        paths = model_paths(judge=judging, policy=resolved.model)
        request = WriteRequest(tuple(files), recipe, 1, reading, priority, new, skip_bad, name=name, model_paths=paths)
        submission = write(context, request)
        announce(submission, "problem to search", "problems to search")
        choice = WorkerChoice(
            judge,
            engine,
            tuple(engine_arg or ()),
            policy,
            policy_engine,
            tuple(policy_engine_arg or ()),
            family=family,
            spare=spare,
        )
        conclude(context, submission, wait=wait, fail_on=fail_on, choice=choice if worker else None, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add the command."""
    beam = Rule(
        ("diverse",),
        lambda values: values["width"] > 1,
        "with --width 1",
        "say --width 2 or more, or leave out {option}",
    )
    add_command(
        app,
        search,
        "rprm-jobs search problems.jsonl --policy tiny-policy --judge tiny --candidates 8 --wait",
        "rprm-jobs search problems.jsonl --policy ORG/MODEL --judge ORG/JUDGE --width 4",
        group=JOBS,
        rules=(
            beam,
            GREEDY_TOP_P_RULE,
            needs("wait", "fail_on", "worker", "engine", "engine_arg", "policy_engine", "policy_engine_arg"),
            NO_WORKER_RULE,
        ),
    )
