"""From a job or a training set to a data set of the hub: rows into Parquet files of bounded size, card, upload."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from rprm_jobs.formats.writers import Schema, open_writer
from rprm_jobs.services.publishing.card import DatasetCard
from rprm_jobs.services.publishing.hub import HubTarget, upload

# Of a file's rows as JSON; as Parquet they are a fraction of that. The hub wants files well below 50 GB.
_SHARD_BYTES = 1 << 30

Rows = Iterator[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Publication:
    """What is to be pushed: the card, the rows of each split, and their columns."""

    card: DatasetCard
    splits: Mapping[str, Callable[[], Rows]]
    schema: Schema


@dataclass(frozen=True, slots=True)
class Pushed:
    """Where it went. `rows` are by split; `card_kept`: the repository's own card was left as it is."""

    url: str
    commit: str
    rows: Mapping[str, int]
    files: int
    card_kept: bool


def push(publication: Publication, target: HubTarget, *, shard_bytes: int = _SHARD_BYTES) -> Pushed:
    """Write everything, then commit it at once: a push that fails leaves the data set as it was. Raises as `upload`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data"
        data.mkdir()
        counts = {
            split: write_shards(data, split, rows(), publication.schema, shard_bytes)
            for split, rows in publication.splits.items()
        }
        (folder / "README.md").write_text(publication.card.markdown(counts), encoding="utf-8")
        files = len(list(data.iterdir()))
        done = upload(folder, target)
    return Pushed(done.url, done.commit, counts, files, done.card_kept)


def write_shards(folder: Path, split: str, rows: Rows, schema: Schema, shard_bytes: int) -> int:
    """Write `SPLIT-00000-of-0000N.parquet` and so on, each of about `shard_bytes` of JSON; returns how many rows."""
    written: list[Path] = []
    count, row = 0, next(rows, None)
    while row is not None or not written:
        path = folder / f"{split}-{len(written):05}.parquet"
        size = 0
        with open_writer(str(path), schema) as writer:
            while row is not None and size < shard_bytes:
                writer.write(row)
                size += len(msgspec.json.encode(row))
                count, row = count + 1, next(rows, None)
        written.append(path)
    for path in written:
        path.rename(path.with_name(f"{path.stem}-of-{len(written):05}.parquet"))
    return count
