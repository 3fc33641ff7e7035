"""Draw the ranks of ``make test-slow``'s calibration of the sampled engine, and print its table.

    .venv/bin/python -m pytest -m slow tests/engines/test_nuts_calibration.py
    .venv/bin/python benchmarks/calibration.py

Reads outputs/calibration/, writes docs/calibration-nuts.svg. For each parameter of each part the
empirical distribution of the truths' ranks, less the uniform one, with the band that holds 95% of
whole curves of uniform ranks (Säilynoja, Bürkner and Vehtari 2022, 10.1007/s11222-022-10090-6).
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from metarho.report.figures.drawing import COLOURS, GREY, Drawing, canvas

type Array = NDArray[np.float64]

ROOT = Path(__file__).parent.parent
RANKS = ROOT / "outputs" / "calibration"
FIGURE = ROOT / "docs" / "calibration-nuts.svg"
COLUMNS = 5
GRID = np.linspace(0, 1, 101)
SIMULATED = 10_000
# Of the fits (tests/engines/test_nuts_calibration.py).
DRAWS = 1000


def spread(ranks: Array, rng: np.random.Generator) -> Array:
    """Ranks among DRAWS draws, each anywhere in its own step: uniform if the truth is a draw."""
    return np.asarray((ranks * DRAWS + rng.uniform(size=len(ranks))) / (DRAWS + 1))


def difference(ranks: Array) -> Array:
    """Share of ranks up to each point of the grid, less the point."""
    return np.asarray(np.searchsorted(np.sort(ranks), GRID, side="right") / len(ranks) - GRID)


def band(count: int) -> tuple[Array, Array]:
    """Binomial ends at the pointwise level at which 95% of whole curves stay inside."""
    rng = np.random.default_rng(1)
    counts = [count * (difference(rng.uniform(size=count)) + GRID) for _ in range(SIMULATED)]
    tails = np.minimum(
        stats.binom.cdf(counts, count, GRID), stats.binom.sf(np.array(counts) - 1, count, GRID)
    )
    level = float(np.quantile(tails[:, 1:-1].min(axis=1), 0.05))
    lower = stats.binom.ppf(level, count, GRID) / count - GRID
    return lower, stats.binom.isf(level, count, GRID) / count - GRID


def main() -> None:
    """Draw and print."""
    parts = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(RANKS.glob("*"))}
    count = len(next(iter(next(iter(parts.values())).values())))
    lower, upper = band(count)
    rows = -(-len(parts) // COLUMNS)
    outside = total = 0
    rng = np.random.default_rng(2)
    with canvas(9.0, 1.45 * rows) as figure:
        grid = figure.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False)
        for axes in grid.ravel()[len(parts) :]:
            axes.set_visible(False)
        for axes, (name, found) in zip(grid.ravel(), parts.items(), strict=False):
            axes.fill_between(GRID, lower, upper, color=GREY, alpha=0.25, linewidth=0)
            ranks = {p: spread(np.array(values), rng) for p, values in found.items()}
            curves = {parameter: difference(values) for parameter, values in ranks.items()}
            for colour, curve in zip(COLOURS * len(curves), curves.values(), strict=False):
                axes.plot(GRID, curve, color=colour, linewidth=0.8)
            out = [
                p for p, curve in curves.items() if ((curve < lower) | (curve > upper))[1:-1].any()
            ]
            outside, total = outside + len(out), total + len(curves)
            axes.set_title("\n".join(textwrap.wrap(name, 24)), fontsize=6.5)
            axes.set_xticks([0, 0.5, 1])
            axes.tick_params(labelsize=6)
            p_values = {p: stats.kstest(values, "uniform").pvalue for p, values in ranks.items()}
            covered = [float(np.mean((r > 0.025) & (r < 0.975))) for r in ranks.values()]
            least = min(p_values, key=lambda parameter: p_values[parameter])
            print(
                f"| {name} | {len(found)} | {p_values[least]:.3f} ({least}) | "
                f"{min(covered):.3f}–{max(covered):.3f} | {', '.join(out) or 'none'} |"
            )
        figure.supxlabel("rank of the truth among the draws, as a share", fontsize=7.5)
        figure.supylabel("share of data sets, less uniform", fontsize=7.5)
    FIGURE.write_text(Drawing("calibration", figure, [], "").svg, encoding="utf-8")
    print(f"{outside} of {total} parameters leave the 95% band; {0.05 * total:.0f} would by chance")


if __name__ == "__main__":
    main()
