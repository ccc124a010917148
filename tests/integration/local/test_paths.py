"""Where the embedded servers live: folders too long or too odd for a socket, other people's folders, and root."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rprm_jobs.errors import ServiceError
from rprm_jobs.local.paths import ROOT_BASE, Paths, find_paths, locked

pytestmark = pytest.mark.integration

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as somebody else")


@pytest.fixture
def top() -> Iterator[Path]:
    """A folder that every user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="rprm-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def remove(paths: Paths) -> None:
    for folder in (paths.base, paths.sockets):
        shutil.rmtree(folder, ignore_errors=True)


def test_a_short_plain_home_holds_its_sockets(top: Path) -> None:
    assert find_paths(top / "a home").sockets == top / "a home" / "embedded" / "postgres"


@pytest.mark.parametrize("name", ["x" * 100, "one,two", "it's", "100%", "größer"])
def test_a_home_that_cannot_hold_a_socket_gets_a_short_closed_folder(top: Path, name: str) -> None:
    with locked(top / name) as paths:
        found = paths.sockets.stat()
        assert len(str(paths.sockets / ".s.PGSQL.5432")) < 107
        assert not paths.sockets.is_relative_to(top)
        assert stat.S_IMODE(found.st_mode) == 0o700
        assert found.st_uid == (paths.user.pw_uid if paths.user else os.geteuid())
    remove(paths)


def test_the_short_folder_is_the_same_in_every_session(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = find_paths(top / ("x" * 100))
    monkeypatch.setenv("TMPDIR", str(top))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(top))
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert find_paths(top / ("x" * 100)) == first


def test_a_link_in_the_place_of_the_short_folder_is_refused(top: Path) -> None:
    home = top / ("x" * 100)
    sockets = find_paths(home).sockets
    (top / "trap").mkdir(mode=0o700)
    sockets.symlink_to(top / "trap")
    try:
        with pytest.raises(ServiceError, match="is not a folder of user"), locked(home):
            pass
    finally:
        sockets.unlink()


def test_a_link_in_the_place_of_the_lock_is_not_followed(top: Path) -> None:
    (top / "theirs").write_text("precious")
    (top / "home").mkdir()
    (top / "home" / "embedded.lock").symlink_to(top / "theirs")
    with pytest.raises(ServiceError, match="cannot be made"), locked(top / "home"):
        pass
    assert (top / "theirs").read_text() == "precious"


def test_a_home_that_is_there_keeps_its_mode(top: Path) -> None:
    home = top / "home"
    home.mkdir()
    home.chmod(0o750)
    with locked(home) as paths:
        assert stat.S_IMODE(home.stat().st_mode) == 0o750
        assert paths.base.stat().st_mode & 0o007 == 0
    remove(paths)


def test_a_home_that_cannot_be_made_is_named(top: Path) -> None:
    (top / "file").write_text("")
    with pytest.raises(ServiceError, match="RPRM_HOME") as caught, locked(top / "file" / "home"):
        pass
    assert str(top / "file") in caught.value.where


@needs_root
def test_roots_closed_home_leads_to_var_lib(top: Path) -> None:
    closed = top / "closed"
    closed.mkdir(mode=0o700)
    with locked(closed / "home") as paths:
        assert paths.base.parent == ROOT_BASE
        assert (closed / "home" / "embedded").resolve() == paths.base
        assert stat.S_IMODE((closed / "home").stat().st_mode) == 0o700
    closed.chmod(0o755)
    # The link decides from now on: data is not left behind when a folder's mode changes.
    assert find_paths(closed / "home").base == paths.base
    remove(paths)


@needs_root
def test_root_owns_all_but_what_postgres_runs_in(top: Path) -> None:
    with locked(top / "home") as paths:
        assert paths.user is not None
        assert [folder.stat().st_uid for folder in (paths.home, paths.base)] == [0, 0]
        assert paths.postgres.stat().st_uid == paths.user.pw_uid != 0


@needs_root
def test_a_user_that_is_added_later_does_not_take_the_data_over(top: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    with locked(top / "home") as paths:
        os.chown(paths.postgres, nobody.pw_uid, nobody.pw_gid)
    assert find_paths(top / "home").user == nobody


@needs_root
def test_somebody_elses_servers_are_not_taken_by_root(top: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    (top / "home" / "embedded").mkdir(parents=True)
    os.chown(top / "home" / "embedded", nobody.pw_uid, nobody.pw_gid)
    with pytest.raises(ServiceError, match="run as the user who made it"), locked(top / "home"):
        pass


def test_a_home_that_is_a_file_or_below_one_is_refused(top: Path) -> None:
    (top / "file").touch()
    with pytest.raises(ServiceError, match="is not a folder") as refused:
        find_paths(top / "file")
    assert "RPRM_HOME" in refused.value.hint
    with pytest.raises(ServiceError, match="cannot be made") as refused, locked(top / "file" / "home"):
        pass
    assert "RPRM_HOME" in refused.value.hint
