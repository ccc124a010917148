"""Curves and strips of text, and what a live status looks like."""

from __future__ import annotations

import io
import sys

import pytest

from rprm_jobs.cli.shared.live import SpeedStrip, coloured
from rprm_jobs.cli.shared.plots import curve, strip
from tests.unit.cli.test_progress import status


def test_a_strip_has_a_character_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    assert strip([0, 4, 8]) == " ▄█"
    assert strip([0, 0]) == "  "
    assert strip([]) == ""
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert strip([0, 4, 8]) == " =@"


def test_a_curve_rises_where_its_values_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    title, *rows = curve("loss", [(1, 0.0), (2, 1.0), (3, 2.0), (4, 4.0)], width=40, height=4)
    assert title == "loss, 1 to 4"
    assert [row[:10].strip() for row in rows] == ["4", "", "", "0"]
    assert [row[12:].rstrip() for row in rows] == ["   █", "   █", " ▁██", "▁███"]
    flat = list(curve("loss", [(5, 3.0)], width=40))
    assert flat[0] == "loss, 5 to 5"
    assert max(len(row) for row in curve("x", [(i, i) for i in range(500)], width=80)) <= 80


def test_the_strip_of_a_live_status_is_of_the_last_minutes() -> None:
    speeds = SpeedStrip()
    speeds.add(0.0, 1000)
    assert speeds.lines() == []
    for second in range(1, 900):
        speeds.add(float(second), 1000 + 10 * second)
    (line,) = speeds.lines()
    assert line.endswith("last 5 min, at most 10 tokens/s")


def test_the_strip_fits_beside_its_words_and_is_coloured() -> None:
    speeds = SpeedStrip()
    for second in range(0, 3600, 5):
        speeds.add(float(second), 123_456_789 * second)
    (line,) = speeds.lines()
    assert len(line) <= 80
    text = coloured(["job 7  running  judge x", line], status())
    cyan = [text.plain[span.start : span.end] for span in text.spans if span.style == "cyan"]
    assert any(set(part) <= set("▁▂▃▄▅▆▇█") and len(part) == 30 for part in cyan)


def test_colours_add_no_text() -> None:
    lines = ["job 7  running  judge x", "  ██░ 50%", "  ok 9  failed 2  quarantined 0", "  last error: lost"]
    text = coloured(lines, status())
    assert text.plain == "\n".join(lines)
    red = {text.plain[span.start : span.end] for span in text.spans if span.style == "red"}
    assert red == {"failed 2", "  last error: lost"}
