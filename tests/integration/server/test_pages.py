"""The pages as HTTP: headers, escaping, what a URL cannot do, and errors as pages."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from rprm_jobs.services.context import Context
from rprm_jobs.types import Solution
from tests.support.jobs import make_solutions, take_in
from tests.support.training import scripted

pytestmark = pytest.mark.integration
HOSTILE = "<script>alert(1)</script>"


def test_pages_let_no_foreign_or_inline_script_run(context: Context, http: TestClient) -> None:
    job = scripted(context.database, [Solution(HOSTILE, HOSTILE, (HOSTILE,)), *make_solutions(3)])
    for path in ("/", f"/jobs/{job}", f"/jobs/{job}/solutions", f"/jobs/{job}/solutions/0", "/judges", "/training"):
        answer = http.get(path)
        assert answer.status_code == 200, path
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert HOSTILE not in answer.text
        assert "onerror" not in answer.text
        assert " style=" not in answer.text
        assert answer.text.count("<script") == 1


def test_what_is_searched_stays_text_and_links_keep_it(context: Context, http: TestClient) -> None:
    job = scripted(context.database, make_solutions(60))
    answer = http.get(f"/jobs/{job}/solutions", params={"q": "sum number", "show": "all"})
    assert 'rel="next" href="?show=all&amp;q=sum+number&amp;after=49"' in answer.text
    answer = http.get(f"/jobs/{job}/solutions", params={"q": f'"{HOSTILE}&show=failed\x00'})
    assert answer.status_code == 200
    assert HOSTILE not in answer.text


@pytest.mark.parametrize(
    "path", ["/jobs/99", "/jobs/x", "/jobs/0/solutions", "/jobs/{job}/solutions/77", "/jobs/{job}/solutions?show=x",
             "/jobs/{job}/solutions?after=99999999999", "/training/runs/5", "/training/sets/pairs/none"],
)  # fmt: skip
def test_an_error_is_a_page(context: Context, http: TestClient, path: str) -> None:
    job = take_in(context.database, make_solutions(2)).job_id
    answer = http.get(path.format(job=job))
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "<h1>there is no" in answer.text or "<h1>job" in answer.text, answer.text


@pytest.mark.parametrize("name", ["..%2f..%2fapp.py", "nothing", "style.css.map"])
def test_only_the_files_of_the_pages_are_served(http: TestClient, name: str) -> None:
    assert http.get(f"/static/{name}").status_code == 404
    for known in ("style.css", "pages.js", "icon.svg"):
        assert http.get(f"/static/{known}").status_code == 200


def test_a_job_that_waits_shows_no_reward(context: Context, http: TestClient) -> None:
    job = take_in(context.database, make_solutions(2)).job_id
    answer = http.get(f"/jobs/{job}/solutions/0")
    assert "waiting" in answer.text
    assert "0.00" not in answer.text
    assert "No worker serves this job" in http.get(f"/jobs/{job}").text
