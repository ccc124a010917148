"""Inputs and outputs at remote locations, against a real S3-compatible server: whole, resumed, packed, refused."""

from __future__ import annotations

import gzip
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rprm_jobs.errors import BadLine, ConfigError, InputError, NotFound
from rprm_jobs.formats import InputRow, ReadOptions, read_solutions, write_all
from rprm_jobs.settings import Limits

pytestmark = pytest.mark.integration

ROWS = [{"id": name, "problem": "p", "steps": ["s"]} for name in ("a", "b")]
LINES = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)


def ids(*paths: str) -> list[str]:
    rows: list[InputRow | BadLine] = list(read_solutions(paths, ReadOptions(), Limits()))
    return [row.solution.id if isinstance(row, InputRow) else row.reason for row in rows]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server of the S3 protocol with the bucket `rollouts`."""
    moto = pytest.importorskip("moto.server")
    pytest.importorskip("s3fs")
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": server,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    if not system.exists("rollouts"):
        system.mkdir("rollouts")
    yield system
    system.rm("rollouts/", recursive=True) if system.ls("rollouts", refresh=True) else None
    s3fs.S3FileSystem.clear_instance_cache()


def test_files_folders_and_patterns_of_a_bucket(s3: Any) -> None:
    s3.pipe("rollouts/run/1.jsonl", LINES)
    s3.pipe("rollouts/run/2.jsonl.gz", gzip.compress(LINES))
    table = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS), table)
    s3.pipe("rollouts/run/3.parquet", table.getvalue())
    s3.pipe("rollouts/run/notes.txt", b"x")
    assert ids("s3://rollouts/run/1.jsonl") == ["a", "b"]
    assert ids("s3://rollouts/run") == ["a", "b"] * 3
    assert ids("s3://rollouts/run/*.jsonl*") == ["a", "b"] * 2


def test_what_is_not_there(s3: Any) -> None:
    for path in ("s3://rollouts/none.jsonl", "s3://rollouts/none/", "s3://no-such-bucket/x.jsonl"):
        with pytest.raises(NotFound, match="no such file") as caught:
            ids(path)
        assert caught.value.where == path
    s3.pipe("rollouts/x.csv", b"x")
    with pytest.raises(InputError, match="kind is not known"):
        ids("s3://rollouts/x.csv")


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.jsonl.zst", "out.parquet"])
def test_results_are_written_in_every_form(s3: Any, name: str) -> None:
    assert write_all(f"s3://rollouts/{name}", iter(ROWS)) == 2
    s3.invalidate_cache()
    assert s3.exists(f"rollouts/{name}")
    assert ids(f"s3://rollouts/{name}") == ["a", "b"] or name.endswith("parquet")


def test_a_large_output_goes_in_parts_and_an_error_leaves_nothing(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(s3), "default_block_size", 5 << 20)
    row = {"id": "a", "text": "x" * (1 << 20)}
    s3.invalidate_cache()

    def breaks_off() -> Iterator[dict[str, Any]]:
        for _ in range(12):
            yield row
        # Two parts are uploaded by now.
        assert len(s3.call_s3("list_multipart_uploads", Bucket="rollouts")["Uploads"]) == 1
        raise RuntimeError("the database is gone")

    with pytest.raises(RuntimeError, match="the database is gone"):
        write_all("s3://rollouts/big.jsonl", breaks_off())
    assert not s3.exists("rollouts/big.jsonl")
    assert not s3.call_s3("list_multipart_uploads", Bucket="rollouts").get("Uploads")
    assert write_all("s3://rollouts/big.jsonl", iter([row] * 12)) == 12
    s3.invalidate_cache()
    assert s3.info("rollouts/big.jsonl")["size"] > 12 << 20


@pytest.mark.usefixtures("s3")
def test_an_output_that_the_location_refuses() -> None:
    with pytest.raises(ConfigError, match="cannot be written") as caught:
        write_all("s3://no-such-bucket/out.jsonl", iter(ROWS))
    assert caught.value.where == "s3://no-such-bucket/out.jsonl"
    with pytest.raises(ConfigError, match="kind is not known by its name"):
        write_all("s3://rollouts/out.csv", iter(ROWS))


class _Flaky(BaseHTTPRequestHandler):
    """Serves LINES many times over; the first connections to `/flaky.jsonl` break off."""

    body = LINES * 15_000
    failures = 2

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        if self.path.startswith("/none"):
            self.send_error(404)
            return
        start, end, status = 0, len(self.body), 200
        if asked := self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end, status = int(first), int(last) + 1 if last else end, 206
        body = self.body[start:end]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Accept-Ranges", "bytes")
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(self.body)}")
        self.end_headers()
        if not with_body:
            return
        if status == 206 and type(self).failures > 0:
            type(self).failures -= 1
            self.wfile.write(body[: len(body) // 2])
            self.connection.close()
            return
        self.wfile.write(body)


@pytest.fixture
def site() -> Iterator[str]:
    pytest.importorskip("aiohttp")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Flaky)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_web_file_is_read_on_where_it_broke_off_and_its_query_is_not_shown(site: str) -> None:
    rows = list(read_solutions([f"{site}/flaky.jsonl?token=secret"], ReadOptions(), Limits()))
    assert _Flaky.failures == 0
    assert len(rows) == 30_000
    assert {row.file for row in rows} == {f"{site}/flaky.jsonl"}
    with pytest.raises(NotFound) as caught:
        ids(f"{site}/none.jsonl?token=secret")
    assert "secret" not in str(caught.value)


def test_a_location_of_no_known_kind() -> None:
    with pytest.raises(ConfigError, match="the location's kind is not known"):
        ids("ftps3://x/y.jsonl")


def test_memory_is_a_location() -> None:
    import fsspec

    write_all("memory://out/x.jsonl", iter(ROWS))
    assert ids("memory://out/x.jsonl") == ["a", "b"]
    fsspec.filesystem("memory").rm("/out", recursive=True)
