"""`train`: start `python -m training`, in one process or several, with the servers of all other commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from rprm_jobs.cli.shared.command import TRAINING, add_command, new_group
from rprm_jobs.cli.shared.common import print_json, say
from rprm_jobs.cli.shared.options import JsonOption
from rprm_jobs.launch.servers import connected

train_app = new_group("Train a judge with SFT or DPO.")
# The options are those of the training program, which refuses unknown ones itself and tells its error.
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
_OWN_OPTIONS = """\
--processes N             GPUs of this machine to train on, or CPU processes
--accelerate-config FILE  a file of accelerate's: DeepSpeed, FSDP, several machines
--json                    print JSON on stdout
"""

ProcessesOption = Annotated[
    int, typer.Option("--processes", metavar="N", min=1, help="GPUs of this machine to train on, or CPU processes.")
]
LaunchOption = Annotated[
    Path | None,
    typer.Option(
        "--accelerate-config", metavar="FILE", help="A file of accelerate's: DeepSpeed, FSDP, several machines."
    ),
]


def _add_phase(name: str, text: str, example: str) -> None:
    def command(
        context: typer.Context,
        processes: ProcessesOption = 1,
        accelerate_config: LaunchOption = None,
        as_json: JsonOption = False,
    ) -> None:
        arguments = [name, *context.args]
        if {"-h", "--help"} & set(context.args):
            print(_OWN_OPTIONS, flush=True)
            raise typer.Exit(subprocess.run([sys.executable, "-m", "training", *arguments], check=False).returncode)
        from rprm_jobs.launch.training import run_training
        from rprm_jobs.launch.workers import worker_environment

        with connected() as opened:
            environment = worker_environment(opened)
        printed = run_training(arguments, environment, processes=processes, config=accelerate_config)
        if not printed:
            # This is one of several machines, and another reports.
            return
        record = json.loads(printed)
        if as_json:
            print_json(record)
        else:
            say(f"trained for {record['minutes']:g} minutes; rprm-jobs runs {record['run']} shows how it went")
            print(record["out"])

    command.__doc__ = text
    add_command(train_app, command, example, name=name, settings=_PASSED_ON)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    _add_phase(
        "sft",
        "Learn critiques that agree with the label.\n\nThey are those of a set that `sft build` has made.",
        "rprm-jobs train sft --set cold-start --model tiny --out judges/sft",
    )
    _add_phase(
        "dpo",
        "Prefer critiques that agree with the label.\n\nThe pairs are those of a set that `pairs build` has made.",
        "rprm-jobs train dpo --set first --model tiny --out judges/dpo",
    )
    app.add_typer(train_app, name="train", rich_help_panel=TRAINING)
