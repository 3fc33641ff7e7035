"""Averages over candidates, against SciPy's root finding on sums of their laws."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from cases import alliance, molloy, problem
from metarho.compare.averaging import ALL, BOTH, COLUMNS, EFFECT, average, averages, in_words
from metarho.compare.rows import Row
from metarho.compare.which_prior import Candidate, which_prior
from metarho.fitting import Settings, fit_many
from metarho.posterior.marginals import Marginal, Point
from metarho.posterior.mixtures import Mixture, Normals

PROB = 0.9
SETS = {
    "default": {},
    "narrow": {"mu": "Normal(mu=0, sigma=0.05)"},
    "null": {"mu": "DiracDelta(c=0)"},
}


def _normal(mean: float, sd: float) -> Mixture:
    return Mixture(Normals(np.ones(1), np.array([mean]), np.array([sd])))


def _candidates(*names: str) -> list[Candidate]:
    fits = fit_many([problem(molloy(), **SETS[name]) for name in names], Settings())
    return [Candidate("random-effects", n, "use", f) for n, f in zip(names, fits, strict=True)]


def _table(candidates: Sequence[Candidate]) -> list[Row]:
    return which_prior(candidates, "default", (), Settings(), lambda _: None)


def _averages(*names: str) -> tuple[list[Candidate], list[Row], list[Row]]:
    candidates = _candidates(*names)
    rows = _table(candidates)
    return candidates, rows, averages(candidates, rows, PROB)


def test_an_average_of_normals_is_their_mixture() -> None:
    weights, means, sds = (0.2, 0.5, 0.3), (-1.0, 0.1, 3.0), (0.1, 1.0, 2.0)
    found = average(weights, [_normal(m, s) for m, s in zip(means, sds, strict=True)], PROB)
    mean = float(np.dot(weights, means))
    assert found.mean == pytest.approx(mean, abs=1e-12)
    square = sum(w * (s**2 + m**2) for w, m, s in zip(weights, means, sds, strict=True))
    assert found.sd == pytest.approx(math.sqrt(square - mean**2), abs=1e-12)

    def gap(x: float, share: float) -> float:
        return float(np.dot(weights, norm.cdf(x, means, sds))) - share

    for value, share in ((found.lower, 0.05), (found.median, 0.5), (found.upper, 0.95)):
        assert value == pytest.approx(brentq(gap, -20, 20, args=(share,), xtol=1e-13), abs=1e-9)


def test_a_spike_that_holds_a_quantile_is_that_quantile() -> None:
    found = average([0.6, 0.4], [Point(0.0), _normal(0.3, 0.05)], PROB)
    assert found.median == pytest.approx(0, abs=1e-12)
    assert found.lower == pytest.approx(0, abs=1e-12)
    # 0.4·P(x <= upper) + 0.6 = 0.95.
    assert found.upper == pytest.approx(norm.ppf(0.875, 0.3, 0.05), abs=1e-9)


def test_a_spike_between_other_parts_is_found_exactly() -> None:
    parts: list[Marginal] = [Point(0.1), _normal(-0.37, 0.05), _normal(0.32, 0.07), Point(0.1)]
    found = average([0.3, 0.2, 0.2, 0.3], parts, PROB)
    assert found.median == 0.1
    # A quarter of the left normal, which has .2 of all, lies below the lower end, at .05.
    assert found.lower == pytest.approx(norm.ppf(0.25, -0.37, 0.05), abs=1e-9)


def test_averages_by_evidence_weigh_by_posterior_probabilities() -> None:
    candidates, rows, found = _averages("default", "narrow")
    row = next(r for r in found if r["weights"] == "evidence" and r["over"] == ALL)
    evidence = np.array([c.fit.log_evidence for c in candidates], dtype=float)
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    means = [c.fit.derived["rho_median"].mean for c in candidates]
    assert row["mean"] == pytest.approx(float(np.dot(weights, np.array(means, dtype=float))))
    assert row["spike"] is None and in_words(row) is None
    assert tuple(row) == COLUMNS
    stacked = next(r for r in found if r["weights"] == "stacking")
    own = np.array([r["stacking"] for r in rows], dtype=float)
    assert stacked["mean"] == pytest.approx(float(np.dot(own, np.array(means, dtype=float))))


def test_beside_its_null_every_candidate_is_as_probable_as_none() -> None:
    candidates, _, found = _averages("default", "narrow")
    both = next(r for r in found if r["over"] == BOTH)
    nulls = fit_many([problem(molloy(), mu="DiracDelta(c=0)")], Settings())
    log_with = np.array([c.fit.log_evidence for c in candidates], dtype=float)
    # Both candidates have one null: tau's prior is theirs.
    log_without = np.full(2, nulls[0].log_evidence)
    spike = np.exp(log_without).sum() / (np.exp(log_with).sum() + np.exp(log_without).sum())
    assert both["spike"] == pytest.approx(spike, rel=1e-8)
    given = next(r for r in found if r["weights"] == "evidence" and r["over"] == ALL)
    assert both["mean"] == pytest.approx((1 - spike) * float(str(given["mean"])), rel=1e-8)
    assert both["new_median"] is None
    assert "as probable as none" in str(in_words(both))


def test_a_declared_null_is_the_spike_and_left_out_given_an_effect() -> None:
    candidates, rows, found = _averages("default", "narrow", "null")
    by = {(r["weights"], r["over"]): r for r in found}
    assert set(by) >= {("evidence", ALL), ("evidence", EFFECT)}
    assert all(over != BOTH for _, over in by)
    assert by["evidence", ALL]["spike"] == pytest.approx(rows[2]["probability"])
    free = np.array([rows[i]["probability"] for i in (0, 1)], dtype=float)
    means = np.array([c.fit.derived["rho_median"].mean for c in candidates[:2]], dtype=float)
    conditional = by["evidence", EFFECT]
    assert conditional["mean"] == pytest.approx(float(free @ means / free.sum()))
    assert conditional["candidates"] == 2 and conditional["spike"] is None


def test_a_bayes_factor_that_underflows_leaves_the_row_beside_the_null_out() -> None:
    # Priors that put mu 30 of their sds from the data: BF10 is below exp(−745), and 0 in a table.
    sets = [
        {"mu": f"Normal(mu={mu}, sigma=0.01)", "tau": "HalfNormal(sigma=0.01)"} for mu in (3, 4)
    ]
    fits = fit_many([problem(molloy(), **one) for one in sets], Settings())
    candidates = [Candidate("random-effects", str(i), "use", fit) for i, fit in enumerate(fits)]
    rows = _table(candidates)
    assert [row["bf_mu"] for row in rows] == [0, 0]
    assert {row["over"] for row in averages(candidates, rows, PROB)} == {ALL}


def test_what_cannot_be_compared_is_not_averaged() -> None:
    fits = fit_many([problem(alliance("drop")), problem(molloy())], Settings())
    candidates = [Candidate("random-effects", "default", "drop", fit) for fit in fits]
    assert averages(candidates, _table(candidates), PROB) == []
