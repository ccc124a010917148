"""Tables whose values have no form here: the row is refused and its field named, the others are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rprm_jobs.errors import BadLine, InputError
from rprm_jobs.formats import InputRow, ReadOptions, read_solutions
from rprm_jobs.formats.readers import tabular
from rprm_jobs.settings import Limits

ROWS: dict[str, Any] = {"id": ["a", "b"], "problem": ["p", "p"], "steps": [["s"], ["s"]]}


def read(path: Path, split: str | None = None) -> list[InputRow | BadLine]:
    return list(read_solutions([str(path)], ReadOptions(split=split), Limits()))


def _not_utf8() -> pa.Array:
    offsets, data = pa.array([0, 1, 2], pa.int32()).buffers()[1], pa.py_buffer(b"x\xff")
    return pa.StringArray.from_buffers(2, offsets, data)


UNREADABLE = [
    (_not_utf8(), "field 'w' of type string cannot be read: 'utf-8' codec can't decode byte 0xff"),
    (pa.array([0, 2**62], pa.timestamp("us")), "field 'w' of type timestamp[us] cannot be read: date value out of"),
    (pa.array(["x", "a\0b"]), "field 'w' holds a NUL character"),
    (pa.array([[1.0], [float("inf")]]), "field 'w' holds NaN or an infinity"),
]


@pytest.mark.parametrize(("column", "reason"), UNREADABLE, ids=[reason[-30:] for _, reason in UNREADABLE])
def test_one_bad_value_costs_one_row(tmp_path: Path, column: pa.Array, reason: str) -> None:
    pq.write_table(pa.table({**ROWS, "w": column}), tmp_path / "x.parquet")
    first, second = read(tmp_path / "x.parquet")
    assert isinstance(first, InputRow)
    assert isinstance(second, BadLine)
    assert (second.line, second.reason[: len(reason)]) == (2, reason)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["id", "id"])
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(InputError, match="column 'id' stands twice"):
        read(tmp_path / "x.parquet")


def test_wide_rows_are_read_few_at_a_time(tmp_path: Path) -> None:
    texts = [f"{i}" * 400_000 for i in range(10)]
    wide = pa.table({"id": list("abcdefghij"), "problem": texts, "steps": [["s"]] * 10})
    pq.write_table(wide, tmp_path / "x.parquet", use_dictionary=False)
    metadata = pq.read_metadata(tmp_path / "x.parquet")
    assert tabular._batch_rows(metadata) == (16 << 20) // (metadata.row_group(0).total_byte_size // 10)
    assert len(read(tmp_path / "x.parquet")) == 10


def test_a_saved_split_goes_by_its_own_name(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    saved = datasets.Dataset.from_dict(ROWS, split="train").with_format("numpy")
    saved.save_to_disk(tmp_path / "d")
    assert len(read(tmp_path / "d", split="train")) == 2
    # The format that was saved with it would give arrays.
    assert all(isinstance(one, InputRow) for one in read(tmp_path / "d"))
    with pytest.raises(InputError, match="the folder holds one split, train"):
        read(tmp_path / "d", split="test")


def test_a_data_set_that_breaks_off_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def rows() -> Iterator[dict[str, Any]]:
        yield {"id": "a", "problem": "p", "steps": ["s"]}
        raise ConnectionError("the hub is gone")

    streamed = datasets.IterableDataset.from_generator(rows)
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: streamed)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="broke off: the hub is gone") as caught:
        read(Path("org/name"))
    assert caught.value.where == "org/name"
