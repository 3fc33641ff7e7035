"""Whether a different prior would have changed the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metarho.batch.findings import Findings
from metarho.compare.rows import Row
from metarho.compare.surface import Surface, extremes
from metarho.report.figures.sensitivity import axis_label, in_words
from metarho.report.interactive.slider import slider_data
from metarho.report.interactive.surface import surface_data
from metarho.spec.claims import Quantity


def values(found: Findings) -> Mapping[str, object]:
    """The comparison of prior sets, what scales of priors do, and why something is absent."""
    rows = found.compared.rows if found.compared else ()
    return {
        "rows": rows,
        "remarks": found.compared.remarks if found.compared else (),
        "averages": found.compared.averages if found.compared else (),
        "several": len(rows) > 1,
        "reference": found.plan.analysis.reference_set,
        "sensitivity": found.sensitivity,
        "spans": _spans(found),
        "any_probability": any(str(q).startswith("P(") for q in _quantities(found)),
        "hellinger": any(row["hellinger_mu_flat"] is not None for row in rows),
        "odds": _odds(rows),
        "slider_values": slider_data(found.answer, found.plan.analysis.thresholds.rho),
        "map": _map(found),
        "absent": {n: found.absent[n] for n in ("which-prior", "sensitivity") if n in found.absent},
    }


@dataclass(frozen=True)
class Odds:
    """The Bayes factor of an effect against none, and what it comes to."""

    prior_set: str
    factor: float
    posterior: float
    """P(effect | data), both as probable before."""
    least: float
    """The prior probability of an effect from which its posterior probability is .95."""


# Where evidence is said to be strong enough to decide by: the convention that Kruschke's guidelines
# ask authors to turn into prior probabilities.
_DECIDES = 0.95


def _odds(rows: Sequence[Row]) -> list[Odds]:
    needed = _DECIDES / (1 - _DECIDES)
    return [
        Odds(str(row["prior"]), factor, factor / (1 + factor), needed / (needed + factor))
        for row in rows
        if isinstance(factor := row["bf_mu"], float)
    ]


def _quantities(found: Findings) -> tuple[Quantity, ...]:
    if found.sensitivity is None or not isinstance(found.sensitivity.found, Surface):
        return ()
    return found.sensitivity.found.quantities


def _map(found: Findings) -> Mapping[str, object] | None:
    """The surface as the page reads it off; None without one, and for a curve."""
    if found.sensitivity is None or not isinstance(found.sensitivity.found, Surface):
        return None
    surface = found.sensitivity.found
    if len(surface.over) != 2:
        return None
    problem = found.sensitivity.cell.problem
    priors = {name: str(applied.prior) for name, applied in problem.priors.items()}
    x, y = (axis_label(one, priors, problem.scale) for one in surface.over)
    prob = found.plan.analysis.interval.prob
    names = tuple(in_words(quantity, prob) for quantity in surface.quantities)
    return surface_data(surface, found.sensitivity.places, (x, y), names)


def _spans(found: Findings) -> list[Row]:
    """Of each quantity its own number, and the least and the largest on the surface."""
    if found.sensitivity is None or not isinstance(found.sensitivity.found, Surface):
        return []
    surface = found.sensitivity.found
    spans: list[Row] = []
    for quantity, own in zip(surface.quantities, surface.own.tolist(), strict=True):
        ends = extremes(surface.of(quantity))
        if ends is not None:
            least, most = (float(surface.of(quantity)[place]) for place in ends)
            spans.append({"quantity": str(quantity), "own": own, "least": least, "most": most})
    return spans
