"""Whole reports in a real browser: numbers, texts, and that nothing is asked for."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from browser.conftest import CONFIGS, Opened, show
from metarho.compare.bayes_factors import bayes_factors
from metarho.compare.surface import Surface
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit
from metarho.spec.scaling import rescaled
from report_cases import HOSTILE, N, R

pytestmark = pytest.mark.browser

type Opening = Callable[[str], Opened]

# What the page promises of its numbers.
PROMISED = 1e-6
AUDIT = "#audit tbody td:nth-child({})"


def _log(browser: Chrome, kind: str) -> list[dict[str, Any]]:
    """What a log of the browser has held since it was last asked."""
    return list(browser.get_log(kind))  # type: ignore[no-untyped-call]


def _find(browser: Chrome, selector: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, selector)


def _all(browser: Chrome, selector: str) -> list[WebElement]:
    return browser.find_elements(By.CSS_SELECTOR, selector)


def _unfold(browser: Chrome) -> None:
    browser.execute_script(
        "for (const one of document.querySelectorAll('details')) one.open = true"
    )


def _texts(browser: Chrome, selector: str) -> list[str]:
    """What stands in cells, as it was written."""
    return list(
        browser.execute_script(
            "return [...document.querySelectorAll(arguments[0])].map((c) => c.textContent)",
            selector,
        )
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_a_report_runs_without_errors_and_asks_for_nothing(opened: Opening, name: str) -> None:
    browser = opened(name).browser
    # What the browser itself did when it began is not the page's.
    _log(browser, "performance")
    _log(browser, "browser")
    browser.refresh()
    if _all(browser, "[data-slider]"):
        _move(browser, 0.5, -0.5)
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
    resources = browser.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name)"
    )
    assert all(url.startswith("data:") for url in resources)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", CONFIGS)
def test_nothing_is_wider_than_the_window(
    opened: Opening, name: str, width: int, scheme: str
) -> None:
    browser = opened(name).browser
    show(browser, width, scheme)
    browser.refresh()
    _unfold(browser)
    # A phone's window grows with what is too wide for it.
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    ink, paper = browser.execute_script(
        "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
    )
    is_dark = sum(int(part) for part in paper[4:-1].split(",")) < 200
    assert is_dark == (scheme == "dark") and ink != paper


def test_letters_of_figures_can_be_read_on_a_phone(opened: Opening) -> None:
    browser = opened("alliance").browser
    show(browser, 390, "light")
    browser.refresh()
    _unfold(browser)
    heights = browser.execute_script(
        "return [...document.querySelectorAll('figure .paper svg')]"
        ".map((svg) => 8 * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width)"
        # The still figure of a live surface has no width.
        ".filter((pixels) => pixels > 0)"
    )
    # Pixels of the eight points that most letters have.
    assert len(heights) > 8 and min(heights) > 7.5


def test_no_script_runs_that_is_not_the_pages_own(opened: Opening) -> None:
    browser = opened("texts").browser
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


def test_texts_of_data_and_config_are_texts_on_the_page(opened: Opening) -> None:
    browser = opened("texts").browser
    assert _texts(browser, AUDIT.format(1)) == list(HOSTILE)
    assert _texts(browser, "title")[0] == _texts(browser, "h1")[0]
    assert all(part in _texts(browser, "h1")[0] for part in (HOSTILE[0], HOSTILE[2], HOSTILE[4]))
    assert _all(browser, "img, iframe, object, link, main script") == []
    assert len(_all(browser, "body > script")) == 1


def test_a_header_sorts_numbers_as_numbers_then_turns_and_then_restores(opened: Opening) -> None:
    browser = opened("texts").browser
    _unfold(browser)
    r, n = AUDIT.format(4), AUDIT.format(5)
    header = _find(browser, "#audit th:nth-child(5)")
    button = _find(browser, "#audit th:nth-child(5) button")
    button.click()
    assert _texts(browser, n) == [f"{people:,}" for people in sorted(N)]
    assert header.get_attribute("aria-sort") == "ascending"
    button.click()
    assert _texts(browser, n) == [f"{people:,}" for people in sorted(N, reverse=True)]
    assert header.get_attribute("aria-sort") == "descending"
    button.click()
    assert _texts(browser, n) == [f"{people:,}" for people in N]
    assert header.get_attribute("aria-sort") is None
    _find(browser, "#audit th:nth-child(4) button").send_keys(Keys.ENTER)
    assert _texts(browser, r) == [f"{one:.3f}" for one in sorted(R)]
    sorted_by = _all(browser, "#audit th[aria-sort]")
    assert [one.text for one in sorted_by] == ["r"]


def test_intervals_sort_by_their_lower_end_and_what_says_nothing_is_last(opened: Opening) -> None:
    page = opened("alliance")
    browser = page.browser
    _unfold(browser)
    # Rows that printed a number have no interval.
    _find(browser, "#audit th:nth-child(9) button").click()
    found = _texts(browser, AUDIT.format(9))
    lower = [float(text.partition(" ")[0].replace("∞", "inf")) for text in found if text]
    assert lower == sorted(lower) and len(lower) == 18
    assert found[:18] == [text for text in found if text]
    _find(browser, "#results-table th:nth-child(6) button").click()
    ends = [
        float(t[1:].partition(",")[0]) for t in _texts(browser, "#results-table td:nth-child(6)")
    ]
    assert ends == sorted(ends) and len(ends) == len(page.found.outcome.fits)


@pytest.mark.parametrize(
    ("name", "figure", "count"),
    [
        ("texts", "#forest", len(HOSTILE)),
        ("texts", "#funnel", len(HOSTILE)),
        ("moderated", "#bubbles", len(HOSTILE)),
    ],
)
def test_tips_say_names_as_text_whatever_is_in_them(
    opened: Opening, name: str, figure: str, count: int
) -> None:
    browser = opened(name).browser
    points = _all(browser, f"{figure} g.tip")
    assert len(points) == count
    box = _find(browser, ".tip-box")
    assert not box.is_displayed()
    said = []
    for point in points:
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", point)
        ActionChains(browser).move_to_element(point).perform()
        WebDriverWait(browser, 5).until(lambda _: box.is_displayed())
        said.append(browser.execute_script("return arguments[0].textContent", box))
        assert browser.execute_script("return arguments[0].children.length", box) == 0
        assert " n " in f" {box.text}"
    # Of points that lie on each other the pointer finds the upper one; keys find all.
    labels = [point.get_attribute("aria-label") or "" for point in points]
    assert all(any(label.startswith(name) for label in labels) for name in HOSTILE)
    assert set(said) <= set(labels) and len(set(said)) >= 0.7 * count
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    assert not box.is_displayed()
    assert _log(browser, "browser") == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("figure", ["#forest", "#funnel"])
def test_tips_stay_within_the_window_by_keyboard_too(
    opened: Opening, width: int, figure: str
) -> None:
    browser = opened("texts").browser
    show(browser, width, "light")
    points = _all(browser, f"{figure} g.tip")
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


def _move(browser: Chrome, mu: float, tau: float) -> None:
    """Put both sliders somewhere and wait until the page has refitted."""
    browser.execute_async_script(
        "const [places, done] = arguments;"
        "for (const [parameter, place] of Object.entries(places)) {"
        "  const input = document.querySelector(`[data-slider] [data-parameter=${parameter}]`);"
        "  if (!input) continue;"
        "  input.value = place; input.dispatchEvent(new Event('input', { bubbles: true })); }"
        "requestAnimationFrame(() => requestAnimationFrame(() => done()))",
        {"mu": mu, "tau": tau},
    )


def _shown(browser: Chrome, column: str = "here") -> dict[str, float]:
    """What a column of numbers says, with all its digits."""
    found = browser.execute_script(
        "const [column] = arguments;"
        "return [...document.querySelectorAll(`[data-slider] [data-${column}]`)]"
        ".map((cell) => [cell.dataset[column], cell.dataset.value])",
        column,
    )
    return {reading: float(value) if value else math.nan for reading, value in found}


def _engine(
    own: Fit, places: Sequence[tuple[float, float]], thresholds: Sequence[float]
) -> list[dict[str, float | None]]:
    """The same from the exact engine, for priors so many powers of ten as wide."""
    problems = []
    for mu, tau in places:
        powers = {"mu": 10**mu, "tau": 10**tau}
        priors = {
            name: replace(applied, prior=rescaled(applied.prior, powers[name]))
            for name, applied in own.problem.priors.items()
        }
        problems.append(replace(own.problem, priors=priors))
    return [_numbers(found, thresholds) for found in fit_many(problems, Settings())]


def _numbers(found: Fit, thresholds: Sequence[float]) -> dict[str, float | None]:
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
    for index, threshold in enumerate(thresholds):
        numbers[f"above_{index}"] = 1 - float(rho.cdf(np.array(threshold)))
    if "tau" in found.parameters:
        numbers["tau_mean"] = found.parameters["tau"].mean
        numbers["tau_median"] = found.parameters["tau"].median
        numbers["bf_tau"] = factors["tau = 0"]
    return numbers


# In powers of ten: the middle, corners, ends of each, and two places between.
ENDS = [(a, b) for a in (-1.0, 0.0, 1.0) for b in (-1.0, 0.0, 1.0)]
BETWEEN = [(-0.35, 0.63), (0.77, -0.42)]


@pytest.mark.parametrize("name", ["alliance", "words", "lone", "common"])
def test_sliders_show_the_exact_engines_numbers_over_their_whole_range(
    opened: Opening, name: str
) -> None:
    page = opened(name)
    own = page.found.answer
    thresholds = page.found.plan.analysis.thresholds.rho
    places = [*ENDS, *BETWEEN] if name == "alliance" else [*ENDS[::2], *BETWEEN]
    if not own.problem.spreads:
        places = [(mu, 0.0) for mu in sorted({mu for mu, _ in places})]
    for (mu, tau), expected in zip(places, _engine(own, places, thresholds), strict=True):
        _move(page.browser, mu, tau)
        shown = _shown(page.browser)
        for reading, value in expected.items():
            at = f"{reading} at {mu}, {tau}"
            assert shown[reading] == pytest.approx(value, abs=PROMISED, rel=0), at


def test_a_slider_goes_back_to_the_analysis(opened: Opening) -> None:
    page = opened("alliance")
    browser, own = page.browser, page.found.answer
    _move(browser, 0.9, -0.7)
    assert abs(_shown(browser)["against_own"]) > 0.01
    _find(browser, "[data-slider] [data-reset]").click()
    here, before = _shown(browser), _shown(browser, "own")
    assert here == before and here["against_own"] == 0
    assert here["median"] == pytest.approx(own.pooled.median, abs=PROMISED)
    priors = [_find(browser, f"[data-slider] [data-prior={name}]").text for name in ("mu", "tau")]
    assert priors == ["Normal(mu=0, sigma=0.5)", "HalfNormal(sigma=0.25)"]


def test_a_slider_says_so_where_its_nodes_do_not_resolve_a_prior(opened: Opening) -> None:
    browser = opened("words").browser
    # Beyond its range: between two nodes, and where no node has any of its mass.
    browser.execute_script(
        "for (const i of document.querySelectorAll('[data-slider] input')) i.min = -9"
    )
    for place in (-1.5, -8):
        _move(browser, place, 0)
        status = _find(browser, "[data-slider] [data-status]").text
        assert "do not resolve these priors" in status
        assert all(math.isnan(value) for value in _shown(browser).values())
    _move(browser, 0, 0)
    assert _find(browser, "[data-slider] [data-status]").text == ""


def test_a_model_without_sliders_says_why(opened: Opening) -> None:
    browser = opened("moderated").browser
    reason = "it has moderators, whose slopes have priors of their own"
    assert f"No sliders over the priors of by-group: {reason}." in _texts(browser, "p.soft")


def test_a_surface_reads_off_its_own_numbers_by_keys_and_pointer(opened: Opening) -> None:
    page = opened("alliance")
    browser = page.browser
    assert page.found.sensitivity is not None
    surface = page.found.sensitivity.found
    assert isinstance(surface, Surface)
    map_, readout = _find(browser, "#surface .map"), _find(browser, "#surface [data-readout]")
    x, y = (one.values for one in surface.over)
    # The static figure has given way.
    assert not _find(browser, "#surface .static").is_displayed()

    def place() -> tuple[int, int]:
        at = [float(readout.get_attribute(f"data-{axis}") or "nan") for axis in "xy"]
        return int(np.argmin(abs(x - at[0]))), int(np.argmin(abs(y - at[1])))

    start = place()
    map_.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    assert place() == (start[0] + 2, start[1] + 1)
    map_.send_keys(*[Keys.ARROW_LEFT] * len(x), *[Keys.ARROW_DOWN] * len(y))
    assert place() == (0, 0)
    for index, quantity in enumerate(surface.quantities):
        _find(browser, f"#surface option[value='{index}']").click()
        for offset in ((-150, 60), (90, -40)):
            browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", map_)
            ActionChains(browser).move_to_element_with_offset(map_, *offset).perform()
            value = surface.of(quantity)[place()]
            # Kept to seven digits, of which four are shown.
            assert float(readout.get_attribute("data-value") or "nan") == pytest.approx(
                value, rel=1e-6
            )
            assert f": {_four_digits(value, quantity.is_bayes_factor)}, at" in readout.text


def _four_digits(value: float, is_factor: bool) -> str:
    """A number as the page writes it: factors below 1 as 1/x, very large ones with a power."""
    if not is_factor:
        return f"{value:.4g}".replace("-", "−")
    if value >= 1e6:
        digits, _, power = f"{value:.2e}".partition("e")
        return f"{digits}e{int(power)}"
    if value < 1:
        return f"1/{_four_digits(1 / value, is_factor)}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def test_without_scripts_it_is_a_plain_page(opened: Opening) -> None:
    browser = opened("alliance").browser
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.refresh()
        assert _find(browser, "#forest svg").is_displayed()
        assert _find(browser, "#surface .static").is_displayed()
        assert not _find(browser, "#surface .live").is_displayed()
        assert not _find(browser, "[data-slider]").is_displayed()
        assert len(_all(browser, "#forest g.tip > title")) == 10
        assert _all(browser, "th button") == []
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_page_prints_with_its_figures(opened: Opening) -> None:
    browser = opened("alliance").browser
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert _find(browser, "#surface .static").is_displayed()
    assert not _find(browser, "#surface .live").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_a_page_of_many_rows_is_small_links_its_forest_and_its_sliders_move(
    opened: Opening,
) -> None:
    page = opened("many")
    folder = page.found.plan.folder
    (link,) = _all(page.browser, "#forest a")
    assert (folder / "figures" / str(link.get_attribute("href")).rpartition("/")[2]).is_file()
    assert (folder / "report.html").stat().st_size < 3_000_000
    for mu, tau in ENDS:
        _move(page.browser, mu, tau)
        assert _find(page.browser, "[data-slider] [data-status]").text == ""
        assert all(map(math.isfinite, _shown(page.browser).values()))
