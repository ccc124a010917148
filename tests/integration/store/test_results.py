"""Recording: behind the fence, each outcome once however often it is written, and any text that a model may write."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprm_jobs.errors import LeaseLost
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.results import result_rows
from rprm_jobs.store.jobs import jobs
from rprm_jobs.store.results import recording
from rprm_jobs.store.results.recording import Recorded
from rprm_jobs.store.session import Database
from rprm_jobs.store.texts import kept_texts, pack_texts, storable, unpack_texts
from rprm_jobs.types import Critique, Finish, ItemStatus, KeepCritiques, SolutionScore, Verdict
from tests.support.jobs import assert_clean, make_solutions, outcomes, take_in, wait_for
from tests.support.store import claim, fail, finish, judge, lapse, load, record, run, shard_rows

pytestmark = pytest.mark.integration


def test_what_is_recorded_is_read_back_bit_by_bit(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(3), shard=3).job_id
    lease = claim(database)
    scores = [judge(s) for s in load(database, lease)]
    odd = (0.1 + 0.2, 1e-300)
    scores[0] = replace(scores[0], rewards=(*odd, 1.0), first_error=1)
    assert record(database, lease, scores) == Recorded(ok=3, failed=0, steps=9, critiques=18, tokens=360)
    finish(database, lease)
    found = list(outcomes(database, job).values())
    assert [tuple(o.rewards or ()) for o in found] == [s.rewards for s in scores]
    assert [(o.ord, o.status, o.first_error, o.critiques_per_step, o.by_votes) for o in found] == [
        (s.ord, "ok", s.first_error, [2, 2, 2], False) for s in scores
    ]
    rows = list(result_rows(context, job, critiques=True))
    assert [row["id"] for row in rows] == ["s0", "s1", "s2"]
    for row, score in zip(rows, scores, strict=True):
        told = [
            (s, c["k"], c["verdict"], c["p_yes"], c["text"]) for s, group in enumerate(row["critiques"]) for c in group
        ]
        assert told == [(c.step, c.k, c.verdict.value, c.p_yes, c.text) for c in score.critiques]


def test_a_record_in_parts_adds_up(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(5), shard=5).job_id
    lease = claim(database)
    solutions = load(database, lease)
    record(database, lease, [judge(solutions[3])])
    record(database, lease, [fail(solutions[0]), judge(solutions[4])])
    assert [s.ord for s in load(database, lease)] == [1, 2]
    record(database, lease, [judge(solutions[1]), judge(solutions[2])])
    finish(database, lease)
    (row,) = shard_rows(database, job)
    assert (row.n_ok, row.n_failed, row.steps_done, row.critiques_done, row.tokens_done) == (4, 1, 15, 24, 480)
    assert_clean(context)


def test_a_replayed_record_counts_once(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(4), shard=4).job_id
    lease = claim(database)
    scores = [judge(s) for s in load(database, lease)]
    record(database, lease, scores[:2])
    before = shard_rows(database, job)
    assert record(database, lease, scores[:2]) == Recorded(0, 0, 0, 0, 0)
    assert shard_rows(database, job) == before
    assert record(database, lease, scores).ok == 2
    finish(database, lease)
    assert_clean(context)


def test_a_second_outcome_does_not_replace_or_mend_the_first(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(2), shard=2).job_id
    lease = claim(database)
    one, other = load(database, lease)
    record(database, lease, [judge(one), fail(other)])
    record(database, lease, [judge(one, retry_epoch=1), judge(other)])
    record(database, lease, [fail(one)])
    first, second = outcomes(database, job).values()
    assert (first.status, tuple(first.rewards or ())) == ("ok", judge(one).rewards)
    assert second.status == "failed"
    assert_clean(context)


def test_a_record_that_finds_its_lease_lost_leaves_nothing_in_the_session(database: Database) -> None:
    take_in(database, make_solutions(4), shard=2)
    lost, held = claim(database, "a"), claim(database, "b")
    scores = [judge(s) for s in load(database, lost)]
    assert record(database, held, [judge(s) for s in load(database, held)]).ok == 2
    lapse(database, lost.shard_id)
    run(database, "UPDATE shards SET attempt = attempt + 1 WHERE id = :id", id=lost.shard_id)
    with pytest.raises(LeaseLost):
        record(database, lost, scores)
    # The same pooled connection records again: its staging tables must be empty.
    assert record(database, held, []) == Recorded(0, 0, 0, 0, 0)


def test_the_fence_makes_a_cancel_wait_and_what_was_recorded_stays(database: Database) -> None:
    job = take_in(database, make_solutions(2)).job_id
    lease = claim(database)
    scores = [judge(s) for s in load(database, lease)]
    fenced, go_on = threading.Event(), threading.Event()

    def slow_record() -> None:
        with database.transaction() as connection:
            recording.record(connection, lease, scores[:1], KeepCritiques.ALL)
            fenced.set()
            go_on.wait(10)

    def cancel() -> bool:
        with database.transaction() as connection:
            return jobs.cancel(connection, job)

    with ThreadPoolExecutor(2) as pool:
        in_progress = pool.submit(slow_record)
        assert fenced.wait(10)
        cancelling = pool.submit(cancel)
        wait_for(lambda: run(database, _WAITING)[0].n, what="the cancel waits")
        go_on.set()
        in_progress.result(10)
        assert cancelling.result(10)
    with pytest.raises(LeaseLost):
        record(database, lease, scores)
    assert [o.status for o in outcomes(database, job).values()] == ["ok", None]


_WAITING = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"

_NASTY = ["a\x00b", "\ud800", "\udfff x", "é\u2028\ufeff", "\\N", "\t\r\n", "😀", "", "\x7f\x80"]


def test_any_text_of_a_model_is_storable(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(2), shard=2).job_id
    lease = claim(database)
    one, other = load(database, lease)
    score = judge(one, k=3)
    critiques = tuple(replace(c, text=_NASTY[i]) for i, c in enumerate(score.critiques))
    record(database, lease, [replace(score, critiques=critiques), fail(other, "refused \x00 because \ud83d")])
    finish(database, lease)
    rows = list(result_rows(context, job, critiques=True))
    texts = [c["text"] for group in rows[0]["critiques"] for c in group]
    assert texts == ["a\ufffdb", "\ufffd", "\ufffd x", *_NASTY[3:]]
    assert rows[1]["reason"] == "refused \ufffd because \ufffd"


@given(st.text(alphabet=st.characters(categories=None), max_size=30))
def test_storable_text_is_utf8_without_nul_and_otherwise_the_same(text: str) -> None:
    made = storable(text)
    assert "\x00" not in made
    made.encode("utf-8")
    assert len(made) == len(text)
    assert all(a == b for a, b in zip(text, made, strict=True) if a != "\x00" and not "\ud800" <= a <= "\udfff")


def _score(*groups: str) -> SolutionScore:
    """Steps whose critiques have these verdicts: y, n, u(nparsed), t(runcated)."""
    verdicts = {"y": Verdict.YES, "n": Verdict.NO, "u": Verdict.UNPARSED, "t": Verdict.TRUNCATED}
    base = Critique(0, 0, Verdict.YES, 0.5, 1, Finish.STOP, "")
    critiques = [
        replace(base, step=step, k=k, verdict=verdicts[letter], text=f"{step}{k}")
        for step, letters in enumerate(groups)
        for k, letter in enumerate(letters)
    ]
    return SolutionScore(0, ItemStatus.OK, (0.5,) * len(groups), -1, tuple(critiques))


@pytest.mark.parametrize(
    ("keep", "groups", "kept"),
    [
        (KeepCritiques.ALL, ["yy", "yn"], [["00", "01"], ["10", "11"]]),
        (
            KeepCritiques.DISPUTED,
            ["yy", "yn", "nn", "yu", "tt"],
            [None, ["10", "11"], None, ["30", "31"], ["40", "41"]],
        ),
        (KeepCritiques.DISPUTED, ["yy", "nn"], None),
        (KeepCritiques.NONE, ["yn"], None),
        (KeepCritiques.ALL, [], None),
    ],
)
def test_which_texts_are_kept(keep: KeepCritiques, groups: list[str], kept: list[object] | None) -> None:
    texts = kept_texts(_score(*groups), keep)
    assert (None if texts is None else unpack_texts(pack_texts(texts))) == kept


def test_texts_that_were_not_kept_are_null_in_the_results(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(1), keep=KeepCritiques.DISPUTED).job_id
    lease = claim(database)
    (solution,) = load(database, lease)
    score = replace(_score("yy", "yn", "nn"), ord=solution.ord)
    record(database, lease, [score], KeepCritiques.DISPUTED)
    (row,) = result_rows(context, job, critiques=True)
    assert [[c["text"] for c in group] for group in row["critiques"]] == [[None, None], ["10", "11"], [None, None]]


def test_votes_that_stood_in_for_p_yes_are_told(context: Context, database: Database) -> None:
    job = take_in(database, make_solutions(2), shard=2).job_id
    lease = claim(database)
    one, other = load(database, lease)
    score = judge(one)
    blind = tuple(replace(c, p_yes=None) if c.k == 0 else c for c in score.critiques)
    record(database, lease, [replace(score, critiques=blind), judge(other)])
    assert [row["reward_source"] for row in result_rows(context, job)] == ["votes", "logprobs"]
