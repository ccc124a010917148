"""A bucket of Google's storage that lives in memory: what gcsfs asks to read and to write objects, and its failures.

An upload in parts becomes an object with its last part, or is cancelled; nothing of it is seen before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.json_server import JsonHandler, running

BUCKET = "rollouts"
_OBJECT = re.compile(rf"(?:/download)?/storage/v1/b/{BUCKET}/o(?:/(.+))?")
_UPLOAD = re.compile(rf"/upload/storage/v1/b/{BUCKET}/o")


@dataclass
class FakeGcs:
    """Its address and objects; `failures` answers of 503 come first; `refuses` is a status for whoever asks."""

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, tuple[str, bytearray]] = field(default_factory=dict)
    parts: int = 0
    failures: int = 0
    refuses: int | None = None


class _Handler(JsonHandler):
    gcs: FakeGcs

    def _fails(self) -> bool:
        status, message = self.gcs.refuses, "Anonymous caller does not have access to the bucket."
        if self.gcs.failures > 0:
            self.gcs.failures -= 1
            status, message = 503, "Backend Error"
        if status is not None:
            self.answer(status, {"error": {"code": status, "message": message}})
        return status is not None

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        match = _OBJECT.fullmatch(asked.path)
        if self._fails():
            return
        if match is None or (match[1] and unquote(match[1]) not in self.gcs.objects):
            self.answer(404, {"error": {"code": 404, "message": "Not Found"}})
        elif match[1] is None:
            prefix = parse_qs(asked.query).get("prefix", [""])[0]
            names = sorted(name for name in self.gcs.objects if name.startswith(prefix))
            self.answer(200, {"items": [self._described(name) for name in names]})
        elif "alt=media" in asked.query:
            self.answer_content(self.gcs.objects[unquote(match[1])])
        else:
            self.answer(200, self._described(unquote(match[1])))

    def _described(self, name: str) -> dict[str, Any]:
        size = str(len(self.gcs.objects[name]))
        return {"kind": "storage#object", "name": name, "bucket": BUCKET, "size": size, "generation": "1"}

    def do_POST(self) -> None:
        body = self.body()
        asked = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        if self._fails():
            return
        if _UPLOAD.fullmatch(asked.path) is None:
            self.answer(404, {"error": {"code": 404, "message": "The specified bucket does not exist."}})
        elif query.get("uploadType") == "multipart":
            boundary = b"--" + self.headers["Content-Type"].partition("boundary=")[2].strip('"').encode()
            _, about, content, _ = body.split(boundary, 3)
            name = json.loads(about.partition(b"\n\n")[2])["name"]
            self.gcs.objects[name] = content.partition(b"\n\n")[2][:-1]
            self.answer(200, self._described(name))
        elif "upload_id" in query:
            self._add(query["upload_id"], body)
        else:
            upload_id = f"u{len(self.gcs.uploads)}"
            self.gcs.uploads[upload_id] = (query["name"], bytearray())
            self.answer(200, {}, {"Location": f"{self.gcs.url}{asked.path}?upload_id={upload_id}"})

    do_PUT = do_POST

    def _add(self, upload_id: str, body: bytes) -> None:
        name, content = self.gcs.uploads[upload_id]
        content += body
        self.gcs.parts += 1
        if self.headers["Content-Range"].endswith("/*"):
            self.answer(308, {}, {"Range": f"bytes=0-{len(content) - 1}"})
        else:
            self.gcs.objects[name] = bytes(content)
            del self.gcs.uploads[upload_id]
            self.answer(200, self._described(name))

    def do_DELETE(self) -> None:
        del self.gcs.uploads[parse_qs(urlsplit(self.path).query)["upload_id"][0]]
        self.answer(499, {})


@contextmanager
def fake_gcs() -> Iterator[FakeGcs]:
    """The bucket, while the block runs."""
    gcs = FakeGcs()
    with running(type("Handler", (_Handler,), {"gcs": gcs})) as gcs.url:
        yield gcs
