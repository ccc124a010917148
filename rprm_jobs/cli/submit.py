"""`submit`: make a job of files of solutions, and with --wait stay until they are judged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from rprm_jobs.cli.shared.command import JOBS, add_command, excludes
from rprm_jobs.cli.shared.options import (
    EngineArgOption,
    EngineOption,
    FamilyCritiquesOption,
    FamilyOption,
    FamilyThresholdOption,
    ForceVerdictOption,
    FromJobOption,
    JobNameOption,
    JsonOption,
    JudgeOption,
    KeepOption,
    MaxNewTokensOption,
    NewOption,
    OptionalFilesArgument,
    OwnWorkerOption,
    PriorityOption,
    PromptOption,
    ReuseOption,
    SeedOption,
    SkipBadOption,
    SystemPromptOption,
    TemperatureOption,
    TopPOption,
    WaitOption,
)
from rprm_jobs.cli.shared.outcome import FailOn, FailOnOption
from rprm_jobs.cli.shared.reading import READING, reading_options
from rprm_jobs.cli.shared.stopping import (
    SCREEN_RULES,
    STOPPING_RULES,
    ByContextOption,
    ChangedOption,
    ConfidenceOption,
    MinKOption,
    OldPolicyOption,
    PilotOption,
    PriceOption,
    ScreenFamilyOption,
    ScreenOption,
    StoppingKind,
    StoppingOption,
    UntilOption,
    WeightOption,
    refuse_old_policy,
    rule_options,
)
from rprm_jobs.cli.shared.submitting import (
    GREEDY_RULE,
    WAIT_RULES,
    announce,
    announce_proposal,
    conclude,
    conclude_screened,
    keeps_its_name,
)
from rprm_jobs.errors import ConfigError
from rprm_jobs.launch.servers import connected
from rprm_jobs.types import KeepCritiques

if TYPE_CHECKING:
    from rprm_jobs.formats import ReadOptions


@reading_options
def submit(
    files: OptionalFilesArgument = None,
    from_job: FromJobOption = None,
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
    until_first_error: UntilOption = False,
    prompt: PromptOption = None,
    system_prompt: SystemPromptOption = None,
    threshold: FamilyThresholdOption = None,
    seed: SeedOption = 0,
    temperature: TemperatureOption = None,
    top_p: TopPOption = None,
    max_new_tokens: MaxNewTokensOption = None,
    force_verdict: ForceVerdictOption = False,
    priority: PriorityOption = 0,
    keep_critiques: KeepOption = KeepCritiques.ALL,
    skip_bad: SkipBadOption = False,
    name: JobNameOption = None,
    new: NewOption = False,
    reuse: ReuseOption = True,
    wait: WaitOption = False,
    fail_on: FailOnOption = FailOn.ANY,
    worker: OwnWorkerOption = True,
    engine: EngineOption = "auto",
    engine_arg: EngineArgOption = None,
    as_json: JsonOption = False,
    policy: OldPolicyOption = None,
    *,
    reading: ReadOptions,
) -> None:
    """Submit solutions of files, or of another job, to be judged.

    The same solutions with the same options find the job that is there already; --new makes another.
    """
    from rprm_jobs.judge.places import model_paths
    from rprm_jobs.judge.resolve import resolve_judge
    from rprm_jobs.launch.spare import spare_worker
    from rprm_jobs.launch.workers import WorkerChoice
    from rprm_jobs.services.jobs.again import request_from_job
    from rprm_jobs.services.jobs.submit import SubmitRequest, make_recipe
    from rprm_jobs.services.jobs.submit import submit as submit_job
    from rprm_jobs.services.upkeep.dependents import submit_screened

    refuse_old_policy(policy)
    if not files and from_job is None:
        raise ConfigError("there is nothing to judge", hint="name files of solutions, or a job: --from-job JOB")
    resolved = resolve_judge(judge, family)
    k = resolved.family.resolve_k(k)
    options = rule_options(
        stopping, k=k, screen=screen, weight=weight, confidence=confidence, min_k=min_k, changed=changed, price=price,
        by_context=by_context, pilot=pilot,
    )  # fmt: skip
    recipe = make_recipe(
        resolved,
        k=k,
        stopping=options,
        threshold=threshold,
        seed=seed,
        template=resolved.asked_with(prompt, system_prompt),
        temperature=temperature,
        top_p=top_p,
        max_new_tokens=max_new_tokens,
        until_first_error=until_first_error,
        force_verdict=force_verdict,
    )
    with spare_worker(wait and worker) as spare, connected() as context:
        if from_job is None:
            request = SubmitRequest(tuple(files or ()), recipe, reading, priority, keep_critiques, new, skip_bad)
        else:
            request = request_from_job(context, from_job, recipe, priority=priority, keep=keep_critiques, new=new)
        request = replace(request, name=name, reuse=reuse, model_paths=model_paths(judge=resolved))
        serving = WorkerChoice(judge, engine, tuple(engine_arg or ()), family=family, spare=spare) if worker else None
        if screen is None:
            submission = submit_job(context, request)
            announce(submission, recipe, keeps_name=keeps_its_name(context, submission, name))
            announce_proposal(submission, recipe)
            conclude(context, submission, wait=wait, fail_on=fail_on, worker=serving, as_json=as_json)
            return
        scorer = resolve_judge(screen, screen_family)
        screening = make_recipe(scorer, k=None, seed=seed)
        paths = model_paths(judge=scorer)
        submission = submit_screened(context, request, screening, screen_paths=paths)
        announce(submission, screening, keeps_name=keeps_its_name(context, submission, name))
        first = WorkerChoice(screen, "auto", (), family=screen_family, spare=spare) if worker else None
        conclude_screened(
            context, submission, wait=wait, fail_on=fail_on, screen=first, worker=serving, as_json=as_json
        )


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(
        app,
        submit,
        "rprm-jobs submit solutions.jsonl --judge tiny --wait",
        "rprm-jobs submit rollouts/ --judge ORG/MODEL -k 16 --stopping adaptive",
        "rprm-jobs submit --from-job 7 --judge ORG/OTHER",
        "rprm-jobs submit solutions.jsonl --judge ORG/MODEL --screen Qwen/Qwen2.5-Math-PRM-7B --until-first-error",
        group=JOBS,
        rules=(
            excludes("from_job", "files", "skip_bad", *READING),
            *SCREEN_RULES,
            *STOPPING_RULES,
            GREEDY_RULE,
            *WAIT_RULES,
        ),
    )
