"""Both servers behind TLS with certificates that are checked: a job goes through, a stranger's certificate does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.proxy import address_of, url_at
from tests.support.tls import Certificate, TlsProxy
from tests.support.trial import Trial

pytestmark = pytest.mark.acceptance


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    """The servers' certificate."""
    return Certificate.make(tmp_path)


@pytest.fixture
def servers(trial: Trial, certificate: Certificate) -> Iterator[dict[str, TlsProxy]]:
    """A proxy before each, by the name of the setting."""
    found = {
        name: TlsProxy(address_of(trial.env[name]), certificate, postgres=name == "RPRM_DATABASE_URL")
        for name in ("RPRM_DATABASE_URL", "RPRM_REDIS_URL")
    }
    yield found
    for one in found.values():
        one.close()


def urls(trial: Trial, servers: dict[str, TlsProxy], authority: Path) -> dict[str, str]:
    """As docs/configuration.md has them."""
    options = {
        "RPRM_DATABASE_URL": ("postgresql", f"sslmode=verify-full&sslrootcert={authority}"),
        "RPRM_REDIS_URL": ("rediss", f"ssl_cert_reqs=required&ssl_ca_certs={authority}"),
    }
    return {
        name: url_at(trial.env[name], servers[name].port, scheme=scheme, query=query)
        for name, (scheme, query) in options.items()
    }


def test_a_job_goes_through_tls(trial: Trial, servers: dict[str, TlsProxy], certificate: Certificate) -> None:
    secure = urls(trial, servers, certificate.certificate)
    job = trial.take_in(12, shard=2)
    worker = trial.start(**secure)
    done = trial.command("submit", "examples/solutions.jsonl", "--judge", "scripted", "-k", "2", **secure)
    assert done.returncode == 0, done.stderr
    assert "not notified" not in done.stderr
    trial.wait_done(int(done.stdout))
    trial.finish(job)
    assert trial.command("doctor", **secure).returncode == 0
    assert worker.stop() == 0
    assert "not notified" not in worker.log()
    assert all(proxy.handshakes >= 2 for proxy in servers.values())


def test_a_certificate_of_a_stranger_is_refused(trial: Trial, servers: dict[str, TlsProxy], tmp_path: Path) -> None:
    stranger = Certificate.make(tmp_path, "stranger").certificate
    done = trial.command("doctor", **urls(trial, servers, stranger))
    assert done.returncode == 5
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert len(failed) == 2
    assert all("certificate verify failed" in line for line in failed)
    assert all(proxy.handshakes == 0 for proxy in servers.values())
