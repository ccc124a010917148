"""Who may use what: every route by every scope, tokens that are bad, other sites' pages, and the audit log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.routing import BaseRoute, Mount

from rprm_jobs.errors import ConfigError, Conflict, NotFound
from rprm_jobs.server.access import is_loopback, refuse_open
from rprm_jobs.server.app import create_app
from rprm_jobs.server.scopes import needs_of
from rprm_jobs.server.state import ServiceOptions
from rprm_jobs.services import access
from rprm_jobs.services.access import Scope
from rprm_jobs.services.context import Context

pytestmark = pytest.mark.integration


@pytest.fixture
def app(context: Context) -> FastAPI:
    # More in a burst than there are routes, and fewer than the flood below.
    return create_app(context, ServiceOptions(host="0.0.0.0", bad_tokens_per_s=40.0))


@pytest.fixture
def tokens(context: Context) -> dict[Scope, str]:
    return {scope: access.create_token(context, scope.value, scope, days=None, actor="me")[0] for scope in Scope}


@pytest.fixture
def client(app: FastAPI, tokens: dict[Scope, str]) -> Iterator[TestClient]:
    del tokens
    with TestClient(app, base_url="http://anywhere", raise_server_exceptions=False) as opened:
        yield opened


def bearer(token: str) -> dict[str, str]:
    # As a browser sends it with the forms of the service's own pages.
    return {"Authorization": f"Bearer {token}", "Sec-Fetch-Site": "same-origin"}


def flat(routes: list[BaseRoute]) -> Iterator[tuple[str, str, Any]]:
    """Every (method, path, route) that the application has."""
    for route in routes:
        path = re.sub(r"\{(\w+)(?::\w+)?\}", "1", getattr(route, "path", ""))
        for method in sorted(getattr(route, "methods", None) or {"GET"}):
            yield method, path + ("/x" if isinstance(route, Mount) else ""), route


def test_every_route_is_refused_without_its_scope(
    app: FastAPI, client: TestClient, tokens: dict[Scope, str], context: Context
) -> None:
    checked = set()
    for method, path, route in flat(app.router.routes):
        needed = needs_of(route).scope
        if needed is None:
            assert path in ("/healthz", "/readyz", "/static/1")
            continue
        checked.add(needed)
        assert client.request(method, path).status_code == 401, (method, path)
        for scope in Scope:
            status = client.request(method, path, headers=bearer(tokens[scope])).status_code
            assert (status == 403) is not scope.allows(needed), (method, path, scope, status)
            assert status != 401
    assert checked == set(Scope)
    assert {token.name for token in access.list_tokens(context)} == {"read", "submit", "admin"}


def test_routes_that_nobody_knows_are_refused_too(client: TestClient, tokens: dict[Scope, str]) -> None:
    assert client.get("/nowhere").status_code == 401
    assert client.get("/nowhere", headers=bearer(tokens[Scope.READ])).status_code == 404
    assert client.put("/v1/jobs", headers=bearer(tokens[Scope.READ])).status_code in (403, 405)


def test_a_revoked_an_expired_and_an_unknown_token_are_refused_alike(
    context: Context, app: FastAPI, tokens: dict[Scope, str]
) -> None:
    old, _ = access.create_token(context, "old", Scope.ADMIN, days=1e-9, actor="me")
    access.revoke_token(context, "admin", actor="me")
    with TestClient(app, base_url="http://anywhere") as client:
        for token in (old, tokens[Scope.ADMIN], "rprm_x", "", "x" * 9999, "é".encode().decode("latin-1")):
            for kind in ("Bearer", "bearer", "Basic", "Digest"):
                answer = client.get("/v1/jobs", headers={"Authorization": f"{kind} {token}".encode("latin-1")})
                assert answer.status_code in (401, 429), (token, kind)
        assert client.get("/v1/jobs", headers=bearer(tokens[Scope.READ])).status_code == 200
        assert client.get("/v1/jobs", auth=("me", tokens[Scope.READ])).status_code == 200


def test_a_flood_of_bad_tokens_is_slowed_and_good_ones_are_served(
    client: TestClient, tokens: dict[Scope, str], context: Context
) -> None:
    statuses = [client.get("/v1/jobs", headers=bearer(f"rprm_{n}")).status_code for n in range(400)]
    assert statuses[:20] == [401] * 20
    assert statuses.count(429) > 100
    answer = client.get("/v1/jobs", headers=bearer("rprm_0"))
    assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (429, True)
    assert client.get("/v1/jobs", headers=bearer(tokens[Scope.READ])).status_code == 200
    assert 0 < len([entry for entry in access.read_log(context, 999) if entry.actor == "unknown"]) < 50


def test_on_the_loopback_no_token_is_needed_until_there_is_one(context: Context) -> None:
    with TestClient(create_app(context), base_url="http://localhost:8000") as here:
        assert here.get("/v1/tokens").json() == {"tokens": []}
        secret = here.post("/v1/tokens", json={"name": "a", "scope": "admin"}).json()["token"]
        access.revoke_token(context, "a", actor="me")
    with TestClient(create_app(context), base_url="http://localhost:8000") as here:
        assert here.get("/v1/tokens").status_code == 401
        assert here.get("/v1/tokens", headers=bearer(secret)).status_code == 401


def test_elsewhere_the_service_does_not_start_without_a_token(context: Context) -> None:
    for host in ("0.0.0.0", "::", "10.0.0.1", "example.org"):
        with pytest.raises(ConfigError, match="no token"):
            refuse_open(create_app(context, ServiceOptions(host=host)).state.service)
    for host in ("127.0.0.1", "::1", "localhost", "127.9.9.9"):
        assert is_loopback(host)
        refuse_open(create_app(context, ServiceOptions(host=host)).state.service)
    access.create_token(context, "a", Scope.READ, days=None, actor="me")
    refuse_open(create_app(context, ServiceOptions(host="0.0.0.0")).state.service)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example:8000"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "[", "Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}, 201),
        ({}, 201),
    ],
)
def test_a_page_of_another_site_changes_nothing(
    context: Context, http: TestClient, headers: dict[str, str], status: int
) -> None:
    answer = http.post("/v1/tokens", json={"name": "evil", "scope": "admin"}, headers=headers)
    assert answer.status_code == status
    assert len(access.list_tokens(context)) == (status == 201)
    assert "access-control-allow-origin" not in answer.headers


def test_what_is_done_is_logged_with_who_did_it(client: TestClient, tokens: dict[Scope, str]) -> None:
    admin = bearer(tokens[Scope.ADMIN])
    assert client.post("/v1/tokens", json={"name": "new", "scope": "read"}, headers=admin).status_code == 201
    assert client.post("/v1/tokens", json={"name": "new", "scope": "read"}, headers=admin).status_code == 409
    assert client.delete("/v1/tokens/new", headers=admin).status_code == 204
    assert client.delete("/v1/tokens/nobody", headers=admin).status_code == 404
    assert client.get("/v1/audit-log", headers=bearer(tokens[Scope.SUBMIT])).status_code == 403
    page = client.get("/v1/audit-log", headers=admin, params={"limit": 5}).json()
    shown = [(entry["actor"], entry["action"], entry["status"]) for entry in page["entries"]]
    assert ("submit", "GET /v1/audit-log", 403) in shown
    assert ("admin", "DELETE /v1/tokens/nobody", 404) in shown
    assert ("admin", "DELETE /v1/tokens/new", 204) in shown
    more = client.get("/v1/audit-log", headers=admin, params={"before": page["next"]}).json()
    assert more["next"] is None
    texts = str(page) + str(more)
    assert "token create new --scope read" in texts
    assert not any(token in texts for token in tokens.values())


def test_names_and_times_are_checked(context: Context) -> None:
    access.create_token(context, "a", Scope.READ, days=1, actor="me")
    for name, days, error in (("a", None, Conflict), ("a b", None, ConfigError), ("", None, ConfigError),
                              ("b", 0, ConfigError), ("b", 1e9, ConfigError)):  # fmt: skip
        with pytest.raises(error):
            access.create_token(context, name, Scope.READ, days=days, actor="me")
    with pytest.raises(NotFound):
        access.revoke_token(context, "b", actor="me")
    (stored,) = access.list_tokens(context)
    assert stored.digest not in ("", "a")


def test_a_body_of_too_many_bytes_is_refused(context: Context) -> None:
    app = create_app(context, ServiceOptions(max_body=2000))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        answer = client.post("/reward", content=b"x" * 3000)
        assert (answer.status_code, answer.json()["type"]) == (413, "urn:rprm-jobs:content-too-large")
        endless = client.post("/reward", content=(b"x" * 100 for _ in range(10**6)))
        assert endless.status_code == 413


def test_a_proxys_name_is_believed_by_choice_alone(context: Context) -> None:
    headers = {"Origin": "https://judge.example", "X-Forwarded-Host": "judge.example", "Sec-Fetch-Site": "same-origin"}
    for proxies, status in ((None, 403), ("127.0.0.1", 201)):
        app = create_app(context, ServiceOptions(proxies=proxies))
        with TestClient(app, base_url="http://127.0.0.1") as opened:
            assert opened.post("/v1/uploads", json={"name": "a.jsonl"}, headers=headers).status_code == status
            foreign = {**headers, "Origin": "https://evil.example"}
            assert opened.post("/v1/uploads", json={"name": "a.jsonl"}, headers=foreign).status_code == 403


def test_no_other_site_reads_an_answer(http: TestClient) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for answer in (http.options("/reward", headers=asked), http.get("/v1/jobs", headers=asked)):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
