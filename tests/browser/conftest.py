"""Reports, made once each, and a browser that shows them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from metarho.batch.findings import Findings
from report_cases import (
    ALLIANCE,
    COMMON,
    LONE,
    MANY,
    MODERATED,
    TEXTS,
    WORDS,
    Reported,
    report,
)

CONFIGS = {
    "alliance": ALLIANCE,
    "words": WORDS,
    "lone": LONE,
    "common": COMMON,
    "moderated": MODERATED,
    "texts": TEXTS,
    "many": MANY,
}


@pytest.fixture(scope="session")
def _reports(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Reported]:
    folder = tmp_path_factory.mktemp("reports")
    # Nothing of what takes long is looked at on this page.
    return cache(lambda name: report(folder, name, CONFIGS[name], whole=name != "words"))


@pytest.fixture
def opened(
    _chromium: webdriver.Chrome, _reports: Callable[[str], Reported]
) -> Callable[[str], Opened]:
    """Opens a report by its name, in a light window of 1280 × 900."""

    def opening(name: str) -> Opened:
        reported = _reports(name)
        show(_chromium, 1280, "light")
        _chromium.get(reported.path.as_uri())
        return Opened(_chromium, reported.found)

    return opening


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


@dataclass(frozen=True)
class Opened:
    """A page in the browser, and what it was made from."""

    browser: webdriver.Chrome
    found: Findings


def show(browser: webdriver.Chrome, width: int, scheme: str) -> None:
    """A window's width, as a phone's where it is narrow, and what its user likes."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    scheme_feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme_feature]})
