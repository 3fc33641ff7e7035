"""A surface of sensitivity as values that a page reads off under a pointer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from metarho.compare.surface import Surface
from metarho.report.interactive.packing import packed


def surface_data(
    found: Surface,
    places: Mapping[str, tuple[float, ...]],
    axis_labels: tuple[str, str],
    quantity_labels: tuple[str, ...],
) -> dict[str, object]:
    """A surface over two arguments, and where prior sets lie on it, as plain values.

    The labels are those of its figure (``axis_label`` and ``in_words`` of
    ``report/figures/sensitivity.py``). Numbers have seven digits, of which a page shows four.
    Raises ValueError for a curve.
    """
    if len(found.over) != 2:
        raise ValueError(f"a surface is over two arguments, not {len(found.over)}")
    # What is larger than 4 bytes hold becomes infinite, and the page says that it is.
    with np.errstate(over="ignore"):
        numbers = [packed(found.of(quantity), "<f4") for quantity in found.quantities]
    return {
        "over": [
            {"label": label, "values": one.values.tolist(), "is_scale": one.is_scale}
            for label, one in zip(axis_labels, found.over, strict=True)
        ],
        "quantities": [
            {"label": label, "is_factor": quantity.is_bayes_factor, "numbers": packed_numbers}
            for label, quantity, packed_numbers in zip(
                quantity_labels, found.quantities, numbers, strict=True
            )
        ],
        "at": list(found.at),
        "places": {name: list(place) for name, place in places.items()},
    }
