"""The critiques that solutions have from before an extension: they are kept, and not sampled again."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.store.texts import unpack_texts
from rprm_jobs.types import Critique, Finish, Verdict


def read_previous_critiques(connection: Connection, job_id: int, ords: Sequence[int]) -> dict[int, list[Critique]]:
    """By ord, in the order of step and k; a text that was not kept is empty."""
    blobs = text(f"SELECT ord, texts FROM {partition('critiques', job_id)} WHERE ord = ANY(:ords)")
    texts = {row.ord: unpack_texts(row.texts) for row in connection.execute(blobs, {"ords": list(ords)})}
    rows = text(
        f"SELECT ord, step, k, verdict, p_yes, tokens, finish, forced, reused FROM {partition('verdicts', job_id)}"
        " WHERE ord = ANY(:ords) ORDER BY ord, step, k"
    )
    critiques: dict[int, list[Critique]] = {}
    for ord_, step, k, verdict, p_yes, tokens, finish, *flags in connection.execute(rows, {"ords": list(ords)}):
        kept = texts[ord_][step] if ord_ in texts else None
        text_ = kept[k] if kept else ""
        critique = Critique(step, k, Verdict(verdict), p_yes, tokens, Finish(finish), text_, *flags)
        critiques.setdefault(ord_, []).append(critique)
    return critiques
