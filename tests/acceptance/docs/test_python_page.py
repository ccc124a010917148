"""The code of docs/python.md runs as it stands, one block after the other."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BLOCKS = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.acceptance
@pytest.mark.slow
def test_the_page_runs(servers_env: dict[str, str]) -> None:
    program = "\n".join(BLOCKS.findall((ROOT / "docs" / "python.md").read_text()))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=servers_env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "done 24"
    assert lines[1].startswith("a ok [")
    assert lines[3].startswith("True (")
    assert len(lines) == 4 + 24
