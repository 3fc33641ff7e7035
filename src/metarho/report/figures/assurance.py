"""Assurance over the number of people: a curve a number of studies, and the interval's width."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from metarho.batch.assurance import Assured, holds, named
from metarho.predict.assurance import Outlook
from metarho.report.figures.drawing import COLOURS, GREY, Drawing, canvas
from metarho.report.figures.sensitivity import COLUMN

# Of a curve of draws, twice its standard error on both sides.
_ERRORS = 2.0


def assurance_figure(found: Assured, prob: float) -> Drawing:
    """A panel a goal, and one of the expected width of the interval of the median correlation."""
    goals = found.question.goals
    panels = len(goals) + 1
    with canvas(COLUMN * min(panels, 3) + 0.2, 2.9 * -(-panels // 3)) as figure:
        cells = figure.subplots(-(-panels // 3), min(panels, 3), squeeze=False).ravel()
        for place in range(len(goals)):
            _assurance(cells[place], found, place)
        _width(cells[len(goals)], found, prob)
        for empty in cells[panels:]:
            empty.set_axis_off()
        cells[0].plot([], [], color=GREY, linewidth=0.8, linestyle=":", label="endless n")
        cells[0].legend(fontsize=7, loc="best")
    return Drawing("assurance", figure, found.rows, " ".join(found.sentences))


def _assurance(axes: Axes, found: Assured, place: int) -> None:
    asked = found.question
    goal = asked.goals[place]
    for index, count in enumerate(asked.studies):
        curve, colour = found.curves[index], COLOURS[index % len(COLOURS)]
        chances = [one.chances[place] for one in curve]
        values = [chance.probability for chance in chances]
        axes.plot(_sizes(curve), values, color=colour, linewidth=1.6, label=named(count))
        if any(chance.error for chance in chances):
            errors = [_ERRORS * (chance.error or 0.0) for chance in chances]
            low = [max(value - error, 0.0) for value, error in zip(values, errors, strict=True)]
            high = [min(value + error, 1.0) for value, error in zip(values, errors, strict=True)]
            axes.fill_between(_sizes(curve), low, high, color=colour, alpha=0.15, linewidth=0)
        limit = found.limits[index].chances[place].probability
        axes.axhline(limit, color=colour, linewidth=0.8, linestyle=":", label="_")
        fewest = found.smallest[index][place]
        inside = fewest.ni is not None and asked.sizes[0] <= fewest.ni <= asked.sizes[-1]
        if fewest.ni is not None and inside and not holds(goal, found.own[place]):
            axes.plot(fewest.ni, fewest.at.probability, "D", color=colour, markersize=5,
                      markeredgecolor="white", zorder=4, label="_")  # fmt: skip
            axes.annotate(f"{fewest.ni:,}", (fewest.ni, fewest.at.probability), xytext=(-4, 5),
                          textcoords="offset points", ha="right", fontsize=7)  # fmt: skip
    axes.axhline(asked.probability, color=GREY, linewidth=0.8, linestyle="--", label="_")
    _people(axes, found)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("probability of reaching it")
    what = f"Interval narrower than {goal.width:g}" if goal.claim is None else f"Claim: {goal}"
    axes.set_title(what, loc="left", parse_math=False)


def _width(axes: Axes, found: Assured, prob: float) -> None:
    asked = found.question
    for index in range(len(asked.studies)):
        curve, colour = found.curves[index], COLOURS[index % len(COLOURS)]
        axes.plot(_sizes(curve), [one.width for one in curve], color=colour, linewidth=1.6)
        axes.axhline(found.limits[index].width, color=colour, linewidth=0.8, linestyle=":")
    axes.axhline(found.width, color="black", linewidth=0.8)
    axes.annotate("today", (1.0, found.width), xycoords=("axes fraction", "data"), xytext=(-2, 2),
                  textcoords="offset points", ha="right", fontsize=7)  # fmt: skip
    for goal in asked.goals:
        if goal.width is not None:
            axes.axhline(goal.width, color=GREY, linewidth=0.8, linestyle="--")
    axes.set_ylim(0, 1.12 * max(found.width, *(one.width for one in found.curves[0])))
    _people(axes, found)
    axes.set_ylabel(f"expected width of the {prob * 100:g}% interval (r)")
    axes.set_title("What can still be learned", loc="left")


def _people(axes: Axes, found: Assured) -> None:
    sizes = found.question.sizes
    axes.set_xscale("log")
    ticks = [t for t in (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000)
             if sizes[0] <= t <= sizes[-1]]  # fmt: skip
    axes.set_xticks(ticks or list(sizes), [f"{t:,.0f}" for t in ticks or sizes])
    axes.minorticks_off()
    axes.set_xlim(sizes[0], sizes[-1] if len(sizes) > 1 else 1.1 * sizes[0])
    several = len(found.question.studies) > 1 or found.question.studies[0] > 1
    axes.set_xlabel("people in all further studies" if several else "people in the further study")


def _sizes(curve: Sequence[Outlook]) -> list[float]:
    return [one.further.ni for one in curve]
