"""Requests as trainers and what stands before them really send them, over a socket, to a service with a worker."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from rprm_jobs.server.state import ServiceOptions
from rprm_jobs.services.context import Context
from tests.support.jobs import wait_for
from tests.support.service import free_port, running_service

pytestmark = [pytest.mark.integration, pytest.mark.acceptance]

QUERY = "?" + urlencode({"judge": "scripted", "k": 1, "run": "r"})
PROMPT = "<|im_start|>user\nWhat is 1 + 1?<|im_end|>\n<|im_start|>assistant\n"
TEXT = "1 + 1 = 2.\n\nSo it is 2."
MOST = 300_000
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def client(context: Context, workers: object) -> Iterator[httpx.Client]:
    del workers
    options = ServiceOptions(port=free_port(), max_body=MOST)
    with running_service(context, options) as url, httpx.Client(base_url=url, timeout=60) as opened:
        yield opened


def openrlhf(response: str, **more: Any) -> dict[str, Any]:
    return {"query": [PROMPT + response], "prompts": [PROMPT], "labels": [None], **more}


def slime(response: str, **more: Any) -> dict[str, Any]:
    return {"prompt": [{"role": "user", "content": "What is 1 + 1?"}], "response": response, "label": None, **more}


def test_what_means_the_same_is_answered_the_same(client: httpx.Client) -> None:
    expected = client.post(f"/reward/slime{QUERY}", json=slime(TEXT)).json()
    assert 0 <= expected <= 1
    packed = gzip.compress(json.dumps(slime(TEXT)).encode())
    parts = [{"role": "user", "content": [{"type": "text", "text": "What is 1 + 1?"}]}]
    through_a_proxy = {
        "X-Forwarded-For": "10.0.0.1, 10.0.0.2", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "judge.example",
        "Forwarded": "for=10.0.0.1;proto=https", "Via": "1.1 envoy", "X-Request-Id": "1" * 200, "Expect": "",
    }  # fmt: skip
    route, gzipped = f"/reward/slime{QUERY}", {**JSON, "Content-Encoding": "gzip"}
    in_utf8 = {"Content-Type": "application/json; charset=utf-8"}
    answers = [
        client.post(f"/reward/slime/{QUERY}", json=slime(TEXT)),
        client.post(f"{client.base_url}//reward//slime{QUERY}", json=slime(TEXT)),
        client.post(route, content=packed, headers=gzipped),
        client.post(route, content=iter([packed[:9], packed[9:]]), headers=gzipped),
        client.post(route, content=json.dumps(slime(TEXT)), headers=in_utf8),
        client.post(route, json=slime(TEXT), headers=through_a_proxy),
        client.post(route, json=slime(TEXT, prompt=parts)),
        client.post(route, json=slime(TEXT + "<|im_end|><|endoftext|>", prompt=PROMPT)),
        client.post(route, json=slime(TEXT, label={"odd": [1]}, metadata={"a": None}, status="completed")),
    ]  # fmt: skip
    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, expected)] * len(answers)
    labels: list[Any]
    for labels in ([None], ["2"], [2.5], [{"a": 1}]):
        reply = client.post(
            f"/reward/openrlhf{QUERY}", json=openrlhf(TEXT + "<|im_end|>", labels=labels, extra=1)
        ).json()
        assert (reply["rewards"], reply["scores"]) == ([expected], [expected])
    assert (
        client.post(f"/reward/openrlhf{QUERY}", json={"query": [], "prompts": [], "labels": []}).json()["rewards"] == []
    )


def test_one_connection_serves_many_requests_and_old_clients_too(client: httpx.Client) -> None:
    body = json.dumps(slime(TEXT))
    kept = http.client.HTTPConnection("127.0.0.1", client.base_url.port or 0, timeout=60)
    rewards = []
    for _ in range(3):
        kept.request("POST", f"/reward/slime{QUERY}", body, JSON)
        connection = kept.sock
        rewards.append(json.loads(kept.getresponse().read()))
        assert kept.sock is connection
    kept.close()
    old = http.client.HTTPConnection("127.0.0.1", client.base_url.port or 0, timeout=60)
    old._http_vsn, old._http_vsn_str = 10, "HTTP/1.0"  # type: ignore[attr-defined]
    old.request("POST", f"/reward/slime{QUERY}", body, JSON)
    rewards.append(json.loads(old.getresponse().read()))
    old.close()
    assert len(set(rewards)) == 1
    assert rewards[0] is not None


def test_a_request_that_means_nothing_is_refused_in_words(context: Context) -> None:
    good, much = json.dumps(slime(TEXT)), json.dumps(slime("x" * MOST))
    gzipped = {**JSON, "Content-Encoding": "gzip"}
    requests: list[tuple[str | bytes, dict[str, str], int]] = [
        (good, {}, 415),
        (good, {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (good, {**JSON, "Content-Encoding": "br"}, 415),
        (good, gzipped, 400),
        (gzip.compress(much.encode()), gzipped, 413),
        (much, JSON, 413),
        ("{", JSON, 422),
        (b"\xff\xfe{", JSON, 400),
        ("", JSON, 422),
        ("null", JSON, 422),
        (json.dumps({**slime(""), "response": None}), JSON, 422),
    ]
    options = ServiceOptions(port=free_port(), max_body=MOST)
    with running_service(context, options) as url, httpx.Client(base_url=url) as client:
        for content, headers, status in requests:
            answer = client.post(f"/reward/slime{QUERY}", content=content, headers=headers)
            document = answer.json()
            assert (answer.status_code, document["status"]) == (status, status), (content[:40], headers, document)
            assert answer.headers["content-type"] == "application/problem+json"
            assert document["detail"]


def test_a_text_that_no_judge_can_read_has_no_number(client: httpx.Client) -> None:
    texts = ["", "  \n", "a\x00b", "\ud800", "a [[scripted:unparsed]]"]
    for text in texts:
        body = json.dumps(slime(text))
        answer = client.post(f"/reward/slime{QUERY}", content=body, headers=JSON)
        assert (answer.status_code, answer.json()) == (200, None), text
        answer = client.post(f"/reward{QUERY}", content=json.dumps({"problem": "p", "solution": text}), headers=JSON)
        assert (answer.status_code, answer.json()["reward"], answer.json()["status"]) == (200, None, "failed"), text
        answer = client.post(f"/reward/openrlhf{QUERY}", content=json.dumps(openrlhf(text)), headers=JSON)
        assert (answer.status_code, answer.json()["rewards"]) == (200, None), text


def test_a_client_that_leaves_is_waited_for_no_longer(context: Context) -> None:
    routes = {"": {"problem": "p", "solution": "a"}, "/slime": slime("a"), "/openrlhf": openrlhf("a"),
              "/nemo-gym/verify": {"responses_create_params": {"input": "p"},
                                   "response": {"output": [{"type": "message", "content": "a"}]}}}  # fmt: skip

    def in_progress() -> float:
        page = httpx.get(f"{url}/metrics").text
        return next(float(line.split()[1]) for line in page.splitlines() if line.startswith("rprm_http_requests_in_p"))

    with running_service(context) as url:
        for path, body in routes.items():
            with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as opened:
                content = json.dumps(body).encode()
                head = f"POST /reward{path}{QUERY}&timeout=600 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
                opened.sendall(head.encode() + content)
                wait_for(lambda: in_progress() == 2, within=20, what="it is waited for")
            wait_for(lambda: in_progress() == 1, within=20, what="nobody is waited for")
