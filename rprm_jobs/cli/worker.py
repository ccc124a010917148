"""`worker`: serve a judge or a policy, with one process or with one for each GPU or group of GPUs."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from rprm_jobs.cli.shared.command import SERVERS, Rule, add_command, needs
from rprm_jobs.cli.shared.common import say
from rprm_jobs.cli.shared.options import (
    WORKER,
    EngineArgOption,
    EngineOption,
    FamilyOption,
    PolicyEngineArgOption,
    PolicyEngineOption,
)
from rprm_jobs.errors import ConfigError
from rprm_jobs.launch.servers import connected
from rprm_jobs.logs import LogFormat, LogLevel

# A heading of its help.
LOAD = "Load"


def worker(
    judge: Annotated[
        str | None,
        typer.Option(
            "--judge",
            metavar="JUDGE",
            help="A shipped judge, a model folder, or a hub id.",
            show_default="tiny, if there is no --policy",
        ),
    ] = None,
    family: FamilyOption = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy", metavar="POLICY", help="Serve rollouts of this policy; with --judge, also searches of the two."
        ),
    ] = None,
    engine: EngineOption = "auto",
    engine_arg: EngineArgOption = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            "--base-url",
            metavar="URL",
            help="openai: the server's address, with /v1. Implies --engine openai.",
            rich_help_panel=WORKER,
        ),
    ] = None,
    policy_engine: PolicyEngineOption = "auto",
    policy_engine_arg: PolicyEngineArgOption = None,
    lora: Annotated[str | None, typer.Option("--lora", hidden=True)] = None,
    shards_in_flight: Annotated[
        int,
        typer.Option(
            "--shards-in-flight", metavar="N", min=1, help="Shards judged at the same time.", rich_help_panel=LOAD
        ),
    ] = 4,
    critiques_in_flight: Annotated[
        int,
        typer.Option(
            "--critiques-in-flight",
            metavar="N",
            min=1,
            help="Critiques sampled at the same time.",
            rich_help_panel=LOAD,
        ),
    ] = 512,
    gpus: Annotated[
        str | None,
        typer.Option(
            "--gpus", metavar="0,1,...", help="One process for each of these GPUs, or for each group of them."
        ),
    ] = None,
    tensor_parallel: Annotated[
        int, typer.Option("--tensor-parallel", metavar="N", min=1, help="GPUs of one engine.")
    ] = 1,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            "--metrics-port",
            metavar="PORT",
            min=1,
            max=65_535,
            help="Serve Prometheus metrics there, on RPRM_METRICS_HOST; with --gpus on this port and those after it.",
            show_default="RPRM_METRICS_PORT, or none",
        ),
    ] = None,
    log_level: Annotated[
        LogLevel, typer.Option("--log-level", help="The least important lines.", case_sensitive=False)
    ] = LogLevel.INFO,
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            "--log-format", help="Lines for people, or one JSON object a line.", show_default="RPRM_LOG_FORMAT, or text"
        ),
    ] = None,
) -> None:
    """Serve a judge or a policy until stopped.

    SIGTERM finishes what has begun or hands it back; a second SIGTERM stops at once.
    """
    from rprm_jobs.launch.workers import worker_environment

    _refuse_lora(lora, "--policy" if judge is None and policy is not None else "--judge")
    if base_url is not None and engine == "auto":
        engine = "openai"
    if judge is None and policy is None:
        judge = "tiny"
    command = [sys.executable, "-m", "workers", "--engine", engine, "--log-level", log_level.value]
    command += [] if log_format is None else ["--log-format", log_format.value]
    command += [] if judge is None else ["--judge", judge]
    command += [] if family is None else ["--family", family]
    command += [] if policy is None else ["--policy", policy, "--policy-engine", policy_engine]
    for pair in policy_engine_arg or ():
        command += ["--policy-engine-arg", pair]
    command += ["--shards-in-flight", str(shards_in_flight), "--critiques-in-flight", str(critiques_in_flight)]
    for pair in [*(engine_arg or ()), *_named(base_url=base_url)]:
        command += ["--engine-arg", pair]
    if tensor_parallel > 1:
        command += ["--engine-arg", f"tensor_parallel_size={tensor_parallel}"]
    groups = gpu_groups(gpus, tensor_parallel) if gpus else []
    if gpus:
        refuse_unknown_gpus(",".join(groups).split(","))
    with connected() as context:
        port = metrics_port or context.settings.metrics_port
        environment = worker_environment(context, metrics_port=port)
    if groups:
        from rprm_jobs.launch.fleet import run_fleet

        raise typer.Exit(run_fleet(command, environment, groups, say))
    # The worker replaces this process, so that signals and exit status are its own.
    os.execve(command[0], command, environment)


def _refuse_lora(folder: str | None, option: str) -> None:
    """Raises ConfigError with today's spelling of an adapter."""
    if folder is not None:
        raise ConfigError(
            "an adapter is a judge of its own, or a policy of its own: its scores are not its base's",
            hint=f"name its folder in place of the base: {option} {folder}",
        )


def _named(**options: str | None) -> list[str]:
    """These options as --engine-arg takes them."""
    return [f"{name}={value}" for name, value in options.items() if value is not None]


def gpu_groups(gpus: str, size: int) -> list[str]:
    """`0,1,2,3` in groups of `size`: the CUDA_VISIBLE_DEVICES of each process. Raises ConfigError."""
    names = [name.strip() for name in gpus.split(",")]
    if not all(names) or len(set(names)) != len(names):
        raise ConfigError(f"--gpus {gpus!r} is not a list of distinct GPUs", hint="for example --gpus 0,1,2,3")
    if len(names) % size:
        raise ConfigError(
            f"{len(names)} GPUs cannot be divided into groups of {size}",
            hint="name a multiple of --tensor-parallel GPUs",
        )
    return [",".join(names[i : i + size]) for i in range(0, len(names), size)]


def refuse_unknown_gpus(names: list[str]) -> None:
    """Raises ConfigError for a GPU that this machine does not have: with an unknown one CUDA shows none at all."""
    from rprm_jobs.launch.gpus import gpu_names

    known = gpu_names()
    if not known:
        raise ConfigError("--gpus: this machine has no GPU", hint="leave out --gpus to serve on the CPU")
    for name in names:
        if not any(gpu.is_called(name) for gpu in known):
            listed = ", ".join(str(gpu.index) for gpu in known)
            raise ConfigError(f"--gpus: there is no GPU {name}", hint=f"this machine has --gpus {listed}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    no_judge = Rule(
        ("family", "engine", "engine_arg", "base_url"),
        lambda values: values["judge"] is not None or values["policy"] is None,
        "with --policy and without --judge",
        "add --judge, or say it with --policy-engine or --policy-engine-arg",
    )
    add_command(
        app,
        worker,
        "rprm-jobs worker --judge tiny",
        "rprm-jobs worker --judge ORG/MODEL --gpus 0,1,2,3 --tensor-parallel 2",
        "rprm-jobs worker --judge endpoint:MODEL --base-url http://HOST:8000/v1",
        group=SERVERS,
        rules=(no_judge, needs("policy", "policy_engine", "policy_engine_arg")),
    )
