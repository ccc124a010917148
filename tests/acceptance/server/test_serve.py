"""`rprm-jobs serve` as a process: TLS by its flags, and an end in good order while somebody waits and another reads."""

from __future__ import annotations

import signal
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from rprm_jobs.services.context import Context
from tests.support.command_line import Cli
from tests.support.jobs import make_solutions, take_in, wait_for
from tests.support.service import free_port
from tests.support.tls import Certificate

pytestmark = pytest.mark.acceptance


@pytest.fixture
def cli(servers_env: dict[str, str], tmp_path: Path) -> Iterator[Cli]:
    running = Cli(servers_env, tmp_path)
    yield running
    running.destroy()


def test_tls_by_flags_and_an_end_that_tells_everybody(cli: Cli, context: Context, tmp_path: Path) -> None:
    made, port = Certificate.make(tmp_path), free_port()
    tls = ("--tls-cert", str(made.certificate), "--tls-key", str(made.key))
    running = cli.start("serve", "--port", str(port), *tls, stderr=subprocess.DEVNULL)
    trusting = ssl.create_default_context(cafile=str(made.certificate))
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trusting, timeout=60) as client:
        wait_for(lambda: answers(client), within=30, what="the service answers")
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"http://127.0.0.1:{port}/healthz")
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"https://127.0.0.1:{port}/healthz")
        job = take_in(context.database, make_solutions(2)).job_id
        body = {"problem": "p", "solution": "nobody judges this"}
        with ThreadPoolExecutor(1) as pool, client.stream("GET", f"/v1/jobs/{job}/events") as events:
            lines = events.iter_lines()
            assert next(lines) == "event: status"
            asking = pool.submit(client.post, "/reward", params={"judge": "scripted", "timeout": 300}, json=body)
            wait_for(lambda: "in_progress 3.0" in client.get("/metrics").text, within=20, what="both are served")
            running.send_signal(signal.SIGTERM)
            answer = asking.result(30)
            assert not [line for line in lines if line.startswith("event: end")]
        assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (503, True)
        assert "restarted" in answer.json()["detail"]
    assert running.wait(30) == 0


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False
