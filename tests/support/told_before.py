"""What stories of hints are told about: the store and the folder of the walk, and states that only errors know."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec

from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.recipe import Recipe
from rprm_jobs.judge.resolve import resolve_judge
from rprm_jobs.judge.verdict import MARKER
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.submit import SubmitRequest, submit
from rprm_jobs.services.jobs.submit import make_recipe as make_recipe_of
from rprm_jobs.store.session import Database
from rprm_jobs.types import JobKind, KeepCritiques, Solution
from tests.support import store
from tests.support.adapters import make_adapter, write_adapter
from tests.support.dependents import finish_one_shard, finished_rollouts, request
from tests.support.extending import extend
from tests.support.generating import problems, rollouts, searches
from tests.support.jobs import make_recipe, make_solutions, take_in
from tests.support.tls import Certificate
from tests.support.training import judge_ready, scripted, with_texts
from tests.support.walked import prepare

# With `.refused.jsonl` behind it, a name longer than a file's may be.
LONG_NAME = f"{'x' * 240}.jsonl"


def fill(context: Context, folder: Path) -> dict[str, Any]:
    """Fill the store and the folder; ids of jobs by name."""
    database = context.database
    ids: dict[str, Any] = {
        **_critics(database),
        **_judged(database),
        **_written(database),
        "failed": _failed(context, folder),
    }
    ids |= asdict(prepare(context, folder))
    ids["half"] = take_in(
        database, labelled(4, "half"), make_recipe(k=2), kind=JobKind.SAMPLE, shard=2, priority=9
    ).job_id
    judge_ready(database, shards=1)
    writing = take_in(database, problems(2, responses=2), rollouts(seed=5), kind=JobKind.ROLLOUT, priority=19)
    extend(database, ids["extended"], 3)
    _files(folder)
    return ids | {"writing": writing.job_id} | _waiting(database)


def work_off(database: Database, job_id: int) -> None:
    """What workers do with one job until it is done."""
    (row,) = store.run(database, "SELECT queue, kind FROM jobs WHERE id = :id", id=job_id)
    if row.kind == JobKind.ROLLOUT:
        finish_one_shard(database)
    else:
        judge_ready(database, queue=row.queue)


def _waiting(database: Database) -> dict[str, int]:
    """Jobs that no worker has begun, each in a queue of its own, and one whose first solutions alone are judged."""
    queue = "rprm.partly.0123456789ab"
    recipe = msgspec.structs.replace(make_recipe(k=4), queue=queue)
    partly = take_in(database, labelled(6, "partly"), recipe, shard=2).job_id
    judge_ready(database, queue=queue, shards=1)
    return {"partly": partly} | {
        name: take_in(
            database,
            labelled(6, name),
            msgspec.structs.replace(make_recipe(k=4), queue=f"rprm.{name}.0123456789ab"),
            kind=JobKind.SAMPLE if name == "waiting_b" else JobKind.SCORE,
        ).job_id
        for name in ("waiting_a", "waiting_b", "waiting_c", "waiting_d")
    }


def labelled(n: int, prefix: str, label: int | None = None) -> list[Solution]:
    """Solutions with the label, or with different ones."""
    return [
        replace(s, label=i % 3 - 1 if label is None else label) for i, s in enumerate(make_solutions(n, prefix=prefix))
    ]


def _judged(database: Database) -> dict[str, int]:
    """Jobs of labelled solutions that are judged, each of another kind."""
    recipe = make_recipe(k=4)

    def judged(solutions: Sequence[Solution], recipe: Recipe = recipe) -> int:
        return scripted(database, solutions, recipe=recipe)

    textless = take_in(database, labelled(4, "textless"), recipe, keep=KeepCritiques.NONE, kind=JobKind.SAMPLE).job_id
    zeros = [replace(s, label=None, step_labels=(0,) * len(s.steps)) for s in make_solutions(4, prefix="zeros")]
    moved = msgspec.structs.replace(make_recipe(k=1), judge="/nowhere/judge", fingerprint="1" * 64)
    brief = msgspec.structs.replace(recipe, prompt=f"{recipe.prompt}\nBe brief.")
    scores = make_recipe_of(resolve_judge("endpoint:m", "qwen-prm"), k=None)
    return {
        "textless": textless,
        "correct": judged(labelled(6, "correct", -1)),
        "zeros": judged(zeros),
        "extended": judged(make_solutions(2, prefix="extended"), make_recipe(k=1)),
        "unlike": with_texts(database, labelled(3, "unlike", -1), _unlike, recipe=recipe),
        "prompted": judged(labelled(6, "prompted"), brief),
        "gone": judged(make_solutions(2, prefix="gone"), moved),
        "scores": take_in(database, labelled(2, "scores"), scores).job_id,
        "stale": _stale(database),
        "alike": judged(labelled(2, "alike"), make_recipe(k=1)),
    }  # fmt: skip


def _stale(database: Database) -> int:
    """A judged job, one of whose solutions has lost its scores."""
    job = scripted(database, make_solutions(2, prefix="stale"), recipe=make_recipe(k=1))
    store.run(database, "DELETE FROM scores WHERE job_id = :job AND ord = 1", job=job)
    return job


def _written(database: Database) -> dict[str, int]:
    searched = take_in(database, problems(2), searches(), kind=JobKind.SEARCH).job_id
    then_scored = finished_rollouts(database, 4)
    scores = scripted(database, make_solutions(2, prefix="then"), recipe=make_recipe(k=1))
    request(database, then_scored, {"made": scores})
    return {"written": finished_rollouts(database), "searched": searched, "then_scored": then_scored}


def _critics(database: Database) -> dict[str, int]:
    """Jobs of critics of whole solutions that are done; no solution could be judged."""
    ids = {}
    for family, judged in (("critic", _bench()), ("critic-scores", make_solutions(1, prefix="circular_own_", steps=2))):
        recipe = make_recipe_of(resolve_judge("endpoint:m", family), k=None)
        ids[family] = take_in(database, judged, recipe).job_id
        lease = store.try_claim(database, queue=recipe.queue)
        assert lease is not None
        store.record(database, lease, [store.fail(solution) for solution in store.load(database, lease)])
        store.finish(database, lease)
    return ids


def _bench() -> list[Solution]:
    return make_solutions(2, prefix="gsm8k-")


def _failed(context: Context, folder: Path) -> int:
    """A job none of whose solutions could be judged."""
    rows = [{"id": f"f{i}", "problem": f"{i}?", "steps": ["One."]} for i in range(2)]
    _write(folder / "failed.jsonl", rows)
    request = SubmitRequest((str(folder / "failed.jsonl"),), make_recipe(k=2), priority=9)
    job = submit(context, request).job_id
    for _ in rows:
        lease = store.claim(context.database)
        failures = [store.fail(solution) for solution in store.load(context.database, lease)]
        store.record(context.database, lease, failures)
        store.finish(context.database, lease)
    return job


def _unlike(_solution: object, _step: int) -> list[str]:
    """One critique that is right of a correct step, and three much longer ones that are not."""
    return [f"Short. {MARKER} Yes", *(f"{n} {'long ' * 90} {MARKER} No" for n in range(3))]


def _files(folder: Path) -> None:
    row = {"problem": "p", "steps": ["One.", "Two."]}
    rows = [{**row, "id": f"s{i}", "problem": f"{i} and 1?", "label": i % 2 - 1} for i in range(8)]
    _write(folder / "labelled.jsonl", rows)
    _write(folder / "held-out.jsonl", [{**r, "id": f"h{i}", "problem": f"{i} and 7?"} for i, r in enumerate(rows)])
    _write(folder / "unlabelled.jsonl", [{**row, "id": "u"}])
    _write(folder / "correct.jsonl", [{**row, "id": "c", "label": -1}])
    _write(folder / "neutral.jsonl", [{**row, "id": "n", "step_labels": [0, 0]}])
    bench = [{**r, "id": f"gsm8k-{i}"} for i, r in enumerate(rows)]
    _write(folder / "gsm8k.jsonl", bench)
    _write(
        folder / "gsm8k-new.jsonl",
        [{**r, "id": f"gsm8k-{i + 50}", "problem": f"{i} and 9?"} for i, r in enumerate(bench)],
    )
    _write(folder / "gsm8k-correct.jsonl", [{**row, "id": "gsm8k-1", "label": -1}])
    judged = [{"id": s.id, "problem": s.problem, "steps": s.steps, "label": i - 1} for i, s in enumerate(_bench())]
    _write(folder / "bench.jsonl", judged)
    (folder / "judge.txt").write_text(PromptTemplate.default().source)
    for name in ("no-config", "no-weights", "value-head", "regression"):
        (folder / name).mkdir()
    (folder / "regression" / "config.json").write_text('{"architectures": ["BertForSequenceClassification"]}')
    (folder / "regression" / "model.safetensors").write_bytes(b"")
    (folder / "value-head" / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    (folder / "value-head" / "model.safetensors").write_bytes(b"")
    (folder / "value-head" / "value_head.safetensors").write_bytes(b"")
    for name in ("started", "interrupted"):
        (folder / name / "checkpoints" / "checkpoint-1").mkdir(parents=True)
    (folder / "interrupted" / "checkpoints" / "begun.json").write_text('{"judge": "another"}')
    (folder / "trained").mkdir()
    (folder / "trained" / "rprm_judge.json").write_text("{}")
    (folder / "begun").mkdir()
    (folder / "begun" / "loop.json").write_text("{}")
    (folder / "foreign" / "round-1").mkdir(parents=True)
    (folder / "foreign" / "round-1" / "run.json").write_text("{}")
    (folder / "wide.json").write_text(json.dumps([{**row, "id": "w"}]))
    _write(folder / "wide-lines.jsonl", [{**row, "id": "w"}])
    Certificate.make(folder)
    (folder / "wide.jsonl").write_text(json.dumps([{**row, "id": "w"}] * 3))
    (folder / "broken.json").write_text("[1, 2")
    _data_sets(folder, rows)


def _data_sets(folder: Path, rows: list[dict[str, Any]]) -> None:
    from datasets import Dataset, DatasetDict, Split

    DatasetDict({name: Dataset.from_list(rows) for name in ("train", "test")}).save_to_disk(folder / "splits-set")
    Dataset.from_list(rows, split=Split.TRAIN).save_to_disk(folder / "single-set")
    shutil.copytree(folder / "single-set", folder / "damaged-set")
    (folder / "damaged-set" / "data-00000-of-00001.arrow").write_bytes(b"")
    _write(folder / "large.jsonl", [{**rows[0], "id": f"l{i}"} for i in range(600)])
    (folder / LONG_NAME).write_text(json.dumps(rows[0]) + "\nnonsense\n")
    _broken_judges(folder)


def _broken_judges(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    shipped = Path(resolve_judge("tiny").location)
    for name in ("pickled", "own-code"):
        shutil.copytree(shipped, folder / name)
    torch.save(load_file(shipped / "model.safetensors"), folder / "pickled" / "pytorch_model.bin")
    (folder / "pickled" / "model.safetensors").unlink()
    _adapters(folder, shipped)
    shutil.copytree(shipped, folder / "windowless")
    stated = json.loads((shipped / "config.json").read_text())
    (folder / "windowless" / "config.json").write_text(json.dumps(stated | {"max_position_embeddings": 0}))
    config = {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}}
    (folder / "own-code" / "config.json").write_text(json.dumps(config))


def _adapters(folder: Path, base: Path) -> None:
    """One that every engine serves, and one with a module that vLLM would leave out."""
    from safetensors.torch import load_file

    make_adapter(base, folder / "adapted", folder / "adapted-merged")
    weights = load_file(folder / "adapted" / "adapter_model.safetensors")
    weights["base_model.model.model.norm.weight"] = load_file(base / "model.safetensors")["model.norm.weight"]
    write_adapter(folder / "with-norm", str(base), weights, modules_to_save=["model.norm"])


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
