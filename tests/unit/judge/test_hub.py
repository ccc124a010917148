"""Which commit a hub id means: what the hub says, what this machine remembers, or a refusal with its hint."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import close_session, constants

from rprm_jobs.errors import JudgeError
from rprm_jobs.judge import hub as hub_module
from rprm_jobs.judge.hub import brief, pin
from rprm_jobs.judge.resolve import resolve_judge

MAIN, TAG = "1" * 40, "2" * 40
KNOWN = {"/api/models/org/model": MAIN, "/api/models/org/model/revision/v1.0": TAG}


class Hub(BaseHTTPRequestHandler):
    """Answers as the hub does about one model."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        commit = KNOWN.get(path)
        self.send_response(200 if commit else 404)
        if not commit:
            of_model = path.startswith("/api/models/org/model/")
            self.send_header("X-Error-Code", "RevisionNotFound" if of_model else "RepoNotFound")
        self.end_headers()
        self.wfile.write(json.dumps({"id": "org/model", "sha": commit} if commit else {}).encode())

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if this machine were told neither to stay offline nor to ask a proxy."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    # The session has read both when it was made.
    close_session()
    yield
    close_session()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A hub on the loopback, and an empty cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nobody answers; the folder of what this machine has loaded."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    return tmp_path


@pytest.mark.usefixtures("hub")
def test_the_hub_is_asked_for_the_commit_of_a_branch() -> None:
    assert (pin("org/model"), pin("org/model", "v1.0")) == (MAIN, TAG)
    assert resolve_judge("org/model").name == f"org/model@{MAIN}"
    assert resolve_judge("org/model@v1.0").revision == TAG


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize(("revision", "what"), [(None, "no such model"), ("v9", "no such revision")])
def test_what_the_hub_does_not_know_is_refused(revision: str | None, what: str) -> None:
    repo = "org/other" if revision is None else "org/model"
    with pytest.raises(JudgeError, match=what) as caught:
        pin(repo, revision)
    assert caught.value.where == (repo if revision is None else f"{repo}@{revision}")


def test_without_a_hub_what_was_loaded_last_counts(no_hub: Path) -> None:
    refs = no_hub / "models--org--model" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text(MAIN)
    assert pin("org/model") == MAIN
    (refs / "main").write_text("not a commit")
    with pytest.raises(JudgeError, match="never loaded here"):
        pin("org/model")


def test_a_name_that_no_hub_can_have_is_refused() -> None:
    with pytest.raises(JudgeError, match="neither a folder nor a name on a hub"):
        resolve_judge("runs/my--judge")


@pytest.mark.usefixtures("no_hub")
def test_a_model_of_which_nobody_tells_is_refused_with_its_hint() -> None:
    with pytest.raises(JudgeError, match="never loaded here") as caught:
        pin("org/model")
    assert "org/model@COMMIT" in caught.value.hint
    assert pin("org/model", TAG) == TAG


@pytest.mark.usefixtures("hub")
def test_offline_the_hub_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(JudgeError, match="never loaded here") as caught:
        pin("org/model")
    assert "endpoint:org/model" in caught.value.hint


@pytest.mark.usefixtures("no_hub")
def test_a_hub_that_swallows_connections_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    def swallow(*_: object) -> None:
        """As a network that drops packets, or a resolver without one: it does not come back."""
        never.wait(600)
        raise OSError

    monkeypatch.setattr(hub_module.socket, "create_connection", swallow)
    with pytest.raises(JudgeError, match="the hub cannot be reached"):
        pin("org/model")
    never.set()


def test_a_proxy_is_what_must_answer(monkeypatch: pytest.MonkeyPatch, no_hub: Path) -> None:  # noqa: ARG001
    asked: list[tuple[str, int]] = []

    def refuse(address: tuple[str, int], _timeout: float) -> None:
        asked.append(address)
        raise OSError

    monkeypatch.setattr(hub_module.socket, "create_connection", refuse)
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.example")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert not hub_module._answers()
    monkeypatch.setenv("NO_PROXY", "hub.example")
    hub_module._answers()
    assert asked == [("proxy.example", 3128), ("hub.example", 443)]


def test_tables_show_the_first_digits_of_a_commit() -> None:
    assert brief(f"org/model@{MAIN}") == "org/model@1111111"
    assert [brief(name) for name in ("tiny", "org/model@v1.0")] == ["tiny", "org/model@v1.0"]
