"""Unknown weights of selection that the exact engine integrates out, and slopes of bias."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import dblquad, quad

import textbook
from cases import alliance, model, molloy
from grammar_cases import few_words
from metarho.data.studies import Studies, load_studies
from metarho.engines import exact
from metarho.engines.exact.selection import MOST_KINDS, Rows, selected_rows
from metarho.engines.exact.weight_panels import Selection, forget, selection_of
from metarho.engines.exact.weights import Rule, weight_law
from metarho.engines.problem import Problem, encode
from metarho.errors import InputError
from metarho.posterior.exact import Exact
from metarho.posterior.joint import independent_draws
from metarho.spec.model import Step, StepSelection
from metarho.spec.priors import parse_prior

type Array = NDArray[np.float64]

ONE = {"omega": "CumulativeDirichlet(alpha=[1, 1])"}
TWO = {"omega": "CumulativeDirichlet(alpha=[1, 2, 1])"}
THREE = {"omega": "CumulativeDirichlet(alpha=[1, 1, 1, 1])"}
APART = {"omega": "Beta(alpha=2, beta=4.5)"}


def selected(studies: Studies, step: Step, **priors: str) -> Problem:
    """Random effects, selected by a step function."""
    base = model("random-effects")
    own = {**base.priors, **{name: parse_prior(text) for name, text in priors.items()}}
    update = {"selection": StepSelection(step=step), "priors": own}
    return encode(base.model_copy(update=update), studies)


CASES = {
    "one weight": selected(few_words(), Step(cutpoints=(0.05,), test="t"), **ONE),
    "two-sided": selected(molloy(), Step(cutpoints=(0.05,), sides="two"), **ONE),
    "two weights": selected(molloy(), Step(cutpoints=(0.025, 0.5)), **TWO),
    "two weights, words": selected(few_words(), Step(cutpoints=(0.05, 0.5)), **TWO),
    "two-sided, two weights": selected(
        few_words(), Step(cutpoints=(0.05, 0.1), sides="two", test="t"), **TWO
    ),
    "against the wish": selected(few_words(), Step(cutpoints=(0.05,), favours="negative"), **ONE),
    "weights apart": selected(molloy(), Step(cutpoints=(0.025, 0.5)), **APART),
    "three weights": selected(molloy(), Step(cutpoints=(0.025, 0.05, 0.5), test="t"), **THREE),
}
# SciPy integrates one or two.
TRIPLE = "three weights"


def _factor(problem: Problem, mu: float, tau: float) -> Callable[[Array], Array]:
    """What selection multiplies the likelihood by, as a function of weights of all bands (B, …)."""
    evidence, selection = problem.evidence, problem.model.selection
    assert isinstance(selection, StepSelection)
    bands = len(selection.step.cutpoints) + 1
    all_results, own = np.zeros((evidence.k, bands)), np.zeros((evidence.k, bands))
    for row in range(evidence.k):
        law = stats.norm(mu, math.sqrt(evidence.v[row] + tau**2))
        ends, band_of = textbook.stretches(
            selection.step, evidence.v[row], float(evidence.sizes[row])
        )
        for band, high, low in zip(band_of, ends[:-1], ends[1:], strict=True):
            all_results[row, band] += law.cdf(high) - law.cdf(low)
            if evidence.is_interval[row]:
                inside = max(low, evidence.lower[row]), min(high, evidence.upper[row])
                own[row, band] += max(law.cdf(inside[1]) - law.cdf(inside[0]), 0.0)
            else:
                own[row, band] += float(low <= evidence.y[row] < high)
    own = own / own.sum(axis=1)[:, None]
    return lambda weights: np.prod((own @ weights) / (all_results @ weights), axis=0)


def _over_weights(problem: Problem, mu: float, tau: float) -> float:
    """The same, averaged over the prior of the weights by SciPy."""
    factor = _factor(problem, mu, tau)
    joint = problem.model.priors["omega"]
    if len(problem.shapes) == 1:
        return float(
            quad(lambda w: float(factor(np.array([1.0, w]))), 0, 1, epsrel=1e-10, limit=200)[0]
        )
    if joint.is_joint:
        law = stats.dirichlet(dict(joint.lists)["alpha"])
        found, _ = dblquad(
            lambda c, b: law.pdf([1 - b, b - c, c]) * factor(np.array([1.0, b, c])),
            *(0, 1, 0, lambda b: b),
            epsabs=0,
            epsrel=1e-7,
        )
    else:
        one = stats.beta(*joint.values.values())
        found, _ = dblquad(
            lambda c, b: one.pdf(b) * one.pdf(c) * factor(np.array([1.0, b, c])),
            *(0, 1, 0, 1),
            epsabs=0,
            epsrel=1e-8,
        )
    return float(found)


@pytest.mark.parametrize("name", [name for name in CASES if name != TRIPLE])
def test_weights_are_integrated_as_scipy_does_adaptively(name: str) -> None:
    problem = CASES[name]
    found = selection_of(problem)
    assert found is not None
    for mu, tau in ((0.1, 0.1), (0.25, 0.0), (-0.05, 0.3)):
        truth = math.log(_over_weights(problem, mu, tau))
        seen = float(found.log_expected(np.array([tau]), np.array([mu]))[0, 0])
        # Selection is known to 1e-7 (``quadrature.solve``).
        assert seen == pytest.approx(truth, abs=1e-7), (mu, tau)


@pytest.mark.parametrize("name", ["two-sided", "two weights", "weights apart", "three weights"])
def test_panels_hold_what_rules_without_panels_find(name: str) -> None:
    # Far below 0 the law of the weights changes its end, and panels are cut for it.
    problem = CASES[name]
    found = selection_of(problem)
    assert found is not None
    tau, mu = np.linspace(0.002, 0.35, 5), np.linspace(-0.45, 0.45, 25)
    normal = np.zeros((5, 25))
    for y, v in zip(problem.evidence.y, problem.evidence.v, strict=True):
        normal += stats.norm.logpdf(y, mu, np.sqrt(v + tau[:, None] ** 2))
    forget()
    seen = normal + found.log_expected(tau, mu, normal)
    anew = normal + np.stack([found.log_expected_anew(float(one), mu) for one in tau])
    share = np.exp(anew - anew.max())
    # 1e-8 is asked of what holds most (``weight_panels``), a hundredth of itself of all that can
    # be seen: errors are judged by how terms fall, and may be a few times that.
    assert np.abs(np.exp(seen - anew.max()) - share).max() < 3e-8
    assert np.abs(seen - anew)[share > 1e-9].max() < 3e-2


def _gauss(low: float, high: float, count: int) -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return low + 0.5 * (high - low) * (1 + nodes), 0.5 * (high - low) * weights


def test_three_weights_of_many_words_are_those_of_a_dense_sum() -> None:
    # "Not significant" eleven times: a weight may be of any order of magnitude.
    known = {"mu": "DiracDelta(c=0)", "tau": "DiracDelta(c=0)"}
    problem = selected(alliance(), Step(cutpoints=(0.025, 0.05, 0.5), test="t"), **THREE, **known)
    found = selection_of(problem)
    assert found is not None
    # Of Dirichlet(1, 1, 1, 1) ratios of neighbours are Beta(3, 1), Beta(2, 1), Uniform.
    u, of_u = _gauss(0, math.asinh(1e4), 60)
    ratio, of_ratio = 1e-4 * np.sinh(u), 1e-4 * np.cosh(u) * of_u
    first, second, third = np.meshgrid(ratio, ratio, ratio, indexing="ij")
    weights = np.stack([np.ones(first.shape), first, first * second, first * second * third])
    mass = 6 * first**2 * second
    mass *= of_ratio[:, None, None] * of_ratio[:, None] * of_ratio
    truth = math.log(_factor(problem, 0.0, 0.0)(weights.reshape(4, -1)) @ mass.ravel())
    # Nodes a weight are added until it is known to 1e-8: with 14 it is 2e-6 off.
    seen = float(found.log_expected(np.zeros(1), np.zeros(1))[0, 0])
    assert seen == pytest.approx(truth, abs=5e-8)
    assert exact.integrate(problem).quad_err < 1e-7


@pytest.mark.slow  # A hundred million terms.
def test_the_posterior_of_two_weights_is_that_of_a_dense_sum() -> None:
    problem = CASES["two weights"]
    posterior = Exact(problem, exact.integrate(problem))
    assert posterior.quadrature.quad_err < 1e-7
    evidence = problem.evidence
    (tau, of_tau), (mu, of_mu) = _gauss(0, 1.5, 60), _gauss(-1.6, 0.9, 100)
    # Weights above and below a bend: 12 and 20 nodes.
    low, high = _gauss(0, 0.15, 20), _gauss(0.15, 1, 20)
    b, of_b = (np.concatenate(pair) for pair in zip(low, high, strict=True))
    omega = np.stack([np.ones(1600), np.repeat(b, 40), np.repeat(b, 40) * np.tile(b, 40)], axis=1)
    # Dirichlet(1, 2, 1): 6 δ_1 of its density, by the change from (ω_1, ω_2) to ratios.
    delta = omega[:, 1] - omega[:, 2]
    prior = 6 * delta * omega[:, 1] * np.repeat(of_b, 40) * np.tile(of_b, 40)
    mass = np.zeros((len(tau), len(mu), len(omega)))
    cuts = stats.norm.isf([0.025, 0.5])
    for i, one in enumerate(tau):
        log_rows = np.zeros((len(mu), len(omega)))
        for y, v in zip(evidence.y, evidence.v, strict=True):
            law = stats.norm(mu[:, None], math.sqrt(v + one**2))
            above = law.sf(cuts * math.sqrt(v))
            chances = np.column_stack([above[:, 0], above[:, 1] - above[:, 0], 1 - above[:, 1]])
            band = int((y < cuts * math.sqrt(v)).sum())
            log_rows += np.log(omega[:, band] / (chances @ omega.T)) + law.logpdf(y)
        log_prior = stats.norm(0, 0.5).logpdf(mu) + stats.halfnorm(scale=0.25).logpdf(one)
        mass[i] = np.exp(log_rows + log_prior[:, None]) * of_tau[i] * of_mu[:, None] * prior
    total = mass.sum()
    # What lies beyond the box, and the rules' error, are below 1e-6.
    assert posterior.quadrature.log_evidence == pytest.approx(math.log(total), abs=2e-6)
    values = {
        "mu": (mass.sum(axis=(0, 2)), mu),
        "tau": (mass.sum(axis=(1, 2)), tau),
        problem.shapes[0]: (mass.sum(axis=(0, 1)), omega[:, 1]),
        problem.shapes[1]: (mass.sum(axis=(0, 1)), omega[:, 2]),
    }
    for name, (share, value) in values.items():
        seen = posterior.parameters[name].summary(0.95, "eti")
        mean = float(share @ value / total)
        sd = math.sqrt(float(share @ (value - mean) ** 2 / total))
        # What the box and the rules leave out of the sd of mu, whose lower tail is long, is 1e-5.
        assert seen.mean == pytest.approx(mean, abs=3e-5 * sd), name
        assert seen.sd == pytest.approx(sd, rel=3e-5), name


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("k", [40, 1200])
def test_weights_of_few_and_of_many_rows_have_the_posterior_of_a_dense_sum(
    k: int, joint: bool, tmp_path: Path
) -> None:
    # Mu and tau are known, so that two weights are all there is; of 1,200 rows their law is narrow.
    rng = np.random.default_rng(8)
    n = rng.choice([40, 90, 200], 8 * k)
    se, cuts = 1 / np.sqrt(n - 3), stats.norm.isf([0.025, 0.5])
    y = rng.normal(0.08, np.sqrt(se**2 + 0.01))
    band = (y[:, None] < cuts * se[:, None]).sum(axis=1)
    reported = np.flatnonzero(rng.uniform(size=8 * k) < np.array([1.0, 0.35, 0.1])[band])[:k]
    y, n, band = y[reported], n[reported], band[reported]
    table = tmp_path / "many.csv"
    lines = [f"s{i},{r!r},{m}" for i, (r, m) in enumerate(zip(np.tanh(y).tolist(), n, strict=True))]
    table.write_text("\n".join(["study,ri,ni", *lines]), encoding="utf-8")
    known = {"mu": "DiracDelta(c=0.08)", "tau": "DiracDelta(c=0.1)"}
    omega = "CumulativeDirichlet(alpha=[1, 2, 1])" if joint else "Uniform(lower=0, upper=1)"
    step = Step(cutpoints=(0.025, 0.5))
    columns = {"study": "study", "ri": "ri", "ni": "ni"}
    problem = selected(load_studies(table, columns=columns), step, omega=omega, **known)
    found = Exact(problem, exact.integrate(problem)).parameters

    # Cells of a grid that is even in the square root: the second weight is small.
    root = (np.arange(1500) + 0.5) / 1500
    b, c = root[:, None] ** 2, root[None, :] ** 2
    prior = np.where(c < b, b - c, 0.0) if joint else np.ones((1500, 1500))
    with np.errstate(divide="ignore"):
        logs = np.log(prior * root[:, None] * root[None, :])
    counts = np.bincount(band, minlength=3)
    logs = logs + counts[1] * np.log(b) + counts[2] * np.log(c)
    for size, rows in zip(*np.unique(n, return_counts=True), strict=True):
        above = stats.norm(0.08, math.sqrt(1 / (size - 3) + 0.01)).sf(cuts / math.sqrt(size - 3))
        logs -= rows * np.log(above[0] + (above[1] - above[0]) * b + (1 - above[1]) * c)
    mass = np.exp(logs - logs.max())
    for name, axis, value in zip(problem.shapes, (1, 0), (b[:, 0], c[0]), strict=True):
        share = mass.sum(axis=axis) / mass.sum()
        mean = float(share @ value)
        sd = math.sqrt(float(share @ (value - mean) ** 2))
        seen = found[name].summary(0.95, "eti")
        # The edge of c < b runs through cells: 1e-4 of an sd.
        assert seen.mean == pytest.approx(mean, abs=1e-4 * sd), name
        assert seen.sd == pytest.approx(sd, rel=1e-4), name


def test_a_weight_integrated_at_nodes_has_the_posterior_of_one_on_an_axis() -> None:
    step = Step(cutpoints=(0.025,))
    at_nodes = selected(molloy(), step, omega="Uniform(lower=0, upper=1)")
    on_axis = selected(molloy(), step, omega="Uniform(lower=1e-13, upper=1)")
    assert weight_law(at_nodes) is not None
    assert weight_law(on_axis) is None
    first, second = (Exact(one, exact.integrate(one)) for one in (at_nodes, on_axis))
    log_evidences = [one.quadrature.log_evidence for one in (first, second)]
    assert log_evidences[0] == pytest.approx(log_evidences[1], abs=1e-7)
    for name in ("mu", "tau", "omega"):
        ours, theirs = (one.parameters[name].summary(0.95, "eti") for one in (first, second))
        assert theirs.sd is not None
        for what in ("mean", "sd", "median", "lower", "upper"):
            difference = getattr(ours, what) - getattr(theirs, what)
            assert abs(difference) < 1e-5 * theirs.sd, (name, what)


@pytest.mark.parametrize("name", ["two weights, words", "weights apart", "two-sided"])
def test_draws_follow_the_posteriors(name: str) -> None:
    problem = CASES[name]
    quadrature = exact.integrate(problem)
    draws = independent_draws(problem, quadrature, 4000, np.random.default_rng(6))
    for parameter, marginal in Exact(problem, quadrature).parameters.items():
        # A right one fails once in 1,000 draws of a seed.
        assert stats.kstest(draws[parameter], marginal.cdf).pvalue > 1e-3, parameter


@pytest.mark.parametrize("largest", [900, 1e6])
def test_many_rows_are_summed_between_few(largest: float) -> None:
    rng = np.random.default_rng(3)
    # Evenly in their logarithm: registers of a million beside studies of ten.
    n = np.round(np.exp(rng.uniform(np.log(8), np.log(largest), 400)))
    y, blank = rng.normal(0.2, 0.2, 400), np.full(400, np.nan)
    for step in (Step(cutpoints=(0.025, 0.5)), Step(cutpoints=(0.05,), sides="two", test="t")):
        together = selected_rows(Rows(y, 1 / (n - 3), blank, blank, n), step)
        assert MOST_KINDS <= len(together.v) < 100
        weights = np.array([1.0, 0.6, 0.2])[: len(step.cutpoints) + 1]
        for mu, tau in ((0.2, 0.0), (0.0, 0.1), (-0.3, 0.5)):
            alone = 0.0
            for each in range(400):
                one = slice(each, each + 1)
                row = Rows(y[one], 1 / (n[one] - 3), blank[one], blank[one], n[one])
                kind = selected_rows(row, step)
                sums = weights @ kind.shares(np.array([mu]), tau**2)[0]
                alone += float(kind.counts @ np.log(weights) + kind.powers @ np.log(sums))
            sums = weights @ together.shares(np.array([mu]), tau**2)[0]
            found = float(together.counts @ np.log(weights) + together.powers @ np.log(sums))
            assert found == pytest.approx(alone, abs=1e-7)


@pytest.mark.parametrize(("name", "power"), [("pet", 1), ("peese", 2)])
@pytest.mark.parametrize("studies", [molloy(), few_words()], ids=["numbers", "words"])
def test_a_slope_of_bias_is_integrated_as_scipy_does_adaptively(
    name: str, power: int, studies: Studies
) -> None:
    # mu and tau held: what is left is one integral that SciPy can do.
    spec = model("random-effects").model_copy(update={"selection": name})
    texts = {"mu": "DiracDelta(c=0.1)", "tau": "DiracDelta(c=0.12)", name: "HalfNormal(sigma=2)"}
    problem = encode(spec, studies, {one: parse_prior(text) for one, text in texts.items()})
    found = exact.integrate(problem)

    def density(slope: float) -> float:
        values = {"mu": np.array(0.1), "tau": np.array(0.12), name: np.array(slope)}
        log_prior = float(stats.halfnorm.logpdf(slope, scale=2))
        return math.exp(textbook.log_density(problem, values) + log_prior)

    total, _ = quad(density, 0, 20, epsabs=0, epsrel=1e-10, points=(0.5, 2))
    mean, _ = quad(lambda s: s * density(s), 0, 20, epsabs=0, epsrel=1e-10, points=(0.5, 2))
    assert found.log_evidence == pytest.approx(math.log(total), abs=1e-8)
    seen = Exact(problem, found).parameters[name].summary(0.95, "eti")
    assert seen.mean == pytest.approx(mean / total, abs=1e-7)


def test_a_conjugate_slope_of_bias_is_that_on_axes() -> None:
    spec = model("random-effects").model_copy(update={"selection": "pet"})
    texts = {"pet": "HalfCauchy(beta=1)"}
    close = {**texts, "mu": "Normal(mu=0, sigma=0.5)"}
    # The same prior, but for what lies beyond ten sds: it has no closed form.
    axis = {**texts, "mu": "Truncated(dist=Normal(mu=0, sigma=0.5), lower=-5, upper=5)"}
    first, second = (
        encode(spec, molloy(), {one: parse_prior(text) for one, text in given.items()})
        for given in (close, axis)
    )
    (one, q), (other, r) = ((p, exact.integrate(p)) for p in (first, second))
    assert q.mu is None
    assert r.mu is not None
    # Three hard dimensions.
    assert q.log_evidence == pytest.approx(r.log_evidence, abs=1e-6)
    for name in ("mu", "tau", "pet"):
        ours = Exact(one, q).parameters[name].summary(0.95, "eti")
        theirs = Exact(other, r).parameters[name].summary(0.95, "eti")
        assert theirs.sd is not None
        assert ours.mean == pytest.approx(theirs.mean, abs=1e-5 * theirs.sd)
        assert ours.lower == pytest.approx(theirs.lower, abs=1e-4 * theirs.sd)


def test_p_of_a_t_test_needs_n_and_fisher_s_z() -> None:
    blank = replace(molloy(), rows=tuple(replace(row, ni=None) for row in molloy().rows))
    with pytest.raises(InputError, match="t test of a correlation needs n"):
        selected(blank, Step(cutpoints=(0.05,), test="t"), **ONE)


@pytest.mark.parametrize(
    "text",
    [
        "CumulativeDirichlet(alpha=[0.5, 1])",
        # A root at an end, which polynomials do not have.
        "CumulativeDirichlet(alpha=[1.5, 1])",
        "CumulativeDirichlet(alpha=[1, 1, 1, 1, 1])",
    ],
)
def test_weights_that_no_rule_fits_are_refused_by_name(text: str) -> None:
    cutpoints = (0.01, 0.025, 0.05, 0.5)[: text.count(",")]
    problem = selected(molloy(), Step(cutpoints=cutpoints), omega=text)
    law = weight_law(problem)
    assert law is None
    if len(cutpoints) > 1:
        assert "engine: nuts" in str(exact.covers(problem))


def test_selections_on_the_same_rows_share_what_was_found() -> None:
    first = selected(molloy(), Step(cutpoints=(0.05,)), **ONE)
    second = selected(molloy(), Step(cutpoints=(0.05,)), **ONE, mu="Normal(mu=0, sigma=1)")
    other = selected(few_words(), Step(cutpoints=(0.05,)), **ONE)
    assert selection_of(first) is selection_of(second)
    assert isinstance(selection_of(other), Selection)
    assert selection_of(other) is not selection_of(first)


def test_numbers_do_not_depend_on_who_asked_before() -> None:
    narrow = selected(molloy(), Step(cutpoints=(0.05,)), **ONE, mu="Normal(mu=0, sigma=0.1)")
    wide = selected(molloy(), Step(cutpoints=(0.05,)), **ONE, mu="Normal(mu=0, sigma=2)")
    forget()
    alone = exact.integrate(narrow)
    forget()
    exact.integrate(wide)
    after = exact.integrate(narrow)
    assert alone.log_integral == after.log_integral
    assert (alone.mass == after.mass).all()


def test_draws_on_several_panels_follow_the_law() -> None:
    # So many rows of one band, so far from the mean, that a weight has many orders of magnitude.
    problem = CASES["two weights"]
    found = selection_of(problem)
    assert found is not None
    tau, mu = np.full(4000, 0.02), np.full(4000, -0.25)
    shares = found.rows.shares(mu[:1], tau[:1] ** 2)
    rule = Rule.at(found.rows, found.law, shares)
    assert rule.axis(20).panels > 1
    drawn = found.draw(tau, mu, np.random.default_rng(9))
    axis, logs = rule.axis(20), rule.log_integrand(shares, 20)[0]
    share = np.exp(logs - logs.max()).reshape(len(axis.u), len(axis.u))
    x = rule.low + (rule.high - rule.low) * axis.u[:, None]
    ratios = rule.scale * np.expm1(x)
    # Means of logs, which no weight is too small for: sds over √4000.
    for d, values in enumerate((np.log(drawn[:, 0]), np.log(drawn[:, 1] / drawn[:, 0]))):
        mass = share.sum(axis=1 - d) / share.sum()
        mean = float(mass @ np.log(ratios[:, d]))
        assert values.mean() == pytest.approx(mean, abs=4 * values.std() / math.sqrt(4000))
