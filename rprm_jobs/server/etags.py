"""ETags of job documents: they change when the job does, and not with the clock."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import msgspec

from rprm_jobs.services.jobs.query import JobStatus

_encode = msgspec.json.Encoder().encode


def etag_of(status: JobStatus) -> str:
    """A weak ETag: of the job, its progress and its workers, without the moment and what follows from it."""
    job, progress = status.job, replace(status.progress, now=status.job.created_at)
    workers = [(worker.id, worker.trouble) for worker in status.workers]
    digest = hashlib.sha256(_encode((job, progress, status.state, workers))).hexdigest()
    return f'W/"{digest[:24]}"'


def matches(header: str | None, etag: str) -> bool:
    """Whether If-None-Match names the ETag, or `*`."""
    return header is not None and any(part.strip() in (etag, "*") for part in header.split(","))
