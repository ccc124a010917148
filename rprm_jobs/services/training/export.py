"""A training set's rows as training reads them: the prompt that judging shows, and TRL's own names for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rprm_jobs.errors import ConfigError
from rprm_jobs.formats.writers import SetSchema, write_all
from rprm_jobs.judge.prompt import PromptTemplate
from rprm_jobs.pairs.rules import SetKind
from rprm_jobs.services.context import Context
from rprm_jobs.services.training.sets import get_set
from rprm_jobs.store.training.rows import read_rows

SPLITS = ("train", "validation")
Rows = Iterator[dict[str, Any]]


def rows(context: Context, name: str, kind: SetKind, split: str) -> Rows:
    """The rows of one split: `id`, `step` (0-based), `correct`, `prompt`, and `chosen` and `rejected`, or `completion`.

    The prompt is the user's message, rendered by the function that judging uses. Raises NotFound, ConfigError.
    """
    if split not in SPLITS:
        raise ConfigError(f"there is no split {split!r}", hint=f"use one of {', '.join(SPLITS)}")
    training_set = get_set(context, name, kind)
    template = PromptTemplate.parse(training_set.prompt)
    for row in read_rows(context.database, training_set.id, validation=split == "validation"):
        prompt = template.render(row.problem, row.steps, row.step)
        shown = {"id": row.id, "step": row.step, "correct": row.correct, "prompt": prompt}
        yield shown | ({"completion": row.chosen} if row.rejected is None else _pair(row.chosen, row.rejected))


def _pair(chosen: str, rejected: str) -> dict[str, Any]:
    return {"chosen": chosen, "rejected": rejected}


@dataclass(frozen=True, slots=True)
class Exported:
    """Where the rows went, and how many by split."""

    output: str
    rows: Mapping[str, int]


def export_file(
    context: Context, name: str, kind: SetKind, split: str, output: str, watch: Callable[[Rows], Rows]
) -> Exported:
    """Write one split to a file of results' formats, or `-`. `watch` sees the rows pass."""
    watched = watch(rows(context, name, kind, split))
    return Exported(output, {split: write_all(output, watched, SetSchema(pairs=kind is SetKind.PAIRS))})


def export_folder(context: Context, name: str, kind: SetKind, folder: Path, watch: Callable[[Rows], Rows]) -> Exported:
    """Write a data set's folder, a Parquet file a split, which `datasets.load_dataset(folder)` reads.

    Raises ConfigError for a folder that holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError("the folder is not empty", where=str(folder), hint="name a new one")
    counts = {"train": get_set(context, name, kind).n_train, "validation": get_set(context, name, kind).n_validation}
    folder.mkdir(parents=True, exist_ok=True)
    schema = SetSchema(pairs=kind is SetKind.PAIRS)
    written = {
        split: write_all(str(folder / f"{split}.parquet"), watch(rows(context, name, kind, split)), schema)
        for split in SPLITS
        if counts[split]
    }
    return Exported(str(folder), written)
