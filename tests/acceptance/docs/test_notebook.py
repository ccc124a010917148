"""The notebook runs from its first cell to its last, and the output that it is committed with is what comes out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[3] / "examples" / "client.ipynb"
# P(Yes) depends on the engine's arithmetic in its last digits, a sampled text now and then as well.
_NUMBER = re.compile(r"\d\.\d+")


@pytest.mark.acceptance
@pytest.mark.slow
def test_the_notebook_runs_and_shows_what_it_is_committed_with(
    servers_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in servers_env.items():
        monkeypatch.setenv(name, value)
    committed = nbformat.read(NOTEBOOK, as_version=4)
    run = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(run, timeout=250, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    for before, after in zip(committed.cells, run.cells, strict=True):
        if before.cell_type == "code" and "critique[" not in before.source:
            assert shown(after) == shown(before), before.source


def shown(cell: Mapping[str, Any]) -> str:
    """What a cell printed and returned, with the digits of probabilities left out."""
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell["outputs"]]
    return _NUMBER.sub("#", "".join(texts))
