"""Hostile data and priors drawn by hypothesis, and what an answer of the exact engine must hold.

An answer is right to the tolerance, or its stated error says more than that, or it is refused.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.special import gammaln, ndtr

from cases import written
from cubature import Axis, LogDensity, integrate
from metarho.data.studies import Studies
from metarho.engines import exact
from metarho.engines.problem import Problem
from metarho.posterior.exact import Exact

type Array = NDArray[np.float64]
type Density = Callable[[Array], Array]

# The contract: log evidence absolute, means and sds in posterior sd; with three hard dimensions
# THREE. Quantiles in probability.
TOLERANCE, THREE = 1e-8, 1e-6
IN_PROBABILITY = 1e-7
SHARES = (0.025, 0.5, 0.975)
LOG_2PI = math.log(2 * math.pi)


# What the profile says (conftest.py): 100, or 200 of the thorough one.
assert settings.default is not None
DRAWN = settings.default.max_examples


def hostile(examples: int) -> settings:
    """The same few examples each time; under the profile "thorough" twice as many."""
    return settings(
        max_examples=examples * DRAWN // 100,
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


def powers(lowest: float, highest: float) -> st.SearchStrategy[float]:
    return st.floats(lowest, highest).map(lambda power: 10.0**power)


ROW = st.tuples(st.floats(-4, 4), powers(-6, 1))
NUMBERS = st.one_of(
    st.lists(ROW, min_size=1, max_size=6),
    # Identical effects.
    st.tuples(ROW, st.integers(2, 8)).map(lambda s: [s[0]] * s[1]),
    # One study of a million among wide ones.
    st.tuples(st.floats(-4, 4), st.lists(ROW, min_size=1, max_size=4)).map(
        lambda s: [(s[0], 1e-6), *((y, v + 0.01) for y, v in s[1])]
    ),
)
TAU = st.tuples(
    st.sampled_from(["HalfNormal", "HalfCauchy", "Exponential", "InverseGamma", "LogNormal"]),
    powers(-5, 3),
)
MU = st.tuples(st.sampled_from([0.0, 0.3, -50.0]), powers(-4, 3))


def tau_prior(family: str, scale: float) -> tuple[str, Density]:
    """A prior as metarho says it, and its log density by SciPy."""
    said = {
        "HalfNormal": f"HalfNormal(sigma={scale!r})",
        "HalfCauchy": f"HalfCauchy(beta={scale!r})",
        "Exponential": f"Exponential(lam={1 / scale!r})",
        "InverseGamma": f"InverseGamma(alpha=2, beta={scale!r})",
        "LogNormal": f"LogNormal(mu={math.log(scale)!r}, sigma=0.3)",
    }
    law = {
        "HalfNormal": stats.halfnorm(scale=scale),
        "HalfCauchy": stats.halfcauchy(scale=scale),
        "Exponential": stats.expon(scale=scale),
        "InverseGamma": stats.invgamma(2, scale=scale),
        "LogNormal": stats.lognorm(0.3, scale=scale),
    }
    return said[family], law[family].logpdf


def log_normal(x: Array | float, mean: Array | float, variance: Array | float) -> Array:
    return np.asarray(-0.5 * (np.log(variance) + LOG_2PI + (x - mean) ** 2 / variance))


def log_t(x: Array, nu: float, mu: float, sigma: float) -> Array:
    constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * math.log(nu * math.pi)
    return np.asarray(
        constant - math.log(sigma) - (nu + 1) / 2 * np.log1p(((x - mu) / sigma) ** 2 / nu)
    )


def normal_prior(centre: float, sigma: float) -> tuple[str, Density]:
    """The same of a normal prior on mu."""
    return f"Normal(mu={centre}, sigma={sigma!r})", lambda x: log_normal(x, centre, sigma**2)


def cauchy_prior(centre: float, scale: float) -> tuple[str, Density]:
    """The same of a Cauchy prior on mu."""
    return f"Cauchy(alpha={centre}, beta={scale!r})", lambda x: log_t(x, 1, centre, scale)


def fitted(
    rows: Sequence[Mapping[str, object]], make: Callable[[Studies], Problem], measure: str = "GEN"
) -> Problem:
    """The problem of rows written to a file."""
    with tempfile.TemporaryDirectory() as folder:
        return make(written(Path(folder), rows, measure))


def holds(
    encoded: Problem,
    log_density: LogDensity,
    axes: Mapping[str, Axis],
    tolerance: float = TOLERANCE,
    mean_given: Callable[..., tuple[Array, Array]] | None = None,
    points: int = 300,
) -> None:
    """Check the exact engine's answer, or that it gives none.

    ``log_density`` is that of data and parameters, at values of the ``axes`` in order. Where mu is
    none of them they are sds of true effects, and ``mean_given`` has the mean and variance of mu
    given them. Quantiles are held to the promise, those of mu and of a new true effect too.
    """
    if exact.covers(encoded) is not None:
        return
    quadrature = exact.integrate(encoded)
    # The log density itself is known to its rounding.
    rounded = 10 * float(np.finfo(float).eps) * abs(quadrature.log_integral)
    allowed = max(tolerance, quadrature.quad_err, rounded)
    answer = Exact(encoded, quadrature)
    seen = {n: m.summary(0.95, "eti") for n, m in answer.parameters.items()}
    names = [*axes, *([] if mean_given is None else ["mu"])]
    ends = {n: [x or 0.0 for x in (seen[n].lower, seen[n].median, seen[n].upper)] for n in names}
    moments = {n: (seen[n].mean is not None) + (seen[n].sd is not None) for n in names}
    # What moments are integrated about, and in units of: no terms cancel, none is large.
    origin = {n: ends[n][1] for n in names}
    unit = {n: max(ends[n][2] - ends[n][0], 1e-300) for n in names}
    new = answer.theta_new(answer.head).summary(0.95, "eti")
    new_ends = [x or 0.0 for x in (new.lower, new.median, new.upper)]

    def functions(*values: Array) -> list[Array]:
        found = []
        for name, value in zip(axes, values, strict=True):
            away = (value - origin[name]) / unit[name]
            found += [away**power for power in range(1, moments[name] + 1)]
        if mean_given is not None:
            mean, variance = mean_given(*values)
            away = (mean - origin["mu"]) / unit["mu"]
            second = away**2 + variance / unit["mu"] ** 2
            found += [away, second][: moments["mu"]]
            found += [ndtr((end - mean) / np.sqrt(variance)) for end in ends["mu"]]
            sd = np.sqrt(variance + sum(value**2 for value in values))
            found += [ndtr((end - mean) / sd) for end in new_ends]
        return found

    reach = [moments[name] for name in axes]
    truth = integrate(
        log_density, list(axes.values()), functions, reach, [ends[n] for n in axes], points
    )
    assert truth.error < max(0.1 * tolerance, rounded)
    log_evidence = quadrature.log_evidence
    assert log_evidence == pytest.approx(truth.log_integral, abs=allowed)
    means = iter(truth.means)
    for name in names:
        first, second = (next(means) if moments[name] > n else math.nan for n in range(2))
        # As far as the spread is above the rounding of the value.
        sd = math.sqrt(max(second - first**2, 0.0)) * unit[name]
        rounding = 1e-14 * abs(origin[name])
        if moments[name] > 0:
            mean = origin[name] + first * unit[name]
            scale = sd if moments[name] > 1 else unit[name]
            assert seen[name].mean == pytest.approx(mean, abs=allowed * scale + rounding)
        if moments[name] > 1:
            assert seen[name].sd == pytest.approx(sd, abs=allowed * sd + rounding)
    # Where mu has no axis: the shares below its ends, and below those of a new true effect.
    left = list(means)
    assert len(left) == (0 if mean_given is None else 2 * len(SHARES))
    for share, below in zip((*SHARES, *SHARES)[: len(left)], left, strict=True):
        assert below == pytest.approx(share, abs=max(IN_PROBABILITY, tolerance))
    for index, (name, axis) in enumerate(axes.items()):
        for share, at in zip(SHARES, axis.coordinate(np.array(ends[name])), strict=True):
            below = truth.below(index, float(at))
            assert below == pytest.approx(share, abs=max(IN_PROBABILITY, tolerance))
