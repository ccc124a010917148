"""Where training rows come from: a set in Postgres, streamed, or an export of one (a folder or a file)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from rprm_jobs.errors import InputError
from rprm_jobs.formats.readers.lines import read_lines
from rprm_jobs.pairs.rules import SetKind
from rprm_jobs.services.context import Context
from rprm_jobs.services.training import export
from rprm_jobs.services.training.sets import get_set

TRAIN, VALIDATION = export.SPLITS
_TEXTS = {SetKind.PAIRS: ("prompt", "chosen", "rejected"), SetKind.SFT: ("prompt", "completion")}
_LONGEST_LINE = 16 << 20
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RowSource:
    """Rows by split. `rows(split)` starts a stream that is the same at every call; `counts` has both splits.

    `digest` is of all that training reads.
    """

    name: str
    digest: str
    counts: dict[str, int]
    rows: Callable[[str], Iterator[Row]]

    def steps(self, examples_per_step: int, epochs: float) -> int:
        """Optimiser steps of `epochs` passes over the train split, at least 1."""
        return max(1, math.ceil(self.counts[TRAIN] * epochs / examples_per_step))

    def endless(self) -> Iterator[Row]:
        """The train split again and again: the number of steps says where training ends."""
        while True:
            yield from self.rows(TRAIN)


def from_set(context: Context, name: str, kind: SetKind) -> RowSource:
    """A set in the store; its rows are read as they are needed. Raises NotFound."""
    training_set = get_set(context, name, kind)
    counts = {TRAIN: training_set.n_train, VALIDATION: training_set.n_validation}
    return _checked(RowSource(name, training_set.digest, counts, lambda split: export.rows(context, name, kind, split)))


def from_path(path: Path, kind: SetKind) -> RowSource:
    """An export: a folder with a Parquet file a split, or one file of rows to train on. Raises InputError."""
    files = {TRAIN: path}
    if path.is_dir():
        files = {split: file for split in (TRAIN, VALIDATION) if (file := path / f"{split}.parquet").exists()}

    def rows(split: str) -> Iterator[Row]:
        return _read(files[split], _TEXTS[kind]) if split in files else iter(())

    digest, counts = hashlib.sha256(), {TRAIN: 0, VALIDATION: 0}
    for split in counts:
        for row in rows(split):
            counts[split] += 1
            digest.update(msgspec.json.encode([split, *(row[name] for name in _TEXTS[kind])]))
    return _checked(RowSource(str(path), digest.hexdigest(), counts, rows))


def _checked(source: RowSource) -> RowSource:
    if not source.counts[TRAIN]:
        raise InputError(
            "there is no row to train on", where=source.name, hint="name an export, or a set that has rows"
        )
    return source


def _read(file: Path, texts: tuple[str, ...]) -> Iterator[Row]:
    for place, row in _parquet(file) if file.suffix == ".parquet" else _lines(file):
        lacking = [name for name in texts if not isinstance(row.get(name), str)]
        if lacking:
            raise InputError(
                f"a row has no text {', '.join(lacking)}",
                where=f"{file}:{place}",
                hint=f"rows of such training have {', '.join(texts)}",
            )
        yield row


def _parquet(file: Path) -> Iterator[tuple[int, Row]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as opened:
            place = 0
            for batch in opened.iter_batches(batch_size=500):
                for row in batch.to_pylist():
                    place += 1
                    yield place, row
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"the file cannot be read: {error}", where=str(file), hint="export the set again") from error


def _lines(file: Path) -> Iterator[tuple[int, Row]]:
    for number, line in read_lines(str(file), _LONGEST_LINE):
        try:
            yield number, msgspec.json.decode(line or b"", type=Row)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise InputError(
                f"no JSON object: {error}", where=f"{file}:{number}", hint="export the set again"
            ) from error
