"""Pushing to a hub that lives in memory: files, card, splits, what is replaced and kept, and every refusal."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from rprm_jobs.errors import ConfigError, Conflict, NotFound, ServiceError
from rprm_jobs.pairs.rules import PairRules, SetKind
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.services.publishing.hub import HubTarget
from rprm_jobs.services.publishing.push import push
from rprm_jobs.services.publishing.sources import of_results, of_set
from rprm_jobs.services.training.export import rows as set_rows
from rprm_jobs.store.session import Database
from tests.support.hub import TOKEN, FakeHub, fake_hub
from tests.support.jobs import make_solutions, take_in
from tests.support.store import work_off_all
from tests.support.training import build_set, scripted

pytestmark = pytest.mark.integration
REPO = HubTarget("org/scored")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with fake_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        # Other tests of the same process load models offline.
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        yield hub


@pytest.fixture
def job(database: Database) -> int:
    solutions = [replace(each, label=(-1, 0, 2)[i % 3]) for i, each in enumerate(make_solutions(9))]
    job_id = take_in(database, solutions, source="/home/ada/secret/rollouts.jsonl").job_id
    work_off_all(database)
    return job_id


def table(content: bytes) -> list[dict[str, Any]]:
    return pq.read_table(io.BytesIO(content)).to_pylist()


def of_job(context: Context, job_id: int, **more: Any) -> Any:
    return of_results(
        context, job_id, title="org/scored", **{"license": None, "critiques": False, "steps": True, **more}
    )


def test_results_with_a_card_that_tells_how_they_came_about(context: Context, hub: FakeHub, job: int) -> None:
    done = push(of_job(context, job, license="mit"), REPO)
    assert (done.rows, done.files, done.url) == ({"train": 9}, 1, f"{hub.url}/datasets/org/scored")
    files = hub.repos["org/scored"].branches["main"]
    assert set(files) == {"README.md", "data/train-00000-of-00001.parquet"}
    rows = table(files["data/train-00000-of-00001.parquet"])
    assert [row["id"] for row in rows] == [row["id"] for row in result_rows(context, job)]
    card = files["README.md"].decode()
    fields = yaml.safe_load(card.split("---\n")[1])
    assert fields["configs"] == [{"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]}]
    assert (fields["license"], fields["size_categories"]) == ("mit", ["n<1K"])
    for fact in (
        "| judge | scripted |",
        "| critiques a step | 2 |",
        "kind fixed",
        "| error accuracy |",
        "rollouts.jsonl",
    ):
        assert fact in card
    assert "secret" not in card
    assert hub.repos["org/scored"].private is False


def test_a_set_has_its_splits_and_rules(context: Context, database: Database, hub: FakeHub) -> None:
    solutions = [replace(each, label=(-1, 0, 2)[i % 3]) for i, each in enumerate(make_solutions(40))]
    build_set(context, "mine", scripted(database, solutions), PairRules(validation=0.2))
    done = push(of_set(context, "mine", SetKind.PAIRS, title="t", license=None), HubTarget("org/pairs", private=True))
    files = hub.repos["org/pairs"].branches["main"]
    for split in ("train", "validation"):
        assert table(files[f"data/{split}-00000-of-00001.parquet"]) == list(
            set_rows(context, "mine", SetKind.PAIRS, split)
        )
    assert set(done.rows) == {"train", "validation"}
    card = files["README.md"].decode()
    assert "dpo" in yaml.safe_load(card.split("---\n")[1])["tags"]
    assert "| max_pairs | 2 |" in card
    assert "No licence is stated" in card
    assert hub.repos["org/pairs"].private is True
    with pytest.raises(NotFound):
        of_set(context, "yours", SetKind.PAIRS, title="t", license=None)


def test_large_splits_have_several_files_and_a_push_replaces_those_before(
    context: Context, hub: FakeHub, job: int
) -> None:
    row_bytes = len(json.dumps(next(result_rows(context, job, steps=True))))
    done = push(of_job(context, job), REPO, shard_bytes=row_bytes * 4)
    files = hub.repos["org/scored"].branches["main"]
    names = sorted(name for name in files if name.startswith("data/"))
    assert len(names) == done.files >= 2
    assert names[0].endswith(f"-of-{len(names):05}.parquet")
    assert sum(len(table(files[name])) for name in names) == 9
    files["data/kept.txt"] = b"mine"
    push(of_job(context, job), REPO)
    assert set(files) == {"README.md", "data/kept.txt", "data/train-00000-of-00001.parquet"}


def test_a_revision_is_a_branch_and_the_main_one_stays(context: Context, hub: FakeHub, job: int) -> None:
    push(of_job(context, job), REPO)
    before = dict(hub.repos["org/scored"].branches["main"])
    for _ in range(2):
        push(of_job(context, job, critiques=True), replace(REPO, revision="with-texts"))
    branches = hub.repos["org/scored"].branches
    assert branches["main"] == before
    assert table(branches["with-texts"]["data/train-00000-of-00001.parquet"])[0]["critiques"] is not None


def test_a_card_of_the_users_own_is_kept(context: Context, hub: FakeHub, job: int) -> None:
    assert push(of_job(context, job), REPO).card_kept is False
    files = hub.repos["org/scored"].branches["main"]
    assert push(of_job(context, job), REPO).card_kept is False
    files["README.md"] = b"# Mine"
    assert push(of_job(context, job), REPO).card_kept is True
    assert files["README.md"] == b"# Mine"


def test_nothing_private_goes_into_a_public_data_set(context: Context, hub: FakeHub, job: int) -> None:
    push(of_job(context, job), REPO)
    commits = hub.repos["org/scored"].commits
    with pytest.raises(Conflict, match="is public"):
        push(of_job(context, job), replace(REPO, private=True))
    assert hub.repos["org/scored"].commits == commits


def test_what_the_hub_refuses_is_told_in_a_line(
    context: Context, hub: FakeHub, job: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = of_job(context, job)
    with pytest.raises(ConfigError, match="no name of a data set"):
        push(source, HubTarget("a/b/c"))
    with pytest.raises(ConfigError, match="no name on a hub"):
        push(source, HubTarget("org/a..b"))
    hub.fail_with = 403
    with pytest.raises(ConfigError, match=r"refuses \(403\)") as refused:
        push(source, REPO)
    assert "HF_TOKEN" in str(refused.value.hint)
    hub.fail_with = None
    monkeypatch.setenv("HF_TOKEN", "wrong")
    with pytest.raises(ConfigError, match=r"refuses \(401\)"):
        push(source, REPO)
    assert hub.repos == {}
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match="does not answer"):
        push(source, REPO)
