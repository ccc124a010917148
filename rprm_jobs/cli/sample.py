"""`sample`: critiques of labelled steps, all kept with the label beside them, to build training sets from."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rprm_jobs.cli.shared.command import TRAINING, add_command, excludes
from rprm_jobs.cli.shared.common import say
from rprm_jobs.cli.shared.options import (
    CRITIQUES,
    INPUT,
    CritiquesOption,
    EngineArgOption,
    EngineOption,
    FilesArgument,
    JobNameOption,
    JsonOption,
    JudgeOption,
    MaxNewTokensOption,
    NewOption,
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
from rprm_jobs.cli.shared.reading import reading_options
from rprm_jobs.cli.shared.submitting import GREEDY_RULE, WAIT_RULES, announce, conclude
from rprm_jobs.launch.servers import connected
from rprm_jobs.words import counted

if TYPE_CHECKING:
    from pathlib import Path

    from rprm_jobs.formats import ReadOptions
    from rprm_jobs.formats.readers.labelled import LabelCounts
    from rprm_jobs.judge.prompt import PromptTemplate
    from rprm_jobs.judge.resolve import Judge


@reading_options
def sample(
    files: FilesArgument,
    judge: JudgeOption = "tiny",
    k: CritiquesOption = 8,
    prompt: PromptOption = None,
    system_prompt: SystemPromptOption = None,
    teacher: Annotated[
        bool,
        typer.Option(
            "--teacher",
            help="Ask with worked examples; for a model that is not trained to judge.",
            rich_help_panel=CRITIQUES,
        ),
    ] = False,
    skip_neutral: Annotated[
        bool, typer.Option("--skip-neutral", help="Leave out steps that are rated neutral.", rich_help_panel=INPUT)
    ] = False,
    seed: SeedOption = 0,
    temperature: TemperatureOption = None,
    top_p: TopPOption = None,
    max_new_tokens: MaxNewTokensOption = None,
    priority: PriorityOption = 0,
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
    *,
    reading: ReadOptions,
) -> None:
    """Sample critiques of labelled steps, for training sets.

    Labels are `label`, `step_labels`, or those of PRM800K's rows. All critiques are kept.
    """
    from rprm_jobs.judge.places import model_paths
    from rprm_jobs.judge.resolve import resolve_judge
    from rprm_jobs.launch.spare import spare_worker
    from rprm_jobs.launch.workers import WorkerChoice
    from rprm_jobs.services.jobs.sample import SampleRequest
    from rprm_jobs.services.jobs.sample import sample as sample_job
    from rprm_jobs.services.jobs.submit import make_recipe

    resolved = resolve_judge(judge)
    recipe = make_recipe(
        resolved,
        k=k,
        seed=seed,
        template=_template(resolved, prompt, system_prompt, teacher),
        temperature=temperature,
        top_p=top_p,
        max_new_tokens=max_new_tokens,
    )
    request = SampleRequest(
        tuple(files), recipe, reading, priority, new, skip_bad, skip_neutral, name=name,
        model_paths=model_paths(judge=resolved), reuse=reuse,
    )  # fmt: skip
    with spare_worker(wait and worker) as spare, connected() as context:
        labelled = sample_job(context, request)
        announce(labelled.submission, recipe)
        _announce_labels(labelled.labels)
        serving = WorkerChoice(judge, engine, tuple(engine_arg or ()), spare=spare) if worker else None
        more = {"labels": asdict(labelled.labels)}
        conclude(context, labelled.submission, wait=wait, fail_on=fail_on, worker=serving, as_json=as_json, more=more)


def _template(judge: Judge, prompt: Path | None, system_prompt: str | None, teacher: bool) -> PromptTemplate:
    from rprm_jobs.judge.prompt import PromptTemplate

    if not teacher:
        return judge.asked_with(prompt, system_prompt)
    template = PromptTemplate.teacher()
    return template if system_prompt is None else template.with_system(system_prompt)


def _announce_labels(labels: LabelCounts) -> None:
    say(f"  to be judged: {labels.correct:,} correct, {labels.neutral:,} neutral, {labels.wrong:,} wrong")
    if labels.neutral and not labels.wrong:
        say("  warning: no step is labelled wrong. In step_labels, 1 is correct, 0 is neutral and -1 is wrong")
        say("  hint: if 0 means wrong in your labels, write it as -1:")
        say("    jq -c '.step_labels |= map(if . == 0 then -1 else . end)' FILE > FIXED.jsonl")
    left_out = {
        "without a label": labels.unlabelled,
        "neutral": labels.neutral_left_out,
    }
    if any(left_out.values()):
        say(f"  steps left out: {', '.join(f'{n:,} {what}' for what, n in left_out.items() if n)}")
    if labels.neutral and not labels.wrong:
        say("  warning: no step is labelled wrong, and 0 means neutral; a wrong step is -1 or false")
    if labels.rows_left_out:
        say(f"  {counted(labels.rows_left_out, 'row')} without a step to judge")


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(
        app,
        sample,
        "rprm-jobs sample labelled.jsonl --judge tiny -k 8 --wait",
        group=TRAINING,
        rules=(excludes("teacher", "prompt"), GREEDY_RULE, *WAIT_RULES),
    )
