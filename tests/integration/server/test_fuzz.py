"""Whatever the API's own description allows, and much that it does not, is never answered by 500.

In CI with few examples; `RPRM_TEST_FUZZ=500 pytest tests/integration/server/test_fuzz.py` takes long.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from rprm_jobs.server.app import create_app
from rprm_jobs.server.state import ServiceOptions
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs import control
from tests.support.jobs import make_solutions, take_in

pytestmark = pytest.mark.integration

EXAMPLES = int(os.environ.get("RPRM_TEST_FUZZ", "4"))
# Nobody judges here: requests for rewards are to give up at once.
WAIT_S = 0.02
HERE = {"Host": "127.0.0.1"}


@pytest.fixture
def described(context: Context) -> Any:
    """The API by its own description, with a job that has ended, whose events therefore end too."""
    job = take_in(context.database, make_solutions(3)).job_id
    control.cancel(context, job)
    app = create_app(context, ServiceOptions(requests_per_s=1e6))
    return schemathesis.openapi.from_asgi("/v1/openapi.json", app, headers=HERE)


def test_no_request_is_an_error_of_the_service(described: Any) -> None:
    operations = [result.ok() for result in described.get_all_operations()]
    assert len(operations) > 25
    for operation in operations:
        asked = given(case=operation.as_strategy())(send)
        settings(
            max_examples=EXAMPLES,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize="RPRM_TEST_FUZZ" not in os.environ,
        )(asked)()


def send(case: Any) -> None:
    if case.path.startswith("/reward"):
        case.query = {**(case.query or {}), "timeout": WAIT_S}
    answer = case.call(headers=HERE)
    sent = f"{case.method} {case.formatted_path} {case.query} {case.body!r:.500}"
    shown = f"{sent}: {answer.status_code} {answer.text:.500}"
    if answer.status_code == 503:
        assert answer.json()["type"] == "urn:rprm-jobs:not-in-time", shown
    else:
        assert answer.status_code < 500 or answer.status_code == 501, shown
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == ["application/problem+json"], shown
