"""The page's script, its policy, and data that nobody can break out of."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import numpy as np
import pytest
from jinja2 import Environment, PackageLoader, StrictUndefined

from cases import alliance, problem
from metarho.compare.surface import spread_out, surface
from metarho.fitting import Settings
from metarho.report.figures.drawing import Drawing, canvas, target
from metarho.report.interactive.page_parts import policy, script, style
from metarho.report.interactive.slider import Slider
from metarho.report.interactive.surface import surface_data
from metarho.spec.claims import parse_quantities
from metarho.spec.prior_arguments import parse_argument

HOSTILE = '</script><script>alert(1)</script> "onclick=" <!-- & \u2028'


def test_the_policy_names_the_hash_of_the_one_script_and_allows_nothing_else() -> None:
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    rules = dict(rule.strip().split(" ", 1) for rule in policy().split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{digest}'"


def test_the_script_asks_for_nothing_evaluates_nothing_and_ends_where_it_ends() -> None:
    """A word of markup in the script would end its element early."""
    assert not re.search(r"\beval\b|\bFunction\(|innerHTML|fetch\(|XMLHttp|import\(", script())
    assert not re.search(r"</script|<!--", script(), re.IGNORECASE)
    assert "url(" not in style() and "@import" not in style()


def test_data_in_a_page_are_escaped() -> None:
    one = problem(alliance("drop"))
    over = [spread_out(one, parse_argument(a), None, None, 2) for a in ("mu.sigma", "tau.sigma")]
    found = surface(one, over, parse_quantities(["rho_median"]), Settings())
    environment = Environment(
        loader=PackageLoader("metarho.report"), autoescape=True, undefined=StrictUndefined
    )
    parts: Any = environment.get_template("interactive/parts.html").module
    data = surface_data(found, {HOSTILE: (0.5, 0.2)}, (HOSTILE, "y"), (HOSTILE,))
    text = str(parts.surface(data, "", HOSTILE)) + str(parts.slider(Slider(None, HOSTILE), HOSTILE))
    assert text.count("<script") == text.count("</script>") == 1
    assert '"onclick' not in text.replace('\\"', "")


def test_a_curve_is_no_surface() -> None:
    one = problem(alliance("drop"))
    over = [spread_out(one, parse_argument("mu.sigma"), None, None, 2)]
    found = surface(one, over, parse_quantities(["rho_median"]), Settings())
    with pytest.raises(ValueError, match="over two arguments, not 1"):
        surface_data(found, {}, ("x", "y"), ("q",))


def test_a_surfaces_numbers_come_through() -> None:
    one = problem(alliance("drop"))
    over = [spread_out(one, parse_argument(a), None, None, 3) for a in ("mu.sigma", "tau.sigma")]
    found = surface(one, over, parse_quantities(["rho_median"]), Settings())
    quantities = surface_data(found, {}, ("x", "y"), ("q",))["quantities"]
    text = quantities[0]["numbers"]  # type: ignore[index]
    numbers = np.frombuffer(base64.b64decode(text), "<f4").reshape(3, 3)
    assert numbers == pytest.approx(found.of(found.quantities[0]), rel=1e-7)


def test_what_a_figure_says_of_a_point_is_text_in_its_svg() -> None:
    with canvas(2, 2) as figure:
        axes = figure.add_subplot()
        target(axes, "here", (0, 1), (0, 1))
        target(axes, "there", (0, 1), (0, 1))
    drawing = Drawing("a", figure, [], "words", {"here": HOSTILE})
    svg = drawing.svg
    assert svg.count("<title>") == 1 and "<script" not in svg
    assert re.search(r'<g id="here" class="tip" pointer-events="all"><title>&lt;/script&gt;', svg)
    assert '<g id="there">' in svg
