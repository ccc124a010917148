"""Judgements by key (rprm_jobs.judge.judgement): where each is recorded, so that equal ones need not be sampled again.

A row of `judgements` is a hint: the outcome that it points at says by `step_keys` what it holds. So a retry or a repair
may replace an outcome, and whoever looks up takes what it finds there for nothing. What is reused is copied: a job
holds all its critiques itself, and the deletion of another takes none of them.

A solution that is recorded has a row of its job under the key of its first step, and where there is none the other
keys are not asked for (rprm_jobs.store.results.judgement_rows).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from rprm_jobs.store.records import Known
from rprm_jobs.store.schema.partitions import partition
from rprm_jobs.store.texts import unpack_texts
from rprm_jobs.types import Critique, Finish, KeepCritiques, Verdict

_SIZE = 16
# Whose critiques may stand for those of a job that keeps so many texts.
_SOURCES = {
    KeepCritiques.ALL: [KeepCritiques.ALL],
    KeepCritiques.DISPUTED: [KeepCritiques.ALL, KeepCritiques.DISPUTED],
    KeepCritiques.NONE: list(KeepCritiques),
}
# The keys that are asked for, by the key of their solutions' first step.
Wanted = Mapping[bytes, Collection[bytes]]


@dataclass(frozen=True, slots=True)
class _Place:
    """`n` critiques of the key, or more by now; `all_texts`: its job keeps the texts of all critiques."""

    key: bytes
    job_id: int
    ord: int
    step: int
    n: int
    all_texts: bool

    @property
    def rank(self) -> tuple[bool, int, int]:
        """The greatest is the one to take: of two jobs the later one, which had the other's to take and went on."""
        return self.all_texts, self.n, self.job_id


def look_up(connection: Connection, wanted: Wanted, keep: KeepCritiques) -> dict[bytes, Known]:
    """What is recorded under these keys, by key, for a job that keeps these texts.

    Raises the driver's UndefinedTable where a job is deleted at this moment.
    """
    best: dict[bytes, _Place] = {}
    for place in _places(connection, wanted, keep):
        if place.key not in best or place.rank > best[place.key].rank:
            best[place.key] = place
    by_job: dict[int, list[_Place]] = defaultdict(list)
    for place in best.values():
        by_job[place.job_id].append(place)
    known: dict[bytes, Known] = {}
    for job_id, places in by_job.items():
        known.update(_read(connection, job_id, places, texts=keep is not KeepCritiques.NONE))
    return known


def _places(connection: Connection, wanted: Wanted, keep: KeepCritiques) -> Iterator[_Place]:
    """Where the keys are said to be."""
    rows = _rows(connection, wanted)
    if not rows:
        return
    keys = {key for group in wanted.values() for key in group}
    hits = {row.key for row in rows}
    rows += _rows(connection, {key for first in hits for key in wanted[first]}.difference(hits))
    query = text("SELECT id, keep_critiques FROM jobs WHERE id = ANY(:ids) AND keep_critiques = ANY(:sources)")
    jobs = connection.execute(query, {"ids": list({row.job_id for row in rows}), "sources": _SOURCES[keep]})
    all_texts = {job.id: job.keep_critiques == KeepCritiques.ALL for job in jobs}
    for row in rows:
        if row.job_id in all_texts:
            yield from _places_of(row, keys, all_texts=all_texts[row.job_id])


def _rows(connection: Connection, keys: Collection[bytes]) -> list[Any]:
    if not keys:
        return []
    query = text(
        "SELECT uuid_send(key) AS key, job_id, ord, step, n, step_keys, counts FROM judgements"
        " WHERE key = ANY(CAST(:keys AS uuid[]))"
    )
    return list(connection.execute(query, {"keys": uuid_array(keys)}))


def _places_of(row: Any, keys: Collection[bytes], *, all_texts: bool) -> Iterator[_Place]:
    if row.counts is None:
        if row.n and row.key in keys:
            yield _Place(row.key, row.job_id, row.ord, row.step, row.n, all_texts)
        return
    for step, n in enumerate(row.counts):
        key = row.step_keys[_SIZE * step : _SIZE * step + _SIZE]
        if n and key in keys:
            yield _Place(key, row.job_id, row.ord, step, n, all_texts)


def uuid_array(keys: Collection[bytes]) -> str:
    """The keys as Postgres writes an array, in the order of the index: a third less time than a list of UUIDs takes."""
    return "{" + ",".join(sorted([key.hex() for key in keys])) + "}"


def _read(
    connection: Connection, job_id: int, places: Sequence[_Place], *, texts: bool
) -> Iterator[tuple[bytes, Known]]:
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
        yield place.key, Known(critiques, step_texts is not None)


def _that_hold(connection: Connection, job_id: int, places: Sequence[_Place]) -> list[_Place]:
    """Those whose outcome still is of their key."""
    query = text(f"SELECT ord, step_keys FROM {partition('scores', job_id)} WHERE ord = ANY(:ords)")
    rows = connection.execute(query, {"ords": [place.ord for place in places]})
    held = {row.ord: bytes(row.step_keys) for row in rows if row.step_keys is not None}
    return [
        place
        for place in places
        if held.get(place.ord, b"")[_SIZE * place.step : _SIZE * place.step + _SIZE] == place.key
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


def count_known(connection: Connection, wanted: Wanted, keep: KeepCritiques, k: int) -> int:
    """How many critiques there are under these keys, at most `k` of each, for a job that keeps these texts."""
    most: dict[bytes, int] = {}
    for place in _places(connection, wanted, keep):
        most[place.key] = max(place.n, most.get(place.key, 0))
    return sum(min(n, k) for n in most.values())
