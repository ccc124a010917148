"""`-` is standard output where rows or one page are written, and refused everywhere else: one rule for all commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from rprm_jobs import cli

# Options that name a place to write to, with what makes the rest of the line complete.
REFUSED = {
    "compare --page": "compare 1 2 --page",
    "improve --out": "improve in.jsonl --validate in.jsonl --out",
    "results --dataset": "results 1 --dataset",
    "pairs export --folder": "pairs export first --folder",
    "sft export --folder": "sft export first --folder",
}
STREAMED = {"results --output", "report --output", "pairs export --output", "sft export --output"}
_NAMES = {"--out", "--output", "--page", "--folder", "--dataset"}


def places(command: Any, path: str = "") -> Iterator[str]:
    for name, inner in getattr(command, "commands", {}).items():
        yield from places(inner, f"{path} {name}".strip())
    for parameter in command.params:
        yield from (f"{path} {option}" for option in parameter.opts if option in _NAMES)


def test_every_option_for_a_place_is_of_one_kind() -> None:
    assert set(places(typer.main.get_command(cli.app))) == REFUSED.keys() | STREAMED


@pytest.mark.parametrize("line", REFUSED.values(), ids=REFUSED.keys())
def test_a_dash_is_no_file_and_no_folder(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["rprm-jobs", *line.split(), "-"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    option, said = line.split()[-1], capsys.readouterr().err
    assert end.value.code == 2
    assert f"{option} -: this cannot be written to standard output" in said
    assert f"hint: give it a name: {option} " in said
    assert not list(tmp_path.iterdir())
