"""The recipe of the shipped tiny judges, from nothing: `python -m training.tiny --out FOLDER`.

The paper's phases at a laptop's scale, through the real job system (Postgres, queue, workers, sets): weights that can
do the arithmetic (`base`), a cold start from an erring teacher's critiques (`tiny-sft`), and preferences among the
judge's own critiques (`tiny`). A build that was cut goes on when the command is given again.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.judge.resolve import ENDPOINT
from training import commands
from training.card import write_card
from training.evaluate import evaluate
from training.foreign import draw_foreign, foreign_critique
from training.slips import slipping_critique
from training.splits import COLD_SEED, META_SEED, as_row
from training.teacher_server import MODEL, Critic, teaching
from training.tiny_base import PROMPT, build_base, closing_recipe, recipe_for
from training.world import ChainSolution, draw_solution

TEACHER = f"{ENDPOINT}{MODEL}"
BASE, SFT, DPO = "base", "tiny-sft", "tiny"


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything: optimiser steps of the base's stages, labelled solutions of the phases, their epochs.

    `held_share` of the pairs are held out; `batch` is that of the phases.
    """

    world: int = 4200
    closing: int = 160
    cold: int = 3000
    meta: int = 2000
    cold_epochs: float = 1.0
    meta_epochs: float = 4.0
    held_share: float = 0.1
    batch: int = 32


SMALL = Size(cold=50, meta=30, cold_epochs=4.0, meta_epochs=2.0, held_share=0.3, batch=8)
_TEACHER_K, _META_K = 2, 8
# Of the cold start's rows, those of foreign text: without them the judge forgets how to end a critique of it.
_FOREIGN_SHARE = 0.12
_COLD_RECIPE = (
    "--accumulation", "1", "--learning-rate", "5e-4", "--weight-decay", "0.05", "--warmup", "10",
    "--beta2", "0.95", "--pad-to", "16", "--evaluate-every", "100", "--log-every", "5",
)  # fmt: skip
# A pull of 0.1 let the chosen critiques lose likelihood along with the rejected ones (at thrice this rate the judge
# called nearly everything wrong); pairs that were not balanced taught it to call nearly everything right.
_META_RECIPE = (
    "--accumulation", "1", "--learning-rate", "1e-4", "--beta", "0.3", "--warmup", "2",
    "--evaluate-every", "10", "--log-every", "10",
)  # fmt: skip
Row = dict[str, Any]


def labelled_rows(rng: random.Random, name: str, count: int) -> Iterator[tuple[Row, ChainSolution, list[int]]]:
    """Fresh wrong solutions with two labelled steps each: the first wrong one, and a right one before it if any."""
    for number in range(count):
        solution = draw_solution(rng, wrong=True)
        chosen = [solution.label, *([rng.randrange(solution.label)] if solution.label else [])]
        labels = [(-1 if at == solution.label else 1) if at in chosen else None for at in range(len(solution.steps))]
        row = as_row(name, number, solution)
        del row["label"]
        yield row | {"step_labels": labels}, solution, chosen


def foreign_row(rng: random.Random, number: int) -> tuple[Row, int]:
    """A made-up problem of another world, one of whose steps is labelled by lot, and which one."""
    foreign = draw_foreign(rng)
    labels = [rng.choice((1, -1)) if at == foreign.index else None for at in range(len(foreign.steps))]
    row = {"id": f"foreign-{number:04d}", "problem": foreign.problem, "steps": list(foreign.steps)}
    return row | {"step_labels": labels}, foreign.index


def cold_rows(count: int) -> tuple[list[Row], dict[str, Critic]]:
    """The cold start's labelled input, and what the teacher says of each of its steps."""
    rng, template = random.Random(COLD_SEED), PromptTemplate.parse(PROMPT)
    rows, critics = list[Row](), dict[str, Critic]()
    for row, solution, chosen in labelled_rows(rng, "cold", count):
        rows.append(row)
        for at in chosen:
            critics[template.render(solution.problem, solution.steps, at)] = partial(slipping_critique, solution, at)
    for number in range(round(count * _FOREIGN_SHARE)):
        row, at = foreign_row(rng, number)
        rows.append(row)
        critics[template.render(row["problem"], row["steps"], at)] = foreign_critique
    return rows, critics


def write_rows(path: Path, rows: Iterable[Row]) -> Path:
    """As JSON lines; returns the path."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def cold_start(out: Path, size: Size) -> Row:
    """`tiny-sft`: imitate the teacher's critiques that agree with the label. What its run says."""
    rows, critics = cold_rows(size.cold)
    prompt = out / "prompt.txt"
    prompt.write_text(PROMPT, encoding="utf-8")
    with teaching(critics) as url:
        asked = ("--prompt", str(prompt), "--engine", "openai", "--engine-arg", f"base_url={url}")
        file = write_rows(out / "cold.jsonl", rows)
        job = commands.sample(file, TEACHER, _TEACHER_K, *asked, "--engine-arg", "top_logprobs=0")
    commands.build_set("sft", f"{out.name}-cold", job)
    passes = ("--batch", str(size.batch), "--epochs", str(size.cold_epochs))
    return commands.train("sft", f"{out.name}-cold", out / BASE, out / SFT, *passes, *_COLD_RECIPE)


def meta_optimise(out: Path, size: Size) -> Row:
    """`tiny`: prefer what the judge itself wrote rightly to what it wrote wrongly. What its run says."""
    rows = (row for row, _, _ in labelled_rows(random.Random(META_SEED), "meta", size.meta))
    job = commands.sample(write_rows(out / "meta.jsonl", rows), str(out / SFT), _META_K)
    commands.build_set("pairs", f"{out.name}-meta", job, "--validation", str(size.held_share))
    passes = ("--batch", str(size.batch), "--epochs", str(size.meta_epochs))
    return commands.train("dpo", f"{out.name}-meta", out / SFT, out / DPO, *passes, *_META_RECIPE)


def build(out: Path, size: Size, *, base: Path | None = None) -> Row:
    """All stages; what each took. `base` is a judge's folder to begin with instead of training one from nothing."""
    out.mkdir(parents=True, exist_ok=True)
    record = out / "base.json"
    if base is not None:
        shutil.copytree(base, out / BASE, dirs_exist_ok=True)
        began: Row = json.loads((base / "measured.json").read_text(encoding="utf-8"))["training"]
    elif record.exists():
        began = json.loads(record.read_text(encoding="utf-8"))
    else:
        resume = any((out / BASE / "checkpoints").glob("*/checkpoint-*"))
        began = build_base(out / BASE, recipe_for(size.world), closing_recipe(size.closing), resume=resume)
        record.write_text(json.dumps(began), encoding="utf-8")
    return {**began, "sft": cold_start(out, size), "dpo": meta_optimise(out, size)}


def stages(built: Row) -> Row:
    """What the card says of each stage: the base's own, and those that ran on sets."""
    done = {name: stage for name, stage in built.items() if isinstance(stage, dict)}
    return {name: _summed_up(stage) if "log" in stage else stage for name, stage in done.items()}


def _summed_up(run: Row) -> Row:
    losses = [entry["loss"] for entry in run["log"] if "loss" in entry]
    recipe = run["recipe"]
    steps = max(entry["step"] for entry in run["log"])
    return {
        "steps": steps,
        "examples": steps * recipe["batch"] * recipe["accumulation"],
        "rows": run["data"]["train"],
        "seed": recipe["seed"],
        "note": "on a set of the store",
        "minutes": run["minutes"],
        "first_loss": float(losses[0]),
        "last_loss": float(losses[-1]),
    }


def main() -> None:
    """Build both judges, measure them on held-out solutions, and print JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", type=Path, help="a judge to begin with instead of weights from nothing")
    parser.add_argument("--small", action="store_true", help="minutes instead of hours: to see that all of it works")
    parser.add_argument("--count", type=int, default=400, help="held-out solutions of the measurement")
    options = parser.parse_args()
    built = build(options.out, SMALL if options.small else Size(), base=options.base)
    training = {"weights": built["weights"], **stages(built)}
    before = {name: stage for name, stage in training.items() if name != "dpo"}
    measured = {
        name: write_card(options.out / name, stages, evaluate(options.out / name, count=options.count))
        for name, stages in ((SFT, before), (DPO, training))
    }
    print(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
