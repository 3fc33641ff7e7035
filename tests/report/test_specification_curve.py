"""The specification curve: what is on it, in which order, and that no label or number breaks it."""

from __future__ import annotations

import itertools
import random
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

import numpy as np
import pytest

from metarho.compare.rows import Row, Value
from metarho.report.figures.drawing import Drawing
from metarho.report.figures.specification_curve import specification_curve

DECISIONS = ("where", "rho_within", "priors", "model")
ESTIMAND = ("where",)


def _cell(median: float | None, half: float = 0.1, **more: Value) -> Row:
    ends = (None, None) if median is None else (median - half, median + half)
    chosen: Row = {"where": "all", "rho_within": 0.5, "priors": "default", "model": "two"}
    found: Row = {
        "status": "ok",
        "reason": None,
        "median": median,
        "lower": ends[0],
        "upper": ends[1],
    }
    return {**chosen, **found, **more}


def _table(count: int) -> list[Row]:
    """Cells of four decisions with one to nine values, none of them twice the same."""
    chance = random.Random(1)
    names = ("all", "adults"), (0.0, 0.5, 0.8), tuple(f"set {i}" for i in range(9)), ("two", "3")
    chosen = list(itertools.product(*names)) * (count // 108 + 1)
    return [
        _cell(chance.gauss(0.15, 0.1), where=w, rho_within=r, priors=p, model=m)
        for w, r, p, m in chosen[:count]
    ]


def _drawn(rows: Sequence[Row], reference: int | None = None, scale: str = "z") -> Drawing:
    return specification_curve(rows, DECISIONS, ESTIMAND, reference, scale, 0.95)


def _words(drawing: Drawing) -> list[str]:
    """The texts of an SVG, which a reader of XML can read."""
    root = ET.fromstring(drawing.svg)
    return [
        "".join(text.itertext()).strip() for text in root.iter("{http://www.w3.org/2000/svg}text")
    ]


ROWS = [
    _cell(0.3, where="adults"),
    _cell(0.05, priors="wide"),
    _cell(0.2),
    _cell(None, status="refused", reason="no such likelihood"),
    _cell(0.25, status="not reportable"),
    _cell(None, status="failed"),
]


def test_cells_are_in_the_order_of_their_medians_and_the_others_counted() -> None:
    drawing = _drawn(ROWS, reference=2)
    assert [row["median"] for row in drawing.data[:3]] == [0.05, 0.2, 0.3]
    assert [row["place"] for row in drawing.data] == [1, 2, 3, None, None, None]
    assert drawing.data[3]["reason"] == "no such likelihood"
    said = "3 of 6 cells, by their medians; not drawn: 1 refused, 1 not reportable, 1 failed"
    assert said in " ".join(_words(drawing))
    assert drawing.alternative == (
        f"Posterior medians of the mean and 95% intervals of {said}. Medians from 0.050 to 0.300; "
        "2 of 3 intervals exclude 0. Below, what each chose of: where, priors."
    )


def test_only_decisions_with_several_values_are_below_those_of_the_estimand_first() -> None:
    backwards = specification_curve(ROWS, DECISIONS[::-1], ESTIMAND, None, "z", 0.95)
    words = _words(backwards)
    assert [w for w in words if w in ("where (changes the estimand)", "priors", "model")] == [
        "where (changes the estimand)", "priors",
    ]  # fmt: skip
    assert "wide" in words and "two" not in words and "0.5" not in words


def test_a_dot_is_on_the_line_of_what_its_cell_chose() -> None:
    axes = _drawn(ROWS).figure.axes[1]
    texts = [label.get_text() for label in axes.get_yticklabels()]
    labels = dict(zip(axes.get_yticks(), texts, strict=True))
    dots = {(int(x), labels[y]) for line in axes.lines for x, y in np.asarray(line.get_xydata())}
    # The cells from the left: wide, the plain one, adults.
    assert dots == {(1, "all"), (2, "all"), (3, "adults"),
                    (1, "wide"), (2, "default"), (3, "default")}  # fmt: skip


def test_the_curve_does_not_depend_on_the_order_of_rows() -> None:
    # Equal medians, told apart by their intervals.
    rows = [_cell(0.2, half, priors=f"{half}") for half in (0.1, 0.2, 0.3)]
    found = [_drawn(order).data for order in (rows, rows[::-1])]
    assert [row["priors"] for row in found[0]] == ["0.3", "0.2", "0.1"] and found[0] == found[1]


def test_the_reference_is_marked_or_said_not_to_be_drawn() -> None:
    marked = _drawn(ROWS, reference=0)
    assert "reference" in _words(marked)
    (diamond,) = [line for line in marked.figure.axes[0].lines if line.get_marker() == "D"]
    assert (diamond.get_xdata()[0], diamond.get_ydata()[0]) == (3, 0.3)  # type: ignore[index]
    # And on the line of each of its choices.
    assert sum(line.get_marker() == "D" for line in marked.figure.axes[1].lines) == 2
    missing = " ".join(_words(_drawn(ROWS, reference=3)))
    assert "the reference is not drawn (refused)" in missing
    assert "reference" not in _words(_drawn(ROWS))


def test_hostile_labels_are_text_on_one_line_and_told_apart() -> None:
    labels = ["x" * 300, "x" * 299 + "y", "$x^2$ & <b>", "$\\frac{$", "עברית", "a\nb"]
    rows = [_cell(0.1 * i, priors=label) for i, label in enumerate(labels)]
    words = _words(_drawn(rows))
    for word in ("$x^2$ & <b>", "$\\frac{$", "עברית", "a b"):
        assert word in words, word
    long = [word for word in words if word.startswith("xxx")]
    assert [word[-5:] for word in long] == ["… (1)", "… (2)"] and all(len(w) < 40 for w in long)


@pytest.mark.parametrize("count", [1, 3, 48, 400, 2000])
def test_any_number_of_cells_is_a_small_file(count: int) -> None:
    drawing = _drawn(_table(count), reference=0)
    assert len(drawing.svg.encode()) < 1e6
    # Above 400 marks are pixels within the file.
    assert ("<image" in drawing.svg) == (count > 400)
    assert len(drawing.data) == count and drawing.svg == drawing.svg


def test_the_legend_names_only_what_is_there() -> None:
    both = _words(_drawn(ROWS))
    assert "interval without 0" in both and "interval with 0" in both
    assert "interval with 0" not in _words(_drawn(ROWS[:1]))


def test_one_endless_interval_does_not_flatten_the_others() -> None:
    rows = [*_table(20), _cell(0.2, 500.0)]
    drawing = _drawn(rows, scale="yi")
    low, high = drawing.figure.axes[0].get_ylim()
    assert -1 < low < 0 < high < 1.5
    assert "1 interval goes on beyond the edge" in " ".join(_words(drawing))
    assert "yi" in _words(drawing)


@pytest.mark.parametrize("value", [1e-300, 0.0, 1e3, -1e6, 1e250])
def test_numbers_on_any_scale_have_a_place(value: float) -> None:
    rows = [_cell(value, abs(value), priors=name) for name in "ab"]
    svg = _drawn(rows, reference=1, scale="yi").svg
    assert not re.search(r"[\s\"](nan|inf)[\s\"]", svg)


def test_cells_without_ends_have_their_medians() -> None:
    rows = [_cell(0.1, lower=None, upper=None), _cell(0.2, priors="b", lower=None)]
    assert "2 cells, by their medians" in _words(_drawn(rows))


def test_nothing_to_draw_is_said() -> None:
    drawing = _drawn([ROWS[3], {**ROWS[3], "priors": "b"}], reference=0)
    words = _words(drawing)
    assert "no cell can be reported" in words and words.count("no cell drawn") == 2
    assert drawing.alternative.endswith("0 of 2 cells, by their medians; not drawn: 2 refused.")
