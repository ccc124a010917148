"""One request and its answer: the body of a good one, or the error that a bad one is. Only the server sees the key."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from rprm_jobs.errors import EngineDied, EngineError
from workers.engines.openai.client import make_client, proxy_of
from workers.engines.openai.options import KEY_VARIABLE, OpenaiOptions
from workers.engines.openai.refusals import ErrorBody, is_filtered, is_unpaid, read_error, read_overflow, refusal
from workers.engines.openai.retry import Retryable, read_retry_after

_AGAIN = {408, 409, 425, 429}
_OVERLOADED = {425, 429, 529}
# A gateway or a server that starts says these, whatever the prompt.
_AWAY = {502, 503, 504}
_WINDOW_S = 3.0


class Transport:
    """The connections to one server. Use from one event loop, between `open` and `close`."""

    def __init__(self, options: OpenaiOptions, key: str) -> None:
        self._options, self._key = options, key
        self._client: Any = None

    def open(self) -> None:
        """Raises ConfigError for a proxy or a certificate in the environment that cannot be used."""
        self._client = make_client(self._options, self._key)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    @property
    def through(self) -> str:
        """For messages: which variable's proxy stands between here and the server."""
        variable = proxy_of(self._options.base_url)
        return f" (through the proxy in {variable})" if variable else ""

    async def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        """The body of a good answer.

        Raises Retryable for what may pass; Overflow, Refused and EngineError for what will not.
        """
        import httpx

        content = None if body is None else msgspec.json.encode(body)
        try:
            async with asyncio.timeout(self._options.timeout_s):
                answer = await self._request(method, path, content)
        except TimeoutError as error:
            raise Retryable(f"no whole answer within {self._options.timeout_s:g} s") from error
        except httpx.TransportError as error:
            # The connection was there and broke: the server may have stumbled over this very request.
            broke = isinstance(error, httpx.ReadError | httpx.RemoteProtocolError)
            raise Retryable(f"{type(error).__name__}: {self._scrub(str(error))}", answered=broke) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Retryable(f"{type(error).__name__}: {self._scrub(str(error))}", answered=True) from error
        if answer.is_success:
            return bytes(answer.content)
        raise self._failure(answer)

    async def get_from_root(self, path: str) -> bytes | None:
        """What stands at `path` beside the API's own addresses; None for anything but a good answer."""
        import httpx

        root = self._options.base_url.rstrip("/").removesuffix("/v1")
        try:
            async with asyncio.timeout(_WINDOW_S):
                answer = await self._request("GET", f"{root}/{path}", None)
        except (TimeoutError, httpx.HTTPError):
            return None
        return bytes(answer.content) if answer.is_success else None

    async def _request(self, method: str, address: str, content: bytes | None) -> Any:
        if self._client is None:
            raise EngineDied("the engine was closed")
        return await self._client.request(
            method, address, content=content, headers={"Content-Type": "application/json"}
        )

    def _failure(self, answer: Any) -> Exception:
        status = answer.status_code
        error = read_error(answer.content)
        error = msgspec.structs.replace(error, message=self._scrub(error.message))
        if status == 402 or is_unpaid(error):
            return EngineError(
                f"the server wants to be paid (status {status}): {error.message}",
                where=self._options.base_url,
                hint="see to the account; the work is handed back",
            )
        if status in _AGAIN or status >= 500:
            overflow = read_overflow(error) if status >= 500 else None
            if overflow is not None and overflow.tokens and overflow.limit:
                return overflow
            return Retryable(
                f"status {status}: {error.message}",
                read_retry_after(answer.headers.get("Retry-After")),
                answered=status >= 500 and status not in _OVERLOADED | _AWAY,
                overloaded=status in _OVERLOADED,
            )
        return self._refusal(status, error, redirect=answer.is_redirect)

    def _refusal(self, status: int, error: ErrorBody, *, redirect: bool) -> Exception:
        if status in (401, 403) and not is_filtered(error):
            return EngineError(
                f"the server refuses the key (status {status})",
                where=self._options.base_url,
                hint=f"set {KEY_VARIABLE} to a valid one",
            )
        if status == 404 or redirect:
            return EngineError(
                f"the server has no such address or model (status {status}): {error.message}",
                where=self._options.base_url,
                hint="correct --base-url (it ends in /v1 on most servers) or --engine-arg model=NAME",
            )
        return refusal(error)

    def _scrub(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text
