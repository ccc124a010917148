"""The transcripts of the README and the pages run as they stand, in order, and print what the pages show."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.transcripts import ROOT, differences, few_examples, read_transcripts, run_transcript

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

PAGES = [
    page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if read_transcripts(page.read_text())
]


def test_the_readme_has_a_transcript() -> None:
    assert PAGES[0].name == "README.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_transcript_is_what_the_commands_print(page: Path, servers_env: dict[str, str], tmp_path: Path) -> None:
    env = {**servers_env, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    few_examples(tmp_path)
    for written in read_transcripts(page.read_text()):
        found = differences(written, run_transcript(written, tmp_path, env))
        assert not found, "\n\n".join(found)
