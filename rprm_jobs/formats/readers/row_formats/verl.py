"""verl: the JSONL that `trainer.rollout_data_dir` and `validation_data_dir` fill, and the rows it is trained on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rprm_jobs.formats.readers.bad_row import BadRow
from rprm_jobs.formats.readers.row_formats.messages import problem_of, unframed_problem, unframed_solution
from rprm_jobs.formats.readers.row_formats.protocol import Plain, ReadContext, RowFormat, needs, plain


def _dump(row: dict[str, Any], context: ReadContext) -> Iterator[Plain]:
    yield plain(
        row,
        ("input", "output", "gts", "uid"),
        id=row.get("uid"),
        problem=unframed_problem(row["input"], context),
        solution=unframed_solution(row["output"], context),
        answer=row.get("gts"),
    )


def _dataset(row: dict[str, Any], context: ReadContext) -> Iterator[Plain]:
    reward_model, extra = row["reward_model"], row.get("extra_info")
    index = extra.get("index") if type(extra) is dict else None
    problem = problem_of(row["prompt"], context)
    if problem is None:
        raise BadRow("prompt has no user message")
    source = row["data_source"] if type(row["data_source"]) is str else "row"
    yield plain(
        row,
        ("prompt",),
        id=None if type(index) not in (int, str) else f"{source}/{index}",
        problem=problem,
        answer=reward_model.get("ground_truth"),
    )


DUMP = RowFormat(
    "verl",
    "verl's dumps of rollouts and of validation",
    needs("input: text", "output: text", "score", "step"),
    _dump,
    repeats=True,
)
DATASET = RowFormat(
    "verl-dataset",
    "verl's training data (problems without solutions)",
    needs("data_source", "prompt: messages", "reward_model: object"),
    _dataset,
    unless=("completion", "completions", "response", "responses"),
)
