"""What is expected of rows that are still to come, against integrals written in SciPy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import quad

from cases import alliance, molloy, problem, written
from grammar_cases import several_tests
from metarho.data.effect_sizes import critical_r
from metarho.engines import exact
from metarho.engines.problem import Problem, before_data, problem_without
from metarho.posterior.exact import Exact
from metarho.predict.forecasts import Forecast, forecasts, word_of
from metarho.predict.words import ORDERED_WORDS
from metarho.spec.analysis import Interval

type Array = NDArray[np.float64]

ROWS = [
    {"study": "a", "ri": 0.31, "ni": 40, "reported": "exact"},
    {"study": "b", "ri": 0.05, "ni": 90, "reported": "exact"},
    {"study": "c", "ni": 60, "reported": "not significant"},
    {"study": "d", "ri": 0.52, "ni": 25, "reported": "exact"},
    {"study": "e", "ni": 33, "reported": "significant positive"},
    {"study": "f", "ni": 80, "reported": "range", "ri_low": 0.1, "ri_high": 0.4},
    {"study": "g", "ni": 70, "reported": "not significant"},
]
KNOWN = 3


@dataclass(frozen=True)
class Grid:
    """mu ~ Normal(0, .5), tau ~ HalfNormal(.25) and the rows a, b, c, on Gauss–Legendre nodes."""

    mu: Array
    tau: Array
    mass: Array

    @classmethod
    def of(cls, rows: int = KNOWN) -> Grid:
        x, w = np.polynomial.legendre.leggauss(300)
        mu, tau = 4 * x[:, None], 1.25 * (x + 1)
        weights = 4 * w[:, None] * 1.25 * w
        density = stats.norm.pdf(mu, 0, 0.5) * stats.halfnorm.pdf(tau, 0, 0.25)
        for row in ROWS[:rows]:
            v = 1 / (float(str(row["ni"])) - 3)
            law = stats.norm(mu, np.sqrt(v + tau**2))
            if row["reported"] == "exact":
                density = density * law.pdf(math.atanh(float(str(row["ri"]))))
            else:
                low, high = _ends(row)
                density = density * (law.cdf(high) - law.cdf(low))
        mass = density * weights
        return cls(mu, tau, mass / mass.sum())

    def cdf(self, z: float, v: float) -> float:
        return float((stats.norm.cdf(z, self.mu, np.sqrt(v + self.tau**2)) * self.mass).sum())

    def density(self, z: float, v: float) -> float:
        return float((stats.norm.pdf(z, self.mu, np.sqrt(v + self.tau**2)) * self.mass).sum())

    def crps(self, z: float, v: float) -> float:
        total = 0.0
        for near, far in pairwise([0, 0.2, 0.5, 1.0, 2.0, 6.0]):
            total += quad(lambda t: (1 - self.cdf(t, v)) ** 2 / math.cosh(t) ** 2, z + near,
                          z + far, epsabs=1e-10)[0]  # fmt: skip
            total += quad(lambda t: self.cdf(t, v) ** 2 / math.cosh(t) ** 2, z - far, z - near,
                          epsabs=1e-10)[0]  # fmt: skip
        return total


def _ends(row: dict[str, object]) -> tuple[float, float]:
    """The interval of a row that printed none, on Fisher's z."""
    if row["reported"] == "range":
        return math.atanh(float(str(row["ri_low"]))), math.atanh(float(str(row["ri_high"])))
    critical = math.atanh(critical_r(float(str(row["ni"]))))
    return (-critical, critical) if row["reported"] == "not significant" else (critical, math.inf)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Problem:
    return problem(written(tmp_path_factory.mktemp("rows"), ROWS, "ZCOR"))


def _known(whole: Problem, rows: list[int]) -> Exact:
    part = problem_without(whole, ~np.isin(np.arange(whole.evidence.k), rows))
    return Exact(part, exact.integrate(part))


def _expected(
    whole: Problem, known: list[int], to_come: list[int], interval: Interval | None = None
) -> list[Forecast]:
    return forecasts(_known(whole, known), whole, to_come, interval or Interval())


def test_forecasts_are_those_of_a_posterior_by_gauss_legendre(whole: Problem) -> None:
    grid = Grid.of()
    found = _expected(whole, [0, 1, 2], [3, 4, 5, 6])
    for row, one in zip(ROWS[KNOWN:], found, strict=True):
        v = 1 / (float(str(row["ni"])) - 3)
        # Nodes of the grid resolve tau = 0, where the law of a large study is sharpest, to this.
        for end, share in ((one.lower, 0.025), (one.median, 0.5), (one.upper, 0.975)):
            assert grid.cdf(math.atanh(end), v) == pytest.approx(share, abs=1e-9)
        critical = math.atanh(critical_r(float(str(row["ni"]))))
        below, upto = grid.cdf(-critical, v), grid.cdf(critical, v)
        assert one.words == pytest.approx((below, upto - below, 1 - upto), abs=1e-9)
        if row["reported"] == "exact":
            z = math.atanh(float(str(row["ri"])))
            assert one.pit == pytest.approx((grid.cdf(z, v),) * 2, abs=1e-9)
            assert one.log_score == pytest.approx(math.log(grid.density(z, v)), abs=1e-8)
            assert one.crps == pytest.approx(grid.crps(z, v), abs=1e-8)
            assert one.chance is None
            continue
        low, high = _ends(row)
        upper = 1.0 if math.isinf(high) else grid.cdf(high, v)
        assert one.pit == pytest.approx((grid.cdf(low, v), upper), abs=1e-9)
        assert one.log_score == pytest.approx(math.log(upper - grid.cdf(low, v)), abs=1e-8)
        assert one.chance == pytest.approx(upper - grid.cdf(low, v), abs=1e-9)
        assert (one.held, one.crps) == (None, None)


def test_the_ranked_score_of_a_word_is_the_sum_over_its_two_thresholds(whole: Problem) -> None:
    number, word, range_, other = _expected(whole, [0, 1, 2], [3, 4, 5, 6])
    assert number.words and word.words and other.words
    # r = .52 of 25 people is significant.
    assert (number.word, word.word, other.word) == (
        ORDERED_WORDS[2],
        ORDERED_WORDS[2],
        ORDERED_WORDS[1],
    )
    for one in (number, word):
        assert one.words is not None
        first, second = one.words[0], one.words[0] + one.words[1]
        assert one.rps == pytest.approx(first**2 + second**2)
    first, second = other.words[0], other.words[0] + other.words[1]
    assert other.rps == pytest.approx(first**2 + (second - 1) ** 2)
    # From .1 to .4 a result of 80 people may be significant or not.
    assert (range_.word, range_.rps) == (None, None)


@pytest.mark.parametrize("kind", ["eti", "hdi"])
def test_a_number_holds_where_it_lies_within_the_interval(whole: Problem, kind: str) -> None:
    ((share, _),) = (one.pit or (0, 0) for one in _expected(whole, [0, 1, 2], [3]))
    # Of equal-tailed intervals, one that ends below .52, and one between that and its z.
    for prob in (2 * share - 1.02, 2 * share - 0.98):
        interval = Interval.model_validate({"prob": prob, "kind": kind})
        (one,) = _expected(whole, [0, 1, 2], [3], interval)
        assert one.pit is not None
        assert one.held is (one.lower <= 0.52 <= one.upper)
        if kind == "eti":
            assert one.held is ((1 - prob) / 2 <= one.pit[0] <= (1 + prob) / 2)


@dataclass(frozen=True)
class Model:
    """A model with priors, and the rows of Molloy et al. that it is to predict."""

    name: str
    rows: tuple[int, ...]
    priors: tuple[tuple[str, str], ...] = ()

    def problem(self) -> Problem:
        return problem(molloy(), self.name, **dict(self.priors))


MODELS = {
    "random effects": Model("random-effects", (0, 7, 15)),
    "common effect": Model("common-effect", (3,)),
    "a mean on panels": Model("random-effects", (4,), (("mu", "Cauchy(alpha=0, beta=0.3)"),)),
    "three levels": Model("three-level", (2,)),
    "total and share": Model("three-level", (2,), (("tau", "HalfNormal(sigma=0.2)"),)),
    "Student-t effects": Model("student-t", (5,), (("nu", "DiracDelta(c=4)"),)),
    "exact law, no heterogeneity": Model("exact-r", (0,), (("tau", "DiracDelta(c=0)"),)),
    "a known mean": Model("random-effects", (6,), (("mu", "DiracDelta(c=0.2)"),)),
    "a mean in units of tau": Model(
        "random-effects", (6,), (("mu", "Normal(mu=1, sigma=2) on mu/tau"),)
    ),
}


@pytest.mark.parametrize("case", MODELS.values(), ids=MODELS)
def test_the_law_of_a_row_is_what_the_evidence_says_of_it(case: Model) -> None:
    encoded = case.problem()
    whole = exact.integrate(encoded).log_integral
    for row in case.rows:
        known = _known(encoded, [other for other in range(encoded.evidence.k) if other != row])
        (one,) = forecasts(known, encoded, [row], Interval())
        # What evidence and laws are each integrated to.
        assert one.log_score == pytest.approx(whole - known.quadrature.log_integral, abs=1e-8)


@pytest.mark.parametrize("name", ["random-effects", "three-level", "exact-r"])
def test_the_score_of_any_row_is_what_the_evidence_says_of_it(name: str, tmp_path: Path) -> None:
    encoded = problem(written(tmp_path, ROWS, "ZCOR"), name)
    known = _known(encoded, [0, 1])
    rows = [3, 4] if name == "exact-r" else [2, 3, 4, 5]
    for row, one in zip(rows, forecasts(known, encoded, rows, Interval()), strict=True):
        both = _known(encoded, [0, 1, row])
        expected = both.quadrature.log_integral - known.quadrature.log_integral
        assert one.log_score == pytest.approx(expected, abs=1e-8)


def test_the_chance_of_a_word_of_several_tests_is_what_the_evidence_says_of_it() -> None:
    encoded = problem(several_tests())
    row = int(np.flatnonzero(encoded.evidence.sums_up)[0])
    rest = np.flatnonzero(~encoded.evidence.is_interval)[:3].tolist()
    known = _known(encoded, rest)
    (one,) = forecasts(known, encoded, [row], Interval())
    both = _known(encoded, [*rest, row])
    expected = both.quadrature.log_integral - known.quadrature.log_integral
    assert one.log_score == pytest.approx(expected, abs=1e-8)
    # Words of several tests are no three parts of one whole.
    assert (one.words, one.rps, one.pit) == (None, None, None)
    assert one.word == encoded.evidence.rows[row].reported


def test_a_prior_predicts_before_any_row_is_known(whole: Problem) -> None:
    before = before_data(whole)
    prior = Exact(before, exact.integrate(before))
    grid = Grid.of(0)
    for row, one in zip((0, 2), forecasts(prior, whole, [0, 2], Interval()), strict=True):
        v = float(whole.evidence.v[row])
        assert one.median == pytest.approx(0, abs=1e-12)
        assert grid.cdf(math.atanh(one.upper), v) == pytest.approx(0.975, abs=1e-9)
        assert one.words is not None and one.words[0] == pytest.approx(one.words[2])


def test_moderators_are_those_of_the_row(tmp_path: Path) -> None:
    rows = [
        {"study": s, "yi": y, "vi": 0.02, "x": x}
        for s, y, x in [("a", 0.1, 0), ("b", 0.5, 2), ("c", 0.35, 1), ("d", 0.9, 4), ("e", 0, 5)]
    ]
    priors = {"mu": "Normal(mu=0, sigma=1)", "beta": "Normal(mu=0, sigma=1)"}
    encoded = problem(
        written(tmp_path, rows), "random-effects", "~ x", tau="DiracDelta(c=0.1)", **priors
    )
    one, other = _expected(encoded, [0, 1, 2], [3, 4])
    # Ridge regression: all is normal given tau.
    x = np.array([[1, 0], [1, 2], [1, 1]])
    precision = x.T @ x / 0.03 + np.eye(2)
    mean = np.linalg.solve(precision, x.T @ np.array([0.1, 0.5, 0.35]) / 0.03)
    new = np.array([1, 4])
    law = stats.norm(new @ mean, math.sqrt(new @ np.linalg.solve(precision, new) + 0.03))
    assert (one.lower, one.upper) == pytest.approx((law.ppf(0.025), law.ppf(0.975)), abs=1e-9)
    assert one.log_score == pytest.approx(law.logpdf(0.9), abs=1e-9)
    far = np.array([1, 5])
    assert other.median == pytest.approx(far @ mean, abs=1e-9)
    # On yi nothing is a correlation, and no test is known.
    assert (one.words, one.word, one.rps) == (None, None, None)
    u = (0.9 - law.mean()) / law.std()
    # The CRPS of a normal law (Gneiting and Raftery 2007).
    closed = law.std() * (u * (2 * stats.norm.cdf(u) - 1) + 2 * stats.norm.pdf(u) - math.pi**-0.5)
    assert one.crps == pytest.approx(closed, abs=1e-9)


def test_a_law_without_a_mean_has_no_crps(tmp_path: Path) -> None:
    rows = [{"study": s, "yi": y, "vi": 0.01} for s, y in [("a", 0.1), ("b", 0.4), ("c", 0.2)]]
    priors = {"mu": "Flat()", "tau": "HalfCauchy(beta=1)"}
    encoded = problem(written(tmp_path, rows), "random-effects", **priors)
    assert _expected(encoded, [0], [2])[0].crps is None
    assert _expected(encoded, [0, 1], [2])[0].crps is not None


def test_the_word_of_a_number_is_that_of_its_test() -> None:
    evidence = problem(alliance()).evidence
    for row, printed in enumerate(evidence.rows):
        found = word_of(evidence, row)
        if printed.reported in ORDERED_WORDS:
            assert found == printed.reported
        elif printed.ri is not None and printed.ni is not None:
            t = printed.ri * math.sqrt((printed.ni - 2) / (1 - printed.ri**2))
            p = 2 * stats.t.sf(abs(t), printed.ni - 2)
            assert found == (ORDERED_WORDS[1] if p > 0.05 else ORDERED_WORDS[2 if t > 0 else 0])
        else:
            assert (printed.reported, found) == ("range", None)
