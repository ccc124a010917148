"""The report of a job in a real browser: what a reader sees and clicks, and that a hostile rollout stays text."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.support.browser import open_browser
from tests.support.command_line import Cli

pytestmark = pytest.mark.acceptance

HOSTILE = "<script>window.hacked = true</script><img src=x onerror='window.hacked = true'>"
ROWS = [
    {"id": f"sums-{i}", "problem": f"sum {i}", "steps": [f"{i} + 1 = {i + 1}", "so it is", "done"], "label": i % 4 - 1}
    for i in range(24)
]
ROWS[5] |= {
    "id": f"sums-{HOSTILE}",
    "problem": f"{HOSTILE} How many?",
    "steps": [HOSTILE, "</pre></details>", "&lt;b>"],
}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Headless Chromium, which logs what goes wrong on a page."""
    yield from open_browser(tmp_path_factory.mktemp("browser"))


def opened(browser: Chrome, cli: Cli, *options: str, rows: list[dict[str, object]] = ROWS) -> Chrome:
    """The page of a finished job over these rows."""
    (cli.folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    job = cli.json("submit", "in.jsonl", "--judge", "scripted", "-k", "4", "--wait", *options)["job_id"]
    page = cli.folder / "report.html"
    assert cli("report", str(job), "-o", str(page)).stdout.strip() == str(page)
    browser.get(page.as_uri())
    return browser


@pytest.fixture
def page(browser: Chrome, cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Chrome:
    """The page of ROWS, made once and opened anew."""
    made = tmp_path_factory.getbasetemp() / "report-of-rows.html"
    if not made.exists():
        opened(browser, cli)
        shutil.copyfile(cli.folder / "report.html", made)
    browser.get(made.as_uri())
    return browser


def rows_shown(browser: Chrome) -> list[str]:
    shown = [one for one in browser.find_elements(By.CSS_SELECTOR, "details.solution") if one.is_displayed()]
    return [one.find_element(By.CLASS_NAME, "id").text for one in shown]


def test_a_page_is_worth_looking_at(page: Chrome) -> None:
    assert page.get_log("browser") == []
    plots = page.find_elements(By.CSS_SELECTOR, ".plots svg")
    assert len(plots) == 6
    assert all(plot.rect["width"] > 250 and plot.rect["height"] > 150 for plot in plots)
    table = page.find_element(By.ID, "subsets").text.split("\n")
    assert len(table) == 2
    assert table[1].startswith("sums 18 ")
    assert len(rows_shown(page)) == 24

    first = page.find_element(By.CSS_SELECTOR, "details.solution")
    first.find_element(By.TAG_NAME, "summary").click()
    steps = first.find_elements(By.CLASS_NAME, "step")
    assert len(steps) == 3
    critique = steps[0].find_element(By.CLASS_NAME, "critique")
    assert not critique.find_element(By.TAG_NAME, "pre").is_displayed()
    critique.find_element(By.TAG_NAME, "summary").click()
    assert "Verification: Is the step correct" in critique.find_element(By.TAG_NAME, "pre").text


def test_the_solutions_can_be_searched_and_narrowed(page: Chrome) -> None:
    page.find_element(By.ID, "search").send_keys("17 + 1")
    assert rows_shown(page) == ["sums-17"]
    assert page.find_element(By.ID, "count").text == "1 shown"
    page.find_element(By.ID, "search").clear()
    page.find_element(By.ID, "search").send_keys(" ")
    whole = len(rows_shown(page))
    page.find_element(By.ID, "differ").click()
    assert 0 < len(rows_shown(page)) < whole == 24


def test_a_hostile_rollout_stays_text(page: Chrome) -> None:
    assert page.execute_script("return window.hacked === undefined") is True
    assert page.get_log("browser") == []
    hostile = next(one for one in page.find_elements(By.CSS_SELECTOR, "details.solution") if "<script>" in one.text)
    hostile.find_element(By.TAG_NAME, "summary").click()
    texts = [step.find_element(By.TAG_NAME, "pre").text for step in hostile.find_elements(By.CLASS_NAME, "step")]
    assert texts == ROWS[5]["steps"]
    assert len(page.find_elements(By.CSS_SELECTOR, "main img")) == 0


def test_it_fits_a_phone_and_a_dark_room(page: Chrome) -> None:
    light = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    assert page.execute_script("return getComputedStyle(document.body).backgroundColor") != light
    phone = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    first = page.find_element(By.CSS_SELECTOR, "details.solution")
    page.execute_script("arguments[0].open = true", first)
    assert page.execute_script("return document.documentElement.scrollWidth") <= 390
    cells = page.find_elements(By.CSS_SELECTOR, "#subsets td, .step pre, .facts b")
    assert all(cell.rect["x"] + cell.rect["width"] <= 390 for cell in cells if cell.is_displayed())
    assert [number.text for number in first.find_elements(By.CLASS_NAME, "number")] == ["step 1", "step 2", "step 3"]
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_the_page_loads_nothing(page: Chrome) -> None:
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0


@pytest.mark.usefixtures("served")
def test_without_labels_and_up_to_the_first_error(browser: Chrome, cli: Cli) -> None:
    unlabelled = [{name: value for name, value in row.items() if name != "label"} for row in ROWS]
    opened(browser, cli, rows=unlabelled)
    assert "Not drawn: there is no judged step" in browser.find_element(By.ID, "plot-f1-by-k").text
    assert "Most disputed solutions" in browser.find_element(By.TAG_NAME, "main").text
    assert browser.find_elements(By.ID, "subsets") == []
    opened(browser, cli, "--until-first-error")
    assert "some steps were not judged" in browser.find_element(By.ID, "plot-f1-by-k").text
    assert browser.find_elements(By.CSS_SELECTOR, ".score.none")
    assert browser.get_log("browser") == []


def test_refusals(cli: Cli, tmp_path: Path) -> None:
    assert "no job 7" in cli("report", "7", code=4).stderr
    for nowhere in (tmp_path / "none" / "r.html", tmp_path):
        assert "is not a place for a file" in cli("report", "7", "-o", str(nowhere), code=2).stderr
