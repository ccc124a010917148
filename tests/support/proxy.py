"""A TCP proxy that a test puts before a server: it can hold its tongue, hang up, and lose the answer to a COMMIT."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
import time
from urllib.parse import parse_qsl, urlencode, urlsplit

_CHUNK = 65536


Address = tuple[str, int] | str


class Proxy:
    """Forwards to an address (host and port, or the path of a socket) from a port of its own, in threads.

    `silent` swallows all bytes while it is set; `lose_answers` is how many answers to a COMMIT will be lost: the server
    gets the COMMIT and obeys, and the client's connection ends without a word of it. With `lose_of` that only happens
    to transactions in which the client has sent these bytes, such as a part of a statement.
    """

    def __init__(self, target: Address) -> None:
        self._target = target
        self.silent = threading.Event()
        self.lose_answers = 0
        self.lose_of = b""
        self.lost = 0
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @classmethod
    def before(cls, url: str) -> tuple[Proxy, str]:
        """A proxy before the server of this URL, and the URL through it."""
        proxy = cls(address_of(url))
        return proxy, url_at(url, proxy.port)

    def hang_up(self) -> int:
        """End every connection; how many those were."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._end(pair)
        return len(pairs)

    def close(self) -> None:
        """No new connections, and an end to the old ones."""
        self._listener.close()
        self.hang_up()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._begin, args=(client,), daemon=True).start()

    def welcome(self, client: socket.socket) -> socket.socket:
        """The connection to read from, once whatever stands before it is settled. Raises OSError to turn it away."""
        return client

    def _begin(self, client: socket.socket) -> None:
        try:
            inside = self.welcome(client)
            server = self._connect()
        except OSError:
            client.close()
            return
        with self._lock:
            self._pairs.add((inside, server))
        self._serve(inside, server)

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        sent = b""
        with selectors.DefaultSelector() as ready, contextlib.suppress(OSError):
            for side in (client, server):
                ready.register(side, selectors.EVENT_READ)
            while True:
                for key, _ in ready.select():
                    source = key.fileobj
                    assert isinstance(source, socket.socket)
                    data = _read(source)
                    if not data:
                        return self._end((client, server))
                    if self.silent.is_set():
                        continue
                    if source is client:
                        sent += data
                        if b"COMMIT" in data and self._take_loss(sent):
                            server.sendall(data)
                            server.recv(_CHUNK)
                            return self._end((client, server))
                        sent = b"" if b"COMMIT" in data else sent
                    (server if source is client else client).sendall(data)
        return self._end((client, server))

    def _connect(self) -> socket.socket:
        if not isinstance(self._target, str):
            return socket.create_connection(self._target, timeout=10)
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self._target)
        except OSError:
            server.close()
            raise
        return server

    def _take_loss(self, sent: bytes) -> bool:
        with self._lock:
            if self.lose_answers <= 0 or self.lose_of not in sent:
                return False
            self.lose_answers -= 1
            self.lost += 1
            return True

    def _end(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            self._pairs.discard(pair)
        for side in pair:
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()


def address_of(url: str) -> Address:
    """Where the server of this URL listens; of a Postgres with `?host=/folder` that is a socket in the folder."""
    parts = urlsplit(url)
    port = parts.port or (5432 if parts.scheme.startswith("postgres") else 6379)
    folder = dict(parse_qsl(parts.query)).get("host")
    return f"{folder}/.s.PGSQL.{port}" if folder else (parts.hostname or "127.0.0.1", port)


def url_at(url: str, port: int, **changes: str) -> str:
    """The URL of the same server behind this port of the loopback; `changes` are `scheme` and `query`."""
    parts = urlsplit(url)
    user = parts.netloc.rpartition("@")[0]
    netloc = f"{user}@127.0.0.1:{port}" if user else f"127.0.0.1:{port}"
    query = urlencode([(name, value) for name, value in parse_qsl(parts.query) if name != "host"])
    return parts._replace(**{"netloc": netloc, "query": query, **changes}).geturl()


def _read(source: socket.socket) -> bytes:
    data = source.recv(_CHUNK)
    # TLS reads whole records: what it holds back would not be seen by a selector.
    while isinstance(source, ssl.SSLSocket) and (held := source.pending()):
        data += source.recv(held)
    return data


def wait_lost(proxy: Proxy, count: int, *, within: float = 30.0) -> None:
    """Wait until that many answers were lost."""
    deadline = time.monotonic() + within
    while proxy.lost < count:
        assert time.monotonic() < deadline, f"{proxy.lost} of {count} answers were lost"
        time.sleep(0.02)
