"""A service by its URL: the same questions and orders as on a store, over HTTP.

Solutions are read and checked here, so files need not be on the service's machine; they are sent in pieces that go on
after a broken connection.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec

from rprm_jobs.client.backend import Rows
from rprm_jobs.client.http import AGAIN_FOR_S, Http
from rprm_jobs.client.options import RewardRequest, SubmitOptions
from rprm_jobs.errors import BadLine, ConfigError, Conflict, InputError
from rprm_jobs.formats import ReadOptions, ReadReport, read_solutions
from rprm_jobs.services.jobs.refusals import Refusals
from rprm_jobs.settings import Limits

if TYPE_CHECKING:
    from rprm_jobs.pairs.rules import PairRules
    from rprm_jobs.services.jobs.control import Cancelled
    from rprm_jobs.services.jobs.query import JobStatus
    from rprm_jobs.services.jobs.results import ResultPage
    from rprm_jobs.services.jobs.rewards import Reward
    from rprm_jobs.services.training.sets import Built

# The name under which the service takes rows that were checked here.
_CHECKED = "rows.checked.jsonl"
_PIECE_BYTES = 4 * 1024 * 1024
_CALLS_AT_ONCE = 32
_SCREEN_HINT = "use Client() beside the store, or there: rprm-jobs submit --screen"
_encode = msgspec.json.Encoder().encode


class RemoteBackend:
    """The service at `url`. `token` has at least the scope that is asked of it."""

    # Workers are the service's affair.
    context = None

    def __init__(self, url: str, token: str | None, limits: Limits) -> None:
        self._http, self.limits = Http(url, token), limits

    def submit(
        self,
        paths: tuple[str, ...],
        rows: Rows | None,
        reading: ReadOptions,
        report: ReadReport,
        options: SubmitOptions,
    ) -> int:
        """Send the rows and create the job; a request that is sent again finds it. Raises ConfigError for a screen."""
        if options.screen is not None or options.screen_family is not None:
            raise ConfigError("a service takes no screen", hint=_SCREEN_HINT)
        checked = rows if rows is not None else read_solutions(paths, reading, self.limits, report)
        refusals = Refusals(skip=options.skip_bad)
        try:
            return self._create(self._upload(checked, refusals), options, refusals)
        finally:
            refusals.close()

    def judged(self, job_id: int) -> int:
        """Raises ConfigError: a service has no jobs that screen for others."""
        raise ConfigError(f"a service does not tell what judges behind job {job_id}", hint=_SCREEN_HINT)

    def _create(self, upload: str, options: SubmitOptions, refusals: Refusals) -> int:
        body = {
            "upload": upload, "judge": options.judge, "k": options.k, "stopping": dict(options.stopping),
            "until_first_error": options.until_first_error, "threshold": options.threshold, "seed": options.seed,
            "prompt": None if options.prompt is None else Path(options.prompt).read_text(encoding="utf-8"),
            "temperature": options.temperature, "top_p": options.top_p, "max_new_tokens": options.max_new_tokens,
            "priority": options.priority, "keep_critiques": options.keep_critiques, "new": options.new,
            "name": options.name, "reuse": options.reuse, "family": options.family, "skip_bad": options.skip_bad,
        }  # fmt: skip
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        job = self._http.ask("POST", "/v1/jobs", json=body, headers=headers, again_for=AGAIN_FOR_S).json()
        # What the service alone can know: ids that are repeated.
        for line in job["bad_lines"]:
            refusals.add(BadLine(line["file"], line["line"], line["reason"]))
        refusals.write()
        return int(job["job_id"])

    def _upload(self, rows: Rows, refusals: Refusals) -> str:
        upload = self._http.ask("POST", "/v1/uploads", json={"name": _CHECKED}, again_for=AGAIN_FOR_S)
        path, offset = f"/v1/uploads/{upload.json()['id']}", 0
        for piece in _pieces(rows, refusals):
            offset = self._send(path, offset, piece)
        return path.rpartition("/")[2]

    def _send(self, path: str, offset: int, piece: bytes) -> int:
        """Send one piece; returns where it ends. Of one whose answer was lost, the part that did not come."""
        end, at = offset + len(piece), offset
        while at < end:
            try:
                content = piece[at - offset :]
                self._http.ask("PUT", path, params={"offset": at}, content=content, again_for=AGAIN_FOR_S)
                at = end
            except Conflict:
                at = int(self._http.ask("GET", path, again_for=AGAIN_FOR_S).json()["size"])
        return end

    def rewards(self, request: RewardRequest) -> list[Reward]:
        """A reward for each row, asked for at the same time; a service that is away for a while only costs time."""
        from rprm_jobs.services.jobs.rewards import Reward

        options = {
            name: value
            for name in ("judge", "k", "aggregation", "run", "seed", "threshold", "step_separator")
            if (value := getattr(request, name)) is not None
        }
        params = {**options, "timeout": min(request.timeout, 60.0)}

        def ask(row: Any) -> Reward:
            answer = self._http.ask("POST", "/reward", params=params, json=dict(row), again_for=request.timeout)
            return msgspec.json.decode(answer.content, type=Reward)

        with ThreadPoolExecutor(max(1, min(_CALLS_AT_ONCE, len(request.rows)))) as pool:
            return list(pool.map(ask, request.rows))

    def status(self, job_id: int) -> JobStatus:
        """The job now."""
        from rprm_jobs.services.jobs.query import JobStatus

        answer = self._http.ask("GET", f"/v1/jobs/{job_id}", again_for=AGAIN_FOR_S)
        return msgspec.json.decode(answer.content, type=JobStatus)

    def recent(self, limit: int) -> list[int]:
        """Ids of the newest jobs, newest first."""
        ids: list[int] = []
        before: int | None = None
        while len(ids) < limit:
            params = {"limit": min(200, limit - len(ids)), **({} if before is None else {"before": before})}
            page = self._http.ask("GET", "/v1/jobs", params=params, again_for=AGAIN_FOR_S).json()
            ids += [row["job"]["id"] for row in page["jobs"]]
            before = page["next"]
            if before is None:
                break
        return ids

    def results(self, job_id: int, *, critiques: bool, steps: bool) -> Iterator[dict[str, Any]]:
        """A row for every solution that has an outcome, as they come."""
        params = {"critiques": critiques, "steps": steps}
        with self._http.stream(f"/v1/jobs/{job_id}/results", params=params) as answer:
            for line in answer.iter_lines():
                if line:
                    yield msgspec.json.decode(line)

    def results_after(self, job_id: int, after: int, *, critiques: bool, steps: bool) -> ResultPage:
        """The next rows in the order of judging."""
        from rprm_jobs.services.jobs.results import ResultPage

        params = {"critiques": critiques, "steps": steps, "after": after}
        answer = self._http.ask("GET", f"/v1/jobs/{job_id}/results", params=params, again_for=AGAIN_FOR_S)
        rows = [msgspec.json.decode(line) for line in answer.content.splitlines() if line]
        further = parse_qs(answer.links.get("next", {}).get("url", "").partition("?")[2]).get("after")
        return ResultPage(rows, int(further[0]) if further else None)

    def cancel(self, job_id: int) -> Cancelled:
        """Cancel the job, or its extension."""
        from rprm_jobs.services.jobs.control import Cancelled

        return Cancelled(self._http.ask("POST", f"/v1/jobs/{job_id}/cancel").json()["cancelled"])

    def retry(self, job_id: int, *, quarantined: bool) -> int:
        """Judge the failed solutions again; returns how many."""
        params = {"quarantined": quarantined}
        return int(self._http.ask("POST", f"/v1/jobs/{job_id}/retry", params=params).json()["retried"])

    def extend(self, job_id: int, k: int) -> None:
        """Sample on to `k` critiques a step."""
        self._http.ask("POST", f"/v1/jobs/{job_id}/extend", json={"k": k})

    def delete(self, job_id: int) -> None:
        """Remove the job with its results."""
        self._http.ask("DELETE", f"/v1/jobs/{job_id}")

    def pairs(self, job_id: int, name: str, rules: PairRules) -> Built:
        """Build a set of preference pairs."""
        from rprm_jobs.services.training.sets import Built

        values = rules.to_builtins()
        common = {name_: values.pop(name_) for name_ in ("seed", "validation")}
        del values["kind"]
        body = {"name": name, "jobs": [job_id], "rules": values, **common}
        return msgspec.json.decode(self._http.ask("POST", "/v1/sets", json=body).content, type=Built)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()


def _pieces(rows: Rows, refusals: Refusals) -> Iterator[bytes]:
    """The good rows as lines, some MB at a time. Raises InputError with the bad ones, unless they are skipped."""
    piece, count, files = bytearray(), 0, dict[str, None]()
    for row in rows:
        files.setdefault(row.file)
        if isinstance(row, BadLine):
            refusals.add(row)
            if refusals.hopeless:
                break
            continue
        count += 1
        piece += _encode(row) + b"\n"
        if len(piece) >= _PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    refusals.check(files)
    if not count:
        raise InputError("there is no solution to judge", hint="give at least one row")
    yield bytes(piece)
