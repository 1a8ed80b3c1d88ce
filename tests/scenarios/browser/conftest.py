"""A headless Chromium, if there is one, and daemons that show a page to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.scenarios.browser.page import Page

CHROMIUM: Final = shutil.which("chromium")
DRIVER: Final = shutil.which("chromedriver")


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """One for all tests: it takes longer to start than most of them."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = tmp_path_factory.mktemp("profile")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    home = {"HOME": str(profile), "SE_OFFLINE": "true"}  # selenium is to use the driver that it is told, and no other
    driver = webdriver.Chrome(options, Service(DRIVER, env=os.environ | home))
    yield driver
    driver.quit()


@pytest.fixture
def page(chromium: webdriver.Chrome) -> Iterator[Page]:
    """The browser, with nothing of another test on it."""
    chromium.get("about:blank")
    chromium.get_log("browser")
    page = Page(chromium)
    page.resize(1280, 900)
    yield page
    chromium.get("about:blank")  # or it would go on asking a daemon that is gone


@pytest.fixture
def sock(tmp_path: Path) -> str:
    """Where the daemon listens."""
    return str(tmp_path / "flom.sock")
