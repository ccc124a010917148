"""A job's results as JSON lines or as an Arrow stream, and its progress as server-sent events.

Both are sent as they are read: rows in short transactions, and only as fast as the client takes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from enum import StrEnum
from itertools import chain, islice
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from rprm_jobs.server.etags import etag_of
from rprm_jobs.server.problems import Problem
from rprm_jobs.server.routes.jobs import JobId
from rprm_jobs.server.scopes import needs
from rprm_jobs.server.state import ContextDependency, service_state
from rprm_jobs.services.access import Scope
from rprm_jobs.services.context import Context
from rprm_jobs.services.jobs.query import JobStatus, job_status
from rprm_jobs.services.jobs.results import result_page, result_rows
from rprm_jobs.store.records import JobState

router = APIRouter(prefix="/v1/jobs", tags=["results"])
_PART_ROWS = 500
_PART_BYTES = 256 * 1024
_LOOK_S, _ALIVE_S = 1.0, 15.0
_MOST_STREAMS = 100
_encode = msgspec.json.Encoder().encode


class ResultFormat(StrEnum):
    """JSON lines, or an Arrow stream with the columns of the Parquet output."""

    JSONL = "jsonl"
    ARROW = "arrow"


_MEDIA = {ResultFormat.JSONL: "application/x-ndjson", ResultFormat.ARROW: "application/vnd.apache.arrow.stream"}


@router.get(
    "/{job_id}/results",
    response_class=StreamingResponse,
    responses={200: {"description": "A row for every solution.", "content": {type_: {} for type_ in _MEDIA.values()}}},
)
@needs(Scope.READ)
def results(
    request: Request,
    context: ContextDependency,
    job_id: JobId,
    format: Annotated[ResultFormat, Query(description="jsonl or arrow.")] = ResultFormat.JSONL,
    critiques: Annotated[bool, Query(description="Add every critique of every step.")] = False,
    steps: Annotated[bool, Query(description="Add the problem and the steps.")] = False,
    after: Annotated[
        int | None, Query(ge=-1, le=2**31 - 1, description="A cursor: -1 at first, then what `Link` says.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="Rows of a page, with `after`.")] = 1000,
) -> Response:
    """A row for every solution that has an outcome, in the order of the input.

    With `after`, the next page in the order of judging: each row once, however often one asks while the job runs.
    `Link` (rel="next") goes on; a page without it is the last.
    """
    if after is not None:
        shown = result_page(context, job_id, after=after, limit=limit, critiques=critiques, steps=steps)
        parts = _arrow(shown.rows, iter(())) if format is ResultFormat.ARROW else _lines(shown.rows, iter(()))
        return Response(b"".join(parts), 200, _next(request, shown.after), _MEDIA[format])
    rows = result_rows(context, job_id, critiques=critiques, steps=steps)
    # Before the answer begins: an unknown job is 404 and no broken stream.
    first = list(islice(rows, 1))
    parts = _arrow(first, rows) if format is ResultFormat.ARROW else _lines(first, rows)
    return StreamingResponse(parts, media_type=_MEDIA[format])


def _next(request: Request, after: int | None) -> dict[str, str]:
    if after is None:
        return {}
    # Relative, so that it holds behind any proxy.
    query = urlencode({**request.query_params, "after": after})
    return {"Link": f'<?{query}>; rel="next"'}


def _lines(first: list[dict[str, Any]], rows: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    part = bytearray()
    for row in chain(first, rows):
        part += _encode(row) + b"\n"
        if len(part) >= _PART_BYTES:
            yield bytes(part)
            part.clear()
    yield bytes(part)


def _arrow(first: list[dict[str, Any]], rows: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    import pyarrow as pa

    from rprm_jobs.formats.writers import RESULTS, as_columns

    schema = RESULTS.columns()
    sink = _Sink()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), schema) as writer:
        batch = first + list(islice(rows, _PART_ROWS))
        while batch:
            columns = [as_columns(row, schema.names) for row in batch]
            writer.write_batch(pa.RecordBatch.from_pylist(columns, schema=schema))
            yield sink.take()
            batch = list(islice(rows, _PART_ROWS))
    yield sink.take()


class _Sink:
    """A file of which what was written is taken."""

    closed = False

    def __init__(self) -> None:
        self._bytes = bytearray()

    def write(self, data: bytes) -> int:
        self._bytes += data
        return len(data)

    def flush(self) -> None:
        """Nothing waits anywhere."""

    def close(self) -> None:
        """What was written is still to be taken."""

    def take(self) -> bytes:
        taken = bytes(self._bytes)
        self._bytes.clear()
        return taken


@router.get(
    "/{job_id}/events",
    response_class=StreamingResponse,
    responses={200: {"description": "Events `status` (the job) and `end`.", "content": {"text/event-stream": {}}}},
)
@needs(Scope.READ)
async def events(request: Request, context: ContextDependency, job_id: JobId) -> Response:
    """The job whenever it changes, as server-sent events; the last one, `end`, comes when it is done or cancelled."""
    state = service_state(request)
    status = await to_thread.run_sync(job_status, context, job_id)
    if state.streams >= _MOST_STREAMS:
        raise Problem(503, "streams", f"{_MOST_STREAMS} streams of events are open", headers={"Retry-After": "10"})

    async def stream() -> AsyncIterator[bytes]:
        state.streams += 1
        try:
            async for event in _events(context, job_id, status):
                if state.stopping:
                    return
                yield event
        finally:
            state.streams -= 1

    return StreamingResponse(
        stream(), media_type="text/event-stream", headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    )


async def _events(context: Context, job_id: int, status: JobStatus) -> AsyncIterator[bytes]:
    last, silent_s = "", 0.0
    while True:
        etag = etag_of(status)
        ended = status.state in (JobState.DONE, JobState.CANCELLED)
        if etag != last or ended:
            yield b"event: %s\nid: %s\ndata: %s\n\n" % (b"end" if ended else b"status", etag.encode(), _encode(status))
            last, silent_s = etag, 0.0
        elif silent_s >= _ALIVE_S:
            yield b": alive\n\n"
            silent_s = 0.0
        else:
            # Nothing to send, and a chance to end the stream.
            yield b""
        if ended:
            return
        await asyncio.sleep(_LOOK_S)
        silent_s += _LOOK_S
        status = await to_thread.run_sync(job_status, context, job_id)
