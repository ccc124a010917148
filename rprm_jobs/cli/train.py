"""`train`: start `python -m training`, in one process or several, on the servers of all commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from rprm_jobs.cli.shared.common import JsonOption, connected, print_json, say

train_app = typer.Typer(no_args_is_help=True, help="Train a judge with SFT or DPO.", rich_markup_mode=None)
# Its options are the training program's own, which also says what it does not know.
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
_OWN_OPTIONS = """\
--processes N             train on so many GPUs of this machine (or CPU processes)
--accelerate-config FILE  accelerate's own file: DeepSpeed, FSDP, several machines
--json                    print JSON on stdout
"""

ProcessesOption = Annotated[
    int, typer.Option("--processes", min=1, help="Train on so many GPUs of this machine (or CPU processes).")
]
LaunchOption = Annotated[
    Path | None, typer.Option("--accelerate-config", help="accelerate's own file: DeepSpeed, FSDP, several machines.")
]


def _phase(name: str, what: str) -> None:
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
            # One of several machines, and not the one whose process speaks for all.
            return
        told = json.loads(printed)
        if as_json:
            print_json(told)
        else:
            say(f"trained for {told['minutes']:g} minutes; rprm-jobs runs {told['run']} shows how it went")
            print(told["out"])

    command.__doc__ = what
    train_app.command(name, context_settings=_PASSED_ON)(command)


_phase("sft", "Learn critiques that agree with the label, from a set of `sft build`.")
_phase("dpo", "Prefer critiques that agree with the label, from a set of `pairs build`.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(train_app, name="train")
