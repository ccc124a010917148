"""Hints are typed: each error is caused, what its hint says is typed, and what was asked then works.

The stories stand in `hints/*.toml`, by the line of the code that makes the error; whether it is that line which made it
is measured. tests/unit/cli/test_hint_stories.py fails for a hint without a story.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rprm_jobs.services.context import Context
from tests.support.hint_stories import files, stories, tell
from tests.support.told_before import fill, work_off
from tests.support.told_servers import answering
from tests.support.typing_in import Typist

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]


@pytest.mark.parametrize("name", files())
def test_hints_lead_on(
    name: str, context: Context, servers_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # The stories are those of a machine without a GPU, also on one that has it.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    values, typist, wrong = fill(context, tmp_path), Typist(servers_env, tmp_path), []
    with answering(context, tmp_path) as addresses:
        for story in stories(name):
            try:
                tell(story, typist, values | addresses, lambda job: work_off(context.database, job))
            except AssertionError as error:
                wrong.append(str(error))
    assert not wrong, f"{len(wrong)} of the stories go wrong\n\n" + "\n\n".join(wrong)
