"""Jobs side by side: matched by id and content, what is not shared is counted, and hostile text stays text."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from rprm_jobs.errors import ConfigError, InputError, NotFound
from rprm_jobs.report.comparison import render
from rprm_jobs.services.context import Context
from rprm_jobs.services.evaluation.comparing import compare_jobs
from rprm_jobs.services.evaluation.processbench import read_job
from rprm_jobs.services.jobs.again import request_from_job
from rprm_jobs.services.jobs.submit import submit
from rprm_jobs.store.session import Database
from rprm_jobs.types import JobKind, Solution
from tests.support import jobs, store
from tests.support.generating import problems, rollouts

pytestmark = pytest.mark.integration

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}"


def labelled(n: int) -> list[Solution]:
    return [Solution(f"gsm8k-{i}", HOSTILE, (f"a{i}", HOSTILE, "c"), i % 4 - 1) for i in range(n)]


def two_judges(context: Context, database: Database, n: int = 40) -> tuple[int, int]:
    first = jobs.take_in(database, labelled(n), shard=7).job_id
    store.work_off_all(database)
    second = submit(context, request_from_job(context, first, jobs.make_recipe(k=2, seed=5))).job_id
    while (lease := store.try_claim(database)) is not None:
        store.record(database, lease, [store.judge(s, retry_epoch=1) for s in store.load(database, lease)])
        store.finish(database, lease)
    return first, second


def test_the_numbers_are_those_of_each_job_alone(context: Context, database: Database) -> None:
    ids = two_judges(context, database)
    document = compare_jobs(context, ids).as_json()
    assert (document["shared"], document["labelled"]) == (40, 40)
    for job in document["jobs"]:
        answers = read_job(context, job["job_id"], None)
        hits = [answers.answers[item.id].prediction == item.label for item in answers.items if item.label != -1]
        assert job["subsets"]["gsm8k"]["error_acc"] == pytest.approx(100 * sum(hits) / len(hits))
        assert job["not_shared"] == 0
        assert job["seconds_per_solution"] > 0
        progress = jobs.progress(database, job["job_id"])
        assert job["tokens_per_solution"] == progress.tokens / 40
    assert document["pairs"][0]["jobs"] == list(ids)


def test_a_job_beside_its_own_copy_agrees_in_all(context: Context, database: Database) -> None:
    first = jobs.take_in(database, labelled(20)).job_id
    same = submit(context, request_from_job(context, first, jobs.make_recipe(k=2), new=True)).job_id
    store.work_off_all(database)
    document = compare_jobs(context, (first, same)).as_json()
    assert document["differ"] == 0
    pair = document["pairs"][0]
    assert (pair["kappa_steps"], pair["kappa_first_error"]) == (1.0, 1.0)
    assert (pair["f1_difference"], pair["f1_interval"]) == (0, (0, 0))


def test_what_is_not_shared_is_counted_and_left_out(context: Context, database: Database) -> None:
    solutions = labelled(12)
    changed = [Solution(s.id, s.problem, (*s.steps[:-1], "other"), s.label) for s in solutions[:3]]
    fewer = [*changed, *solutions[3:10]]
    first, second = (jobs.take_in(database, given, shard=5).job_id for given in (solutions, fewer))
    store.work_off_all(database)
    document = compare_jobs(context, (first, second)).as_json()
    assert document["shared"] == 7
    assert [(job["not_shared"], job["other_content"]) for job in document["jobs"]] == [(5, 0), (3, 3)]


def test_failed_and_waiting_solutions_are_misses_with_their_reason(context: Context, database: Database) -> None:
    first = jobs.take_in(database, labelled(4), shard=4).job_id
    store.work_off_all(database)
    second = submit(context, request_from_job(context, first, jobs.make_recipe(seed=3))).job_id
    lease = store.claim(database)
    loaded = store.load(database, lease)
    store.record(database, lease, [store.fail(s) for s in loaded])
    document = compare_jobs(context, (first, second)).as_json()
    assert document["jobs"][0]["without_prediction"] == {}
    assert document["jobs"][1]["without_prediction"] == {"failed": len(loaded), "not judged yet": 4 - len(loaded)}


def test_what_cannot_be_compared_is_refused(context: Context, database: Database) -> None:
    first = jobs.take_in(database, labelled(3)).job_id
    other = jobs.take_in(database, [Solution("elsewhere", "p", ("a",))]).job_id
    writes = jobs.take_in(database, problems(2), rollouts(), kind=JobKind.ROLLOUT).job_id
    for ids, error, words in [
        ((first,), ConfigError, "two jobs"),
        ((first, first), ConfigError, "two jobs"),
        ((first, other), InputError, "share no solution"),
        ((first, writes), InputError, "wrote solutions"),
        ((first, 99), NotFound, "no job 99"),
    ]:
        with pytest.raises(error, match=words):
            compare_jobs(context, ids)


class _Page(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:  # noqa: ARG002
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_shows_both_judges_and_hostile_text_stays_text(context: Context, database: Database) -> None:
    ids = two_judges(context, database, 60)
    compared = compare_jobs(context, ids, shown=3, seed=1)
    assert compared.differ > 3
    page = render(compared)
    parsed = _Page(page)
    assert "script" not in parsed.tags
    assert "img" not in parsed.tags
    assert HOSTILE in parsed.words
    assert parsed.tags.count("details") >= 3
    assert len(compared.shown) == 3
    assert all(solution.id in parsed.words for solution in compared.shown)
    assert "prefers-color-scheme: dark" in page
    again = compare_jobs(context, ids, shown=3, seed=1)
    assert [s.id for s in again.shown] == [s.id for s in compared.shown]
