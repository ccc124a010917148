"""The store and the folder for the walk through all commands: jobs of every state, sets, runs, logs, inputs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rprm_jobs.cli.demo import examples
from rprm_jobs.engine import EngineStats
from rprm_jobs.evaluation.calibrated import Calibrator
from rprm_jobs.formats import ReadOptions
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.pairs.rules import SftRules, pair_rules
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs import control
from rprm_jobs.services.jobs.submit import SubmitRequest, submit
from rprm_jobs.services.jobs.submit import make_recipe as recipe_of
from rprm_jobs.store import calibrations
from rprm_jobs.store.queue import workers
from rprm_jobs.store.records import WorkerInfo
from rprm_jobs.store.training import runs
from rprm_jobs.store.training.runs import Logged, NewRun, Phase
from tests.support.jobs import make_recipe, make_solutions, take_in
from tests.support.training import build_set, judge_ready, scripted

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Walked:
    """Ids of jobs. Of pairs the first is for the walk in a terminal, the second for the one in a pipe."""

    judged: int
    queued: int
    sampled: int
    cancelled: int
    demo: int
    other: int
    to_delete: tuple[int, int]
    to_cancel: tuple[int, int]
    to_retry: tuple[int, int]
    to_extend: tuple[int, int]


def prepare(context: Context, folder: Path) -> Walked:
    """Fill the store and the folder, which is the working folder, as the commands' is."""
    write_files(folder)
    database = context.database

    def judged(prefix: str, **recipe: Any) -> int:
        return take_in(database, make_solutions(3, prefix=prefix), make_recipe(**recipe)).job_id

    in_file = SubmitRequest(("in.jsonl",), make_recipe(k=2), name="walked")
    walked = submit(context, in_file).job_id
    other = submit(context, replace(in_file, recipe=make_recipe(k=2, seed=7), name=None)).job_id
    demo = submit(context, SubmitRequest((str(examples()),), recipe_of(resolve_judge("tiny"), k=4), ReadOptions()))
    to_delete, to_extend = (judged("d1"), judged("d2")), (judged("e1"), judged("e2"))
    broken = {1: "[[scripted:unparsed]]"}
    to_retry = tuple(take_in(database, make_solutions(3, prefix=name, marks=broken)).job_id for name in ("r1", "r2"))
    judge_ready(database)
    judge_ready(database, queue=resolve_judge("tiny").queue)
    labelled = [replace(s, label=i % 3 - 1) for i, s in enumerate(make_solutions(24, prefix="l"))]
    sampled = scripted(database, labelled, recipe=make_recipe(k=6))
    for name in ("first", "spare-a", "spare-b"):
        build_set(context, name, sampled, pair_rules(bounds={}, seed=len(name) + ord(name[-1]), validation=0.2))
    for name in ("cold", "ice-a", "ice-b"):
        build_set(context, name, sampled, SftRules(seed=len(name) + ord(name[-1]), validation=0.2))
    queued = submit(context, replace(in_file, recipe=make_recipe(k=3), name=None)).job_id
    to_cancel, cancelled = (judged("c1"), judged("c2")), judged("c3")
    control.cancel(context, cancelled)
    _enter_runs(context)
    _enter_calibrations(context)
    _enter_worker(context)
    return Walked(
        walked, queued, sampled, cancelled, demo.job_id, other, to_delete, to_cancel, (to_retry[0], to_retry[1]),
        to_extend,
    )  # fmt: skip


def _enter_runs(context: Context) -> None:
    def run(phase: Phase, data: str) -> NewRun:
        recipe = {"batch": 1, "accumulation": 128, "learning_rate": 5e-7}
        return NewRun(phase, "tiny", "0" * 64, data, "1" * 64, recipe, 30, 90, 10, "walker", f"/judges/{data}")

    with context.database.transaction() as connection:
        done = runs.start(connection, run(Phase.DPO, "first"), resumed=False)
        for step in range(10, 31, 10):
            metrics = {"loss": 0.7 - step / 100, "logps/chosen": -50.0 - step, "rewards/margins": step / 20}
            runs.log(connection, done, Logged(step, False, metrics))
        runs.log(connection, done, Logged(30, True, {"eval_loss": 0.5, "eval_rewards/accuracies": 0.8}))
        runs.finish(connection, done, None)
        failed = runs.start(connection, run(Phase.SFT, "cold"), resumed=False)
        runs.finish(connection, failed, "OutOfMemoryError: the GPU is full")


def _enter_calibrations(context: Context) -> None:
    numbers = (0.0,)
    learned = Calibrator(("vote",), numbers, numbers, numbers, numbers, numbers, 0.0, 0.5, 48)
    with context.database.transaction() as connection:
        for name in ("known", "c-a", "c-b"):
            calibrations.add(connection, name, learned, ("job 3",))


def _enter_worker(context: Context) -> None:
    """A worker that serves another judge, so that it changes nothing for the jobs, and its log."""
    log = context.settings.home / "logs" / "worker-77.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("12:00:01 INFO job 1: 3 of 8 done\n12:00:02 INFO job 2: 1 of 8 done\n")
    worker = WorkerInfo(
        "walker-77", "rprm.other.0123456789ab", "other", "scripted 1", "walker", 77, 4, datetime.now(UTC), 0.0, 0, 0,
        None, log="/var/log/worker-77.log",
    )  # fmt: skip
    with context.database.transaction() as connection:
        workers.announce(connection, worker)


def keep_worker_alive(context: Context) -> None:
    """Its heartbeat, without which it is not listed."""
    with context.database.transaction() as connection:
        workers.heartbeat(connection, "walker-77", EngineStats(0, 0))


def write_files(folder: Path) -> None:
    """Good and bad inputs of every kind."""
    sums = [
        {"id": f"sums-{i}", "problem": f"{i} plus 1?", "steps": [f"{i} + 1 = {i + 1}.", "Done."], "label": i % 2 - 1}
        for i in range(8)
    ]
    _write(folder / "in.jsonl", sums)
    _write(folder / "new.jsonl", [{**row, "id": f"new-{row['id']}"} for row in sums])
    (folder / "bad.jsonl").write_text("nonsense\n" * 30 + '{"id": "a", "problem": "p", "steps": []}\n')
    _write(folder / "problems.jsonl", [{"id": "a", "problem": "1 plus 1?", "answer": "2"}])
    responses = {"id": "a", "problem": "p", "responses": [["x"]] * 4, "labels": [True, False, True, False]}
    rewards = [[0.9], [0.2], [0.8], [0.1]]
    _write(folder / "responses.jsonl", [{**responses, "final_answers": ["1"] * 4, "rewards": rewards}])
    _write(folder / "predictions.jsonl", [{"id": row["id"], "prediction": row["label"]} for row in sums])
    _write(folder / "votes.jsonl", [{"id": str(i), "votes": [[1, 1, 0, 1], [i % 2] * 4]} for i in range(20)])
    item = {"idx": "own_0", "classification": "circular", "original_question": "P?", "modified_question": "P?"}
    steps = {"original_process": ["1. One."], "modified_process": ["1. One.", "2. Three."], "error_steps": [2]}
    _write(folder / "prmbench.jsonl", [{**item, **steps}])
    scores = {"step_level_validity_labels": [True, False], "step_level_redundancy_labels": [False, True]}
    _write(folder / "prm-predictions.jsonl", [{"idx": "circular_own_0", "scores": scores}])
    _write(folder / "twice.jsonl", [{**sums[0], "id": "twice"}, {**sums[1], "id": "twice"}])
    (folder / "some.jsonl").write_text(json.dumps(sums[0]) + "\nnonsense\n")
    (folder / "prompt.txt").write_text("Judge it.\n")


def _write(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
