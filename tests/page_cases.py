"""A page of every part that moves, from real fits, with texts that nobody should write."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, PackageLoader, StrictUndefined
from jinja2.loaders import ChoiceLoader
from markupsafe import Markup

from cases import alliance, problem
from metarho import fit, load_model, load_studies
from metarho.compare.surface import Surface, spread_out, surface
from metarho.fitting import Settings
from metarho.posterior.fit import Fit
from metarho.report.figures.drawing import Drawing
from metarho.report.figures.forest import forest
from metarho.report.figures.sensitivity import axis_label, in_words, sensitivity_surface
from metarho.report.interactive.page_parts import policy, script, style
from metarho.report.interactive.slider import slider_data
from metarho.report.interactive.surface import surface_data
from metarho.spec.claims import parse_quantities
from metarho.spec.prior_arguments import parse_argument

HOSTILE = (
    "<script>alert(1)</script>",
    '"onmouseover="alert(2)',
    "דוגמה (2020)",
    "</script><img src=x onerror=alert(3)> & $x_1$",
    "a name " + "as long as nobody should write " * 4,
)
THRESHOLDS = (0.0, 0.1, 0.3)
ROWS = [
    (HOSTILE[0], "9", "[0.10, 0.20]", 0.5),
    (HOSTILE[1], "1,200", "–", ""),
    (HOSTILE[2], "–", "[−0.30, 0.20]", 0.05),
    ("b", "40", "[0.05, 0.20]", 0.5),
]


@dataclass(frozen=True)
class DemoPage:
    """The page, the fits behind its sliders by name, and its surface."""

    path: Path
    fits: dict[str, Fit]
    surface: Surface


def demo_page(folder: Path) -> DemoPage:
    """Write the page to a folder."""
    table = folder / "hostile.csv"
    lines = [f'"{name.replace(chr(34), chr(34) * 2)}",{r},{n}'
             for name, r, n in zip(HOSTILE, (0.1, 0.35, 0.2, -0.05, 0.3), (40, 60, 35, 80, 50),
                                   strict=True)]  # fmt: skip
    table.write_text("\n".join(["study,r,n", *lines]), encoding="utf-8")
    studies = load_studies(table, columns={"ri": "r", "ni": "n", "study": "study"})
    model = load_model("random-effects")
    fits = {
        "sums": fit(model, studies),
        "table": fit(model, alliance("use")),
        # Wide where priors are: mu is then known to some units of z.
        "lone": fit(model, replace(studies, rows=studies.rows[:1])),
        "common": fit(load_model("common-effect"), alliance("drop")),
        "none": fit(load_model("random-effects", mods="~ guidance"), alliance("drop")),
    }
    one = problem(alliance("drop"))
    over = [spread_out(one, parse_argument(a), None, None, 12) for a in ("mu.sigma", "tau.sigma")]
    found = surface(one, over, parse_quantities(["rho_median,bf_mu,P(rho > 0.1)"]), Settings())
    priors = {name: str(applied.prior) for name, applied in one.priors.items()}
    places = {"default": found.at, HOSTILE[0]: (0.15, 0.25), "outside": (99.0, 0.25)}
    x, y = (axis_label(one, priors, "z") for one in found.over)
    names = tuple(in_words(quantity, 0.95) for quantity in found.quantities)
    environment = Environment(
        loader=ChoiceLoader(
            [FileSystemLoader(Path(__file__).parent), PackageLoader("metarho.report")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
    )
    text = environment.get_template("browser/demo.html").render(
        policy=policy(),
        script=script(),
        style=style(),
        rows=ROWS,
        forest=forest(fits["sums"], studies, "forest-demo", "A title"),
        sliders={name: slider_data(one, THRESHOLDS) for name, one in fits.items()},
        map=surface_data(found, places, (x, y), names),
        map_figure=sensitivity_surface(found, places, THRESHOLDS, priors, "z", 0.95, []),
        svg=_inline,
    )
    path = folder / "page.html"
    path.write_text(text, encoding="utf-8")
    return DemoPage(path, fits, found)


def _inline(drawing: Drawing) -> Markup:
    return Markup(drawing.svg[drawing.svg.index("<svg") :])


def positions() -> list[tuple[float, float]]:
    """Places of both sliders, in powers of ten: ends, corners, and two between."""
    ends = [(a, b) for a in (-1.0, 0.0, 1.0) for b in (-1.0, 0.0, 1.0)]
    drawn = np.random.default_rng(8).uniform(-1, 1, size=(2, 2)).round(2)
    return [*ends, *((float(a), float(b)) for a, b in drawn)]
