"""What moves on the page, in a real browser: numbers, texts, and that nothing is asked for."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from browser.conftest import show
from metarho.compare.bayes_factors import bayes_factors
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit
from metarho.spec.scaling import rescaled
from page_cases import HOSTILE, ROWS, THRESHOLDS, DemoPage, positions

pytestmark = pytest.mark.browser

# What the page promises of its numbers.
PROMISED = 1e-6


def _log(browser: Chrome, kind: str) -> list[dict[str, Any]]:
    """What a log of the browser has held since it was last asked."""
    return list(browser.get_log(kind))  # type: ignore[no-untyped-call]


def _find(browser: Chrome, selector: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, selector)


def _column(browser: Chrome, number: int) -> list[str]:
    cells = browser.find_elements(By.CSS_SELECTOR, f"#rows tbody td:nth-child({number})")
    return [cell.text for cell in cells]


def test_the_page_runs_without_errors_and_asks_for_nothing(browser: Chrome) -> None:
    # What the browser itself did when it began is not the page's.
    _log(browser, "performance")
    browser.refresh()
    _move(browser, "sums", 0.5, -0.5)
    assert _log(browser, "browser") == []
    asked = [
        message["params"]["request"]["url"]
        for entry in _log(browser, "performance")
        if (message := json.loads(entry["message"])["message"])["method"]
        == "Network.requestWillBeSent"
    ]
    assert asked, "the log holds the page itself, or it shows nothing"
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    assert {url for url in asked if url.startswith("file")} == {browser.current_url}


def test_no_script_runs_that_is_not_the_pages_own(browser: Chrome) -> None:
    browser.execute_script(
        "window.ran = false;"
        "const own = document.createElement('script');"
        "own.textContent = 'window.ran = true';"
        "document.body.append(own);"
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = true\">')"
    )
    assert browser.execute_script("return window.ran") is False
    refused = [entry["message"] for entry in _log(browser, "browser")]
    assert any("script-src" in message for message in refused)


def test_a_header_sorts_then_turns_and_then_restores(browser: Chrome) -> None:
    header = _find(browser, "#rows th:nth-child(2)")
    button = _find(browser, "#rows th:nth-child(2) button")
    button.click()
    assert _column(browser, 2) == ["9", "40", "1,200", "–"]
    assert header.get_attribute("aria-sort") == "ascending"
    button.click()
    assert _column(browser, 2) == ["1,200", "40", "9", "–"]
    assert header.get_attribute("aria-sort") == "descending"
    button.click()
    assert _column(browser, 2) == [row[1] for row in ROWS]
    assert header.get_attribute("aria-sort") is None


def test_sorting_is_stable_and_by_keyboard_and_by_what_cells_stand_for(browser: Chrome) -> None:
    _find(browser, "#rows th:nth-child(4) button").send_keys(Keys.ENTER)
    # Equal shares stay as they were; the one that says nothing is last.
    assert _column(browser, 1) == [HOSTILE[2], HOSTILE[0], "b", HOSTILE[1]]
    _find(browser, "#rows th:nth-child(3) button").send_keys(Keys.ENTER)
    assert _column(browser, 3) == ["[−0.30, 0.20]", "[0.05, 0.20]", "[0.10, 0.20]", "–"]
    sorted_by = browser.find_elements(By.CSS_SELECTOR, "#rows th[aria-sort]")
    assert [header.text for header in sorted_by] == ["interval"]


def test_tips_say_names_as_text_whatever_is_in_them(browser: Chrome) -> None:
    points = browser.find_elements(By.CSS_SELECTOR, "#forest g.tip")
    assert len(points) == len(HOSTILE)
    box = _find(browser, ".tip-box")
    assert not box.is_displayed()
    for point, name in zip(points, HOSTILE, strict=True):
        ActionChains(browser).move_to_element(point).perform()
        # What is shown has its spaces drawn together, as any text of a page.
        assert name.strip() in browser.execute_script("return arguments[0].textContent", box)
        assert "n " in box.text
        assert browser.execute_script("return arguments[0].children.length", box) == 0
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    assert not box.is_displayed()
    assert _log(browser, "browser") == []


@pytest.mark.parametrize("width", [1280, 390])
def test_tips_stay_within_the_window_by_keyboard_too(browser: Chrome, width: int) -> None:
    show(browser, width, "light")
    points = browser.find_elements(By.CSS_SELECTOR, "#forest g.tip")
    browser.execute_script("arguments[0].focus()", points[0])
    for place in range(len(points)):
        WebDriverWait(browser, 5).until(lambda b: _find(b, ".tip-box").is_displayed())
        assert browser.execute_script("return document.activeElement") == points[place]
        left, top, right, bottom = browser.execute_script(
            "const r = document.querySelector('.tip-box').getBoundingClientRect();"
            "return [r.left, r.top, arguments[0] - r.right, innerHeight - r.bottom]",
            # Not the window's own: a phone's grows with what is too wide for it.
            width,
        )
        assert min(left, top, right, bottom) > 0
        points[place].send_keys(Keys.ARROW_DOWN)


def _move(browser: Chrome, name: str, mu: float, tau: float) -> None:
    """Put both sliders somewhere and wait until the page has refitted."""
    browser.execute_async_script(
        "const [name, places, done] = arguments;"
        "for (const [parameter, place] of Object.entries(places)) {"
        "  const input = document.querySelector(`#slider-${name} [data-parameter=${parameter}]`);"
        "  if (!input) continue;"
        "  input.value = place; input.dispatchEvent(new Event('input', { bubbles: true })); }"
        "requestAnimationFrame(() => requestAnimationFrame(() => done()))",
        name,
        {"mu": mu, "tau": tau},
    )


def _shown(browser: Chrome, name: str, column: str = "here") -> dict[str, float]:
    """What a column of numbers says, with all its digits."""
    found = browser.execute_script(
        "const [name, column] = arguments;"
        "return [...document.querySelectorAll(`#slider-${name} [data-${column}]`)]"
        ".map((cell) => [cell.dataset[column], cell.dataset.value])",
        name,
        column,
    )
    return {reading: float(value) if value else math.nan for reading, value in found}


def _engine(own: Fit, places: Sequence[tuple[float, float]]) -> list[dict[str, float | None]]:
    """The same from the exact engine, for priors so many powers of ten as wide."""
    problems = []
    for mu, tau in places:
        powers = {"mu": 10**mu, "tau": 10**tau}
        priors = {
            name: replace(applied, prior=rescaled(applied.prior, powers[name]))
            for name, applied in own.problem.priors.items()
        }
        problems.append(replace(own.problem, priors=priors))
    return [_numbers(found) for found in fit_many(problems, Settings())]


def _numbers(found: Fit) -> dict[str, float | None]:
    rho = found.posterior.rho(found.posterior.mean_of(found.posterior.head))
    factors = {one.null: one.log_bf for one in bayes_factors(found, Settings())}
    numbers = {
        "mean": found.pooled.mean,
        "sd": found.pooled.sd,
        "median": found.pooled.median,
        "lower": found.pooled.lower,
        "upper": found.pooled.upper,
        "new_lower": found.pooled_new.lower,
        "new_upper": found.pooled_new.upper,
        "log_evidence": found.log_evidence,
        "bf_mu": factors["mu = 0"],
    }
    for index, threshold in enumerate(THRESHOLDS):
        numbers[f"above_{index}"] = 1 - float(rho.cdf(np.array(threshold)))
    if "tau" in found.parameters:
        numbers["tau_mean"] = found.parameters["tau"].mean
        numbers["tau_median"] = found.parameters["tau"].median
        numbers["bf_tau"] = factors["tau = 0"]
    return numbers


@pytest.mark.parametrize("name", ["sums", "table", "lone", "common"])
def test_sliders_show_the_exact_engines_numbers_over_their_whole_range(
    browser: Chrome, demo: DemoPage, name: str
) -> None:
    own = demo.fits[name]
    places = [(mu, tau) for mu, tau in positions() if own.problem.spreads or tau == -1.0]
    if name == "lone":
        places = places[-3:]
    for (mu, tau), expected in zip(places, _engine(own, places), strict=True):
        _move(browser, name, mu, tau)
        shown = _shown(browser, name)
        for reading, value in expected.items():
            at = f"{reading} at {mu}, {tau}"
            assert shown[reading] == pytest.approx(value, abs=PROMISED, rel=0), at


def test_a_slider_goes_back_to_the_analysis(browser: Chrome, demo: DemoPage) -> None:
    _move(browser, "sums", 0.9, -0.7)
    assert abs(_shown(browser, "sums")["against_own"]) > 0.01
    _find(browser, "#slider-sums [data-reset]").click()
    here, own = _shown(browser, "sums"), _shown(browser, "sums", "own")
    assert here == own and here["against_own"] == 0
    assert here["median"] == pytest.approx(demo.fits["sums"].pooled.median, abs=PROMISED)
    priors = [_find(browser, f"#slider-sums [data-prior={name}]").text for name in ("mu", "tau")]
    assert priors == ["Normal(mu=0, sigma=0.5)", "HalfNormal(sigma=0.25)"]


def test_a_slider_says_so_where_its_nodes_do_not_resolve_a_prior(browser: Chrome) -> None:
    # Beyond its range: between two nodes, and where no node has any of its mass.
    browser.execute_script(
        "for (const i of document.querySelectorAll('#slider-table input')) i.min = -9"
    )
    for place in (-1.5, -8):
        _move(browser, "table", place, 0)
        assert "do not resolve these priors" in _find(browser, "#slider-table [data-status]").text
        assert all(math.isnan(value) for value in _shown(browser, "table").values())
    _move(browser, "table", 0, 0)
    assert _find(browser, "#slider-table [data-status]").text == ""


def test_a_model_without_sliders_says_why(browser: Chrome) -> None:
    said = _find(browser, "#slider-none").text
    reason = "it has moderators, whose slopes have priors of their own"
    assert said == f"No sliders over the priors of none: {reason}."


def test_a_surface_reads_off_its_own_numbers_by_keys_and_pointer(
    browser: Chrome, demo: DemoPage
) -> None:
    map_, readout = _find(browser, "#surface .map"), _find(browser, "#surface [data-readout]")
    x, y = (one.values for one in demo.surface.over)
    # The static figure has given way.
    assert not _find(browser, "#surface .static").is_displayed()

    def place() -> tuple[int, int]:
        at = [float(readout.get_attribute(f"data-{axis}") or "nan") for axis in "xy"]
        return int(np.argmin(abs(x - at[0]))), int(np.argmin(abs(y - at[1])))

    start = place()
    map_.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    assert place() == (start[0] + 2, start[1] + 1)
    map_.send_keys(*[Keys.ARROW_LEFT] * 30, *[Keys.ARROW_DOWN] * 30)
    assert place() == (0, 0)
    for index, quantity in enumerate(demo.surface.quantities):
        _find(browser, f"#surface option[value='{index}']").click()
        for offset in ((-150, 60), (90, -40)):
            ActionChains(browser).move_to_element_with_offset(map_, *offset).perform()
            value = demo.surface.of(quantity)[place()]
            # Kept to seven digits, of which four are shown.
            assert float(readout.get_attribute("data-value") or "nan") == pytest.approx(
                value, rel=1e-6
            )
            written = f"{value:,.0f}" if value > 100 else f"{value:.4g}"
            assert f": {written}, at" in readout.text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(browser: Chrome, width: int, scheme: str) -> None:
    show(browser, width, scheme)
    browser.refresh()
    # A phone's window grows with what is too wide for it.
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    ink, paper = browser.execute_script(
        "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
    )
    is_dark = sum(int(part) for part in paper[4:-1].split(",")) < 200
    assert is_dark == (scheme == "dark") and ink != paper


def test_without_scripts_it_is_a_plain_page(browser: Chrome) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.refresh()
        assert _column(browser, 2) == [row[1] for row in ROWS]
        assert _find(browser, "#forest svg").is_displayed()
        assert _find(browser, "#surface .static").is_displayed()
        assert not _find(browser, "#surface .live").is_displayed()
        assert not _find(browser, "#slider-sums .slider").is_displayed()
        titles = browser.find_elements(By.CSS_SELECTOR, "#forest g.tip > title")
        assert len(titles) == len(HOSTILE)
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_page_prints_with_its_figures(browser: Chrome) -> None:
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert _find(browser, "#surface .static").is_displayed()
    assert not _find(browser, "#surface .live").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
