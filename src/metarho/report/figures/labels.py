"""Names beside points, where they do not lie on each other or on points."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

# Where a name is tried around its point: offset in points, and how it is aligned.
_AROUND = (
    (4, 0, "left", "center"),
    (-4, 0, "right", "center"),
    (0, 4, "center", "bottom"),
    (0, -4, "center", "top"),
    (4, 4, "left", "bottom"),
    (4, -4, "left", "top"),
    (-4, 4, "right", "bottom"),
    (-4, -4, "right", "top"),
)


def label_points(
    axes: Axes, names: Sequence[tuple[str, float, float]], points: Sequence[tuple[float, float]]
) -> int:
    """Write names (name, x, y), the most important first, where there is room; returns how many.

    ``points`` are all that are drawn: no name lies on one. The axes have their limits, and
    the figure its layout.
    """
    canvas = axes.figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]  # Matplotlib's
    frame = axes.get_window_extent(renderer)
    drawn = [_around(*axes.transData.transform(point)) for point in points]
    names_there: list[Bbox] = []
    written = 0
    for name, x, y in names:
        own = points.index((x, y))
        others = [*drawn[:own], *drawn[own + 1 :], *names_there]
        for right, up, side, height in _AROUND:
            text = axes.annotate(name, (x, y), (right, up), textcoords="offset points", ha=side,
                                 va=height, fontsize=6.5, parse_math=False)  # fmt: skip
            box = text.get_window_extent(renderer)
            inside = (
                frame.x0 <= box.x0
                and box.x1 <= frame.x1
                and frame.y0 < box.y0
                and box.y1 < frame.y1
            )
            if inside and not any(box.overlaps(other) for other in others):
                names_there.append(box)
                written += 1
                break
            text.remove()
    return written


def _around(x: float, y: float) -> Bbox:
    return Bbox.from_extents(x - 3, y - 3, x + 3, y + 3)
