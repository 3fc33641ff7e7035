"""What a table of cells holds of each fit: the mean, a new study, heterogeneity, the evidence.

Posteriors that are mixtures of normals over the same nodes are read together; every number is the
same, bit for bit, whatever is read beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metarho.compare.many_posteriors import ManyPosteriors
from metarho.compare.quantities import is_closed, quantities_of
from metarho.compare.rows import Row, Value
from metarho.engines import exact
from metarho.engines.exact.quadrature import Quadrature
from metarho.fitting import Settings
from metarho.posterior.fit import Fit
from metarho.spec.claims import Quantity

# Raised when an answer changes its meaning, or how it is computed.
FORMAT = 1


@dataclass(frozen=True)
class Asked:
    """Which numbers a table of cells has beside those that all have.

    ``thresholds`` on r have P(rho > t) and P(rho_new > t); ``quantities`` are those of
    ``spec/claims.py``.
    """

    thresholds: tuple[float, ...]
    quantities: tuple[Quantity, ...] = ()


def answers(fits: Sequence[Fit], asked: Asked, settings: Settings) -> list[Row]:
    """One row a fit: the mean, a new study, heterogeneity, probabilities, the evidence.

    ``median``, ``lower``, ``upper`` are of the mean at the headline row, with ``new_`` of a new
    study's true effect there: on r, for GEN on the scale of yi. ``tau`` is the posterior median of
    the total sd of true effects, on the model's scale. None for what does not exist.
    """
    together: dict[object, list[int]] = {}
    found: dict[int, dict[str, Value]] = {}
    for index, fit in enumerate(fits):
        result = fit.result
        if isinstance(result, Quadrature) and is_closed(fit.problem, settings):
            # As many nodes too: a mixture that is filled up with zeros is summed in another order.
            alike = exact.structure(fit.problem), len(result.node_mass)
            together.setdefault(alike, []).append(index)
        else:
            found[index] = _alone(fit, asked, settings)
    for places in together.values():
        rows = _at_once([fits[index] for index in places], asked, settings)
        found |= dict(zip(places, rows, strict=True))
    return [_row(fit, found[index], asked, settings) for index, fit in enumerate(fits)]


def _row(fit: Fit, found: Mapping[str, Value], asked: Asked, settings: Settings) -> Row:
    evidence = fit.problem.evidence
    row: dict[str, Value] = {
        "k_effects": evidence.k,
        "k_studies": len(evidence.study_names),
        "engine": fit.engine,
        "status": fit.status,
        "reason": "; ".join(fit.reasons) or None,
        **found,
        "log_evidence": fit.log_evidence,
    }
    if asked.quantities:
        numbers = quantities_of(fit, asked.quantities, settings)
        row |= dict(zip(map(str, asked.quantities), numbers, strict=True))
    return {name: _finite(value) for name, value in row.items()}


def _finite(value: Value) -> Value:
    """None for what is no number: a table has blanks there."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _named(columns: Iterable[Value], thresholds: Sequence[float]) -> dict[str, Value]:
    names = ["median", "lower", "upper", "new_median", "new_lower", "new_upper", "tau"]
    names += [f"P({name} > {t:g})" for t in thresholds for name in ("rho", "rho_new")]
    return dict(zip(names, columns, strict=True))


def _alone(fit: Fit, asked: Asked, settings: Settings) -> dict[str, Value]:
    posterior, prob, kind = fit.posterior, settings.interval.prob, settings.interval.kind
    mean, new = (
        posterior.rho(theta)
        for theta in (posterior.mean_of(posterior.head), posterior.theta_new(posterior.head))
    )
    columns: list[Value] = []
    for marginal in (mean, new):
        summary = marginal.summary(prob, kind)
        columns += [summary.median, summary.lower, summary.upper]
    columns.append(posterior.tau.summary(prob, kind).median)
    thresholds = _thresholds(fit, asked)
    for threshold in thresholds:
        columns += [1 - float(marginal.cdf(np.array(threshold))) for marginal in (mean, new)]
    return _named(columns, thresholds)


def _at_once(fits: Sequence[Fit], asked: Asked, settings: Settings) -> list[dict[str, Value]]:
    solved = [fit.result for fit in fits if isinstance(fit.result, Quadrature)]
    many, tail = ManyPosteriors([fit.problem for fit in fits], solved), (1 - settings.interval.prob)
    shares = (0.5, tail / 2, 1 - tail / 2)
    columns = [many.mean_quantile(share) for share in shares]
    columns += [many.new_quantile(share) for share in shares]
    columns.append(many.tau_median())
    thresholds = _thresholds(fits[0], asked)
    for threshold in thresholds:
        columns += [many.mean_above(threshold), many.new_above(threshold)]
    return [_named(numbers, thresholds) for numbers in np.column_stack(columns).tolist()]


def _thresholds(fit: Fit, asked: Asked) -> tuple[float, ...]:
    """None for GEN, which has no correlations."""
    return () if fit.problem.scale == "yi" else asked.thresholds
