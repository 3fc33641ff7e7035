"""A page and a browser that shows it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from page_cases import DemoPage, demo_page


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoPage:
    """The page of all parts."""
    return demo_page(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="session")
def page(demo: DemoPage) -> Path:
    """The file that the browser opens."""
    return demo.path


@pytest.fixture(scope="session")
def _chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    found = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, path in found.items() if path is None]
    assert not missing, f"not on the PATH: {missing} (Debian: apt-get install chromium-driver)"
    options.binary_location = str(found["chromium"])
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "--headless=new",
        # As root, and in a container without much shared memory.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(found["chromedriver"])))
    yield driver
    driver.quit()


@pytest.fixture
def browser(_chromium: webdriver.Chrome, page: Path) -> webdriver.Chrome:
    """The page, opened anew in a light window of 1280 × 900."""
    show(_chromium, 1280, "light")
    _chromium.get(page.as_uri())
    return _chromium


def show(browser: webdriver.Chrome, width: int, scheme: str) -> None:
    """A window's width, as a phone's where it is narrow, and what its user likes."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    scheme_feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme_feature]})
