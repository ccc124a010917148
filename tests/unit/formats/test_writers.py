"""What is written reads back, and a file appears only when it is whole."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from rprm_jobs.errors import ConfigError
from rprm_jobs.formats import write_all
from rprm_jobs.formats.saved import save_dataset

ROWS: list[dict[str, Any]] = [
    {"id": "a", "status": "ok", "rewards": [0.25, 1.0], "first_error": 0, "critiques_per_step": [2, 2],
     "critiques": [[{"k": 0, "verdict": "no", "p_yes": 0.25, "text": "t\u2028ü"}], []], "generator": {"name": "g"}},
    {"id": "b", "status": "failed", "reason": "why", "rewards": [None], "first_error": None, "critiques_per_step": [0]},
]  # fmt: skip


def unpack(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    return zstandard.ZstdDecompressor().decompressobj().decompress(data) if path.suffix == ".zst" else data


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.jsonl.zst"])
def test_lines_read_back(tmp_path: Path, name: str) -> None:
    assert write_all(str(tmp_path / name), iter(ROWS)) == 2
    assert [json.loads(line) for line in unpack(tmp_path / name).split(b"\n")[:-1]] == ROWS
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_parquet_reads_back_with_its_metadata_in_one_column(tmp_path: Path) -> None:
    write_all(str(tmp_path / "x.parquet"), iter(ROWS * 3000))
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.num_rows == 6000
    first, second = table.slice(0, 2).to_pylist()
    # A column has one shape: what most critiques lack is there, and empty.
    assert first["critiques"][0][0].pop("forced") is None
    assert {k: first[k] for k in ROWS[0] if k != "generator"} == {k: v for k, v in ROWS[0].items() if k != "generator"}
    assert json.loads(first["metadata"]) == {"generator": {"name": "g"}}
    assert (second["reason"], second["rewards"], second["metadata"]) == ("why", [None], None)


def test_arrow_reads_back_as_parquet_does(tmp_path: Path) -> None:
    for name in ("x.parquet", "x.arrow"):
        write_all(str(tmp_path / name), iter(ROWS * 3000))
    with pa.ipc.open_stream(tmp_path / "x.arrow") as stream:
        table = stream.read_all()
    assert table.equals(pq.read_table(tmp_path / "x.parquet"))


def test_a_saved_data_set_loads_with_its_types(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    assert save_dataset(tmp_path / "saved", iter(ROWS)) == 2
    loaded = datasets.load_from_disk(str(tmp_path / "saved"))
    assert loaded["rewards"][:] == [[0.25, 1.0], [None]]
    assert loaded[0]["critiques"][0][0]["verdict"] == "no"
    with pytest.raises(ConfigError, match="not empty"):
        save_dataset(tmp_path / "saved", iter(ROWS))
    with pytest.raises(ConfigError, match="no row"):
        save_dataset(tmp_path / "empty", iter(()))
    assert not (tmp_path / "empty").exists()


def test_nothing_is_left_when_the_rows_break_off(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("before")

    def rows() -> Iterator[dict[str, Any]]:
        yield ROWS[0]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_all(str(tmp_path / "x.jsonl"), rows())
    assert (tmp_path / "x.jsonl").read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["x.jsonl"]


@pytest.mark.parametrize(("path", "what"), [("no/such/x.jsonl", "cannot be written"), ("x.csv", "kind is not known")])
def test_a_target_that_cannot_be_is_named(tmp_path: Path, path: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        write_all(str(tmp_path / path), iter(ROWS))
    assert str(tmp_path / path) in str(caught.value)


_FULL = """
import resource, sys
from rprm_jobs.errors import ConfigError
from rprm_jobs.formats import write_all
from rprm_jobs.formats.saved import save_dataset
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    write_all(sys.argv[1], ({"id": str(n), "x": hash((n, "salt")) ** 5} for n in range(20_000)))
except ConfigError as error:
    print(error)
"""


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.jsonl.zst", "x.parquet"])
def test_no_room_is_named_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", _FULL, str(tmp_path / name)], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith(f"{tmp_path / name}: the output cannot be written: File too large\n  hint: ")
    assert run.stderr == ""
    assert list(tmp_path.iterdir()) == []
