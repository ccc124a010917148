"""The table of dispositions: which row an error finds, and that the documents show the same table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rprm_jobs import errors
from workers.dispositions import TABLE, Disposition, LeaseEnd, Owner, WorkerNext, disposition_of, is_refusal
from workers.tasks.common import AttemptFailed

PAGE = Path(__file__).parents[3] / "docs" / "operations.md"


@pytest.mark.parametrize(
    ("error", "owner", "lease", "counted", "worker"),
    [
        (errors.PromptTooLong(tokens=9, limit=8), Owner.ROLLOUT, LeaseEnd.KEPT, False, WorkerNext.GOES_ON),
        (errors.Refused("no"), Owner.ROLLOUT, LeaseEnd.KEPT, False, WorkerNext.GOES_ON),
        (errors.Unanswered("never"), Owner.ROLLOUT, LeaseEnd.KEPT, False, WorkerNext.GOES_ON),
        (errors.LeaseLost(), Owner.NOBODY, LeaseEnd.LOST, False, WorkerNext.GOES_ON),
        (errors.NotFound("job 3"), Owner.NOBODY, LeaseEnd.LOST, False, WorkerNext.GOES_ON),
        (errors.StoreUnavailable("away"), Owner.STORE, LeaseEnd.LAPSES, False, WorkerNext.WAITS),
        (errors.CommitUnknown("lost"), Owner.STORE, LeaseEnd.LAPSES, False, WorkerNext.WAITS),
        (errors.RowRefused("too large"), Owner.ROLLOUT, LeaseEnd.FAILED, True, WorkerNext.GOES_ON),
        (errors.StoreError("full"), Owner.STORE, LeaseEnd.HANDED_BACK, False, WorkerNext.PAUSES),
        (errors.NotPermitted("no"), Owner.STORE, LeaseEnd.HANDED_BACK, False, WorkerNext.PAUSES),
        (errors.SchemaError("old"), Owner.STORE, LeaseEnd.HANDED_BACK, False, WorkerNext.PAUSES),
        (errors.BrokerError("away"), Owner.QUEUE, LeaseEnd.KEPT, False, WorkerNext.GOES_ON),
        (errors.UnsupportedJob("v9"), Owner.WORKER, LeaseEnd.HANDED_BACK, False, WorkerNext.LEAVES),
        (errors.EngineError("401"), Owner.ENGINE, LeaseEnd.HANDED_BACK, False, WorkerNext.STOPS),
        (errors.EngineDied("dead"), Owner.ENGINE, LeaseEnd.HANDED_BACK, False, WorkerNext.STOPS),
        (AttemptFailed("exit"), Owner.ROLLOUT, LeaseEnd.FAILED, True, WorkerNext.GOES_ON),
        (MemoryError(), Owner.ROLLOUT, LeaseEnd.FAILED, True, WorkerNext.GOES_ON),
        (ZeroDivisionError(), Owner.ROLLOUT, LeaseEnd.FAILED, True, WorkerNext.GOES_ON),
    ],
)
def test_every_error_has_its_row(
    error: BaseException, owner: Owner, lease: LeaseEnd, counted: bool, worker: WorkerNext
) -> None:
    row = disposition_of(error)
    assert (row.owner, row.lease, row.counted, row.worker) == (owner, lease, counted, worker)
    assert is_refusal(error) == (worker is WorkerNext.PAUSES)


def test_only_what_a_rollout_may_have_caused_is_counted() -> None:
    assert {row.owner for _, row in TABLE if row.counted} == {Owner.ROLLOUT}


def test_no_row_hides_behind_an_earlier_one() -> None:
    for place, (kinds, row) in enumerate(TABLE):
        earlier = tuple(kind for others, _ in TABLE[:place] for kind in others)
        assert not any(issubclass(kind, earlier) for kind in kinds), row.error


def test_the_documents_show_this_table() -> None:
    (table,) = re.findall(r"\| error \| whose \|.*?\n\n", PAGE.read_text(), re.DOTALL)
    assert table.strip().splitlines()[2:] == [page_row(row) for _, row in TABLE]


def page_row(row: Disposition) -> str:
    counted = "yes" if row.counted else "no"
    return f"| {row.error} | {row.owner} | {row.lease} | {counted} | {row.worker} | {row.job} |"
