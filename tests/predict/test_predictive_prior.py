"""A new study's distribution as a mixture of normals says what the joint analysis says."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

import metarho
from metarho.data.studies import Studies
from metarho.engines.exact.panels import Axis
from metarho.errors import FitError, InputError
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Curve, Summary
from metarho.predict.predictive_prior import NEAR_ENOUGH, as_mixture, law_of, predictive_prior
from metarho.spec.priors import Prior

MOLLOY = Path(__file__).parents[1] / "references" / "molloy2014.csv"

type Array = NDArray[np.float64]


def only(keep: set[int]) -> Studies:
    """Some rows of the table of Molloy et al."""
    found = metarho.load_studies(MOLLOY, columns={"ri": "ri", "ni": "ni"})
    rows = tuple(row if row.index in keep else replace(row, included=False) for row in found.rows)
    return replace(found, rows=rows)


EVERY = set(range(16))
NEW = 5


@pytest.fixture(scope="module")
def before() -> Fit:
    """All studies but one."""
    return metarho.fit(metarho.load_model("random-effects"), only(EVERY - {NEW}))


def exact_of(fit: Fit) -> Exact:
    """The posterior of an exact fit."""
    assert isinstance(fit.posterior, Exact)
    return fit.posterior


def updated(prior: Prior) -> Fit:
    """One study, whose true effect has a prior."""
    return metarho.fit(metarho.load_model("common-effect"), only({NEW}), priors={"mu": prior})


def shrunken() -> tuple[float, float, float]:
    """Mean and sd of the new study's true effect in the joint analysis, and log p(y_new | others).

    On a grid of tau, with mu ~ Normal(0, .5) and tau ~ HalfNormal(.25): given tau all is normal.
    """
    rows = only(EVERY).used
    y, v = (np.array([getattr(row, name) for row in rows]) for name in ("yi", "vi"))
    place = [row.index for row in rows].index(NEW)
    rest = np.arange(len(y)) != place
    # The trapezoidal rule on a fine grid; the prior beyond 1.5 holds 2e-9.
    tau = np.linspace(0, 1.5, 6001)
    logs, logs_rest, means, variances = (np.empty(len(tau)) for _ in range(4))
    for index, t in enumerate(tau):
        total = np.diag(v + t**2) + 0.25
        logs[index] = stats.multivariate_normal(np.zeros(len(y)), total).logpdf(y)
        part = total[np.ix_(rest, rest)]
        logs_rest[index] = stats.multivariate_normal(np.zeros(rest.sum()), part).logpdf(y[rest])
        with_new = np.full(len(y), 0.25)
        with_new[place] += t**2
        solved = np.linalg.solve(total, with_new)
        means[index], variances[index] = solved @ y, 0.25 + t**2 - solved @ with_new
    prior = stats.halfnorm(scale=0.25).logpdf(tau)
    mass = np.exp(logs + prior - (logs + prior).max())
    mass /= mass.sum()
    mean = float(mass @ means)
    sd = math.sqrt(float(mass @ (variances + (means - mean) ** 2)))
    gain = np.log(np.exp(logs + prior).sum()) - np.log(np.exp(logs_rest + prior).sum())
    return mean, sd, float(gain)


def test_updating_the_mixture_is_analysing_all_at_once(before: Fit) -> None:
    found = predictive_prior(exact_of(before))
    mean, sd, gain = shrunken()
    after = updated(found.prior)
    mu = after.parameters["mu"]
    assert mu.mean is not None and mu.sd is not None
    # Within the mixture's own distance, H of .005: differences were .0003 of an sd.
    assert found.hellinger <= NEAR_ENOUGH
    assert mu.mean == pytest.approx(mean, abs=0.002 * sd)
    assert mu.sd == pytest.approx(sd, rel=0.002)
    # The new study's log predictive density, as a density of z in both.
    assert after.log_evidence is not None
    assert after.log_evidence == pytest.approx(gain, abs=1e-3)


def test_the_mixture_has_the_quantiles_of_the_new_study(before: Fit) -> None:
    found = law_of(predictive_prior(exact_of(before)).prior).summary(0.95, "eti")
    exact: Summary = before.new_study["theta"]
    assert exact.sd is not None
    for name in ("mean", "median", "lower", "upper"):
        assert getattr(found, name) == pytest.approx(getattr(exact, name), abs=0.01 * exact.sd)


def distance(fit: Fit, mixture: Prior) -> float:
    """The Hellinger distance on a grid, by the trapezoidal rule with SciPy's normals."""
    x = np.linspace(-4, 4, 40_001)
    lists = dict(mixture.lists)
    parts = zip(lists["w"], lists["mu"], lists["sigma"], strict=True)
    q = sum(w * stats.norm(m, s).pdf(x) for w, m, s in parts) / math.fsum(lists["w"])
    p = fit.posterior.theta_new(fit.posterior.head).density(x)
    return math.sqrt(0.5 * float(np.trapezoid((np.sqrt(p) - np.sqrt(q)) ** 2, x)))


def test_the_distance_is_that_of_the_printed_mixture(before: Fit) -> None:
    found = predictive_prior(exact_of(before))
    # What is left out in the tails moves it by no more.
    assert found.hellinger == pytest.approx(distance(before, found.prior), abs=3e-5)


def test_no_fewer_normals_would_do(before: Fit) -> None:
    count = len(dict(predictive_prior(exact_of(before)).prior.lists)["w"])
    assert count > 1
    # With one the best is the normal of the same mean and sd.
    new = before.new_study["theta"]
    assert new.mean is not None and new.sd is not None
    one = Prior("NormalMixture", lists=(("w", (1.0,)), ("mu", (new.mean,)), ("sigma", (new.sd,))))
    assert distance(before, one) > NEAR_ENOUGH


def test_a_normal_law_is_one_normal() -> None:
    model = metarho.load_model("common-effect")
    fit = metarho.fit(model, only(EVERY))
    lists = dict(predictive_prior(exact_of(fit)).prior.lists)
    mu = fit.parameters["mu"]
    assert lists["w"] == (1.0,)
    assert lists["mu"][0] == pytest.approx(mu.mean, rel=1e-5)
    assert lists["sigma"][0] == pytest.approx(mu.sd, rel=1e-5)


def test_effects_in_hundreds_are_effects_in_other_units(tmp_path: Path) -> None:
    lists = []
    for size in (1, 300):
        rows = [f"{size * y},{size * s}" for y, s in ((0.1, 0.1), (0.4, 0.2), (0.3, 0.15))]
        path = tmp_path / f"in-{size}.csv"
        path.write_text("\n".join(["y,s", *rows]) + "\n", encoding="utf-8")
        studies = metarho.load_studies(path, measure="GEN", columns={"yi": "y", "sei": "s"})
        priors = {
            "mu": f"Normal(mu=0, sigma={size * 0.5})",
            "tau": f"HalfNormal(sigma={size * 0.25})",
        }
        fit = metarho.fit(metarho.load_model("random-effects"), studies, priors=priors)
        lists.append(dict(predictive_prior(exact_of(fit)).prior.lists))
    # EM stops where nothing is gained, a few digits before the last that is printed.
    for name, factor in (("w", 1), ("mu", 300), ("sigma", 300)):
        scaled = [factor * value for value in lists[0][name]]
        assert lists[1][name] == pytest.approx(scaled, rel=2e-3)


def test_the_same_fit_gives_the_same_mixture(before: Fit) -> None:
    assert predictive_prior(exact_of(before)) == predictive_prior(exact_of(before))


def test_tails_that_no_mixture_of_normals_has_are_refused() -> None:
    # Panels from -10 to 10, fine about 0.
    ends = np.arcsinh(np.array([-10, 10]) / 0.01)
    axis = Axis("sinh", 0.0, 0.01, np.linspace(ends[0], ends[1], 41))
    law = stats.cauchy(0, 0.01)
    with pytest.raises(FitError, match="6 normals come no nearer"):
        as_mixture(Curve(axis, law.pdf(axis.nodes)))


def test_an_effect_that_is_known_is_refused() -> None:
    model = metarho.load_model("common-effect")
    known = metarho.fit(model, only(EVERY), priors={"mu": "DiracDelta(c=0.1)"})
    with pytest.raises(InputError, match="held at values"):
        predictive_prior(exact_of(known))
