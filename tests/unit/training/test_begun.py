"""Who may train where an interrupted training left checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from rprm_jobs.errors import ConfigError, Conflict
from training.begun import begin, check_folder, checkpoints, has_checkpoint

WHAT = {"learning_rate": 1e-6, "judge": "a", "data": "b"}


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    begin(tmp_path, WHAT, resume=False)
    (checkpoints(tmp_path) / "checkpoint-2").mkdir()
    return tmp_path


def test_nothing_begins_from_zero_over_checkpoints_unasked(interrupted: Path) -> None:
    with pytest.raises(Conflict) as refused:
        check_folder(interrupted, resume=False, restart=False)
    assert "--resume" in refused.value.hint
    assert "--restart" in refused.value.hint
    check_folder(interrupted, resume=True, restart=False)
    check_folder(interrupted, resume=False, restart=True)
    with pytest.raises(ConfigError, match="contradict"):
        check_folder(interrupted, resume=True, restart=True)


def test_an_empty_folder_needs_neither(tmp_path: Path) -> None:
    check_folder(tmp_path, resume=False, restart=False)
    begin(tmp_path, WHAT, resume=False)
    # It was cut before its first checkpoint: there is nothing to lose.
    check_folder(tmp_path, resume=False, restart=False)


def test_what_cannot_be_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no checkpoint to go on from") as refused:
        check_folder(tmp_path, resume=True, restart=False)
    assert "--resume" in refused.value.hint
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="the judge cannot be written: Not a directory") as refused:
        begin(tmp_path / "file", WHAT, resume=False)
    assert "--out" in refused.value.hint


def test_only_the_same_is_resumed(interrupted: Path) -> None:
    begin(interrupted, WHAT, resume=True)
    with pytest.raises(Conflict, match=r"learning_rate was 1e-06, now 0\.1; data was b, now c"):
        begin(interrupted, WHAT | {"learning_rate": 0.1, "data": "c"}, resume=True)
    assert has_checkpoint(interrupted)


def test_a_restart_removes_what_is_there(interrupted: Path) -> None:
    begin(interrupted, WHAT | {"data": "c"}, resume=False)
    assert not has_checkpoint(interrupted)
    begin(interrupted, WHAT | {"data": "c"}, resume=True)
