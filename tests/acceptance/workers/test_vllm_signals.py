"""Signals to the whole process group of a vLLM worker, as a terminal, systemd and Slurm send them, twice in a row."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from rprm_jobs.judge.resolve import resolve_judge
from tests.support import store
from tests.support.jobs import make_recipe, make_solutions, progress, take_in, wait_for
from tests.support.trial import Trial
from tests.support.workers import WorkerProcess
from workers.engines.reaper import engine_processes

pytest.importorskip("vllm", reason="vLLM is not installed")
pytestmark = [pytest.mark.acceptance, pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(600)]

OPTIONS = ("--engine", "vllm", "--engine-arg", "max_model_len=2048", "--engine-arg", "max_num_seqs=16")
# Compiling takes longer than all else, and for so short a test brings nothing.
ENVIRONMENT = {"TORCHDYNAMO_DISABLE": "1", "HF_HUB_OFFLINE": "1", "RPRM_GRACE_S": "60", "RPRM_LEASE_S": "60"}


def start(trial: Trial) -> WorkerProcess:
    return trial.workers.start(*OPTIONS, ready=False, judge="tiny", **ENVIRONMENT)


def engine_of(worker: WorkerProcess) -> list[psutil.Process]:
    return engine_processes(worker.pid)


def assert_left_in_good_order(trial: Trial, worker: WorkerProcess, engine: list[psutil.Process]) -> None:
    assert worker.wait_exit(within=60) == 0, worker.log()
    wait_for(lambda: not any(process.is_running() for process in engine), what="the engine's processes have ended")
    for words in ("the engine died", "Traceback", "stopped working"):
        assert words not in worker.log()
    assert trial.leases() == []
    assert store.run(trial.database, "SELECT * FROM workers") == []


def test_two_signals_to_the_group_while_it_loads(trial: Trial) -> None:
    worker = start(trial)
    engine = wait_for(lambda: engine_of(worker), within=120, what=worker.log)
    os.killpg(worker.pid, signal.SIGINT)
    os.killpg(worker.pid, signal.SIGTERM)
    assert_left_in_good_order(trial, worker, engine)


def test_a_signal_to_the_group_while_it_works_and_another_while_it_drains(trial: Trial) -> None:
    judge = resolve_judge("tiny")
    recipe = make_recipe(k=4, max_new_tokens=64)
    recipe = type(recipe).from_builtins(
        {
            **recipe.to_builtins(),
            "judge": judge.name,
            "fingerprint": judge.fingerprint,
            "queue": judge.queue,
            "prompt": judge.template.source,
        }
    )
    job = take_in(trial.database, make_solutions(400, steps=4), recipe, shard=100).job_id
    worker = start(trial).wait_ready(trial.database, within=120)
    engine = engine_of(worker)
    assert engine
    recorded = wait_for(lambda: progress(trial.database, job).solutions, within=60, what=worker.log)
    os.killpg(worker.pid, signal.SIGINT)
    # What was begun is finished by an engine that did not hear the signal.
    wait_for(lambda: progress(trial.database, job).solutions > recorded, within=30, what=worker.log)
    assert all(process.is_running() for process in engine)
    began = time.monotonic()
    os.killpg(worker.pid, signal.SIGTERM)
    assert_left_in_good_order(trial, worker, engine)
    assert time.monotonic() - began < 45
    assert progress(trial.database, job).solutions < 400
    assert trial.failures(job) == 0
