"""The code of docs/python.md runs as it stands, one block after the other."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.transcripts import FEW, ROOT, few_examples

BLOCKS = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.acceptance
@pytest.mark.slow
def test_the_page_runs(servers_env: dict[str, str], tmp_path: Path) -> None:
    few_examples(tmp_path)
    program = "\n".join(BLOCKS.findall((ROOT / "docs" / "python.md").read_text()))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=servers_env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"done {FEW}"
    assert lines[1].startswith("a ok [")
    assert lines[3].startswith("True (")
    assert len(lines) == 4 + FEW
