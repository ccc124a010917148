"""Files in every format, whole and damaged, and memory that stays flat whatever they hold."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rprm_jobs.errors import BadLine, InputError, NotFound
from rprm_jobs.formats import InputRow, ReadOptions, read_solutions
from rprm_jobs.settings import Limits
from rprm_jobs.types import Solution


def read(*paths: object, split: str | None = None, limits: Limits | None = None) -> list[InputRow | BadLine]:
    return list(read_solutions([str(p) for p in paths], ReadOptions(split=split), limits or Limits()))


def ids(found: list[InputRow | BadLine]) -> list[str]:
    return [one.solution.id if isinstance(one, InputRow) else one.reason for one in found]


def lines(*names: str) -> bytes:
    return b"".join(json.dumps({"id": n, "problem": "p", "steps": ["s"]}).encode() + b"\n" for n in names)


def test_every_packing_reads_the_same(tmp_path: Path) -> None:
    body = b"\xef\xbb\xbf\r\n" + lines("a", "b").replace(b"\n", b"\r\n") + b"\n \n" + lines("c").rstrip()
    (tmp_path / "1.jsonl").write_bytes(body)
    (tmp_path / "2.jsonl.gz").write_bytes(gzip.compress(body[:40]) + gzip.compress(body[40:]))
    (tmp_path / "3.jsonl.zst").write_bytes(zstandard.compress(body[:40]) + zstandard.compress(body[40:]))
    found = read(tmp_path)
    assert ids(found) == ["a", "b", "c"] * 3
    assert [one.line for one in found] == [2, 3, 6] * 3


def test_a_file_whose_name_tells_its_packing_alone_is_known_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"\n" + lines("a", "b")))
    (tmp_path / "x.zst").write_bytes(zstandard.compress(lines("c")))
    assert ids(read(tmp_path / "x.gz", tmp_path / "x.zst")) == ["a", "b", "c"]
    (tmp_path / "table.gz").write_bytes(gzip.compress(b"id,problem\n1,p\n"))
    with pytest.raises(InputError, match="kind is not known"):
        read(tmp_path / "table.gz")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(lines("a"))[:20])
    with pytest.raises(InputError, match="damaged or cut off"):
        read(tmp_path / "cut.gz")


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1).filter(str.strip)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts, lambda v: st.lists(v, max_size=3)
)
solutions = st.fixed_dictionaries(
    {"id": st.text("abc-1", min_size=1), "problem": texts, "steps": st.lists(texts, min_size=1, max_size=4)},
    optional={"label": st.just(-1), "extra": values},
)


_SCHEMA = pa.schema({"id": pa.string(), "problem": pa.string(), "steps": pa.list_(pa.string()), "label": pa.int64()})


def as_solution(row: dict[str, Any]) -> Solution:
    rest = {"extra": row["extra"]} if "extra" in row else {}
    return Solution(row["id"], row["problem"], tuple(row["steps"]), row.get("label"), metadata=rest)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(solutions, min_size=1, max_size=5))
def test_any_valid_solution_comes_through_every_format(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    body = b"".join(json.dumps(r, ensure_ascii=i % 2 == 0).encode() + b"\n" for i, r in enumerate(rows))
    for name, packed in (
        ("x.jsonl", body),
        ("x.jsonl.gz", gzip.compress(body)),
        ("x.jsonl.zst", zstandard.compress(body)),
    ):
        (tmp_path / name).write_bytes(packed)
        found = read(tmp_path / name)
        assert [f.solution for f in found if isinstance(f, InputRow)] == [as_solution(r) for r in rows]
    table = [{k: v for k, v in r.items() if k != "extra"} for r in rows]
    pq.write_table(pa.Table.from_pylist(table, schema=_SCHEMA), tmp_path / "x.parquet")
    found = read(tmp_path / "x.parquet")
    assert [f.solution for f in found if isinstance(f, InputRow)] == [as_solution(r) for r in table]


def test_parquet_rows_and_its_types(tmp_path: Path) -> None:
    import datetime

    table = pa.table(
        {"id": [1, 2, 3], "problem": ["p", "p", None], "steps": [["s"], ["s", ""], ["s"]], "label": [0, None, None],
         "when": [datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)] * 3, "raw": [b"\x00"] * 3,
         "score": [0.5, 1.0, float("nan")]}
    )  # fmt: skip
    pq.write_table(table, tmp_path / "x.parquet")
    first, second, third = read(tmp_path / "x.parquet")
    assert isinstance(first, InputRow)
    assert first.solution.metadata == {"when": "2026-01-02T00:00:00+00:00", "raw": "AA==", "score": 0.5}
    assert second == BadLine(str(tmp_path / "x.parquet"), 2, "step 2 is empty")
    assert third == BadLine(str(tmp_path / "x.parquet"), 3, "field 'score' holds NaN or an infinity")


def test_parquet_with_wrong_column_types_names_the_field(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "problem": [5], "steps": ["s"]}), tmp_path / "x.parquet")
    assert ids(read(tmp_path / "x.parquet")) == ["field problem is a number, not a text"]


def test_a_saved_dataset(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [{"id": "a", "problem": "p", "steps": ["s"]}]
    datasets.DatasetDict(
        {"one": datasets.Dataset.from_list(rows), "two": datasets.Dataset.from_list(rows)}
    ).save_to_disk(tmp_path / "d")
    assert ids(read(tmp_path / "d", split="two")) == ["a"]
    with pytest.raises(InputError, match="splits one, two"):
        read(tmp_path / "d")


DAMAGED = [
    ("x.jsonl.gz", gzip.compress(lines("a") * 50)[:-20], "damaged or cut off"),
    ("x.jsonl.gz", b"no gzip", "damaged or cut off"),
    ("x.jsonl.zst", zstandard.compress(os.urandom(300_000))[:-20], "cannot be read"),
    ("x.jsonl.zst", b"no zstd", "cannot be read"),
    ("x.parquet", b"PAR1 but no Parquet", "not a readable Parquet file"),
    ("x.csv", b"id,problem", "kind is not known"),
]


# The ids are given because a gzip header holds the time: ids made of the bytes differ between xdist's workers.
@pytest.mark.parametrize(
    ("name", "body", "reason"), DAMAGED, ids=["cut.gz", "no.gz", "cut.zst", "no.zst", "no.parquet", "csv"]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, body: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(body)
    with pytest.raises(InputError, match=reason) as caught:
        read(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jsonl")
    with pytest.raises(InputError, match="no regular file"):
        read(tmp_path / "x.jsonl")
    with pytest.raises(NotFound, match="no such file"):
        read(tmp_path / "missing.jsonl")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no file"):
        read(tmp_path / "empty")


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.jsonl").write_bytes(lines("s"))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.jsonl").symlink_to(tmp_path / "secret.jsonl")
    with pytest.raises(InputError, match="out of the folder"):
        read(tmp_path / "in")
    assert ids(read(tmp_path / "in" / "x.jsonl")) == ["s"]


_MEMORY = """
import resource, sys
from rprm_jobs.formats import ReadOptions, read_solutions
from rprm_jobs.settings import Limits
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = list(read_solutions([sys.argv[1]], ReadOptions(), Limits(max_line_bytes=1_000_000)))
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(grown, *(getattr(f, "reason", f.line) for f in found), sep="|")
"""


@pytest.mark.parametrize("kind", ["one endless line", "blank lines"])
def test_memory_stays_flat_on_a_bomb(tmp_path: Path, kind: str) -> None:
    block = (b"x" if kind == "one endless line" else b"\n") * (1 << 20)
    path = tmp_path / "bomb.jsonl.zst"
    with path.open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as packed:
        for _ in range(400 if kind == "one endless line" else 30):
            packed.write(block)
        packed.write(b"\n" + lines("after"))
    assert path.stat().st_size < 100_000
    done = subprocess.run([sys.executable, "-c", _MEMORY, str(path)], capture_output=True, text=True, check=True)
    grown, *found = done.stdout.strip().split("|")
    assert int(grown) < 150_000
    assert found[-1].isdigit()
    if kind == "one endless line":
        assert found == ["the line has more than 1000000 bytes (RPRM_MAX_LINE_BYTES)", "2"]


def test_standard_input_is_read_as_it_comes() -> None:
    code = "import sys; from rprm_jobs.formats import *; from rprm_jobs.settings import Limits\n"
    code += "for row in read_solutions(['-'], ReadOptions(), Limits()): print(row.file, row.line, row.solution.id)"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    killer = threading.Timer(60, process.kill)
    killer.start()
    out, _ = process.communicate(lines("a", "b"))
    killer.cancel()
    assert out == b"- 1 a\n- 2 b\n"


def test_standard_input_only_once() -> None:
    with pytest.raises(InputError, match="named twice"):
        read("-", "-")
