"""`doctor` on the home: a folder that this user cannot write in is no home, and one that can be made is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rprm_jobs.cli.shared.checkup import checkup


def home(monkeypatch: pytest.MonkeyPatch, path: Path) -> tuple[bool, bool]:
    monkeypatch.setenv("RPRM_HOME", str(path))
    (check,) = (check for check in checkup() if check.name == "home")
    assert (check.hint == "") == check.ok
    return check.ok, check.needed


@pytest.mark.parametrize("writes", [True, False])
def test_a_home_is_where_this_user_can_write(writes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root can write everywhere, so the answer of the system stands in for the folder's owner.
    monkeypatch.setattr(os, "access", lambda *_: writes)
    assert home(monkeypatch, tmp_path / "new" / "one")[0] is writes


def test_a_file_is_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for name in ("RPRM_DATABASE_URL", "RPRM_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    assert home(monkeypatch, tmp_path / "file") == (False, True)
