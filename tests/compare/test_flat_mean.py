"""The likelihood of the mean: a posterior under a flat prior of mu."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cases import molloy, problem, written
from metarho.compare.flat_mean import flat_mean, no_flat_mean
from metarho.fitting import Settings, fit_many


def test_the_likelihood_of_mu_is_the_weighted_mean_where_heterogeneity_is_known() -> None:
    encoded = problem(molloy(), mu="Normal(mu=0.6, sigma=0.05)", tau="DiracDelta(c=0.1)")
    (flat,) = fit_many([flat_mean(encoded)], Settings(engine="exact"))
    weights = 1 / (encoded.evidence.v + 0.01)
    mu = flat.parameters["mu"]
    assert mu.mean == pytest.approx(np.average(encoded.evidence.y, weights=weights), abs=1e-12)
    assert mu.sd == pytest.approx(weights.sum() ** -0.5, abs=1e-12)


def test_other_priors_stay_as_they_are() -> None:
    encoded = problem(molloy(), mu="Normal(mu=0, sigma=0.1)", tau="HalfCauchy(beta=0.2)")
    flat = flat_mean(encoded)
    assert str(flat.prior("mu")) == "Flat()"
    assert flat.prior("tau") == encoded.prior("tau")


def test_an_improper_likelihood_is_refused(tmp_path: Path) -> None:
    rows = [{"yi": y, "vi": 0.1, "study": f"s{y}", "effect": "a"} for y in (0.1, 0.2)]
    encoded = problem(written(tmp_path, rows), mu="Normal(mu=0, sigma=1)", tau="Flat()")
    assert "improper" in str(no_flat_mean(encoded))
    assert no_flat_mean(problem(molloy())) is None
    assert "exact engine" in str(no_flat_mean(problem(molloy(), "mixture")))
