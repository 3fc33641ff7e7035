"""Sensitivity and tipping points as files and as text in the terminal."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from rich.text import Text

from metarho.batch.ensemble import ENSEMBLE
from metarho.batch.plan import Cell, Plan
from metarho.batch.sensitivity import TABLE, Sensitivity
from metarho.batch.tables import to_csv
from metarho.batch.tipping import TABLE as TIPPING_TABLE
from metarho.batch.tipping import Tipped
from metarho.compare.adversary import Flip
from metarho.compare.matched import Matched
from metarho.compare.selected import less_often
from metarho.compare.strength import which_results
from metarho.compare.surface import Surface, extremes
from metarho.compare.tipping import said
from metarho.engines.problem import Problem
from metarho.report.terminal import say, wide
from metarho.spec.weight_arguments import WeightArgument
from metarho.store.files import write_text

if TYPE_CHECKING:
    from metarho.report.figures.drawing import Drawing

type Array = NDArray[np.float64]

# A sentence, and what is compared in it.
_MATCHES = {
    "median": "equal medians",
    "tail": "equal upper 5% points",
    "information": "equal shares of variance that are expected to be heterogeneity",
}


def publish_sensitivity(plan: Plan, found: Sensitivity) -> None:
    """Leave the table, and unless the config says report: none its figure, in the plan's folder."""
    write_text(plan.folder / TABLE, to_csv(found.rows))
    if plan.analysis.report != "html":
        return
    # Loaded here: Matplotlib is for pictures only.
    from metarho.report.figures.drawing import write_drawing

    write_drawing(sensitivity_drawing(plan, found), plan.folder / "figures")


def sensitivity_drawing(plan: Plan, found: Sensitivity) -> Drawing:
    """The figure of a surface, a curve, or matched families."""
    from metarho.report.figures.sensitivity import (
        sensitivity_curves,
        sensitivity_matched,
        sensitivity_surface,
    )

    thresholds, scale = plan.analysis.thresholds.rho, found.cell.problem.scale
    prob = plan.analysis.interval.prob
    if isinstance(found.found, Matched):
        return sensitivity_matched(found.found, thresholds, scale, prob, found.rows)
    if (weight := _only_weight(found.found)) is not None:
        from metarho.report.figures.selection_path import selection_path

        which = which_results(found.problem, weight)
        return selection_path(found.found, which, prob, found.rows)
    draw = sensitivity_surface if len(found.found.over) == 2 else sensitivity_curves
    return draw(
        found.found,
        found.places,
        thresholds,
        _priors(found.cell.problem),
        scale,
        prob,
        found.rows,
    )


def publish_tipping(plan: Plan, found: Tipped) -> None:
    """Leave the table, and unless the config says report: none its figure, in the plan's folder."""
    write_text(plan.folder / TIPPING_TABLE, to_csv(found.rows))
    if plan.analysis.report != "html":
        return
    from metarho.report.figures.drawing import write_drawing
    from metarho.report.figures.tipping import tipping_figure

    problem = found.cell.problem
    drawing = tipping_figure(
        found.found,
        found.flips,
        _priors(problem),
        problem.scale,
        plan.analysis.interval.prob,
        found.sentence,
    )
    write_drawing(drawing, plan.folder / "figures")


def print_sensitivity(plan: Plan, found: Sensitivity) -> None:
    """What each quantity is as things are, and how far it moves."""
    say("")
    say(heading(plan, found.cell))
    if isinstance(found.found, Matched):
        _print_matched(found.found)
    elif (weight := _only_weight(found.found)) is not None:
        _print_path(found, found.found, weight)
    else:
        _print_surface(found, found.found)
    bad = sum(row["status"] == "not reportable" for row in found.rows)
    if bad:
        say(f"{bad} of {len(found.rows)} fits are not reportable: their rows say so")
    say(f"all rows: {plan.folder / TABLE}")


def print_tipping(plan: Plan, found: Tipped) -> None:
    """The sentence, what it rests on, and the further studies."""
    say("")
    say(heading(plan, found.cell))
    say(found.sentence)
    over = found.found.over
    steps = len(over.values)
    step = (
        f"{100 * ((over.values[1] / over.values[0]) - 1):.3g}%"
        if over.is_scale
        else f"{over.values[1] - over.values[0]:.3g}"
    )
    say(
        f"Scanned at {steps} values, {step} apart; what fails and holds again within one step is "
        "found only if the points around show it turn."
    )
    for crossing in found.found.crossings:
        say(
            f"  refitted at {over.argument} = {crossing.at:.10g}: {found.found.claim.quantity} is "
            f"{crossing.value:.8g}"
        )
    if found.flips:
        _print_flips(found, found.flips)
    say(f"all rows: {plan.folder / TIPPING_TABLE}")


def heading(plan: Plan, cell: Cell) -> str:
    """Which cell of a plan was asked: model, evidence, priors, intervals."""
    evidence = cell.problem.evidence
    priors = ", ".join(f"{name} ~ {applied}" for name, applied in _priors(cell.problem).items())
    interval = plan.analysis.interval
    # Averages over members have equal-tailed intervals, whatever the config's fits have.
    used = "eti" if cell.model == ENSEMBLE else interval.kind
    kind = {"eti": "equal-tailed", "hdi": "shortest"}[used]
    return (
        f"{cell.label}, intervals: {cell.intervals}, k = {evidence.k} effects of "
        f"{len(evidence.study_names)} studies; {cell.prior_set}: {priors}; "
        f"{interval.prob * 100:g}% {kind} intervals"
    )


def _priors(problem: Problem) -> dict[str, str]:
    return {name: str(applied.prior) for name, applied in problem.priors.items()}


def _print_surface(found: Sensitivity, surface: Surface) -> None:
    ranges = ", ".join(
        f"{one.argument} from {one.values[0]:.4g} to {one.values[-1]:.4g}" for one in surface.over
    )
    sides = " × ".join(str(len(one.values)) for one in surface.over)
    fits = f"{sides} = {len(found.rows)}" if len(surface.over) > 1 else sides
    how = "sampled" if surface.error is None else f"largest stated error {surface.error:.0e}"
    say(f"{ranges}; {fits} fits ({how})")
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    arguments = ", ".join(str(one.argument) for one in surface.over)
    for name in (found.cell.prior_set, "least", f"at {arguments}", "most", f"at {arguments}"):
        table.add_column(Text(name), justify="right", no_wrap=True)
    for index, quantity in enumerate(surface.quantities):
        values = surface.of(quantity)
        places = extremes(values)
        cells = [_number(float(surface.own[index]))]
        for place in places or ():
            at = [one.values[i] for one, i in zip(surface.over, place, strict=True)]
            cells += [_number(float(values[place])), ", ".join(f"{value:.3g}" for value in at)]
        table.add_row(str(quantity), *cells)
    wide().print(table)
    if found.places:
        say(f"prior sets on it: {', '.join(found.places)}")
    if found.off:
        say(f"off it (another family, or other arguments): {', '.join(found.off)}")


def _only_weight(surface: Surface) -> WeightArgument | None:
    """The weight of selection where nothing else is varied."""
    argument = surface.over[0].argument
    alone = len(surface.over) == 1 and isinstance(argument, WeightArgument)
    return argument if alone and isinstance(argument, WeightArgument) else None


def _print_path(found: Sensitivity, surface: Surface, weight: WeightArgument) -> None:
    """Rows of a path over a weight: no selection first, then ever stronger selection."""
    (over,) = surface.over
    which = which_results(found.problem, weight)
    how = "sampled" if surface.error is None else f"largest stated error {surface.error:.0e}"
    say(
        f"{which[0].upper()}{which[1:]} reported omega times as often as all others, from "
        f"{over.values[-1]:.4g} to {over.values[0]:.4g}; {len(over.values)} fits ({how})"
    )
    table = Table(box=None, pad_edge=False)
    for name in ("omega", "reported", *map(str, surface.quantities)):
        table.add_column(Text(name), justify="right", no_wrap=True)
    own = [_number(value) for value in surface.own.tolist()]
    table.add_row("1", "as often", *own)
    for index in _marks(over.values):
        numbers = [_number(float(surface.of(one)[index])) for one in surface.quantities]
        at = float(over.values[index])
        table.add_row(f"{at:.3g}", less_often(at), *numbers)
    wide().print(table)


def _marks(values: Array) -> list[int]:
    """The places nearest to 1/2, 1/5, 1/10, … and 2, 5, …, from the largest down; not 1."""
    wanted = [factor * 10.0**power for power in range(-6, 6) for factor in (1, 2, 5)]
    inside = [w for w in wanted if values[0] * 0.999 <= w <= values[-1] * 1.001]
    nearest = {int(np.abs(np.log(values / w)).argmin()) for w in inside or values.tolist()}
    return sorted((i for i in nearest if abs(math.log(values[i])) > 1e-9), reverse=True)


def _print_matched(found: Matched) -> None:
    say(
        f"priors of {found.parameter} with {_MATCHES[found.match]}; the model's own has "
        f"{found.own:.4g}"
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("family")
    table.add_column("prior", no_wrap=True)
    for quantity in found.quantities:
        table.add_column(Text(str(quantity)), justify="right", no_wrap=True)
    # The point nearest to the model's own prior stands for it.
    nearest = int(abs(found.values - found.own).argmin())
    for index, family in enumerate(found.families):
        table.add_row(
            Text(family),
            Text(_short(str(found.priors[index][nearest]))),
            *(_number(float(found.of(quantity)[index, nearest])) for quantity in found.quantities),
        )
    say(f"at {found.values[nearest]:.4g}:")
    wide().print(table)


def _print_flips(found: Tipped, flips: Sequence[Flip]) -> None:
    claim = found.found.claim
    verb = "fail" if found.found.holds else "hold"
    say("")
    say(
        f"One further study after which {claim} would {verb}, where {flips[0].expected:.3f} is "
        "expected:"
    )
    table = Table(box=None, pad_edge=False)
    for name in ("n", "nearest r below", "nearest r above"):
        table.add_column(name, justify="right", no_wrap=True)
    for flip in flips:
        table.add_row(f"{flip.ni:,}", *(_correlation(r) for r in flip.sides))
    wide().print(table)
    if any(flip.below == flip.above == flip.expected for flip in flips):
        say("twice what is expected: even a study that finds it does, for it adds precision")
    if any(None in flip.sides for flip in flips):
        say("none: no r between -1 and 1 on that side does")


def _correlation(r: float | None) -> str:
    return "none" if r is None else f"{r:.3f}"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else said(value)


def _short(prior: str) -> str:
    """A prior with four digits of its arguments."""
    return re.sub(r"-?\d+\.\d{5,}(e-?\d+)?", lambda found: f"{float(found[0]):.4g}", prior)
