"""Headless Chromium for tests that look at pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService


def open_browser(folder: Path) -> Iterator[Chrome]:
    """A browser that logs what goes wrong on a page, with its profile in `folder`; skips where there is none."""
    programs = shutil.which("chromium"), shutil.which("chromedriver")
    if None in programs:
        assert not os.environ.get("CI"), "CI must have chromium and chromedriver"
        pytest.skip("chromium and chromedriver are not installed")
    options = ChromeOptions()
    options.binary_location = str(programs[0])
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=ChromeService(str(programs[1])))
    yield driver
    driver.quit()
