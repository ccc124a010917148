"""A hub that lives in memory: what pushing and reading a data set ask of Hugging Face, and no more.

It keeps every commit.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from tests.support.json_server import JsonHandler, running

TOKEN = "hf_test"
_REPO = re.compile(r"/api/datasets/([^/]+/[^/]+)(?:/(.*))?")
_FILE = re.compile(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


@dataclass
class Repo:
    """A data set: its files by branch, and how many commits there were."""

    private: bool
    branches: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"main": {}})
    commits: int = 0

    @property
    def sha(self) -> str:
        """The last commit's."""
        return f"{self.commits:040x}"


@dataclass
class FakeHub:
    """Its address, its data sets, the status to fail with, if any, and how many readings get a 503 first."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=dict)
    fail_with: int | None = None
    unavailable: int = 0


class _Handler(JsonHandler):
    hub: FakeHub

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        if (match := _FILE.fullmatch(path)) is not None:
            self._send(*match.groups())
            return
        match = _REPO.fullmatch(path)
        repo_now = self.hub.repos.get(match[1]) if match else None
        if match is None or repo_now is None:
            self.answer(404, {"error": "no such data set"}, {"X-Error-Code": "RepoNotFound"})
            return
        what, _, rest = (match[2] or "revision/main").partition("/")
        branch, _, folder = rest.partition("/")
        files = repo_now.branches.get(branch)
        if files is None:
            self.answer(404, {"error": "no such revision"}, {"X-Error-Code": "RevisionNotFound"})
        elif what == "tree":
            self._list(files, f"{folder}/" if folder else "")
        else:
            siblings = [{"rfilename": name} for name in files]
            self.answer(200, {"id": match[1], "sha": repo_now.sha, "private": repo_now.private, "siblings": siblings})

    def _list(self, files: dict[str, bytes], below: str) -> None:
        tree: dict[str, dict[str, Any]] = {}
        for name in (name for name in files if name.startswith(below)):
            inside, *more = name.removeprefix(below).split("/")
            if not more or "recursive=true" in self.path:
                tree[name] = {"type": "file", "path": name, "size": len(files[name]), "oid": "0"}
            else:
                tree[below + inside] = {"type": "directory", "path": below + inside, "oid": "0"}
        if below and not tree:
            self.answer(404, {"error": "no such folder"}, {"X-Error-Code": "EntryNotFound"})
        else:
            self.answer(200, list(tree.values()))

    do_HEAD = do_GET

    def _send(self, repo: str, branch: str, name: str) -> None:
        content = self.hub.repos[repo].branches[branch].get(name)
        headers = {"ETag": '"1"', "X-Repo-Commit": self.hub.repos[repo].sha}
        if content is None:
            self.answer(404, {"error": "no such file"}, {"X-Error-Code": "EntryNotFound"})
        elif self.hub.unavailable > 0:
            self.hub.unavailable -= 1
            self.answer(503, {"error": "not now"})
        else:
            self.answer_content(content, headers)

    def do_POST(self) -> None:
        body, path = self.body(), unquote(self.path.partition("?")[0])
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(401, {"error": "who are you?"})
        elif self.hub.fail_with is not None:
            self.answer(self.hub.fail_with, {"error": "not now"})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self.answer(200, {"errors": [], "warnings": []})
        elif (match := _REPO.fullmatch(path)) is not None:
            self._post_to(match[1], match[2], body)
        else:
            self.answer(404, {"error": path})

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
        if name in self.hub.repos:
            self.answer(409, {"url": f"{self.hub.url}/datasets/{name}"})
            return
        self.hub.repos[name] = Repo(asked.get("private") is True or asked.get("visibility") == "private")
        self.answer(200, {"url": f"{self.hub.url}/datasets/{name}"})

    def _post_to(self, name: str, action: str, body: bytes) -> None:
        repo, (what, _, branch) = self.hub.repos[name], action.partition("/")
        if what == "branch":
            known = branch in repo.branches
            repo.branches.setdefault(branch, dict(repo.branches["main"]))
            self.answer(409 if known else 200, {})
        elif what == "paths-info":
            files, asked = repo.branches[branch], parse_qs(body.decode())["paths"]
            infos = [{"type": "file", "path": n, "size": len(files[n]), "oid": "0"} for n in asked if n in files]
            self.answer(200, infos)
        elif what == "preupload":
            files = json.loads(body)["files"]
            answer = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]
            self.answer(200, {"files": answer})
        else:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    repo.branches[branch][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                elif line["key"] == "deletedFile":
                    del repo.branches[branch][line["value"]["path"]]
            repo.commits += 1
            url = f"{self.hub.url}/datasets/{name}/commit/{repo.sha}"
            self.answer(200, {"success": True, "commitUrl": url, "commitOid": repo.sha})


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """The hub, while the block runs."""
    hub = FakeHub()
    with running(type("Handler", (_Handler,), {"hub": hub})) as hub.url:
        yield hub
