"""The compose file: health before use, migrations before workers, nothing open, no default password."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROMETHEUS = ROOT / "deploy" / "prometheus" / "prometheus.yml"
SERVICES: dict[str, Any] = yaml.safe_load(TEXT)["services"]


@pytest.mark.parametrize("name", ["postgres", "redis", "service", "worker", "prometheus"])
def test_long_running_services_have_health_checks(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


def test_migrations_run_before_workers() -> None:
    assert SERVICES["migrate"]["command"] == ["db", "upgrade"]
    assert SERVICES["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert SERVICES["worker"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_ports_are_open_on_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_passwords_have_no_default() -> None:
    used = re.findall(r"\$\{(RPRM_\w*PASSWORD)(.{2})", TEXT)
    assert {name for name, _ in used} == {"RPRM_POSTGRES_PASSWORD", "RPRM_REDIS_PASSWORD"}
    assert {operator for _, operator in used} == {":?"}


def test_the_worker_has_gpus_and_time_to_hand_back() -> None:
    (device,) = SERVICES["worker"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert SERVICES["worker"]["stop_grace_period"] == "60s"


def test_redis_gets_its_password_by_a_file_and_obeys_the_signal_to_stop(tmp_path: Path) -> None:
    """The command is run for real, with a server that shows what it was given."""
    shell, flags, script = SERVICES["redis"]["command"]
    (tmp_path / "redis-server").write_text('#!/bin/sh\necho "$$ $@"; cat "$1"; stat -c %a "$1"\n')
    (tmp_path / "redis-server").chmod(0o755)
    script = script.replace("$$", "$").replace("/tmp/redis.conf", str(tmp_path / "redis.conf"))
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "REDISCLI_AUTH": "p%s w"}
    running = subprocess.Popen([shell, flags, script], env=env, stdout=subprocess.PIPE, text=True)
    out, _ = running.communicate(timeout=20)
    assert out.splitlines() == [
        f"{running.pid} {tmp_path / 'redis.conf'}",
        'requirepass "p%s w"', 'save ""', "appendonly no", "maxmemory-policy noeviction", "600",
    ]  # fmt: skip


def test_nothing_runs_as_root() -> None:
    assert SERVICES["redis"]["user"] == "redis"
    assert "\nUSER rprm\n" in DOCKERFILE


def test_all_that_the_image_copies_is_there_and_is_sent() -> None:
    copied = [name for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()]
    assert {"rprm_jobs", "workers", "training", "migrations", "examples", "pyproject.toml"} <= set(copied)
    sent = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[0] == "!"}
    assert [name for name in copied if not (ROOT / name).exists() or name not in sent] == []


def test_a_model_folder_in_a_volume_belongs_to_the_worker() -> None:
    (volume,) = SERVICES["worker"]["volumes"]
    assert re.search(rf"install --directory --owner=rprm .*{volume.split(':')[1]}\n", DOCKERFILE)


def test_data_is_in_named_volumes_and_files_of_ours_are_only_read() -> None:
    volumes = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    ours = [volume for volume in volumes if volume.startswith("./")]
    assert {volume.split(":")[0] for volume in volumes if volume not in ours} == set(yaml.safe_load(TEXT)["volumes"])
    assert all(volume.endswith(":ro") and (ROOT / volume.split(":")[0]).exists() for volume in ours)


def test_the_profile_of_metrics_scrapes_what_there_is() -> None:
    scraped = {job["job_name"]: job for job in yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]}
    (target,) = scraped["service"]["static_configs"][0]["targets"]
    host, port = target.split(":")
    assert SERVICES[host]["ports"] == [f"127.0.0.1:{port}:{port}"]
    (found,) = scraped["workers"]["dns_sd_configs"]
    (name,) = found["names"]
    assert SERVICES[name]["environment"]["RPRM_METRICS_PORT"] == str(found["port"])
    assert SERVICES[name]["environment"]["RPRM_METRICS_HOST"] == "0.0.0.0"
    assert SERVICES[name]["environment"]["RPRM_DATABASE_URL"]
    secret = scraped["service"]["authorization"]["credentials_file"].rpartition("/")[2]
    assert SERVICES["prometheus"]["secrets"] == [secret]
    assert yaml.safe_load(TEXT)["secrets"][secret] == {"environment": "RPRM_METRICS_TOKEN"}
    assert all((PROMETHEUS.parent / name).is_file() for name in yaml.safe_load(PROMETHEUS.read_text())["rule_files"])


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "rprm-jobs.yml").read_text())["providers"]
    places = {volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]}
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert {"/etc/grafana/provisioning", home} == places
    assert home.startswith(provider["options"]["path"])
    assert [SERVICES[name].get("profiles") for name in ("prometheus", "grafana", "service")] == [
        ["metrics"], ["metrics"], None,
    ]  # fmt: skip
