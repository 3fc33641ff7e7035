"""The answer with each study left out: what it owes to each."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from metarho.compare.left_out import LeftOut, by_median
from metarho.compare.rows import Row
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Summary
from metarho.report.figures.drawing import BLUE, GREY, PAGE, Drawing, canvas, cut, fitted
from metarho.report.figures.scales import in_brackets, label_of, tau_label

# Inches a study, and around them; beyond so many studies lines are closer, names smaller.
_LINE, _AROUND, _MANY, _CLOSE = 0.17, 1.0, 60, 0.12
_LETTERS = 40
# 0 is drawn where it is this share of what intervals span away from them.
_NEAR = 0.5


def leave_one_out(fit: Fit, left_out: Sequence[LeftOut], name: str, title: str) -> Drawing:
    """Pooled median and total tau without each study, ordered; the whole as line and band.

    ``left_out`` comes from ``compare.left_out.left_out``, which says why there may be none.
    """
    rows = by_median(left_out)
    close = len(rows) > _MANY
    whole_tau = fit.posterior.tau.summary(fit.interval.prob, fit.interval.kind)
    with canvas(PAGE, (_CLOSE if close else _LINE) * len(rows) + _AROUND) as figure:
        mean, tau = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
        _panel(mean, [row.pooled for row in rows], fit.pooled, label_of(fit.problem))
        _panel(tau, [row.tau for row in rows], whole_tau, tau_label(fit.problem))
        mean.set_xlim(*_limits([row.pooled for row in rows], fit.pooled))
        tau.set_xlim(left=0)
        for place, row in enumerate(rows):
            if row.pooled.median is None:
                mean.text(0.02, -place, "no answer without it", va="center", fontsize=6.5,
                          color=GREY, transform=mean.get_yaxis_transform())  # fmt: skip
        labels = [cut(row.study, _LETTERS) for row in rows]
        mean.set_yticks([-place for place in range(len(rows))], labels, parse_math=False,
                        fontsize=6 if close else 7.5)  # fmt: skip
        mean.set_ylim(-len(rows) + 0.4, 0.6)
        for axes in (mean, tau):
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)
        mean.set_title(fitted(title, PAGE - 2.5), loc="left", parse_math=False)
        figure.supylabel("left out", fontsize=7.5, color=GREY)
    return Drawing(name, figure, [_datum(row) for row in rows], _words(fit, rows))


def _panel(axes: Axes, rows: Sequence[Summary], whole: Summary, label: str) -> None:
    if whole.lower is not None and whole.upper is not None:
        axes.axvspan(whole.lower, whole.upper, color=BLUE, alpha=0.1, linewidth=0)
    axes.plot([0, 0], [0.6, 0.4 - len(rows)], color=GREY, linewidth=0.7, zorder=0.5)
    if whole.median is not None:
        axes.axvline(whole.median, color=BLUE, linewidth=0.9, linestyle="--")
    for place, row in enumerate(rows):
        if row.lower is not None and row.upper is not None:
            axes.plot([row.lower, row.upper], [-place] * 2, color="black", linewidth=0.8)
        if row.median is not None:
            axes.plot(row.median, -place, "s", color="black", markersize=3)
    axes.set_xlabel(label)


def _limits(rows: Sequence[Summary], whole: Summary) -> tuple[float, float]:
    """All intervals; 0 too where it is near, for shifts are small to what lies far from it."""
    ends = [end for row in (*rows, whole) for end in (row.lower, row.upper) if end is not None]
    low, high = min(ends, default=-1.0), max(ends, default=1.0)
    room = _NEAR * (high - low)
    if min(abs(low), abs(high)) < room:
        low, high = min(low, 0.0), max(high, 0.0)
    pad = 0.05 * (high - low) or 0.1
    return low - pad, high + pad


def _datum(row: LeftOut) -> Row:
    return {
        "left_out": row.study,
        "rows": row.rows,
        "median": row.pooled.median,
        "lower": row.pooled.lower,
        "upper": row.pooled.upper,
        "tau_median": row.tau.median,
        "tau_lower": row.tau.lower,
        "tau_upper": row.tau.upper,
        "reason": row.reason,
    }


def _words(fit: Fit, rows: Sequence[LeftOut]) -> str:
    said = (
        f"The pooled median and {fit.interval.prob * 100:g}% interval with each of {len(rows)} "
        f"studies left out. With all: {in_brackets(fit.pooled)}."
    )
    there = [row for row in rows if row.pooled.median is not None]
    if there:
        first, last = there[0], there[-1]
        said += (
            f" Largest without {first.study}: {in_brackets(first.pooled)}; smallest without "
            f"{last.study}: {in_brackets(last.pooled)}."
        )
    missing = len(rows) - len(there)
    return f"{said} {missing} have no answer." if missing else said
