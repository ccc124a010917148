"""`worker`: serve a judge, by one process or by one for each GPU or group of GPUs."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from rprm_jobs.cli.shared.common import (
    EngineArgOption,
    EngineOption,
    PolicyEngineArgOption,
    PolicyEngineOption,
    connected,
    say,
)
from rprm_jobs.errors import ConfigError


def worker(
    judge: Annotated[
        str | None,
        typer.Option("--judge", help="A shipped judge, a model folder, or a hub id [tiny, without --policy]."),
    ] = None,
    policy: Annotated[
        str | None, typer.Option("--policy", help="A policy: for rollouts, and with --judge for searches of the two.")
    ] = None,
    engine: EngineOption = "auto",
    engine_arg: EngineArgOption = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="Of openai, which it implies: the server's address, with /v1.")
    ] = None,
    policy_engine: PolicyEngineOption = "auto",
    policy_engine_arg: PolicyEngineArgOption = None,
    lora: Annotated[str | None, typer.Option("--lora", help="Of vllm: the folder of a LoRA adapter.")] = None,
    shards_in_flight: Annotated[int, typer.Option("--shards-in-flight", min=1, help="Shards judged at once.")] = 4,
    critiques_in_flight: Annotated[
        int, typer.Option("--critiques-in-flight", min=1, help="Critiques on the engine at once.")
    ] = 512,
    gpus: Annotated[
        str | None, typer.Option("--gpus", metavar="0,1,...", help="One worker process for each GPU, or group of them.")
    ] = None,
    tensor_parallel: Annotated[int, typer.Option("--tensor-parallel", min=1, help="GPUs of one engine.")] = 1,
    log_level: Annotated[str, typer.Option("--log-level", help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
) -> None:
    """Judge shards until stopped. SIGTERM finishes what is begun or hands it back; twice, at once."""
    from rprm_jobs.launch.workers import worker_environment

    if base_url is not None and engine == "auto":
        engine = "openai"
    if judge is None and policy is None:
        judge = "tiny"
    command = [sys.executable, "-m", "workers", "--engine", engine, "--log-level", log_level]
    command += [] if judge is None else ["--judge", judge]
    command += [] if policy is None else ["--policy", policy, "--policy-engine", policy_engine]
    for pair in policy_engine_arg or ():
        command += ["--policy-engine-arg", pair]
    command += ["--shards-in-flight", str(shards_in_flight), "--critiques-in-flight", str(critiques_in_flight)]
    for pair in [*(engine_arg or ()), *_named(base_url=base_url, lora=lora)]:
        command += ["--engine-arg", pair]
    if tensor_parallel > 1:
        command += ["--engine-arg", f"tensor_parallel_size={tensor_parallel}"]
    groups = gpu_groups(gpus, tensor_parallel) if gpus else []
    with connected() as context:
        environment = worker_environment(context)
    if groups:
        from rprm_jobs.launch.fleet import run_fleet

        raise typer.Exit(run_fleet(command, environment, groups, say))
    # The worker takes this process's place, so that signals and exit status are its own.
    os.execve(command[0], command, environment)


def _named(**options: str | None) -> list[str]:
    """Options of the engine that have a name of their own here, as --engine-arg takes them."""
    return [f"{name}={value}" for name, value in options.items() if value is not None]


def gpu_groups(gpus: str, size: int) -> list[str]:
    """`0,1,2,3` in groups of `size`: what CUDA_VISIBLE_DEVICES is for each process. Raises ConfigError."""
    names = [name.strip() for name in gpus.split(",")]
    if not all(names) or len(set(names)) != len(names):
        raise ConfigError(f"--gpus {gpus!r} is not a list of distinct GPUs", hint="e.g. --gpus 0,1,2,3")
    if len(names) % size:
        raise ConfigError(
            f"{len(names)} GPUs do not make groups of {size}", hint="name a multiple of --tensor-parallel GPUs"
        )
    return [",".join(names[i : i + size]) for i in range(0, len(names), size)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(worker)
