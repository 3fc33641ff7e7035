"""Estimators beside each other: classical rows above, and apart from them posteriors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from metarho.classical.answers import Answers
from metarho.compare.rows import Row
from metarho.posterior.marginals import Summary
from metarho.report.figures.drawing import BLUE, GREEN, GREY, PAGE, PURPLE, Drawing, canvas, cut
from metarho.report.figures.scales import no_effect
from metarho.report.terminal import number

# Inches a line, and around them.
_LINE, _AROUND, _LETTERS = 0.185, 1.0, 52
# Colour and mark of each kind of row.
_MARKS = {"classical": ("black", "s"), "posterior": (BLUE, "o"), "averaged": (PURPLE, "D")}
# Lines between two groups.
_APART = 0.7
# Prediction intervals of few effects reach to ±1: the axis ends at so many widths of the others.
_WIDEST = 2.5


@dataclass(frozen=True)
class PosteriorRow:
    """A posterior: its name, the pooled effect and that of a new study, as readers see them."""

    name: str
    pooled: Summary
    new: Summary


@dataclass(frozen=True)
class _Line:
    kind: str
    name: str
    middle: float | None
    ends: tuple[float | None, float | None]
    new: tuple[float | None, float | None]
    reason: str = ""


def classical(
    answers: Answers,
    posteriors: Sequence[PosteriorRow],
    name: str,
    title: str,
    interval: str,
    averages: Sequence[PosteriorRow] = (),
) -> Drawing:
    """``posteriors`` are of the same evidence, ``interval`` is what their intervals are called.

    ``averages`` over the members of an ensemble stand apart from both; their intervals have equal
    tails.
    """
    lines = {
        f"Classical: estimate, {100 * answers.prob:g}% confidence interval": _classical(answers),
        f"Bayesian: posterior median, {interval} interval": _bayesian(posteriors, "posterior"),
        f"Averaged over an ensemble: median, {100 * answers.prob:g}% equal-tailed interval": (
            _bayesian(averages, "averaged")
        ),
    }
    groups = {heading: found for heading, found in lines.items() if found}
    count = sum(map(len, groups.values())) + len(groups)
    ticks: dict[float, str] = {}
    with canvas(PAGE, _LINE * (count + _APART * (len(groups) - 1)) + _AROUND) as figure:
        axes = figure.subplots()
        y = 0.0
        for heading, found in groups.items():
            _heading(axes, y, heading)
            for place, line in enumerate(found, 1):
                _draw(axes, y - place, line)
                ticks[y - place] = cut(line.name, _LETTERS)
            y -= len(found) + 1 + _APART
        axes.set_yticks(list(ticks), list(ticks.values()), parse_math=False, fontsize=7.5)
        axes.set_ylim(y + _APART + 0.4, 0.6)
        axes.set_xlim(*_limits([line for found in groups.values() for line in found]))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        no_effect(axes)
        axes.set_xlabel("yi" if answers.on == "yi" else "correlation r")
        axes.set_title(title, loc="left", parse_math=False)
    data = [_datum(line) for found in groups.values() for line in found]
    return Drawing(name, figure, data, _words(answers, posteriors, averages))


def _classical(answers: Answers) -> list[_Line]:
    found = []
    for row in answers.estimates:
        on = [
            value if row.scale == "yi" else row.on_r(value)
            for value in (row.estimate, row.ci_lb, row.ci_ub, row.pi_lb, row.pi_ub)
        ]
        name = f"{row.name}, {row.test}"
        found.append(_Line("classical", name, on[0], (on[1], on[2]), (on[3], on[4]), row.reason))
    return found


def _bayesian(posteriors: Sequence[PosteriorRow], kind: str) -> list[_Line]:
    return [
        _Line(
            kind,
            one.name,
            one.pooled.median,
            (one.pooled.lower, one.pooled.upper),
            (one.new.lower, one.new.upper),
        )
        for one in posteriors
    ]


def _heading(axes: Axes, y: float, heading: str) -> None:
    axes.text(0.0, y, heading, transform=axes.get_yaxis_transform(), va="center", weight="bold",
              fontsize=7.5, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
              zorder=3)  # fmt: skip


def _draw(axes: Axes, y: float, line: _Line) -> None:
    """Black squares: estimates, blue circles: posteriors, diamonds: averages; thin: a new study."""
    is_classical = line.kind == "classical"
    colour, mark = _MARKS[line.kind]
    if line.middle is None:
        axes.text(0.5, y, "not estimable" if line.reason else "not available", va="center",
                  ha="center", fontsize=6.5, color=GREY, style="italic",
                  transform=axes.get_yaxis_transform())  # fmt: skip
        return
    for ends, width, shade in ((line.new, 0.8, GREY if is_classical else GREEN),
                               (line.ends, 2.2, colour)):  # fmt: skip
        if ends[0] is not None and ends[1] is not None:
            axes.plot(
                [ends[0], ends[1]], [y, y], color=shade, linewidth=width, solid_capstyle="butt"
            )
    axes.text(1.02, y, f"{number(line.middle)} [{number(line.ends[0])}, {number(line.ends[1])}]",
              va="center", fontsize=6.8, transform=axes.get_yaxis_transform())  # fmt: skip
    axes.plot(line.middle, y, mark, color=colour, markersize=5 if mark == "D" else 4,
              markeredgecolor="white", markeredgewidth=0.6)  # fmt: skip


def _limits(lines: Sequence[_Line]) -> tuple[float, float]:
    """All estimates and their intervals; of new studies as much as is not too far from these."""
    inner = [v for line in lines for v in (line.middle, *line.ends) if v is not None]
    low, high = min([*inner, 0.0]), max([*inner, 0.0])
    room = _WIDEST * (high - low)
    new = [v for line in lines for v in line.new if v is not None]
    low, high = (
        min([low, *(max(v, low - room) for v in new)]),
        max([high, *(min(v, high + room) for v in new)]),
    )
    pad = 0.04 * (high - low) or 0.1
    return low - pad, high + pad


def _datum(line: _Line) -> Row:
    return {
        "kind": line.kind,
        "name": line.name,
        "estimate": line.middle,
        "lower": line.ends[0],
        "upper": line.ends[1],
        "new_lower": line.new[0],
        "new_upper": line.new[1],
        "reason": line.reason,
    }


def _words(
    answers: Answers, posteriors: Sequence[PosteriorRow], averages: Sequence[PosteriorRow]
) -> str:
    there = [row for row in answers.estimates if not row.reason]
    values = [row.estimate if row.scale == "yi" else row.on_r(row.estimate) for row in there]
    numbers = [value for value in values if value is not None]
    said = f"{len(there)} classical estimates"
    if numbers:
        said += f" from {number(min(numbers))} to {number(max(numbers))}"
    medians = [one.pooled.median for one in posteriors if one.pooled.median is not None]
    if medians:
        said += (
            f"; apart from them, {len(medians)} posterior medians from {number(min(medians))} to "
            f"{number(max(medians))}"
        )
    if averages:
        said += f"; apart from both, {len(averages)} averages over an ensemble"
    return f"{said}. {len(answers.estimates) - len(there)} are not estimable."
