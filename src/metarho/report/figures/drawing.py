"""What all figures share: a drawing with its data, colours, and how both are written."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape, unescape

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.patches import Rectangle

from metarho.batch.tables import to_csv
from metarho.compare.rows import Row
from metarho.store.files import write_text, write_whole

# Okabe & Ito's palette, told apart by colour-blind readers and in grey.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#882255", "#666666"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, "#E69F00", "#56B4E9")

# Inches: a column of a journal, and its page.
COLUMN, PAGE = 3.35, 7.2

# Of a title: fewer than most have, for those with wide ones.
_LETTERS_AN_INCH = 15
# Of a prior set's name at the side of a figure.
NAME_LETTERS = 28

# For names in scripts that DejaVu lacks, those of these that are on the machine: what comes with
# Linux, macOS, Windows. A PNG without any of them has boxes; SVG text is right anyway.
_OTHER_SCRIPTS = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "WenQuanYi Micro Hei",
    "Hiragino Sans",
    "PingFang SC",
    "Apple SD Gothic Neo",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Noto Sans Hebrew",
    "Noto Sans Arabic",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Arial Unicode MS",
    "Segoe UI",
)

# Agg draws at most 65,536 pixels either way; so many dots an inch otherwise.
_MOST_PIXELS, DOTS_AN_INCH = 60_000, 200

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.titlesize": 8.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    # Text stays text, and two runs write the same bytes.
    "svg.fonttype": "none",
    "svg.hashsalt": "metarho",
}


@dataclass(frozen=True)
class Drawing:
    """A figure, the numbers it shows, and what it shows in words (for readers who cannot see).

    ``tips`` say what one artist shows, by its gid: as text, which the SVG has beside it.
    """

    name: str
    figure: Figure
    data: Sequence[Row]
    alternative: str
    tips: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def svg(self) -> str:
        """The figure as SVG, drawn once for its file and its page."""
        return _with_tips(self._plain_svg, self.tips)

    @property
    def _plain_svg(self) -> str:
        stream = io.BytesIO()
        with _our_style():
            self.figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
        return stream.getvalue().decode("utf-8")


def _with_tips(svg: str, tips: Mapping[str, str]) -> str:
    """Artists of an SVG with a ``<title>`` each, which browsers show under a pointer."""

    def with_title(found: re.Match[str]) -> str:
        tip = tips.get(unescape(found[1], {"&quot;": '"'}))
        if tip is None:
            return found[0]
        # Without its fill an artist is still one to point at.
        return f'<g id="{found[1]}" class="tip" pointer-events="all"><title>{escape(tip)}</title>'

    return re.sub(r'<g id="([^"]*)">', with_title, svg) if tips else svg


def target(axes: Axes, gid: str, x: tuple[float, float], y: tuple[float, float]) -> None:
    """A place to point at, from x to x and y to y, that is not seen: its tip is that of ``gid``.

    Points are small, and a finger is not.
    """
    (left, right), (bottom, top) = x, y
    # Above what is drawn, which would be what a pointer finds.
    place = Rectangle(
        (left, bottom), right - left, top - bottom, facecolor="none", edgecolor="none", zorder=10
    )
    place.set_gid(gid)
    axes.add_artist(place)


@cache
def _fonts() -> list[str]:
    """DejaVu, which comes with Matplotlib, then what there is for other scripts."""
    there = set(fontManager.get_font_names())
    return ["DejaVu Sans", *(name for name in _OTHER_SCRIPTS if name in there)]


@contextmanager
def _our_style() -> Iterator[None]:
    """Our settings; a letter that no font has is drawn as a box, which is no reason to warn."""
    with mpl.rc_context(_STYLE | {"font.sans-serif": _fonts()}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)
        yield


@contextmanager
def canvas(
    width: float, height: float, layout: Literal["constrained"] | None = "constrained"
) -> Iterator[Figure]:
    """An empty figure (inches) in our style, without pyplot's global state."""
    with _our_style():
        figure = Figure(figsize=(width, height), layout=layout)
        FigureCanvasAgg(figure)
        yield figure


def write_drawing(drawing: Drawing, folder: Path) -> set[str]:
    """Write a drawing as SVG and PNG and its data as CSV; returns the file names."""
    write_text(folder / f"{drawing.name}.svg", drawing.svg)
    write_text(folder / f"{drawing.name}.csv", to_csv(drawing.data))
    longest = float(max(drawing.figure.get_size_inches()))
    dots = min(DOTS_AN_INCH, int(_MOST_PIXELS / longest))

    def png(path: Path) -> None:
        with _our_style():
            drawing.figure.savefig(path, format="png", dpi=dots, metadata={"Software": None})

    write_whole(folder / f"{drawing.name}.png", png)
    return {f"{drawing.name}.{suffix}" for suffix in ("svg", "png", "csv")}


def bare(axes: Axes) -> None:
    """Take the y axis off: the height of a density says nothing by itself."""
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def fitted(title: str, inches: float) -> str:
    """A title cut to what a width holds."""
    return cut(title, int(_LETTERS_AN_INCH * inches))


def cut(name: str, longest: int) -> str:
    """A name on one line of at most so many letters, … where it goes on."""
    plain = " ".join(name.split())
    return plain if len(plain) <= longest else f"{plain[: longest - 1].rstrip()}…"
