"""The pages in a real browser, on a screen and on a phone, light and dark: what a reader sees, reaches and clicks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from rprm_jobs.server.app import create_app
from rprm_jobs.services.context import Context, open_context
from rprm_jobs.settings import Settings
from rprm_jobs.store.training import runs
from rprm_jobs.store.training.runs import Logged, NewRun, Phase
from rprm_jobs.types import Solution
from tests.support import servers, store
from tests.support.browser import open_browser
from tests.support.jobs import make_recipe, make_solutions, take_in, wait_for
from tests.support.training import judge_ready, scripted

pytestmark = pytest.mark.acceptance
HOSTILE = "<script>window.hacked = true</script><img src=x onerror='window.hacked = true'>\"'{{7*7}}"
SCREENS = {"screen": (1280, 900), "phone": (390, 844)}


@dataclass(frozen=True)
class Served:
    """A service in this process, and what its store holds."""

    url: str
    context: Context
    done: int
    again: int
    running: int
    run: int


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    yield from open_browser(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def served(
    server_session: servers.Session, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    name = server_session.create(template=template_database)
    settings = Settings(tmp_path_factory.mktemp("home"), server_session.url(name), server_session.redis_url)
    with open_context(settings) as context:
        server = uvicorn.Server(uvicorn.Config(create_app(context), port=0, log_level="error"))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        wait_for(lambda: server.started, what="the service is up")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield fill(context, f"http://127.0.0.1:{port}")
        server.should_exit = True
        thread.join(20)
    server_session.drop(name)


def fill(context: Context, url: str) -> Served:
    """A job with a hostile rollout and failures, judged twice, one that runs, a training run, a worker in trouble."""
    solutions = make_solutions(60, marks={7: "[[scripted:refuse]]", 9: "[[scripted:unparsed]]"})
    solutions[5] = Solution(f"{HOSTILE}", f"{HOSTILE} How many?", (HOSTILE, "</pre></details>", "&lt;b>"), label=1)
    solutions[6] = Solution("long" * 60, "x" * 3000, tuple("word " * 40 for _ in range(60)))
    done = scripted(context.database, solutions, recipe=make_recipe(k=3))
    again = scripted(context.database, solutions, recipe=make_recipe(k=2, seed=5))
    running = take_in(context.database, make_solutions(40, prefix="r", seed=3), source="f" * 200).job_id
    store.work_off(context.database, store.claim(context.database))
    with context.database.transaction() as connection:
        new = NewRun(Phase.DPO, "tiny", "0" * 64, HOSTILE, "0" * 64, {"lr": 1e-5, "beta": 0.1}, 100, 500, 20, "h", "/f")
        run = runs.start(connection, new, resumed=False)
        for step in range(5, 60, 5):
            runs.log(connection, run, Logged(step, False, {"loss": 0.7 - step / 200, "rewards/accuracies": 0.5}))
            runs.log(connection, run, Logged(step, True, {"eval_loss": 0.72 - step / 220}))
    store.run(
        context.database,
        "INSERT INTO workers (id, queue, judge, engine, host, pid, slots, trouble, trouble_since)"
        " SELECT 'w', queue, judge, 'scripted 1', 'a-host-with-a-long-name.example', 7, 4, :what, now() FROM jobs"
        " WHERE id = :job",
        what=HOSTILE,
        job=running,
    )
    return Served(url, context, done, again, running, run)


def paths(served: Served) -> list[str]:
    job = f"/jobs/{served.done}"
    return [
        "/", job, f"/jobs/{served.running}", f"{job}/solutions", f"{job}/solutions?show=failed",
        f"{job}/solutions?q=nothing+has+this", f"{job}/solutions/5", f"{job}/solutions/6", "/judges", "/training",
        f"/training/runs/{served.run}", "/jobs/999", "/compare", compared(served),
    ]  # fmt: skip


def compared(served: Served) -> str:
    return f"/compare?job={served.done}&job={served.again}"


def open_at(browser: Chrome, url: str, screen: str = "screen", *, dark: bool = False) -> None:
    width, height = SCREENS[screen]
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": screen == "phone"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(url)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_every_page_fits_and_logs_nothing(
    browser: Chrome, served: Served, screen: str, dark: bool, tmp_path: Path
) -> None:
    for number, path in enumerate(paths(served)):
        open_at(browser, served.url + path, screen, dark=dark)
        browser.execute_script("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
        assert browser.find_elements(By.TAG_NAME, "h1"), path
        wide = browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, (path, wide)
        log = [entry for entry in browser.get_log("browser") if "404 (Not Found)" not in entry["message"]]
        assert log == [], path
        assert browser.execute_script("return window.hacked === undefined"), path
        loaded = browser.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)")
        assert all(name.startswith(served.url) for name in loaded), path
        browser.save_screenshot(str(tmp_path / f"{number:02}.png"))
        assert contrast(browser) >= 4.5, path


def contrast(browser: Chrome) -> float:
    """Of the text and its page, as WCAG has it."""
    ratio: float = browser.execute_script(
        """
        const rgb = (c) => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
        const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        const light = (c) => rgb(c).map((v) => linear(v / 255))
          .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const page = getComputedStyle(document.body).backgroundColor;
        const ratios = [...document.querySelectorAll("h1, p, .soft, a, .state, .warn")].filter((e) => e.offsetParent)
          .map((e) => {
            let under = e;
            while (under && getComputedStyle(under).backgroundColor === "rgba(0, 0, 0, 0)") under = under.parentElement;
            const a = light(getComputedStyle(e).color);
            const b = light(under ? getComputedStyle(under).backgroundColor : page);
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
          });
        return Math.min(...ratios);"""
    )
    return ratio


def test_a_hostile_rollout_stays_text(browser: Chrome, served: Served) -> None:
    open_at(browser, f"{served.url}/jobs/{served.done}/solutions/5")
    texts = [pre.text for pre in browser.find_elements(By.CSS_SELECTOR, ".steps li > div > pre")]
    assert texts == [HOSTILE, "</pre></details>", "&lt;b>"]
    assert browser.find_element(By.TAG_NAME, "h1").text == HOSTILE
    assert not browser.find_elements(By.CSS_SELECTOR, "main img, main script")
    assert browser.execute_script("return window.hacked === undefined")


def test_a_critique_is_read_with_the_keyboard_alone(browser: Chrome, served: Served) -> None:
    open_at(browser, f"{served.url}/jobs/{served.done}/solutions")
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.TAB)
    skip = browser.switch_to.active_element
    assert skip.text == "Skip to content"
    skip.send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "main"
    browser.switch_to.active_element.send_keys("/")
    search = browser.switch_to.active_element
    assert search.get_attribute("name") == "q"
    search.send_keys("sum number 17", Keys.ENTER)
    wait_for(lambda: "q=sum" in browser.current_url, what="the search is sent")
    (link,) = browser.find_elements(By.CSS_SELECTOR, "#solutions a.title")
    assert link.text == "s17"
    link.send_keys(Keys.ENTER)
    wait_for(lambda: browser.current_url.endswith("/solutions/17"), what="the solution is open")
    summary = browser.find_element(By.TAG_NAME, "summary")
    pre = browser.find_element(By.CSS_SELECTOR, "pre.critique")
    assert not pre.is_displayed()
    summary.send_keys(Keys.ENTER)
    assert "Verification: Is the step correct" in pre.text


def test_judges_are_chosen_and_read_side_by_side_with_the_keyboard_alone(browser: Chrome, served: Served) -> None:
    open_at(browser, f"{served.url}/compare")
    for job in (served.done, served.again):
        browser.find_element(By.CSS_SELECTOR, f"input[value='{job}']").send_keys(Keys.SPACE)
    browser.find_element(By.CSS_SELECTOR, "form button").send_keys(Keys.ENTER)
    wait_for(lambda: browser.find_elements(By.ID, "pairs"), what="the comparison is shown")
    # The older one is the baseline, in whatever order they were ticked.
    assert [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "#judges td:first-child")] == [
        str(served.done), str(served.again),
    ]  # fmt: skip
    browser.find_element(By.TAG_NAME, "body").send_keys("j")
    first = browser.switch_to.active_element
    assert first.tag_name == "summary"
    first.send_keys(Keys.ENTER)
    sides = browser.find_elements(By.CSS_SELECTOR, "#differing details[open] .side")
    assert [side.is_displayed() for side in sides[:2]] == [True, True]
    left, right = (side.location for side in sides[:2])
    assert (left["y"], left["x"] < right["x"]) == (right["y"], True)
    first.send_keys("j")
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert "Verification: Is the step correct" in sides[0].text
    browser.switch_to.active_element.send_keys("k")
    assert browser.switch_to.active_element == first


def test_a_job_is_cancelled_and_deleted_by_its_page(browser: Chrome, served: Served) -> None:
    job = take_in(served.context.database, make_solutions(3, prefix="d")).job_id
    open_at(browser, f"{served.url}/jobs/{job}", "phone")
    browser.find_element(By.XPATH, "//button[contains(., 'Cancel')]").click()
    # Read by a script: the next page comes between finding an element and reading it.
    state = "return document.querySelector('.state')?.textContent.trim()"
    wait_for(lambda: browser.execute_script(state) == "cancelled", what="it is cancelled")
    assert not browser.find_elements(By.XPATH, "//button[contains(., 'Cancel')]")
    delete = browser.find_element(By.XPATH, f"//button[contains(., 'Delete job {job}')]")
    assert not delete.is_displayed()
    browser.find_element(By.CSS_SELECTOR, ".danger summary").click()
    delete.click()
    wait_for(lambda: browser.current_url == f"{served.url}/", what="the list is shown")
    assert not browser.find_elements(By.CSS_SELECTOR, f"a[href='/jobs/{job}']")
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_a_job_is_followed_to_its_end_without_a_reload(browser: Chrome, served: Served) -> None:
    open_at(browser, f"{served.url}/jobs/{served.running}")
    browser.execute_script("window.same = true")
    assert browser.find_element(By.CLASS_NAME, "state").text == "running"
    assert "8 / 40" in browser.find_element(By.ID, "progress").text
    judge_ready(served.context.database)
    # Read by a script: between finding an element and reading it the page may have replaced it.
    state = "return document.querySelector('.state').textContent.trim()"
    wait_for(lambda: browser.execute_script(state) == "done", within=15, what="done is shown")
    assert "40 / 40" in browser.find_element(By.ID, "progress").text
    assert browser.execute_script("return window.same") is True
    seen = browser.execute_script("return performance.getEntriesByType('resource').length")
    time.sleep(3)
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == seen
