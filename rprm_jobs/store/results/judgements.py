"""Judgements by key (rprm_jobs.judge.judgement): where each is recorded, so that equal ones need not be sampled again.

A row of `judgements` is a hint: the outcome that it points at says by `step_keys` what it holds. So a retry or a repair
may replace an outcome, and whoever looks up takes what it finds there for nothing. What is reused is copied: a job
holds all its critiques itself, and the deletion of another takes none of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.store.records import Known
from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.store.session import copy_rows
from rprm_jobs.store.texts import unpack_texts
from rprm_jobs.types import Critique, Finish, KeepCritiques, SolutionScore, Verdict

COLUMNS = ("key", "job_id", "ord", "step", "n")
_NO_KEY = bytes(16)
# Whose critiques may stand for those of a job that keeps so many texts.
_SOURCES = {
    KeepCritiques.ALL: [KeepCritiques.ALL],
    KeepCritiques.DISPUTED: [KeepCritiques.ALL, KeepCritiques.DISPUTED],
    KeepCritiques.NONE: list(KeepCritiques),
}


@dataclass(frozen=True, slots=True)
class _Place:
    key: UUID
    ord: int
    step: int


def look_up(connection: Connection, keys: Collection[UUID], keep: KeepCritiques) -> dict[UUID, Known]:
    """What is recorded under these keys, by key, for a job that keeps these texts.

    Raises the driver's UndefinedTable where a job is deleted at this moment.
    """
    query = text(
        """
        SELECT DISTINCT ON (g.key) g.key, g.job_id, g.ord, g.step FROM judgements AS g JOIN jobs AS j ON j.id = g.job_id
        WHERE g.key = ANY(CAST(:keys AS uuid[])) AND j.keep_critiques = ANY(:sources)
        ORDER BY g.key, j.keep_critiques = 'all' DESC, g.n DESC, g.job_id"""
    )
    by_job: dict[int, list[_Place]] = defaultdict(list)
    for key, job_id, ord_, step in connection.execute(query, {"keys": _array(keys), "sources": _SOURCES[keep]}):
        by_job[job_id].append(_Place(key, ord_, step))
    known: dict[UUID, Known] = {}
    for job_id, places in by_job.items():
        known.update(_read(connection, job_id, places, texts=keep is not KeepCritiques.NONE))
    return known


def _array(keys: Collection[UUID]) -> str:
    """The keys as Postgres writes an array, in the order of the index: a third less time than a list of UUIDs takes."""
    return "{" + ",".join(sorted([key.hex for key in keys])) + "}"


def _read(
    connection: Connection, job_id: int, places: Sequence[_Place], *, texts: bool
) -> Iterator[tuple[UUID, Known]]:
    places = _that_hold(connection, job_id, places)
    ords = sorted({place.ord for place in places})
    kept = {}
    if texts:
        query = text(f"SELECT ord, texts FROM {partition('critiques', job_id)} WHERE ord = ANY(:ords)")
        kept = {row.ord: unpack_texts(row.texts) for row in connection.execute(query, {"ords": ords})}
    groups = _verdicts(connection, job_id, places)
    for place in places:
        rows = groups.get((place.ord, place.step), [])
        if not rows or [k for k, *_ in rows] != list(range(len(rows))):
            continue
        step_texts = kept[place.ord][place.step] if place.ord in kept else None
        critiques = tuple(
            Critique(place.step, k, Verdict(verdict), p_yes, tokens, Finish(finish), text_, forced)
            for (k, verdict, p_yes, tokens, finish, forced), text_ in zip(
                rows, step_texts or [""] * len(rows), strict=True
            )
        )
        yield place.key, Known(job_id, critiques, step_texts is not None)


def _that_hold(connection: Connection, job_id: int, places: Sequence[_Place]) -> list[_Place]:
    """Those whose outcome still is of their key."""
    query = text(f"SELECT ord, step_keys FROM {partition('scores', job_id)} WHERE ord = ANY(:ords)")
    rows = connection.execute(query, {"ords": [place.ord for place in places]})
    held = {row.ord: bytes(row.step_keys) for row in rows if row.step_keys is not None}
    return [
        place for place in places if held.get(place.ord, b"")[16 * place.step : 16 * place.step + 16] == place.key.bytes
    ]


def _verdicts(
    connection: Connection, job_id: int, places: Sequence[_Place]
) -> dict[tuple[int, int], list[tuple[int, str, float | None, int, str, bool]]]:
    query = text(
        f"""
        SELECT v.ord, v.step, v.k, v.verdict, v.p_yes, v.tokens, v.finish, v.forced
        FROM unnest(CAST(:ords AS int[]), CAST(:steps AS smallint[])) AS w (ord, step)
        JOIN {partition("verdicts", job_id)} AS v ON v.ord = w.ord AND v.step = w.step
        WHERE v.ord = ANY(:ords) ORDER BY v.ord, v.step, v.k"""
    )
    groups = defaultdict(list)
    values = {"ords": [place.ord for place in places], "steps": [place.step for place in places]}
    for ord_, step, *rest in connection.execute(query, values):
        groups[ord_, step].append(tuple(rest))
    return groups


def packed_keys(score: SolutionScore) -> bytes | None:
    """The keys of a solution's steps as `scores.step_keys` has them: 16 bytes a step, zeros where a step has none."""
    if not any(score.keys):
        return None
    return b"".join(_NO_KEY if key is None else key.bytes for key in score.keys)


def add(connection: Connection, job_id: int, scores: Sequence[SolutionScore]) -> None:
    """Store where the judgements of these outcomes are."""
    rows = [row for score in scores for row in _rows(job_id, score)]
    if rows:
        copy_rows(connection, "judgements", COLUMNS, rows)


def _rows(job_id: int, score: SolutionScore) -> Iterator[tuple[UUID, int, int, int, int]]:
    counts = [0] * len(score.keys)
    for critique in score.critiques:
        if critique.step < len(counts):
            counts[critique.step] += 1
    for step, (key, count) in enumerate(zip(score.keys, counts, strict=True)):
        if key is not None and count:
            yield key, job_id, score.ord, step, count


def forget(connection: Connection, job_id: int) -> None:
    """Remove what points at the job."""
    connection.execute(text("DELETE FROM judgements WHERE job_id = :job"), {"job": job_id})


def engines(connection: Connection, queue: str) -> list[str]:
    """The names of the engines that serve this queue now, or did lately; the scripted one where there is no other."""
    query = text(
        """
        SELECT DISTINCT split_part(engine, ' ', 1) AS name FROM (
          (SELECT engine FROM workers WHERE queue = :queue AND seen_at > now() - interval '1 minute')
          UNION ALL
          (SELECT engine FROM shards WHERE queue = :queue AND engine IS NOT NULL ORDER BY id DESC LIMIT 1000)) AS e"""
    )
    names = sorted(connection.execute(query, {"queue": queue}).scalars())
    return [name for name in names if name != "scripted"] or names


def count_known(connection: Connection, keys: Collection[UUID], keep: KeepCritiques, k: int) -> int:
    """How many critiques there are under these keys, at most `k` of each, for a job that keeps these texts."""
    query = text(
        """
        SELECT coalesce(sum(n), 0) FROM (
          SELECT least(max(g.n), :k) AS n FROM judgements AS g JOIN jobs AS j ON j.id = g.job_id
          WHERE g.key = ANY(CAST(:keys AS uuid[])) AND j.keep_critiques = ANY(:sources) GROUP BY g.key) AS known"""
    )
    values = {"keys": _array(keys), "sources": _SOURCES[keep], "k": k}
    return int(connection.execute(query, values).scalar_one())
