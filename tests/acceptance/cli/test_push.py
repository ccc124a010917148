"""`push` and the forms of results that other programs load, by the real command line."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.command_line import Cli
from tests.support.hub import TOKEN, fake_hub
from tests.support.jobs import make_solutions, write_jsonl


@pytest.fixture
def job(cli: Cli, tmp_path: Path) -> str:
    path = write_jsonl(tmp_path / "rollouts.jsonl", make_solutions(4))
    return str(cli.json("submit", str(path), "--judge", "scripted", "-k", "2", "--wait")["job_id"])


def test_results_go_to_a_hub_and_into_arrow_and_a_saved_data_set(cli: Cli, job: str, tmp_path: Path) -> None:
    with fake_hub() as hub:
        cli.env.update(HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN, HF_HUB_DISABLE_XET="1", HF_HUB_OFFLINE="0")
        done = cli.json("push", "results", job, "--to", "org/scored", "--private")
        assert (done["rows"], done["card_kept"]) == ({"train": 4}, False)
        assert hub.repos["org/scored"].private
        shown = cli("push", "results", job, "--to", "org/scored")
        assert shown.stdout == f"{hub.url}/datasets/org/scored\n"
        assert "4 rows (train) in 1 file" in shown.stderr
        cli.env["HF_TOKEN"] = "wrong"
        refused = cli("push", "results", job, "--to", "org/other", code=2).stderr
        assert "the hub refuses (401)" in refused
        assert "hint: set HF_TOKEN" in refused
    assert "there is no set 'x'" in cli("push", "pairs", "x", "--to", "org/x", code=4).stderr
    cli("results", job, "-o", "scored.arrow")
    with pa.ipc.open_stream(tmp_path / "scored.arrow") as stream:
        rows = stream.read_all().to_pylist()
    assert [row["id"] for row in rows] == [json.loads(line)["id"] for line in cli("results", job).stdout.splitlines()]
    datasets = pytest.importorskip("datasets")
    assert cli.json("results", job, "--dataset", "saved")["rows"] == 4
    assert datasets.load_from_disk(str(tmp_path / "saved"))["rewards"][:] == [row["rewards"] for row in rows]
