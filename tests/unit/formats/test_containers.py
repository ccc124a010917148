"""JSON arrays, packings, byte columns, other tools' folders and a hub's cache."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rprm_jobs.errors import BadLine, InputError
from rprm_jobs.formats import InputRow, ReadOptions, read_raw, read_solutions
from rprm_jobs.formats.readers import arrays
from rprm_jobs.settings import Limits

ROWS = [{"id": name, "problem": "p \u00e9 \\u0041", "steps": ['s "]}, {" ', "t\\"]} for name in ("a", "b", "c")]


def ids(path: object, limits: Limits | None = None) -> list[str]:
    rows: list[InputRow | BadLine] = list(read_solutions([str(path)], ReadOptions(), limits or Limits()))
    return [row.solution.id if isinstance(row, InputRow) else f"{row.line}: {row.reason}" for row in rows]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_a_json_array_is_read_whatever_its_layout(
    tmp_path: Path, indent: int | None, ascii_only: bool, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "_BLOCK", block)
    path = tmp_path / "x.json"
    path.write_bytes(b"\xef\xbb\xbf \n" + json.dumps(ROWS, indent=indent, ensure_ascii=ascii_only).encode() + b"\n")
    rows = list(read_solutions([str(path)], ReadOptions(), Limits()))
    assert [(row.line, row.solution.id) for row in rows if isinstance(row, InputRow)] == [(1, "a"), (2, "b"), (3, "c")]
    assert isinstance(rows[0], InputRow)
    assert rows[0].solution.steps == ('s "]}, {" ', "t\\")
    assert rows[0].solution.problem == ROWS[0]["problem"]


def test_objects_over_several_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json.gz"
    path.write_bytes(gzip.compress("\n".join(json.dumps(row, indent=1) for row in ROWS).encode()))
    assert ids(path) == ["a", "b", "c"]


def test_an_empty_array_and_lines_in_a_json_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(" [ ] \n")
    (tmp_path / "b.json").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert ids(tmp_path / "a.json") == []
    assert ids(tmp_path / "b.json") == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('[{"id": "a"', "element 1 is not JSON: it is cut off|Expecting"),
        ('[{"id": "a"}', "element 1 is not JSON: it is cut off"),
        ('[{"id": "a"},', "element 2 is not JSON: the array is cut off|cut off"),
        ('[{"id": "a"} {"id": "b"}]', "a comma or the array's end was expected"),
        ('[{"id": a}]', "element 1 is not JSON: Expecting value at character 8 of it"),
        ("[] []", "something follows the array's end"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_broken_array_is_refused_as_a_whole(tmp_path: Path, body: str, reason: str) -> None:
    (tmp_path / "x.json").write_text(body)
    with pytest.raises(InputError, match=reason):
        ids(tmp_path / "x.json")


def test_bad_elements_are_refused_one_by_one_and_a_long_one_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b'[{"id": "a", "id": "b"}, "text", {"id": "\xff"}, {"id": NaN}]')
    assert ids(path) == [
        "1: field 'id' stands twice in one object",
        "2: the row is a text, not a JSON object",
        "3: invalid UTF-8 at byte 9",
        "4: NaN is not JSON",
    ]
    path.write_text(json.dumps([{"id": "x" * 300}, *ROWS]))
    with pytest.raises(InputError, match="element 1 has more than 200 bytes"):
        ids(path, Limits(max_line_bytes=200))


values = st.recursive(
    st.none() | st.integers(-5, 5) | st.text(max_size=4), lambda inner: st.lists(inner, max_size=2), max_leaves=4
)
objects = st.dictionaries(st.text(max_size=3), values, max_size=3)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(objects, max_size=4), st.integers(1, 40))
def test_an_array_reads_as_its_lines_do(tmp_path: Path, rows: list[dict[str, Any]], block: int) -> None:
    (tmp_path / "x.json").write_text(json.dumps(rows, indent=block % 3))
    (tmp_path / "y.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "_BLOCK", block)
        array = list(read_raw([str(tmp_path / "x.json")], Limits()))
    lines = read_raw([str(tmp_path / "y.jsonl")], Limits())
    assert [row[1:] if isinstance(row, tuple) else row.reason for row in array] == [
        row[1:] if isinstance(row, tuple) else row.reason for row in lines
    ]


@pytest.mark.parametrize(("suffix", "pack"), [(".bz2", bz2.compress), (".xz", lzma.compress)])
def test_packings_by_suffix(tmp_path: Path, suffix: str, pack: Any) -> None:
    body = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    (tmp_path / f"x.jsonl{suffix}").write_bytes(pack(body))
    assert ids(tmp_path) == ["a", "b", "c"]
    (tmp_path / f"x.jsonl{suffix}").write_bytes(pack(body)[:-10])
    with pytest.raises(InputError, match=r"damaged or cut off|cannot be read"):
        ids(tmp_path)


def test_texts_stored_as_bytes_are_decoded_and_what_is_no_text_is_refused(tmp_path: Path) -> None:
    table = pa.table({
        "id": pa.array([b"a", b"b"], pa.binary()),
        "problem": pa.array(["caf\u00e9".encode(), b"\xff\xfe"], pa.binary()),
        "steps": pa.array([[b"s"], [b"s"]], pa.list_(pa.binary())),
        "image": pa.array([b"\x89PNG", None], pa.binary()),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "x.parquet")
    good, bad = read_solutions([str(tmp_path / "x.parquet")], ReadOptions(), Limits())
    assert isinstance(good, InputRow)
    assert (good.solution.id, good.solution.problem, good.solution.steps) == ("a", "caf\u00e9", ("s",))
    assert good.solution.metadata == {"image": "iVBORw=="}
    assert isinstance(bad, BadLine)
    assert bad.reason == "field 'problem' holds bytes that are no text in UTF-8"


def test_a_folder_with_another_tools_dataset_info_is_read_as_files(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text('{"mine": {"file_name": "x.jsonl"}}')
    (tmp_path / "x.jsonl").write_text(json.dumps(ROWS[0]))
    assert ids(tmp_path) == ["a"]


def test_links_in_a_hubs_cache_are_followed(tmp_path: Path) -> None:
    repository = tmp_path / "datasets--org--name"
    snapshot = repository / "snapshots" / "0123" / "data"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "blobs" / "abc").write_text(json.dumps(ROWS[0]))
    (snapshot / "x.jsonl").symlink_to("../../../blobs/abc")
    assert ids(repository / "snapshots" / "0123") == ["a"]
    (snapshot / "y.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    (tmp_path / "elsewhere.jsonl").write_text(json.dumps(ROWS[1]))
    with pytest.raises(InputError, match="leads out of the folder"):
        ids(repository / "snapshots" / "0123")


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "rollout_3.pt").write_bytes(b"PK")
    with pytest.raises(InputError, match="is a pickle") as caught:
        ids(tmp_path / "rollout_3.pt")
    assert "JSON lines" in caught.value.hint
