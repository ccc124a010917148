"""What a user may name, and what is refused before any row is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rprm_jobs.errors import BadLine, ConfigError, InputError, NotFound
from rprm_jobs.formats import InputRow, ReadOptions, read_solutions
from rprm_jobs.settings import Limits

ROW = b'{"id": "%s", "problem": "p", "steps": ["s"]}\n'


def ids(path: object, split: str | None = None) -> list[str]:
    found: list[InputRow | BadLine] = list(read_solutions([str(path)], ReadOptions(split=split), Limits()))
    return [one.solution.id if isinstance(one, InputRow) else one.reason for one in found]


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(ROW % path.stem.encode())
    return path


def test_a_folder_is_read_in_order_without_what_is_hidden(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a/z.jsonl", "a/notes.txt", ".cache/x.jsonl", "a/.y.jsonl", "b.jsonl.refused.jsonl"):
        put(tmp_path / name)
    assert ids(tmp_path) == ["z", "b"]


def test_a_linked_folder_outside_is_refused_and_one_inside_read_once(tmp_path: Path) -> None:
    put(tmp_path / "in" / "a" / "x.jsonl")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in" / "a")
    assert ids(tmp_path / "in") == ["x"]
    put(tmp_path / "out" / "y.jsonl")
    (tmp_path / "in" / "b").symlink_to(tmp_path / "out")
    with pytest.raises(InputError, match="leads out of the folder") as caught:
        ids(tmp_path / "in")
    assert caught.value.where == str(tmp_path / "in" / "b")


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").symlink_to(tmp_path / "x.jsonl")
    with pytest.raises(InputError, match="leads to itself"):
        ids(tmp_path)
    (tmp_path / "x.jsonl").unlink()
    (tmp_path / "x.jsonl").symlink_to(tmp_path / "gone.jsonl")
    with pytest.raises(InputError, match="cannot be read: No such file"):
        ids(tmp_path)


def test_a_folder_that_cannot_be_listed_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "a.jsonl")

    def refuse(at: object) -> object:
        raise PermissionError(13, "Permission denied", str(at))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="Permission denied"):
        ids(tmp_path)


@pytest.mark.parametrize("name", ["", "a\0b", "no/such.jsonl"])
def test_names_of_nothing(name: str) -> None:
    with pytest.raises(NotFound, match="no such file"):
        ids(name)


def test_a_name_too_long_for_the_system() -> None:
    with pytest.raises(InputError, match="File name too long"):
        ids("a" * 300)


def test_a_split_of_what_has_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--split test names a part of a data set, and none is given"):
        ids(put(tmp_path / "a.jsonl"), split="test")
