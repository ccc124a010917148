"""`train`: start `python -m training`, in one process or several, on the servers of all commands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from rprm_jobs.cli.common import JsonOption, connected, print_json, say
from rprm_jobs.errors import ConfigError

train_app = typer.Typer(no_args_is_help=True, help="Train a judge with SFT or DPO.", rich_markup_mode=None)
# Its options are the training program's own, which also says what it does not know.
_PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
_OWN_OPTIONS = """\
--processes N             train on so many GPUs of this machine (or CPU processes)
--accelerate-config FILE  accelerate's own file: DeepSpeed, FSDP, several machines
--json                    print JSON on stdout
"""
_NEEDS = ("accelerate", "datasets", "trl")

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
        printed = run_training(arguments, processes=processes, config=accelerate_config)
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


def run_training(arguments: list[str], *, processes: int = 1, config: Path | None = None) -> str:
    """Run the training program to its end; what it printed on stdout. Exits as it does when it fails.

    Raises ConfigError without the extra `train`.
    """
    from importlib.util import find_spec

    from rprm_jobs.cli.waiting import worker_environment

    lacking = [name for name in _NEEDS if find_spec(name) is None]
    if lacking:
        raise ConfigError(f"training needs {', '.join(lacking)}", mend="pip install 'rprm-jobs[train]'")
    with connected() as context:
        environment = worker_environment(context)
    command = [*_launcher(processes, config), "-m", "training", *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        say(f"training exited with status {done.returncode}")
        raise typer.Exit(done.returncode if done.returncode > 0 else 128 - done.returncode)
    return done.stdout


def _launcher(processes: int, config: Path | None) -> list[str]:
    """The words before `-m training`. torch's own launcher needs no file; accelerate's reads one for all else."""
    python = [sys.executable, "-m"]
    if config is not None:
        if not config.is_file():
            raise ConfigError("there is no such file", where=str(config), mend="write one with: accelerate config")
        counted = ["--num_processes", str(processes)] if processes > 1 else []
        return [*python, "accelerate.commands.launch", "--config_file", str(config), *counted]
    if processes > 1:
        return [*python, "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return [sys.executable]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(train_app, name="train")
