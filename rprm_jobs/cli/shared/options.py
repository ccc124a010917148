"""The options and arguments that several commands share, each defined once, with its heading in the help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rprm_jobs.cli.shared.complete import complete_job, complete_judge
from rprm_jobs.errors import ConfigError
from rprm_jobs.types import KeepCritiques

# Headings of a command's help. Options without one stand first.
INPUT, CRITIQUES, POLICY, WORKER = "Input", "Critiques", "Solutions", "Worker"
CUTTING = "Cutting a solution's text into steps"
PLACE = "Queue"

JobArgument = Annotated[int, typer.Argument(metavar="JOB", help="The job's id.", min=1, autocompletion=complete_job)]
JobsArgument = Annotated[
    list[int], typer.Argument(metavar="JOB", help="The jobs' ids.", min=1, autocompletion=complete_job)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
JudgeOption = Annotated[
    str,
    typer.Option(
        "--judge", metavar="JUDGE", help="A shipped judge, a model folder, or a hub id.", autocompletion=complete_judge
    ),
]
FamilyOption = Annotated[
    str | None,
    typer.Option(
        "--family", metavar="NAME", help="The judge's family, as NAME or NAME,KEY=VALUE,... (see judges --families).",
        show_default="recognised",
    ),
]  # fmt: skip
CritiquesOption = Annotated[int, typer.Option("-k", "--critiques", metavar="K", help="Critiques of each step.")]
FamilyCritiquesOption = Annotated[
    int | None,
    typer.Option(
        "-k", "--critiques", metavar="K", help="Critiques of each step.",
        show_default="10, or 1 where the family does not sample",
    ),
]  # fmt: skip


def in_unit(value: float | None) -> float | None:
    """Check a threshold on rewards of R-PRM's scale. Raises ConfigError."""
    if value is not None and not 0 <= value <= 1:
        raise ConfigError(f"--threshold {value:g} is not in [0, 1]", hint="rewards are in [0, 1]: --threshold 0.5")
    return value


ThresholdOption = Annotated[
    float,
    typer.Option("--threshold", metavar="REWARD", help="A step with a lower reward is called wrong.", callback=in_unit),
]
FamilyThresholdOption = Annotated[
    float | None,
    typer.Option(
        "--threshold", metavar="REWARD", help="A step with a lower reward is called wrong.",
        show_default="the family's published one",
    ),
]  # fmt: skip

_FILES = "JSONL (.gz, .zst), Parquet, a folder, a saved data set, a hub id, or - for stdin."
FilesArgument = Annotated[list[str], typer.Argument(metavar="FILE", help=_FILES)]
OptionalFilesArgument = Annotated[list[str] | None, typer.Argument(metavar="FILE", help=_FILES, show_default=False)]
FromJobOption = Annotated[
    int | None,
    typer.Option(
        "--from-job", metavar="JOB", min=1, help="Judge this job's solutions again; no file is read.",
        rich_help_panel=INPUT,
    ),
]  # fmt: skip
SplitOption = Annotated[
    str | None, typer.Option("--split", metavar="NAME", help="The split of a data set.", rich_help_panel=INPUT)
]
SkipBadOption = Annotated[
    bool,
    typer.Option("--skip-bad", help="Submit the good rows and write the bad ones to a file.", rich_help_panel=INPUT),
]
PromptOption = Annotated[
    Path | None,
    typer.Option(
        "--prompt", metavar="FILE", help="The prompt to ask the judge with.", show_default="the judge's own",
        rich_help_panel=CRITIQUES,
    ),
]  # fmt: skip
SystemPromptOption = Annotated[
    str | None,
    typer.Option(
        "--system-prompt", metavar="TEXT", help="The system message to ask the judge with.",
        show_default="the prompt's own", rich_help_panel=CRITIQUES,
    ),
]  # fmt: skip
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of every critique.", rich_help_panel=CRITIQUES)]
ForceVerdictOption = Annotated[
    bool,
    typer.Option(
        "--force-verdict", help="Ask for the verdict behind a critique that ends without one, and mark it.",
        rich_help_panel=CRITIQUES,
    ),
]  # fmt: skip
TemperatureOption = Annotated[
    float | None,
    typer.Option(help="Sampling temperature.", show_default="the judge's own", rich_help_panel=CRITIQUES),
]
TopPOption = Annotated[
    float | None,
    typer.Option(
        "--top-p", help="Probability mass of nucleus sampling.", show_default="the judge's own",
        rich_help_panel=CRITIQUES,
    ),
]  # fmt: skip
MaxNewTokensOption = Annotated[
    int | None,
    typer.Option(
        "--max-new-tokens", metavar="N", help="Length limit of a critique, in tokens.", show_default="the judge's own",
        rich_help_panel=CRITIQUES,
    ),
]  # fmt: skip
KeepOption = Annotated[
    KeepCritiques,
    typer.Option("--keep-critiques", help="Which steps' critique texts are stored.", rich_help_panel=CRITIQUES),
]

PriorityOption = Annotated[
    int, typer.Option("--priority", help="Jobs with a higher number are judged first.", rich_help_panel=PLACE)
]
JobNameOption = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="What to call the job.", rich_help_panel=PLACE)
]
NewOption = Annotated[
    bool, typer.Option("--new", help="Make a new job even if an equal one exists.", rich_help_panel=PLACE)
]
ReuseOption = Annotated[
    bool,
    typer.Option(
        "--reuse/--no-reuse", help="Whether to take judgements that are there already.", rich_help_panel=PLACE
    ),
]
WaitOption = Annotated[bool, typer.Option("--wait", help="Stay until the job has ended.")]

OwnWorkerOption = Annotated[
    bool,
    typer.Option(
        "--worker/--no-worker", help="Whether waiting starts a worker if none serves the model.", rich_help_panel=WORKER
    ),
]
EngineOption = Annotated[
    str,
    typer.Option(
        "--engine", metavar="ENGINE", help="The judge's engine: auto, vllm, transformers, openai or scripted.",
        rich_help_panel=WORKER,
    ),
]  # fmt: skip
EngineArgOption = Annotated[
    list[str] | None,
    typer.Option("--engine-arg", metavar="KEY=VALUE", help="An engine option; repeatable.", rich_help_panel=WORKER),
]
PolicyEngineOption = Annotated[
    str,
    typer.Option("--policy-engine", metavar="ENGINE", help="The policy's engine, as for --engine.",
                 rich_help_panel=WORKER),
]  # fmt: skip
PolicyEngineArgOption = Annotated[
    list[str] | None,
    typer.Option("--policy-engine-arg", metavar="KEY=VALUE", help="An option of the policy's engine; repeatable.",
                 rich_help_panel=WORKER),
]  # fmt: skip

JudgedJobOption = Annotated[
    int | None,
    typer.Option(
        "--job", metavar="JOB", min=1, help="Take the answers of this job; nothing is judged.",
        autocompletion=complete_job,
    ),
]  # fmt: skip
OutputOption = Annotated[
    str,
    typer.Option(
        "-o", "--output", metavar="FILE", help=".jsonl, .jsonl.gz, .jsonl.zst, .parquet, .arrow; - is stdout."
    ),
]
