"""The pages as HTTP: headers, escaping, what a URL cannot do, and errors as pages."""

from __future__ import annotations

import httpx
import pytest
from fastapi.testclient import TestClient

from rprm_jobs.server.pages import comparison
from rprm_jobs.services import access
from rprm_jobs.services.access import Scope
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs import reader
from rprm_jobs.services.jobs.query import job_status
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.store.records import JobState
from rprm_jobs.store.results import shared
from rprm_jobs.types import Solution
from tests.support.jobs import make_recipe, make_solutions, take_in
from tests.support.training import judge_ready, scripted

pytestmark = pytest.mark.integration
HOSTILE = "<script>alert(1)</script>"


def test_pages_let_no_foreign_or_inline_script_run(context: Context, http: TestClient) -> None:
    job = scripted(context.database, [Solution(HOSTILE, HOSTILE, (HOSTILE,)), *make_solutions(3)])
    for path in (
        "/",
        f"/jobs/{job}",
        f"/jobs/{job}/solutions",
        f"/jobs/{job}/solutions/0",
        "/judges",
        "/compare",
        "/training",
    ):
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


def test_a_jobs_page_shows_what_was_judged(context: Context, http: TestClient) -> None:
    solutions = [Solution(s.id, s.problem, s.steps, label=n % 4 - 1) for n, s in enumerate(make_solutions(40))]
    waiting = take_in(context.database, solutions).job_id
    assert "Rewards of the steps" not in http.get(f"/jobs/{waiting}").text
    judge_ready(context.database)
    rows = list(result_rows(context, waiting))
    page = http.get(f"/jobs/{waiting}").text
    wrong, agreed = (
        sum(row["first_error"] >= 0 for row in rows),
        sum(row["first_error"] == row["label"] for row in rows),
    )
    assert 0 < agreed < 40
    assert f"{wrong} of 40 judged solutions have a wrong step; {agreed} of 40 labelled ones" in page
    rewards = [reward for row in rows for reward in row["rewards"]]
    counts = [sum(n <= 10 * reward < n + 1 or (n == 9 and reward == 1) for reward in rewards) for n in range(10)]
    assert ", ".join(f"{count} from 0.{n}" for n, count in enumerate(counts)) in page
    sampled = reader.overview(context, job_status(context, waiting).job, most=10)
    assert sampled is not None
    assert (sampled.solutions, sampled.labelled) == (10, 10)


def test_judges_are_compared_side_by_side(context: Context, http: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    solutions = [Solution(s.id, s.problem, s.steps, label=n % 4 - 1) for n, s in enumerate(make_solutions(12))]
    solutions[3] = Solution(HOSTILE, HOSTILE, (HOSTILE, HOSTILE, HOSTILE), label=0)
    first = scripted(context.database, solutions, recipe=make_recipe(k=2))
    second = scripted(context.database, solutions, recipe=make_recipe(k=2, seed=5))
    other = scripted(context.database, make_solutions(2, prefix="other"))
    chooser = http.get("/compare", params={"job": first}).text
    assert chooser.count('type="checkbox"') == 3
    assert f'name="job" value="{first}" checked' in chooser
    page = http.get("/compare", params={"job": [first, second]}).text
    assert HOSTILE not in page
    assert "kappa of steps" in page
    differing = page.count('<details class="card">')
    assert 0 < differing <= 12
    # Each judge's critique beside the other's: every step of every solution has both sides.
    assert page.count('<div class="side">') == differing * 3 * 2
    assert page.count("Verification: Is the step correct") == differing * 3 * 2 * 2
    assert "F1 needs labels" not in page
    alike = http.get("/compare", params={"job": [first, first, second]}).text
    assert alike.count('<div class="side">') == page.count('<div class="side">')
    unlike = http.get("/compare", params={"job": [first, other]})
    assert (unlike.status_code, "share no solution" in unlike.text) == (422, True)
    assert http.get("/compare", params={"job": [1, 2, 3, 4, 5]}).status_code == 404
    monkeypatch.setattr(comparison, "_MOST_SOLUTIONS", 5)
    monkeypatch.setattr(shared, "_BATCH", 5)
    assert "The first 5 of 12 solutions" in http.get("/compare", params={"job": [first, second]}).text


def test_a_page_offers_what_its_token_allows(context: Context, http: TestClient) -> None:
    tokens = {scope: access.create_token(context, scope, scope, days=None, actor="me")[0] for scope in Scope}
    waiting = take_in(context.database, make_solutions(2)).job_id
    shown = {scope: http.get(f"/jobs/{waiting}", headers=bearer(tokens[scope])).text for scope in Scope}
    assert [f'action="/jobs/{waiting}/cancel"' in shown[scope] for scope in Scope] == [False, True, True]
    browser = {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}

    def post(path: str, scope: Scope, headers: dict[str, str], content: str = "") -> httpx.Response:
        sent = {**bearer(tokens[scope]), **headers, "Content-Type": "application/x-www-form-urlencoded"}
        return http.post(path, headers=sent, content=content, follow_redirects=False)

    cancel = f"/jobs/{waiting}/cancel"
    assert post(cancel, Scope.READ, browser).status_code == 403
    for foreign in ({}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert post(cancel, Scope.ADMIN, foreign).status_code == 403, foreign
    assert job_status(context, waiting).state is JobState.QUEUED
    done = post(cancel, Scope.SUBMIT, browser)
    assert (done.status_code, done.headers["location"]) == (303, f"/jobs/{waiting}")
    assert job_status(context, waiting).state is JobState.CANCELLED
    page = http.get(f"/jobs/{waiting}", headers=bearer(tokens[Scope.ADMIN])).text
    assert f'action="/jobs/{waiting}/delete"' in page
    assert post(f"/jobs/{waiting}/delete", Scope.SUBMIT, browser).status_code == 403
    assert post(f"/jobs/{waiting}/delete", Scope.ADMIN, browser).headers["location"] == "/"
    assert http.get(f"/jobs/{waiting}", headers=bearer(tokens[Scope.READ])).status_code == 404
    log = [(entry.actor, entry.action, entry.status) for entry in access.read_log(context, 99)]
    assert ("submit", f"POST {cancel}", 303) in log


def test_a_finished_job_is_extended_and_judged_again_from_its_page(context: Context, http: TestClient) -> None:
    browser = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
    job = scripted(context.database, make_solutions(4, marks={1: "[[scripted:unparsed]]"}), recipe=make_recipe(k=2))
    page = http.get(f"/jobs/{job}").text
    assert "Judge the 1 failed again" in page
    for wrong in ("", "k=", "k=x", "k=0", "k=2", "k=99999999999", "k=%ff", "n=4"):
        answer = http.post(f"/jobs/{job}/extend", headers=browser, content=wrong)
        assert (answer.status_code, "<h1>" in answer.text) in {(422, True), (409, True)}, wrong
    assert http.post(f"/jobs/{job}/retry", headers=browser).status_code == 200
    assert job_status(context, job).state is JobState.RUNNING
    running = http.get(f"/jobs/{job}").text
    assert "Cancel the job" in running
    assert "/retry" not in running
    again = http.post(f"/jobs/{job}/extend", headers=browser, content="k=4")
    assert (again.status_code, "<h1>" in again.text) == (409, True)
    judge_ready(context.database)
    assert http.post(f"/jobs/{job}/extend", headers=browser, content="k=4").status_code == 200
    assert job_status(context, job).job.recipe.k == 4


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
