"""How templates print values: everything from data or configs escaped, by default.

In HTML by Jinja's own escaping; in Markdown every printed value passes ``in_markdown``. What is
markup is marked as such: our figures, our mathematics, our numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from metarho.report import wording
from metarho.report.figures.drawing import Drawing
from metarho.report.terminal import number, share

# What Markdown and the TeX within it read as more than a character; & and < as HTML.
_MARKED = re.compile(r"([\\`*_\[\]|$#~^!@{}])")

# A figure of 7.2 inches is as wide as the page's text and tables; letters of 8 points are then read
# without effort.
_REM_AN_INCH = 7.5
# On a phone a figure is no smaller than this, so that it can be read, and scrolls in its frame.
_LEAST_REM_AN_INCH = 4.5

_FILTERS: dict[str, Callable[..., object]] = {
    "r": wording.r,
    "interval": wording.interval,
    "between": wording.between,
    "percent": wording.percent,
    "people": wording.people,
    "percent_number": wording.percent_number,
    "probability": wording.probability,
    "evidence_words": wording.evidence_words,
    "times": wording.times,
    "number": number,
    "share": share,
    "printed_median": wording.printed_median,
    "printed_interval": wording.printed_interval,
}


def html_environment() -> Environment:
    """For the page: every value is escaped that is not marked as markup."""
    environment = Environment(
        loader=PackageLoader("metarho.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= _FILTERS | {
        "svg": svg_of,
        "rem": lambda drawing: round(_REM_AN_INCH * drawing.figure.get_figwidth(), 1),
        "least_rem": lambda drawing: round(_LEAST_REM_AN_INCH * drawing.figure.get_figwidth(), 1),
        "mathml": mathml_of,
        "average_name": lambda row: f"{row['over']}, by {row['weights']}",
        "place_name": lambda place: place.replace("why-", "why: ").replace("-", " "),
    }
    return environment


def markdown_environment() -> Environment:
    """For Markdown: every value is escaped that is not marked as markup."""
    environment = Environment(
        loader=PackageLoader("metarho.report"),
        finalize=in_markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: _marked(function) for name, function in _FILTERS.items()}
    environment.filters |= {"latex": Markup, "file": Markup}
    return environment


def in_markdown(value: object) -> object:
    """A value as Markdown prints it: text that stays text, in one line."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    text = _MARKED.sub(r"\\\1", re.sub(r"\s+", " ", value))
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _marked(function: Callable[..., object]) -> Callable[..., Markup]:
    """A filter whose output is ours."""
    return lambda *arguments: Markup(function(*arguments))


def svg_of(drawing: Drawing) -> Markup:
    """A figure as part of a page: escaped by Matplotlib, no scripts, no references outside."""
    return Markup(drawing.svg[drawing.svg.index("<svg") :])


def mathml_of(latex: str) -> Markup:
    """Mathematics of our own (``equations.py``) as browsers show it."""
    # Loaded here: for reports only.
    from latex2mathml.converter import convert

    return Markup(convert(latex, display="block"))
