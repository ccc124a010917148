"""`/metrics` of the service: the queue, and requests by the pattern of their route."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from rprm_jobs.services.context import Context
from tests.support.jobs import make_solutions, take_in

pytestmark = pytest.mark.integration


def scrape(http: TestClient) -> dict[tuple[str, ...], float]:
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_the_queue_and_the_requests(context: Context, http: TestClient) -> None:
    job = take_in(context.database, make_solutions(6), shard=2).job_id
    for path in (f"/v1/jobs/{job}", "/v1/jobs/99", "/v1/jobs/98", "/nowhere", "/.env"):
        http.get(path)
    http.request("BREW", "/coffee")
    seen = scrape(http)
    assert seen["rprm_shards", "scripted", "ready"] == 3
    requests = {name[1:]: value for name, value in seen.items() if name[0] == "rprm_http_request_seconds_count"}
    assert requests["GET", "/v1/jobs/{job_id}", "200"] == 1
    assert requests["GET", "/v1/jobs/{job_id}", "404"] == 2
    assert requests["GET", "none", "404"] == 2
    assert any(method == "other" for method, _, _ in requests)
    assert seen["rprm_http_requests_in_progress",] == 1
