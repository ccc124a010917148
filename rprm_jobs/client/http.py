"""Requests to a service: its token, its problem documents as errors, and the one place that sends a request again.

What is sent again is only what may be: reads, rewards, pieces of uploads, and jobs by their Idempotency-Key.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rprm_jobs import errors
from rprm_jobs.errors import BadLine, ConfigError, InputError, MissingExtra, RprmError, ServiceError

if TYPE_CHECKING:
    import httpx

_CONNECT_S, _ANSWER_S = 10.0, 120.0
_FIRST_WAIT_S, _LAST_WAIT_S = 0.2, 5.0
# A restart of the service, of Postgres, or of both takes seconds.
AGAIN_FOR_S = 60.0
_AGAIN = frozenset({408, 429, 502, 503, 504})
_KINDS = {
    "".join(f"-{c.lower()}" if c.isupper() else c for c in name).strip("-"): kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, RprmError)
}
_BY_STATUS: dict[int, type[RprmError]] = {
    401: errors.NotPermitted, 403: errors.NotPermitted, 404: errors.NotFound, 409: errors.Conflict,
}  # fmt: skip


class Http:
    """One service. May be used from several threads."""

    def __init__(self, url: str, token: str | None) -> None:
        try:
            import httpx
        except ModuleNotFoundError as error:
            raise MissingExtra("httpx is not installed", hint="pip install 'rprm-jobs[client]'") from error
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"{url!r} is not the URL of a service", hint="write http://HOST:PORT")
        self._httpx = httpx
        host = httpx.URL(url).host
        self._client = httpx.Client(
            base_url=url,
            # A service on this machine is never asked through a proxy.
            trust_env=host not in ("localhost", "127.0.0.1", "::1"),
            headers={} if token is None else {"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(_ANSWER_S, connect=_CONNECT_S),
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=64),
        )

    def ask(self, method: str, path: str, *, again_for: float = 0.0, **request: Any) -> httpx.Response:
        """The answer to one request, sent again for `again_for` seconds where the service does not serve.

        Raises the error that the service names.
        """
        deadline, wait = time.monotonic() + again_for, _FIRST_WAIT_S
        while True:
            after: float | None = None
            try:
                answer = self._client.request(method, path, **request)
                if answer.is_success:
                    return answer
                error = error_of(answer)
                if answer.status_code not in _AGAIN:
                    raise error
                after = _seconds(answer.headers.get("retry-after"))
            except self._httpx.TransportError as failure:
                error = ServiceError(
                    f"the service does not answer: {failure or type(failure).__name__}",
                    where=str(self._client.base_url),
                    hint="is it running? rprm-jobs serve",
                )
            left = deadline - time.monotonic()
            if left <= 0:
                raise error
            time.sleep(min(left, max(wait, min(after or 0.0, _LAST_WAIT_S)) * random.uniform(0.5, 1.0)))
            wait = min(wait * 2, _LAST_WAIT_S)

    @contextmanager
    def stream(self, path: str, **request: Any) -> Iterator[httpx.Response]:
        """An answer that is read as it comes. Raises ServiceError where it breaks off."""
        try:
            with self._client.stream("GET", path, **request) as answer:
                if not answer.is_success:
                    answer.read()
                    raise error_of(answer)
                yield answer
        except self._httpx.TransportError as failure:
            raise ServiceError(f"the answer broke off: {failure}", where=path, hint="read it again") from failure

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def error_of(answer: httpx.Response) -> RprmError:
    """The error that a problem document stands for."""
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    kind = str(problem.get("type", "")).removeprefix("urn:rprm-jobs:")
    default = ServiceError if answer.status_code >= 500 or answer.status_code in _AGAIN else ConfigError
    class_ = _KINDS.get(kind) or _BY_STATUS.get(answer.status_code, default)
    what = str(problem.get("detail") or f"the service answered {answer.status_code}")
    texts = {name: str(problem.get(name, "")) for name in ("where", "hint")}
    if class_ is InputError:
        bad = tuple(BadLine(line["file"], line["line"], line["reason"]) for line in problem.get("bad_lines", ()))
        return InputError(what, bad_lines=bad, n_bad=int(problem.get("n_bad", 0)), **texts)
    return class_(what, **texts)


def _seconds(header: str | None) -> float | None:
    return float(header) if header and header.isdigit() else None
