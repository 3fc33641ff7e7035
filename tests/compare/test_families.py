"""The range of a Bayes factor over the scale of a prior, against a scan of refits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from cases import alliance, molloy, problem, written
from metarho.compare.bayes_factors import bayes_factors, nulls
from metarho.compare.families import NARROWEST, WIDEST, FamilyRange, over_family
from metarho.engines import exact
from metarho.engines.problem import Problem
from metarho.fitting import Settings, fit_many

SIGMA = 0.25


def _range(encoded: Problem, null: int) -> FamilyRange | None:
    (fit,) = fit_many([encoded], Settings())
    asked = nulls(encoded)[null]
    (found,) = bayes_factors(fit, Settings(), [asked])
    return over_family(fit, asked, found, Settings())


def _log_bf(sigma_mu: float, sigma_tau: float, held: str) -> float:
    """From two posteriors, one without the parameter."""
    priors = {
        "mu": f"Normal(mu=0, sigma={sigma_mu!r})",
        "tau": f"HalfNormal(sigma={sigma_tau!r})",
    }
    without = priors | {held: "DiracDelta(c=0)"}
    whole, rest = (exact.integrate(problem(molloy(), **own)) for own in (priors, without))
    return whole.log_integral - rest.log_integral


@pytest.mark.parametrize(("null", "name"), [(0, "mu"), (1, "tau")])
def test_the_extremes_are_those_of_an_optimiser(null: int, name: str) -> None:
    own = {"mu": f"Normal(mu=0, sigma={SIGMA})", "tau": f"HalfNormal(sigma={SIGMA})"}
    found = _range(problem(molloy(), **own), null)
    assert found is not None

    def log_bf(log_factor: float) -> float:
        sigma = SIGMA * float(np.exp(log_factor))
        return _log_bf(sigma if name == "mu" else SIGMA, sigma if name == "tau" else SIGMA, name)

    ends = np.log([NARROWEST, WIDEST])
    best = minimize_scalar(lambda x: -log_bf(x), bounds=tuple(ends), method="bounded")
    # What a grid twice refined leaves of a parabola: its spacing, 0.006, squared.
    assert found.highest == pytest.approx(max(-best.fun, *map(log_bf, ends)), abs=1e-4)
    assert found.lowest == pytest.approx(min(map(log_bf, ends)), abs=1e-9)


def test_nested_levels_change_their_scales_together() -> None:
    encoded = problem(alliance("drop"), "three-level")
    index = [null.with_it for null in nulls(encoded)].index("heterogeneity")
    found = _range(encoded, index)
    assert found is not None
    wide = problem(
        alliance("drop"),
        "three-level",
        tau_study="HalfNormal(sigma=2.5)",
        tau_effect="HalfNormal(sigma=1.5)",
    )
    (fit,) = fit_many([wide], Settings())
    (whole,) = bayes_factors(fit, Settings(), [nulls(wide)[index]])
    # The widest is one of the scales.
    assert found.lowest == pytest.approx(whole.log_bf, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "priors"),
    [
        ("random-effects", {"mu": "DiracDelta(c=0)", "tau": "Jeffreys()"}),
        ("random-effects", {"mu": "Uniform(lower=-1, upper=1) on r", "tau": "DiracDelta(c=0.1)"}),
        ("exact-r", {}),
    ],
)
def test_what_has_no_scale_or_takes_long_has_no_range(
    name: str, priors: dict[str, str], tmp_path: Path
) -> None:
    studies = written(tmp_path, [{"ri": 0.2, "ni": 30}, {"ri": 0.4, "ni": 50}], "ZCOR")
    assert _range(problem(studies, name, **priors), 0) is None
