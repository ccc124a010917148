"""The client on real servers with a real scripted worker: submit, wait, read, extend, pairs, and what is refused."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from rprm_jobs import AsyncClient, Client
from rprm_jobs.client import AsyncJob, Judgement
from rprm_jobs.client.job import Timeout
from rprm_jobs.errors import ConfigError, Conflict, InputError, NotFound
from rprm_jobs.services.context import Context
from rprm_jobs.settings import Settings
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.records import JobState
from rprm_jobs.store.session import Database
from tests.integration.services.test_family_jobs import work_off
from tests.support import jobs as made
from tests.support.workers import Workers

pytestmark = [pytest.mark.integration, pytest.mark.acceptance]

ROWS: list[dict[str, Any]] = [
    {"id": f"s{n}", "problem": f"What is {n} + {n}?", "steps": [f"{n} + {n} = {2 * n}.", "Done."], "label": -1, "by": n}
    for n in range(6)
]


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with Client(settings) as opened:
        yield opened


@pytest.fixture
def _served(context: Any, servers_env: dict[str, str], tmp_path: Path) -> Iterator[None]:
    workers = Workers(servers_env, context.database, tmp_path)
    try:
        workers.start()
        yield
    finally:
        workers.destroy()


@pytest.mark.usefixtures("_served")
def test_a_job_from_rows_to_results(client: Client) -> None:
    job = client.submit(ROWS, judge="scripted", k=3)
    status = job.wait(60, worker=False)
    assert (status.state, status.progress.ok) == (JobState.DONE, 6)
    rows = list(job.results(critiques=True, steps=True))
    assert [row["id"] for row in rows] == [row["id"] for row in ROWS]
    assert all(len(step) == 3 for step in rows[0]["critiques"])
    assert rows[2]["by"] == 2
    assert client.submit(iter(ROWS), judge="scripted", k=3).id == job.id
    assert [one.id for one in client.jobs()] == [job.id]
    table = job.to_arrow()
    assert table.column("id").to_pylist() == [row["id"] for row in ROWS]
    assert table.column("rewards").to_pylist() == [row["rewards"] for row in rows]
    assert table.column("metadata").to_pylist()[2] == '{"by":2}'
    assert job.to_dataset()[0]["id"] == "s0"
    assert job.extend(5).wait(60, worker=False).progress.ok == 6
    assert {n for row in job.results() for n in row["critiques_per_step"]} == {5}
    with pytest.raises(Conflict):
        job.cancel()


def test_a_screen_before_the_judge(client: Client, context: Context, database: Database) -> None:
    screening = client.submit(ROWS, judge="scripted", k=6, screen="scripted", screen_family="pure-prm")
    again = client.submit(ROWS, judge="scripted", k=6, screen="scripted", screen_family="pure-prm")
    assert again.id == screening.id
    with pytest.raises(InputError, match="has no score job"):
        screening.judged()
    work_off(database, "pure-prm")
    job = screening.judged()
    recipe = job.status().job.recipe
    assert (recipe.stopping["kind"], recipe.k, recipe.family) == ("cascade", 6, None)
    work_off(database, "rprm")
    for row, screened in zip(job.results(), screening.results(), strict=True):
        assert row["screen"] == pytest.approx([(reward + 1) / 2 for reward in screened["rewards"]])
    assert AsyncJob(screening).plain.judged().id == job.id
    made.assert_clean(context, screening.id, job.id)


def test_what_has_no_meaning_with_a_screen_is_refused(client: Client) -> None:
    with pytest.raises(ConfigError, match="end by its own rule, not by 'adaptive'") as caught:
        client.submit(ROWS, judge="scripted", screen="scripted", stopping="adaptive")
    assert '"cascade"' in caught.value.hint
    with pytest.raises(ConfigError, match="screen_family without a screen"):
        client.submit(ROWS, judge="scripted", screen_family="critic")
    with pytest.raises(ConfigError, match="a service takes no screen"):
        Client("http://127.0.0.1:9").submit(ROWS, screen="scripted")


@pytest.mark.usefixtures("_served")
def test_tables_of_every_kind_are_the_same_job(client: Client, tmp_path: Path) -> None:
    import datasets

    plain = [{name: value for name, value in row.items() if name != "by"} for row in ROWS]
    job = client.submit(plain, judge="scripted", k=1)
    assert client.submit(pa.Table.from_pylist(plain), judge="scripted", k=1).id == job.id
    assert client.submit(datasets.Dataset.from_list(plain), judge="scripted", k=1).id == job.id
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{row}\n".replace("'", '"') for row in plain))
    assert client.submit(path, judge="scripted", k=1).id == job.id
    assert client.submit([path], judge="scripted", k=1).id == job.id


@pytest.mark.usefixtures("_served")
def test_one_solution_is_judged_and_found_again(client: Client) -> None:
    first = client.judge("What is 1 + 1?", ["1 + 1 = 2."], judge="scripted", k=4, worker=False, timeout=60)
    assert isinstance(first, Judgement)
    assert (first.status, first.ok, len(first.rewards)) == ("ok", True, 1)
    again = client.judge("What is 1 + 1?", ["1 + 1 = 2."], judge="scripted", k=4, worker=False, timeout=60)
    assert again == first
    assert len(client.jobs()) == 1
    failed = client.judge("p", ["a [[scripted:unparsed]]"], judge="scripted", k=2, worker=False, timeout=60)
    assert (failed.status, failed.rewards, failed.first_error) == ("failed", (None,), None)
    assert failed.reason is not None


def test_rows_of_another_tools_shape_are_read_as_those_of_a_file(
    client: Client, context: Context, tmp_path: Path
) -> None:
    """verl's dumps, as mappings and as a file: the same solutions, recognised by the same fields, kept with the job."""
    rows = [
        {
            "input": f"What is {n} + 1?",
            "output": f"{n} + 1 is {n + 1}.\n\nSo {n + 1}.",
            "score": 1.0,
            "step": 3,
            "uid": f"u{n}",
        }
        for n in range(3)
    ]
    job = client.submit(rows, judge="scripted", k=1)
    path = tmp_path / "dump.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert client.submit(path, judge="scripted", k=1).id == job.id
    reading = job_reading(context, job.id)
    assert reading["formats"]["rows"]["verl"]["rows"] == 3
    assert reading["splitter"]
    other = client.submit(
        [{"q": "1 + 1?", "a": "1.\n2."}],
        judge="scripted",
        k=1,
        fields={"problem": "q", "solution": "a"},
        split_steps="lines",
    )
    assert job_reading(context, other.id)["map"] == {"problem": "q", "solution": "a"}
    with pytest.raises(ConfigError, match="either steps or solution"):
        client.submit(rows, fields={"problem": "input"})
    with pytest.raises(InputError) as error:
        client.submit([{"input": "x", "score": 1.0, "step": 3}], judge="scripted")
    assert "nearest is verl (by input, score, step): missing: output" in str(error.value.bad_lines[0])


def job_reading(context: Context, job_id: int) -> Any:
    with context.database.transaction() as connection:
        return jobs.get(connection, job_id).reading


def test_what_cannot_be_is_refused_by_row(client: Client) -> None:
    with pytest.raises(InputError) as error:
        client.submit([ROWS[0], {"id": "x"}, 7], judge="scripted")  # type: ignore[list-item]
    assert [str(line).split(": ")[0] for line in error.value.bad_lines] == ["rows:2", "rows:3"]
    for bad in (ROWS[0], 3, [Path("a.jsonl"), ROWS[0]]):
        with pytest.raises(InputError):
            client.submit(bad, judge="scripted")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="sequence of steps"):
        client.judge("p", "a step", judge="scripted")
    with pytest.raises(NotFound):
        client.job(9)
    assert client.jobs() == []


def test_a_wait_ends_at_its_time_and_a_cancel_ends_a_wait(client: Client) -> None:
    job = client.submit(ROWS, judge="scripted")
    with pytest.raises(Timeout, match=r"is queued after 0\.3 s"):
        job.wait(0.3, worker=False)
    with pytest.raises(Conflict, match=r"job\.wait"):
        client.submit(ROWS[:1], judge="scripted").judgement()
    threading.Timer(0.5, job.cancel).start()
    assert job.wait(30, worker=False).state is JobState.CANCELLED
    job.delete()
    with pytest.raises(NotFound):
        job.status()


@pytest.mark.usefixtures("_served")
def test_the_same_for_asyncio(settings: Settings) -> None:
    async def use() -> list[str]:
        async with AsyncClient(settings) as client:
            job = await client.submit(ROWS, judge="scripted", k=2)
            status = await job.wait(60, worker=False)
            assert status.state is JobState.DONE
            judgements = await asyncio.gather(
                *(client.judge(f"p{n}", ["a", "b"], judge="scripted", k=1, worker=False, timeout=60) for n in range(4))
            )
            assert all(one.ok for one in judgements)
            assert len(await client.jobs()) == 5
            return [row["id"] async for row in job.results()]

    assert asyncio.run(use()) == [row["id"] for row in ROWS]
