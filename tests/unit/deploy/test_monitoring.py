"""The dashboard and the alert rules: they parse, and every metric and label that they name exists."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Metric

from rprm_jobs.engine import EngineStats
from rprm_jobs.server.metrics import ServiceMetrics
from rprm_jobs.store.results.recording import Recorded
from rprm_jobs.store.session import Database
from workers.meter import PrometheusMeter, Watched

DEPLOY = Path(__file__).parents[3] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = json.loads((DEPLOY / "grafana" / "rprm-jobs.json").read_text())
_NAME = re.compile(r"\brprm_[a-z0-9_]+")
_SELECTED = re.compile(r"(rprm_[a-z0-9_]+)(?:\{([^}]*)\})?")
_GROUPED = re.compile(r"\bby \(([^)]*)\)")
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "info": ("_info",), "gauge": ("",)}


def families() -> Iterator[Metric]:
    """What a worker and the service serve. No database is asked: the store's families are described without one."""
    meter = PrometheusMeter("scripted")
    meter.watch(Watched("scripted 1", 1, lambda: EngineStats(0, 0, 0.0), lambda: 0, lambda: False))
    meter.recorded([], Recorded(0, 0, 0, 0, 0))
    meter.swept()
    yield from meter.registry.collect()
    service = ServiceMetrics(Database("postgresql://nobody@127.0.0.1:1/none"))
    service.answered("GET", "/", 200, 0.1)
    yield from service.describe()


@pytest.fixture(scope="module")
def labels_of() -> dict[str, set[str]]:
    """The labels of every name that a query may use."""
    by_name: dict[str, set[str]] = {}
    for family in families():
        labels = set(getattr(family, "_labelnames", ()))
        for sample in family.samples:
            labels |= set(sample.labels)
        for suffix in _SUFFIXES.get(family.type, ()):
            by_name[family.name + suffix] = labels | ({"le"} if family.type == "histogram" else set())
    return by_name


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def expressions() -> list[tuple[str, str]]:
    panels = [(p["title"], t["expr"]) for p in DASHBOARD["panels"] for t in p.get("targets", ())]
    return panels + [(rule["alert"], rule["expr"]) for rule in rules()]


@pytest.mark.parametrize(("where", "expression"), expressions(), ids=lambda value: value[:40])
def test_every_metric_and_label_exists(where: str, expression: str, labels_of: dict[str, set[str]]) -> None:
    names = set(_NAME.findall(expression))
    assert names, where
    assert names <= set(labels_of), where
    for name, selector in _SELECTED.findall(expression):
        selected = set(re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", selector))
        assert selected <= labels_of[name], (where, name)
    grouped = {label.strip() for group in _GROUPED.findall(expression) for label in group.split(",")}
    assert grouped <= set.union(*(labels_of[name] for name in names)), where
    assert all(expression.count(a) == expression.count(b) for a, b in ("()", "[]", "{}")), where


def test_every_metric_of_ours_is_shown_or_alerts(labels_of: dict[str, set[str]]) -> None:
    used = {name for _, expression in expressions() for name in _NAME.findall(expression)}
    ours = {re.sub(r"_(bucket|count|sum)$", "", name) for name in labels_of if name.startswith("rprm_")}
    unused = ours - {re.sub(r"_(bucket|count|sum)$", "", name) for name in used}
    # For tables of one's own: sums over all jobs beside the rates, and what `status` and `doctor` say too.
    assert unused == {"rprm_stored_steps", "rprm_stored_tokens", "rprm_alive_worker_slots", "rprm_worker_info",
                      "rprm_worker_in_trouble", "rprm_worker_last_sweep_timestamp_seconds"}  # fmt: skip


def test_the_documents_have_every_metric(labels_of: dict[str, set[str]]) -> None:
    page = (DEPLOY.parent / "docs" / "metrics.md").read_text()
    for family in families():
        if family.name.startswith("rprm_"):
            name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
            row = next((line for line in page.splitlines() if line.startswith(f"| `{name}` |")), None)
            assert row is not None, name
            labels = labels_of[next(n for n in labels_of if n.startswith(name))] - {"le", "engine"}
            assert {label for label in labels if f"`{label}`" in row} == labels, row


def test_the_dashboard_can_be_imported() -> None:
    assert DASHBOARD["id"] is None
    assert len(DASHBOARD["uid"]) <= 40
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
    sources = {t["datasource"]["uid"] for p in DASHBOARD["panels"] for t in p.get("targets", ())}
    assert sources == {"${datasource}"}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]


def test_alerts_say_what_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}


@pytest.mark.parametrize("checked", [("rules", "alerts.yml"), ("config", "--syntax-only", "prometheus.yml")])
def test_promtool_accepts_the_files(checked: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    command = [promtool, "check", *checked[:-1], str(ALERTS.parent / checked[-1])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
