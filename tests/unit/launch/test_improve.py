"""Which judge the loop improves."""

from __future__ import annotations

import pytest

from rprm_jobs.judge import resolve
from rprm_jobs.launch import improve


def test_a_hubs_model_is_pinned_for_all_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    commits = iter("ab")
    monkeypatch.setattr(resolve, "pin", lambda *_: next(commits) * 40)
    assert improve._pinned("org/model") == f"org/model@{'a' * 40}"


@pytest.mark.parametrize("name", ["tiny", "scripted", "endpoint:model"])
def test_other_judges_keep_their_names(name: str) -> None:
    assert improve._pinned(name) == name
