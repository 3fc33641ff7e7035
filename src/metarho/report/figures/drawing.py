"""What all figures share: a drawing with its data, colours, and how both are written."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from metarho.batch.tables import to_csv
from metarho.compare.rows import Row
from metarho.store.files import write_text, write_whole

# Okabe & Ito's palette, told apart by colour-blind readers and in grey.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#882255", "#666666"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, "#E69F00", "#56B4E9")

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
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
    """A figure, the numbers it shows, and what it shows in words (for readers who cannot see)."""

    name: str
    figure: Figure
    data: Sequence[Row]
    alternative: str

    @cached_property
    def svg(self) -> str:
        """The figure as SVG, drawn once for its file and its page."""
        stream = io.BytesIO()
        with mpl.rc_context(_STYLE):
            self.figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
        return stream.getvalue().decode("utf-8")


@contextmanager
def canvas(width: float, height: float) -> Iterator[Figure]:
    """An empty figure (inches) in our style, without pyplot's global state."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def write_drawing(drawing: Drawing, folder: Path) -> set[str]:
    """Write a drawing as SVG and PNG and its data as CSV; returns the file names."""
    write_text(folder / f"{drawing.name}.svg", drawing.svg)
    write_text(folder / f"{drawing.name}.csv", to_csv(drawing.data))

    def png(path: Path) -> None:
        with mpl.rc_context(_STYLE):
            drawing.figure.savefig(path, format="png", dpi=200, metadata={"Software": None})

    write_whole(folder / f"{drawing.name}.png", png)
    return {f"{drawing.name}.{suffix}" for suffix in ("svg", "png", "csv")}


def bare(axes: Axes) -> None:
    """Take the y axis off: the height of a density says nothing by itself."""
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
