"""True effects under the exact law of r, given hyperparameters and each row.

Given mu, tau and a row, theta has the density g(row | theta, n) N(theta; mu, tau²), with one peak.
Around it, in its own width, it is taken on panels that all draws share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact.exact_r import Result, results_of
from metarho.engines.exact.inversion import invert_rows
from metarho.engines.exact.panels import Axis
from metarho.engines.exact.peaks import peaks
from metarho.engines.problem import Evidence

type Array = NDArray[np.float64]
type Function = Callable[[Array], Array]

# sinh(4.2) = 33 widths on either side: what the exponential tails of four people take.
_PANELS = Axis("sinh", 0.0, 1.0, np.linspace(-4.2, 4.2, 11), order=20)
# An interval's end may be 50 times sharper than the spread of effects: sinh(6.8) = 450.
_MANY_PANELS = Axis("sinh", 0.0, 1.0, np.linspace(-6.8, 6.8, 57), order=12)
_BLOCK = 2_000_000


@dataclass(frozen=True)
class _Conditional:
    """Theta = centre + width·t given one row at N draws, with its log density at nodes of t."""

    panels: Axis
    centre: Array
    width: Array
    log_density: Array

    def draw(self, rng: np.random.Generator) -> Array:
        """A draw at each."""
        top = self.log_density.max(axis=1, keepdims=True)
        in_u = np.exp(self.log_density - top) * self.panels.slope(self.panels.u)
        places = invert_rows(self.panels, in_u, rng.uniform(size=len(self.centre)))
        return np.asarray(self.centre + self.width * self.panels.at(*places))

    @property
    def log_integral(self) -> Array:
        """The log of its integral, at each."""
        top = self.log_density.max(axis=1)
        inside = np.exp(self.log_density - top[:, None]) @ self.panels.weights
        return np.asarray(top + np.log(inside * self.width))


def draw(evidence: Evidence, mean: Array, tau: Array, rng: np.random.Generator) -> Array:
    """Theta of every row given N draws of its centre and tau: (N, k), as these are."""
    theta = mean.copy()
    for row, result in enumerate(results_of(evidence)):
        for here, conditional in _conditionals(result, mean[:, row], tau[:, row]):
            theta[here, row] = conditional.draw(rng)
    return theta


def log_likelihood(evidence: Evidence, mean: Array, tau: Array) -> Array:
    """Log p(row | its centre, tau) at N draws: (N, k), as centre and tau are."""
    found = np.empty(mean.shape)
    for row, result in enumerate(results_of(evidence)):
        # Where effects do not vary, theta is their mean.
        common = np.flatnonzero(tau[:, row] == 0)
        found[common, row] = result.log_given(mean[common, row])
        for here, conditional in _conditionals(result, mean[:, row], tau[:, row]):
            found[here, row] = conditional.log_integral
    return found


def _conditionals(
    result: Result, mean: Array, tau: Array
) -> Iterator[tuple[NDArray[np.intp], _Conditional]]:
    """Theta given a row, for the draws with tau > 0, in blocks."""
    varies = np.flatnonzero(tau > 0)
    step = _BLOCK // len(_MANY_PANELS.u)
    for start in range(0, len(varies), step):
        here = varies[start : start + step]
        yield here, _conditional(result, mean[here], tau[here])


def _conditional(result: Result, mu: Array, tau: Array) -> _Conditional:
    ends = [*result.ends, *([0.0] if result.z is not None else [])]
    low = np.minimum(mu, min(ends, default=0.0))
    high = np.maximum(mu, max(ends, default=0.0))
    reach = _MANY_PANELS.to_x(_MANY_PANELS.breaks[-1:])[0] * float(tau.max())
    log_given = _log_given(result, float(low.min()) - reach, float(high.max()) + reach)

    def log_density(theta: Array) -> Array:
        column = (slice(None), *[None] * (theta.ndim - 1))
        away = (theta - mu[column]) / tau[column]
        return log_given(theta) - 0.5 * away**2 - np.log(tau * math.sqrt(2 * math.pi))[column]

    # Panels around a peak known to 1e-5 of the stretch are as good as around the peak itself.
    centre = peaks(log_density, low, high, 25)
    # The width from the curvature at the peak, over a distance of the narrowest that it can be.
    nearby = 0.3 / np.sqrt(result.n - 1 + 1 / tau**2)
    sides = log_density(centre - nearby) + log_density(centre + nearby)
    curvature = (2 * log_density(centre) - sides) / nearby**2
    width = 1 / np.sqrt(np.clip(curvature, 0.5 / tau**2, 2 * (result.n - 1 + 1 / tau**2)))
    panels = _PANELS if result.z is not None else _MANY_PANELS
    theta = centre[:, None] + width[:, None] * panels.nodes
    return _Conditional(panels, centre, width, log_density(theta))


def _log_given(result: Result, low: float, high: float) -> Function:
    """The log of what a row says of theta; probabilities as polynomials on panels, for speed.

    Beyond 600 the law is not defined, and nothing is left of it.
    """
    if result.z is not None:
        return result.log_given
    low, high = max(low, -600.0), min(high, 600.0)
    scale = 1 / math.sqrt(result.n - 1)
    sides = scale * np.sinh(np.arange(0.0, math.asinh(2 * (high - low + 1) / scale), 0.4))
    around = [end + sign * sides for end in result.ends for sign in (-1, 1)]
    breaks = np.unique(np.concatenate([[low, high], *around]))
    breaks = breaks[(breaks >= low) & (breaks <= high)]
    # So wide a scale that the coordinate is theta itself.
    axis = Axis("sinh", 0.0, 1e4, np.arcsinh(breaks / 1e4))
    coefficients = axis.coefficients(result.log_given(axis.nodes))

    def interpolated(theta: Array) -> Array:
        return axis.polynomial(coefficients, *axis.locate(theta))

    return interpolated
