"""Jobs over HTTP: lists, one job, and errors as problem documents."""

from __future__ import annotations

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs import control
from rprm_jobs.services.jobs.query import JobStatus, job_status
from tests.support import store
from tests.support.jobs import make_solutions, take_in

pytestmark = pytest.mark.integration


def test_jobs_come_newest_first_page_by_page(context: Context, http: TestClient) -> None:
    ids = [take_in(context.database, make_solutions(2, seed=n)).job_id for n in range(5)]
    first = http.get("/v1/jobs", params={"limit": 3}).json()
    assert [row["job"]["id"] for row in first["jobs"]] == ids[:1:-1]
    second = http.get("/v1/jobs", params={"limit": 3, "before": first["next"]}).json()
    assert [row["job"]["id"] for row in second["jobs"]] == ids[1::-1]
    assert second["next"] is None


def test_a_job_is_the_same_object_on_both_sides(context: Context, http: TestClient) -> None:
    job_id = take_in(context.database, make_solutions(3)).job_id
    answer = http.get(f"/v1/jobs/{job_id}")
    status = msgspec.json.decode(answer.content, type=JobStatus)
    assert (status.job, status.state, status.progress.shards) == (job_status(context, job_id).job, "queued", 1)


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/v1/jobs/99", 404, "not-found"),
        ("/v1/jobs/0", 422, "invalid-request"),
        ("/v1/jobs/99999999999999999999", 422, "invalid-request"),
        ("/v1/jobs/x", 422, "invalid-request"),
        ("/v1/jobs?limit=0", 422, "invalid-request"),
        ("/nowhere", 404, "not-found"),
    ],
)
def test_an_error_is_a_problem_document(http: TestClient, path: str, status: int, kind: str) -> None:
    answer = http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert (problem["type"], problem["status"]) == (f"urn:rprm-jobs:{kind}", status)
    assert problem["detail"]


def test_health_and_readiness(http: TestClient) -> None:
    assert http.get("/healthz").json()["status"] == "ok"
    assert http.get("/readyz").json() == {"status": "ok"}


def test_the_api_describes_itself(http: TestClient) -> None:
    schema = http.get("/v1/openapi.json").json()
    assert {"/v1/jobs", "/v1/jobs/{job_id}", "/healthz"} <= set(schema["paths"])
    assert {"JobStatus", "Recipe", "Progress"} <= set(schema["components"]["schemas"])
    assert "x-type" not in str(schema)


ROWS: list[dict[str, Any]] = [
    {"id": f"s{n}", "problem": f"What is {n} + {n}?", "steps": [f"{n} + {n} = {2 * n}.", "Done."], "label": -1, "by": n}
    for n in range(6)
]
OPTIONS = {"judge": "scripted", "k": 2}


@pytest.mark.usefixtures("workers")
def test_a_job_from_rows_to_results_and_on(http: TestClient) -> None:
    created = http.post("/v1/jobs", json={"rows": ROWS, **OPTIONS})
    assert (created.status_code, created.headers["location"]) == (201, f"/v1/jobs/{created.json()['job_id']}")
    job = created.headers["location"]
    assert http.post("/v1/jobs", json={"rows": ROWS, **OPTIONS}).status_code == 200
    events = events_of(http, job)
    assert [name for name, _ in events][-1] == "end"
    assert events[-1][1]["progress"]["ok"] == 6
    rows = [json.loads(line) for line in http.get(f"{job}/results", params={"steps": True}).text.splitlines()]
    assert [(row["id"], row["by"], row["steps"]) for row in rows] == [(r["id"], r["by"], r["steps"]) for r in ROWS]
    table = pa.ipc.open_stream(http.get(f"{job}/results", params={"format": "arrow"}).content).read_all()
    assert table.column("rewards").to_pylist() == [row["rewards"] for row in rows]
    etag = http.get(job).headers["etag"]
    assert http.get(job, headers={"If-None-Match": f'"x", {etag}'}).status_code == 304
    assert http.post(f"{job}/extend", json={"k": 3}).json()["job"]["recipe"]["k"] == 3
    assert http.get(job, headers={"If-None-Match": etag}).status_code == 200
    assert events_of(http, job)[-1][1]["progress"]["critiques"] == 6 * 2 * 3
    assert http.post(f"{job}/cancel").status_code == 409
    assert http.post(f"{job}/retry").json() == {"retried": 0}
    assert http.get(f"{job}/attempts").json() == {"attempts": []}
    assert http.delete(job).status_code == 204
    assert http.get(f"{job}/results").status_code == 404


def events_of(http: TestClient, job: str) -> list[tuple[str, dict[str, Any]]]:
    events = []
    for text in http.get(f"{job}/events").text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in text.splitlines())
        if "event" in fields:
            events.append((fields["event"], json.loads(fields["data"])))
    return events


def test_a_file_comes_in_pieces_and_goes_on_where_it_broke(http: TestClient) -> None:
    data = gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in ROWS))
    upload = http.post("/v1/uploads", json={"name": "rows.jsonl.gz"}).json()
    path = f"/v1/uploads/{upload['id']}"
    assert http.put(path, params={"offset": 0}, content=data[:50]).json()["size"] == 50
    again = http.put(path, params={"offset": 0}, content=data[:50])
    assert (again.status_code, again.json()["hint"]) == (409, "offset=50")
    assert http.get(path).json() == {"id": upload["id"], "name": "rows.jsonl.gz", "size": 50}
    http.put(path, params={"offset": 50}, content=data[50:])
    created = http.post("/v1/jobs", json={"upload": upload["id"], **OPTIONS})
    assert (created.status_code, created.json()["solutions"]) == (201, 6)
    assert http.get(created.headers["location"]).json()["job"]["sources"] == ["rows.jsonl.gz"]
    assert http.get(path).status_code == 404
    assert http.post("/v1/jobs", json={"rows": ROWS, **OPTIONS}).json()["job_id"] == created.json()["job_id"]


def test_a_bad_file_is_refused_with_its_lines(http: TestClient) -> None:
    upload = http.post("/v1/uploads", json={"name": "rows.jsonl"}).json()
    http.put(f"/v1/uploads/{upload['id']}", params={"offset": 0}, content=b'{"id": "a"}\nnot json\n')
    refused = http.post("/v1/jobs", json={"upload": upload["id"], **OPTIONS})
    assert refused.status_code == 422
    assert [(bad["file"], bad["line"]) for bad in refused.json()["bad_lines"]] == [("rows.jsonl", 1), ("rows.jsonl", 2)]
    for name in ("../x.jsonl", "x", "a/b.jsonl", "x.pt", ".jsonl", "x.exe"):
        assert http.post("/v1/uploads", json={"name": name}).status_code == 422
    assert http.get("/v1/jobs").json()["jobs"] == []


def test_a_request_sent_again_with_its_key_makes_one_job(http: TestClient) -> None:
    body = {"rows": ROWS, "new": True, **OPTIONS}
    first = http.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k1"})
    again = http.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k1"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["job_id"] == first.json()["job_id"]
    other = http.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k2"})
    assert other.json()["job_id"] != first.json()["job_id"]
    different = http.post("/v1/jobs", json={**body, "k": 4}, headers={"Idempotency-Key": "k1"})
    assert different.status_code == 409
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(lambda _: http.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k3"}).json(), range(6))
        )
    assert len({answer["job_id"] for answer in answers}) == 1
    assert len(http.get("/v1/jobs").json()["jobs"]) == 3


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"rows": []}, 422),
        ({"rows": [{"id": "a"}, 7]}, 422),
        ({"rows": [ROWS[0], ROWS[0]]}, 422),
        ({"rows": ROWS, "judge": "/etc"}, 404),
        ({"rows": ROWS, "k": 2000}, 422),
        ({"rows": ROWS, "stopping": {"kind": "none"}}, 422),
        ({"rows": ROWS, "stopping": {"kind": "adaptive", "min_k": "x"}}, 422),
        ({"rows": ROWS, "prompt": "without fields"}, 422),
        ({"rows": ROWS, "upload": "x"}, 422),
        ({"upload": "0" * 32}, 404),
        ({"rows": ROWS, "priority": 10**9}, 422),
        ({"rows": ROWS, "more": 1}, 422),
        ({"rows": [{**ROWS[0], "problem": "a\x00b"}]}, 422),
        ({}, 422),
    ],
)
def test_a_job_that_cannot_be_is_refused(http: TestClient, body: dict[str, Any], status: int) -> None:
    answer = http.post("/v1/jobs", json={"judge": "scripted", **body})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert http.get("/v1/jobs").json()["jobs"] == []


def test_polling_by_the_cursor_gives_each_row_once(context: Context, http: TestClient) -> None:
    job = take_in(context.database, make_solutions(20), shard=5).job_id
    taken: list[str] = []
    seen: list[int] = []

    def poll(query: str) -> str | None:
        answer = http.get(f"/v1/jobs/{job}/results{query}")
        taken.extend(json.loads(line)["id"] for line in answer.text.splitlines())
        seen.append(len(taken))
        return answer.links["next"]["url"] if "next" in answer.links else None

    first, second = store.claim(context.database), store.claim(context.database)
    store.work_off(context.database, second)
    query = poll("?after=-1&limit=4&steps=true")
    assert query == "?after=-1&limit=4&steps=true"
    store.work_off(context.database, first)
    while query is not None:
        query = poll(query)
        if len(taken) == 10:
            store.work_off_all(context.database)
    assert taken == [f"s{n}" for n in range(20)]
    assert seen == [0, 4, 8, 10, 14, 18, 20]
    assert poll("?after=19") is None
    arrow = http.get(f"/v1/jobs/{job}/results?after=14&format=arrow")
    assert pa.ipc.open_stream(arrow.content).read_all().num_rows == 5
    other = take_in(context.database, make_solutions(10, prefix="c"), shard=5).job_id
    store.work_off(context.database, [store.claim(context.database), store.claim(context.database)][1])
    control.cancel(context, other)
    # What will never be judged holds nothing up.
    page = http.get(f"/v1/jobs/{other}/results?after=-1")
    assert ([json.loads(line)["id"] for line in page.text.splitlines()], page.links) == (
        [f"c{n}" for n in range(5, 10)],
        {},
    )
    assert http.get(f"/v1/jobs/{job}/results?after=-2").status_code == 422
    assert http.get("/v1/jobs/99/results?after=-1").status_code == 404


def test_judges_workers_and_sets(http: TestClient) -> None:
    judges = http.get("/v1/judges").json()["judges"]
    assert [judge["name"] for judge in judges if judge["is_default"]] == [judges[0]["name"]]
    assert http.get("/v1/workers").json() == {"workers": []}
    assert http.get("/v1/sets").json() == {"sets": []}
    assert http.get("/v1/sets/none").status_code == 404
    assert http.delete("/v1/sets/none").status_code == 404
    for rules in ({"unknown": 1}, {"max_pairs": "many"}):
        assert http.post("/v1/sets", json={"name": "s", "jobs": [1], "rules": rules}).status_code == 422
    assert http.post("/v1/sets", json={"name": "s", "jobs": [1]}).status_code == 404
