"""Jobs over HTTP: lists, one job, and errors as problem documents."""

from __future__ import annotations

import msgspec
import pytest
from fastapi.testclient import TestClient

from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.query import JobStatus, job_status
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
