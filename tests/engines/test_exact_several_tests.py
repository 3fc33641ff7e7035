"""Words that sum up several tests: their probability, and posteriors with them."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import quad
from scipy.special import ndtr

from cases import alliance, model
from grammar_cases import PARTS, several_tests
from metarho.data.studies import Studies
from metarho.engines import exact, nuts
from metarho.engines.exact.intervals import log_interval, log_several, log_several_shared
from metarho.engines.exact.likelihood import log_likelihood_table
from metarho.engines.nuts.layout import several_tests_rule
from metarho.engines.problem import Problem, encode
from metarho.errors import InputError
from metarho.fitting import Settings, fit_many
from metarho.posterior.exact import Exact
from metarho.spec.analysis import Sampler
from metarho.spec.model import Step, StepSelection
from metarho.spec.priors import parse_prior
from metarho.store.keys import key_of

type Array = NDArray[np.float64]

ENDS = {"band": (-0.35, 0.35), "above": (0.3, math.inf), "below": (-math.inf, -0.3)}


def _as_tests(studies: Studies, tests: int, **changes: Any) -> Studies:
    changes = {"tests": tests, **changes}
    rows = [replace(row, **changes) if row.is_interval else row for row in studies.rows]
    return replace(studies, rows=tuple(rows))


def _box(ends: tuple[float, float], mean: float, covariance: Array) -> float:
    """P(all estimates between two ends) by Genz's algorithm."""
    tests = len(covariance)
    law = stats.multivariate_normal(
        np.full(tests, mean), covariance, abseps=1e-11, releps=1e-11, maxpts=4_000_000, seed=1
    )
    return float(law.cdf(np.full(tests, ends[1]), lower_limit=np.full(tests, ends[0])))


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("mean", [-0.5, 0.0, 0.4])
def test_the_probability_of_several_tests_is_that_of_a_box(ends: str, mean: float) -> None:
    v, rho, tau2 = 0.04, 0.5, 0.02
    covariance = tau2 + v * (rho + (1 - rho) * np.eye(2))
    low, high = ENDS[ends]
    shared, at = np.array([tau2 + rho * v]), np.array([mean])
    seen = log_several_shared((low, high), at, v * (1 - rho), shared, 2, "all")
    # Genz's algorithm is exact to 1e-11 in two dimensions.
    assert math.exp(seen[0]) == pytest.approx(_box((low, high), mean, covariance), abs=1e-10)
    # Any = one + other − both.
    one = stats.norm(mean, math.sqrt(v + tau2))
    any_of = 2 * (one.cdf(high) - one.cdf(low)) - math.exp(seen[0])
    seen = log_several_shared((low, high), at, v * (1 - rho), shared, 2, "any")
    assert math.exp(seen[0]) == pytest.approx(any_of, abs=1e-10)


@given(
    mean=st.floats(-3, 3),
    tau2=st.floats(0, 25),
    tests=st.integers(2, 40),
    rho=st.floats(0.02, 0.98),
    name=st.sampled_from(sorted(ENDS)),
)
def test_more_tests_are_less_often_all_and_more_often_any(
    mean: float, tau2: float, tests: int, rho: float, name: str
) -> None:
    v, ends, at = 0.03, ENDS[name], np.array([mean])
    own, shared = v * (1 - rho), np.array([v * rho + tau2])
    sd = math.sqrt(v + tau2)
    low, high = np.array([(ends[0] - mean) / sd]), np.array([(ends[1] - mean) / sd])
    one = log_interval(low, high)[0]
    found = {
        (means, m): float(log_several_shared(ends, at, own, shared, m, means)[0])
        for means in ("all", "any")
        for m in (1, tests, tests + 1)
    }
    # One test is an ordinary interval, however its error is split.
    assert found["all", 1] == pytest.approx(one, rel=1e-11, abs=1e-12)
    assert found["any", 1] == pytest.approx(one, rel=1e-11, abs=1e-12)
    slack = 1e-11 * (1 + abs(one) * tests)
    assert found["all", tests + 1] <= found["all", tests] + slack <= one + 2 * slack
    assert one - 2 * slack <= found["any", tests] - slack <= found["any", tests + 1]
    # Bonferroni.
    assert found["any", tests] <= one + math.log(tests) + slack


@pytest.mark.parametrize("means", ["all", "any"])
@pytest.mark.parametrize("name", ENDS)
def test_the_table_and_the_rule_of_the_sampled_engine_equal_adaptive_integration(
    name: str, means: str
) -> None:
    studies = _as_tests(alliance(), 3, word_means=means)
    evidence = encode(model("random-effects"), studies).evidence
    low, high = ENDS[name]
    row = int(np.flatnonzero(evidence.is_interval)[0])
    one = evidence.only(np.arange(evidence.k) == row)
    one = replace(one, lower=np.array([low]), upper=np.array([high]))
    mu, tau2 = np.array([-0.6, 0.0, 0.3, 0.9]), np.array([0.0, 1e-6, 0.02, 1.0])
    zero = np.zeros(4)
    table = log_likelihood_table(one, mu, zero, tau2)
    nested = log_likelihood_table(one, mu, tau2, zero)
    x, log_g, end, side = several_tests_rule(one, 0)
    own = float(one.v_own[0])
    for i, variance in enumerate(tau2):
        sd = math.sqrt(variance + one.v[0] - own)
        for j, mean in enumerate(mu):
            truth = math.log(_by_quad((low, high), mean, sd, math.sqrt(own), means))
            assert table[i, j] == pytest.approx(truth, rel=1e-10, abs=1e-10)
            assert nested[i, j] == pytest.approx(truth, rel=1e-10, abs=1e-10)
            sum_of_rule = np.logaddexp.reduce(log_g + stats.norm.logpdf(x, mean, sd))
            beyond = stats.norm.logcdf(side * (mean - end) / sd)
            assert np.logaddexp(sum_of_rule, beyond) == pytest.approx(truth, rel=1e-8, abs=1e-8)


def _by_quad(ends: tuple[float, float], mean: float, sd: float, own: float, means: str) -> float:
    """The integral over the shared part, of three tests."""

    def density(x: float) -> float:
        a, b = (ends[0] - x) / own, (ends[1] - x) / own
        one = float(ndtr(-a) - ndtr(-b) if a + b > 0 else ndtr(b) - ndtr(a))
        several = one**3 if means == "all" else one * (3 - 3 * one + one**2)
        return math.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * math.sqrt(2 * math.pi)) * several

    edges = [end for end in ends if math.isfinite(end)]
    low, high = min(mean, *edges) - 9 * max(sd, own), max(mean, *edges) + 9 * max(sd, own)
    cuts = np.linspace(low, high, 80)
    near = np.linspace(min(edges) - 8 * own, max(edges) + 8 * own, 40)
    cuts = np.unique(np.concatenate([cuts, near[(near > low) & (near < high)]]))
    parts = [quad(density, a, b, epsabs=0, epsrel=1e-10)[0] for a, b in pairwise(cuts)]
    return math.fsum(parts)


def test_one_test_is_bit_for_bit_what_it_was() -> None:
    plain = encode(model("random-effects"), alliance())
    named = encode(model("random-effects"), _as_tests(alliance(), 1, word_means="any"))
    first, second = exact.integrate(plain), exact.integrate(named)
    assert first.log_integral == second.log_integral
    assert np.array_equal(first.mass, second.mass)
    sampler = Sampler()
    assert key_of(plain, "exact", sampler) == key_of(named, "exact", sampler)
    several = encode(model("random-effects"), _as_tests(alliance(), 2))
    assert key_of(plain, "exact", sampler) != key_of(several, "exact", sampler)
    other = encode(model("random-effects"), _as_tests(alliance(), 2, rho_tests=0.3))
    assert key_of(other, "exact", sampler) != key_of(several, "exact", sampler)


def test_the_posterior_with_several_tests_equals_adaptive_integration() -> None:
    priors = {"mu": parse_prior("Normal(mu=0, sigma=0.5)")}
    priors |= {"tau": parse_prior("HalfNormal(sigma=0.25)")}
    rows = [row for row in several_tests().rows if row.included][::3]
    studies = replace(several_tests(), rows=tuple(rows))
    problem = encode(model("random-effects"), studies, priors)
    assert problem.evidence.sums_up.any()
    found = exact.integrate(problem)

    # Gauss–Legendre rules far finer than the integrand, and the textbook's laws.
    tau, over_tau = _legendre(0, 2.2, 60)
    mu, over_mu = _legendre(-1.3, 1.8, 200)
    log_joint = stats.norm.logpdf(mu, 0, 0.5) + stats.halfnorm.logpdf(tau, 0, 0.25)[:, None]
    log_joint = log_joint + _log_rows_by_rule(problem, mu, tau[:, None])
    shift = log_joint.max()
    mass = np.exp(log_joint - shift) * over_mu * over_tau[:, None]
    assert found.log_integral == pytest.approx(math.log(mass.sum()) + shift, abs=1e-8)
    seen = Exact(problem, found).parameters["mu"].summary(0.95, "eti")
    share = mass.sum(axis=0) / mass.sum()
    assert seen.mean == pytest.approx(share @ mu, abs=1e-8)
    assert seen.sd == pytest.approx(math.sqrt(share @ (mu - share @ mu) ** 2), abs=1e-8)


def _legendre(low: float, high: float, count: int) -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    half = 0.5 * (high - low)
    return low + half * (1 + nodes), half * weights


def _log_rows_by_rule(problem: Problem, mu: Array, tau: Array) -> Array:
    """The textbook's likelihood on a grid, what tests share on 600 points."""
    evidence, total = problem.evidence, np.zeros(np.broadcast_shapes(mu.shape, tau.shape))
    x, weights = _legendre(-7, 7, 600)
    for row, known in enumerate(evidence.rows):
        law = stats.norm(mu, np.sqrt(evidence.v[row] + tau**2))
        low, high = evidence.lower[row], evidence.upper[row]
        if not evidence.is_interval[row]:
            total += law.logpdf(evidence.y[row])
        elif known.tests == 1:
            total += np.log(np.maximum(law.cdf(high) - law.cdf(low), 1e-300))
        else:
            own, shared = evidence.v[row] / 2, evidence.v[row] / 2 + tau**2
            one = stats.norm.cdf((high - x) / own**0.5) - stats.norm.cdf((low - x) / own**0.5)
            every = one**known.tests
            word = every if known.word_means == "all" else 1 - (1 - one) ** known.tests
            density = stats.norm.pdf(x, mu[None, :, None], np.sqrt(shared)[..., None])
            total += np.log(np.maximum(density @ (word * weights), 1e-300))
    return total


def test_several_tests_beside_other_rows_of_a_study_are_left_to_the_sampled_engine() -> None:
    problem = PARTS["study and effect, several tests"].problem()
    assert "several tests in a study with other rows" in str(exact.covers(problem))
    assert nuts.covers(problem) is None
    # Alone in their study they are not.
    apart = [row for row in several_tests().rows if row.study not in ("Heim 2018", "Preschl 2011")]
    studies = replace(several_tests(), rows=tuple(apart))
    several = {row.study for row in studies.used if row.is_interval and row.tests > 1}
    alone = [row for row in studies.rows if row.study not in several]
    firsts = {row.study: row for row in studies.used if row.study in several and row.tests > 1}
    studies = replace(studies, rows=(*alone, *firsts.values()))
    problem = encode(PARTS["study and effect, several tests"].model(), studies)
    assert problem.evidence.sums_up.any()
    assert exact.covers(problem) is None


def test_a_word_left_out_is_predicted_as_a_refit_predicts_it() -> None:
    from metarho.engines.exact.leave_out import effects_out
    from metarho.engines.problem import problem_without

    problem = encode(model("random-effects"), several_tests())
    whole = exact.integrate(problem)
    row = np.flatnonzero(problem.evidence.sums_up)[:1]
    (out,) = effects_out(problem, whole, row)
    rest = exact.integrate(problem_without(problem, np.arange(problem.evidence.k) == row))
    assert out.log_density == pytest.approx(whole.log_integral - rest.log_integral, abs=1e-9)


# Slow: it compiles; that both densities are the textbook's is proved in a moment.
@pytest.mark.slow
def test_both_engines_agree_on_several_tests() -> None:
    settings = Settings(engine="exact", agreement=True, sampler=Sampler(seed=3))
    problems = [PARTS["random effects, several tests"].problem()]
    for fit in fit_many(problems, settings):
        assert fit.agreement is not None
        # The threshold is 4 MCSE, adjusted for the number of quantities.
        assert fit.agreement.holds, fit.agreement


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"likelihood": "exact-r"}, "exact-r"),
        ({"effects": "student-t"}, "student-t"),
        ({"selection": StepSelection(step=Step(cutpoints=(0.025,), weights=(0.5,)))}, "selection"),
    ],
)
def test_what_has_no_joint_law_of_several_tests_is_refused(
    changes: dict[str, object], named: str
) -> None:
    base = model("random-effects")
    priors = {**base.priors, "nu": parse_prior("Gamma(alpha=2, beta=0.1)")}
    changed = base.model_copy(update={**changes, "priors": priors})
    with pytest.raises(InputError, match=f"sum up several tests .*{named}"):
        encode(changed, several_tests())


def test_errors_that_correlate_between_rows_do_not_go_with_several_tests() -> None:
    studies = replace(several_tests(), rho_within=0.5)
    samples = replace(studies, rows=tuple(replace(row, sample="one") for row in studies.rows))
    with pytest.raises(InputError, match="rho_within"):
        encode(model("random-effects"), samples)


def test_a_rule_that_would_be_too_long_is_refused_by_the_sampled_engine() -> None:
    hopeless = _as_tests(alliance(), 2, rho_tests=1e-8)
    problem = encode(model("random-effects"), hopeless)
    assert "rho_tests" in str(nuts.covers(problem))
    assert nuts.covers(encode(model("random-effects"), _as_tests(alliance(), 2))) is None


def test_rare_words_keep_their_order() -> None:
    far = np.array([-60.0, -40.0, -20.0])
    seen = log_several(far - 1, far, 4, "any")
    assert seen == pytest.approx(math.log(4) + log_interval(far - 1, far), rel=1e-12)
    assert np.all(np.diff(seen) > 0)
