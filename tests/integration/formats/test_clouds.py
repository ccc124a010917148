"""Inputs and outputs at gs:// and hf://, against servers in memory: whole, repeated, refused, never half-written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rprm_jobs.errors import ConfigError, InputError, NotFound
from rprm_jobs.formats import write_all
from tests.integration.formats.test_remote import LINES, ROWS, ids
from tests.support.gcs import FakeGcs, fake_gcs
from tests.support.hub import TOKEN, FakeHub, Repo, fake_hub

pytestmark = [
    pytest.mark.integration,
    # gcsfs sends a part as bytes.
    pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning"),
]
BIG = {"id": "big", "text": os.urandom(1 << 20).hex()}


def broken_off(*rows: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from rows
    raise RuntimeError("the source failed")


@pytest.fixture
def gcs(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGcs]:
    gcsfs = pytest.importorskip("gcsfs")
    with fake_gcs() as gcs:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        gcsfs.GCSFileSystem.clear_instance_cache()
        yield gcs


def test_a_bucket_is_written_and_read_whole_in_parts_and_as_a_folder(gcs: FakeGcs, capfd: Any) -> None:
    write_all("gs://rollouts/f/a.jsonl.gz", iter(ROWS))
    write_all("gs://rollouts/f/b.parquet", iter(ROWS))
    assert ids("gs://rollouts/f") == ["a", "b", "a", "b"]
    assert ids("gs://rollouts/f/*.gz") == ["a", "b"]
    assert write_all("gs://rollouts/big.jsonl", iter([BIG] * 4)) == 4
    assert gcs.parts > 1
    assert gcs.objects["big.jsonl"].count(b"\n") == 4
    with pytest.raises(NotFound, match="there is no such file"):
        ids("gs://rollouts/none.jsonl")
    # gcsfs logs what it also raises.
    assert capfd.readouterr().err == ""


def test_a_bucket_holds_nothing_of_an_output_that_failed(gcs: FakeGcs) -> None:
    for rows in ([ROWS[0]], [BIG] * 4):
        with pytest.raises(RuntimeError, match="the source failed"):
            write_all("gs://rollouts/out.jsonl", broken_off(*rows))
    assert (gcs.objects, gcs.uploads) == ({}, {})
    with pytest.raises(ConfigError, match="there is no such bucket") as caught:
        write_all("gs://none/out.jsonl", iter(ROWS))
    assert caught.value.where == "gs://none/out.jsonl"


def test_a_bucket_that_is_busy_is_asked_again_and_one_that_refuses_is_not(gcs: FakeGcs) -> None:
    gcs.objects["a.jsonl"] = LINES
    gcs.failures = 1
    assert ids("gs://rollouts/a.jsonl") == ["a", "b"]
    assert gcs.failures == 0
    gcs.refuses = 401
    for fails in (lambda: ids("gs://rollouts/a.jsonl"), lambda: write_all("gs://rollouts/b.jsonl", iter(ROWS))):
        with pytest.raises((InputError, ConfigError), match="Anonymous caller does not have access") as caught:
            fails()
        assert "GOOGLE_APPLICATION_CREDENTIALS" in str(caught.value.hint)
    assert gcs.objects == {"a.jsonl": LINES}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    huggingface_hub = pytest.importorskip("huggingface_hub")
    with fake_hub() as hub:
        hub.repos["org/rows"] = Repo(private=False, branches={"main": {"f/a.jsonl": LINES}})
        # The library reads HF_ENDPOINT when it is imported, which other tests have done.
        template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        huggingface_hub.HfFileSystem.clear_instance_cache()
        yield hub


def test_a_hub_is_read_by_file_folder_pattern_and_revision_and_asked_again_when_busy(hub: FakeHub) -> None:
    hub.repos["org/rows"].branches["v1"] = {"b.jsonl": LINES}
    hub.unavailable = 1
    assert ids("hf://datasets/org/rows/f/a.jsonl") == ["a", "b"]
    assert hub.unavailable == 0
    assert ids("hf://datasets/org/rows") == ids("hf://datasets/org/rows/f/*.jsonl") == ["a", "b"]
    assert ids("hf://datasets/org/rows@v1/b.jsonl") == ["a", "b"]
    with pytest.raises(NotFound) as caught:
        ids("hf://datasets/org/none/a.jsonl")
    assert "HF_TOKEN" in str(caught.value.hint)


def test_a_hub_gets_a_file_in_one_commit_or_nothing(hub: FakeHub, tmp_path: Path) -> None:
    repo = hub.repos["org/rows"]
    assert write_all("hf://datasets/org/rows/out.jsonl", iter([BIG] * 4)) == 4
    assert (repo.commits, repo.branches["main"]["out.jsonl"].count(b"\n")) == (1, 4)
    for rows in ([ROWS[0]], [BIG] * 4):
        with pytest.raises(RuntimeError, match="the source failed"):
            write_all("hf://datasets/org/rows/broken.jsonl", broken_off(*rows))
    assert (repo.commits, set(repo.branches["main"])) == (1, {"f/a.jsonl", "out.jsonl"})
    assert list(tmp_path.iterdir()) == []


def test_a_hub_that_lets_nobody_write(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    for target, reason in (("org/rows", "cannot be written"), ("org/none", "there is no such bucket or data set")):
        with pytest.raises(ConfigError, match=reason) as caught:
            write_all(f"hf://datasets/{target}/out.jsonl", iter(ROWS))
        assert "HF_TOKEN" in str(caught.value.hint)
        assert len(str(caught.value).splitlines()) == 2
    assert set(hub.repos["org/rows"].branches["main"]) == {"f/a.jsonl"}
