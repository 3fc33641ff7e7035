"""What is expected of results, against SciPy's integration, simulation and rows that are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from cases import alliance, model, molloy, problem
from drawn_fits import CHAINS, LENGTH, drawn_fit
from metarho.checks.replicates import replicates_of
from metarho.compare.ensemble import Ensemble, Member, ensemble_of
from metarho.compare.reported import (
    DRAWS,
    Of,
    Part,
    band,
    mean_by_error,
    not_expected,
    parts_of,
    weights_of,
)
from metarho.compare.z_curve import SIGNIFICANT, Observed, no_z_curve, y_of, z_curve, z_of
from metarho.engines.problem import encode
from metarho.fitting import Settings, fit_many
from metarho.spec.model import Model, Step, StepSelection
from metarho.spec.priors import parse_prior

ONE = Step(cutpoints=(0.025, 0.5), weights=(0.6, 0.1), test="t")
TWO = Step(cutpoints=(0.05, 0.1), weights=(0.4, 0.2), sides="two", test="t")
NEGATIVE = Step(cutpoints=(0.05,), weights=(0.3,), favours="negative")
N, V = 40.0, 1 / 37.0


def _part(step: Step | None, between: float = 0.0) -> Part:
    """Two draws."""
    weights = None
    if step is not None:
        assert step.weights is not None
        own = np.array([1.0, *step.weights])[list(step.band_of)]
        weights = np.stack([own, own**2])
    zero = np.zeros(2)
    return Part(
        0.5, np.array([0.1, -0.05]), zero, 0, zero + between, np.array([0.02, 0.0]), step, weights
    )


def _weight(step: Step | None, draw: int) -> Callable[[float], float]:
    """The weight of a result, from its p, which SciPy finds."""
    if step is None:
        return lambda y: 1.0
    assert step.weights is not None
    bands = [1.0, *step.weights]

    def weight(y: float) -> float:
        if step.test == "t":
            r = math.tanh(y)
            p = float(stats.t.sf(r * math.sqrt((N - 2) / (1 - r**2)), N - 2))
        else:
            p = float(stats.norm.sf(y / math.sqrt(V)))
        p = {"two": 2 * min(p, 1 - p), "one": p}[step.sides]
        p = 1 - p if step.favours == "negative" else p
        return bands[sum(p > cut for cut in step.cutpoints)] ** (1 + draw)

    return weight


def _integral(step: Step | None, draw: int, low: float, high: float, of: str = "w") -> float:
    """∫ N(y) w(p) dy, of all or of y times it, or ∫ N(y) dy."""
    part = _part(step)
    law = stats.norm(part.mu[draw], math.sqrt(V + part.own[draw]))
    weight = _weight(step, draw)
    factor: dict[str, Callable[[float], float]] = {
        "w": weight, "y": lambda y: y * weight(y), "all": lambda y: 1.0,
    }  # fmt: skip
    cuts = [] if step is None else [float(y_of(np.array(c), V, N, "z", step.test)) for c in
            stats.norm.isf(step.one_sided)]  # fmt: skip
    ends = [low, *sorted(c for c in cuts if low < c < high), high]
    total = 0.0
    for a, b in pairwise(ends):
        total += integrate.quad(lambda y: law.pdf(y) * factor[of](y), a, b, epsabs=1e-12)[0]
    return total


@pytest.mark.parametrize("step", [None, ONE, TWO, NEGATIVE])
def test_masses_and_means_are_scipys_integrals_of_normal_times_weight(step: Step | None) -> None:
    part = _part(step)
    edges = np.array([-0.9, -0.2, 0.05, 0.3, 0.37, 1.1])
    for draw in range(2):
        whole = _integral(step, draw, -2.0, 2.0)
        for of, kind in (("reported", "w"), ("all", "all")):
            wanted = [_integral(step, draw, a, b, kind) / whole for a, b in pairwise(edges)]
            found = part.masses(edges, V, N, of)[draw]  # type: ignore[arg-type]
            # What quad promises.
            np.testing.assert_allclose(found, wanted, atol=1e-9)
        mean = _integral(step, draw, -2.0, 2.0, "y") / whole
        assert part.mean(V, N, "reported")[draw] == pytest.approx(mean, abs=1e-9)
        assert part.mean(V, N, "all")[draw] == part.mu[draw]


def test_selection_is_given_the_deviation_of_a_group() -> None:
    part, tau = _part(ONE, between=0.04), 0.2
    edges = np.array([-1.0, 0.2, 0.4])

    def given(u: float) -> list[float]:
        at = replace(part, mu=part.mu + u, between=np.zeros(2))
        return list(at.masses(edges, V, N, "reported")[0])

    law = stats.norm(0, tau)
    wanted = [
        integrate.quad(lambda u, c=c: law.pdf(u) * given(u)[c], -1.4, 1.4, epsabs=1e-10)[0]
        for c in range(2)
    ]
    # 15 nodes of Gauss's rule for what bends over a few sds.
    np.testing.assert_allclose(part.masses(edges, V, N, "reported")[0], wanted, atol=2e-5)


def test_pet_and_peese_move_reported_results_and_not_all() -> None:
    for power in (1, 2):
        part = replace(_part(None), slope=np.array([0.8, 0.4]), power=power)
        bias = np.array([0.8, 0.4]) * V ** (power / 2)
        np.testing.assert_allclose(part.mean(V, N, "reported"), part.mu + bias)
        np.testing.assert_allclose(part.mean(V, N, "all"), part.mu)


def _with(step: Step | None, name: str = "random-effects") -> Model:
    own = model(name)
    return own if step is None else own.model_copy(update={"selection": StepSelection(step=step)})


@cache
def _ensemble(known: bool) -> Ensemble:
    """No bias and a weight function; mu and tau ``known``, so that draws are all the same."""
    held = {"mu": parse_prior("DiracDelta(c=0.1)"), "tau": parse_prior("DiracDelta(c=0.1)")}
    models = [_with(None), _with(ONE)]
    fits = fit_many([encode(one, molloy(), held if known else {}) for one in models], Settings())
    return ensemble_of([Member(str(i), True, True, 0.5 + i, fit) for i, fit in enumerate(fits)])


def test_members_count_by_their_probability() -> None:
    found = _ensemble(known=True)
    p = found.probabilities
    parts = parts_of(found, 50)
    assert sum(len(part.mu) for part in parts) in (50, 51)
    assert weights_of(parts).sum() == pytest.approx(1)
    errors, sizes = np.array([0.05, 0.2]), np.array([403.0, 28.0])
    both: tuple[Of, Of] = ("reported", "all")
    for of in both:
        each = [
            [part.mean(e**2, n, of)[0] for e, n in zip(errors, sizes, strict=True)]
            for part in parts
        ]
        mean = mean_by_error(parts, errors, sizes, of, 0.9).mean
        np.testing.assert_allclose(mean, p @ np.array(each), rtol=1e-12)


def test_a_sampled_member_counts_as_much_however_few_draws_it_has() -> None:
    exact = _ensemble(known=False).members
    # Its log evidence is what drawn_fit says: by its prior nearly impossible, or likely.
    for name, prior in (("pet", 1e4), ("random-effects", 1.0)):
        sampled = drawn_fit(problem(molloy(), name))
        both = Ensemble((exact[0], replace(exact[1], fit=sampled, prior=prior)))
        parts = parts_of(both)
        few = len(parts[1].mu)
        assert (few == CHAINS * LENGTH) is (prior == 1e4)
        assert few == min(CHAINS * LENGTH, math.ceil(DRAWS * both.probabilities[1]))
        assert parts[1].weight * few == pytest.approx(both.probabilities[1])
        draws = sampled.posterior.draws.parameters  # type: ignore[union-attr]
        assert np.isin(parts[1].mu, draws["mu"]).all() and len(set(parts[1].mu)) == few
        if name == "pet":
            assert parts[1].power == 1 and np.isin(parts[1].slope, draws["pet"]).all()
        # One draw keeps its parameters together.
        place = [int(np.flatnonzero(draws["mu"].ravel() == mu)[0]) for mu in parts[1].mu]
        np.testing.assert_allclose(parts[1].own, draws["tau"].ravel()[place] ** 2)


def test_a_band_has_the_quantiles_of_draws_that_are_repeated_by_their_weights() -> None:
    rng = np.random.default_rng(3)
    values, repeats = rng.normal(size=(40, 3)), rng.integers(1, 9, size=40)
    found = band(values, repeats.astype(float), 0.9)
    whole = np.repeat(values, repeats, axis=0)
    np.testing.assert_allclose(found.mean, whole.mean(axis=0))
    for end, share in ((found.lower, 0.05), (found.upper, 0.95)):
        np.testing.assert_array_equal(end, np.quantile(whole, share, axis=0, method="inverted_cdf"))


def test_what_is_expected_of_reported_results_is_what_replicates_print() -> None:
    selected = _ensemble(known=False).members[1]
    alone = ensemble_of([replace(selected, prior=1.0)])
    curve = z_curve(alone, parts_of(alone), 0.9)
    evidence = selected.fit.problem.evidence
    fit = replace(selected.fit, sampler=selected.fit.sampler.model_copy(update={"draws": 1500}))
    printed = replicates_of(fit, np.random.default_rng(1))
    z = z_of(printed, evidence.v, evidence.sizes, "z", "t")
    # A cell of .065 is too narrow for counts: ten at once.
    edges = curve.edges[::10]
    mass = np.add.reduceat(
        curve.reported.mean * np.diff(curve.edges), np.arange(0, len(curve.edges) - 1, 10)
    )
    counts = np.histogram(z, edges)[0] / z.size
    # Draws of the one and of the other: four errors of both.
    np.testing.assert_allclose(counts, mass, atol=6e-3)
    assert curve.significant["reported"][0] == pytest.approx((abs(z) > 1.96).mean(), abs=0.015)


def test_z_is_the_normal_quantile_of_scipys_p_and_back() -> None:
    y = np.array([-2.0, -0.3, 0.0, 0.1, 0.5, 1.2])
    for n in (8.0, 60.0, 900.0):
        sizes = np.full(len(y), n)
        v = 1 / (sizes - 3)
        r = np.tanh(y)
        p = stats.t.sf(r * np.sqrt((n - 2) / (1 - r**2)), n - 2)
        z = z_of(y, v, sizes, "z", "t")
        told = (p > 1e-300) & (p < 1 - 1e-12)
        np.testing.assert_allclose(z[told], stats.norm.isf(p[told]), rtol=1e-6, atol=1e-9)
        finite = np.abs(z) < 10
        back = y_of(z[finite], float(v[0]), n, "z", "t")
        np.testing.assert_allclose(back, y[finite], rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(z_of(r, v, sizes, "r", "t"), z)
        np.testing.assert_allclose(y_of(z[finite], float(v[0]), n, "r", "t"), r[finite], atol=1e-10)
    np.testing.assert_allclose(z_of(y, v, sizes, "yi", "z"), y / np.sqrt(v))


def test_had_all_been_reported_there_would_be_more_of_what_is_rare() -> None:
    unknown = _ensemble(known=False)
    curve = z_curve(unknown, parts_of(unknown), 0.9)
    width = np.diff(curve.edges)
    # At most half a percent is left out on either side.
    assert 0.99 < curve.reported.mean @ width < 1
    assert curve.all.mean @ width == pytest.approx(curve.found[0], abs=0.05)
    assert curve.found[0] > 1.2 and curve.found[1] >= 1
    best = curve.edges[:-1] > 1.97
    np.testing.assert_allclose(curve.all.mean[best], curve.reported.mean[best], rtol=1e-9)
    assert curve.cutpoints == pytest.approx((0.0, SIGNIFICANT))
    assert np.isclose(curve.edges, SIGNIFICANT).any()


def test_neighbours_among_many_variances_are_as_good_as_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (member,) = _ensemble(known=True).members[1:]
    alone = ensemble_of([member])
    whole = z_curve(alone, parts_of(alone), 0.9)
    monkeypatch.setattr("metarho.compare.z_curve._MOST_KINDS", 8)
    pairs = z_curve(alone, parts_of(alone), 0.9)
    np.testing.assert_array_equal(pairs.edges, whole.edges)
    # Of 16 rows neighbours differ by a third; of hundreds by a hundredth.
    top = whole.reported.mean.max()
    np.testing.assert_allclose(pairs.reported.mean, whole.reported.mean, atol=0.02 * top)
    assert (pairs.reported.mean != whole.reported.mean).any()
    assert pairs.found[0] == pytest.approx(whole.found[0], rel=0.01)


def test_words_are_intervals_that_tell_whether_they_are_significant() -> None:
    fits = fit_many([problem(alliance())], Settings())
    one = ensemble_of([Member("m", True, True, 1, fits[0])])
    curve = z_curve(one, parts_of(one), 0.9)
    evidence = fits[0].problem.evidence
    assert len(curve.observed.numbers) == (~evidence.is_interval).sum()
    for row, low, high in zip(
        [row for row in evidence.rows if row.is_interval],
        curve.observed.lower, curve.observed.upper, strict=True,
    ):  # fmt: skip
        if row.reported == "not significant":
            assert (low, high) == (pytest.approx(-SIGNIFICANT), pytest.approx(SIGNIFICANT))
        if row.reported == "significant positive":
            assert (low, high) == (pytest.approx(SIGNIFICANT), math.inf)
    kinds = np.array([-3.0, 0.4]), np.array([-SIGNIFICANT, SIGNIFICANT, 1.0])
    observed = Observed(*kinds[:1], kinds[1], np.array([SIGNIFICANT, math.inf, 2.5]))
    # Two of the four that tell: 1 to 2.5 may be either.
    assert observed.k == 5 and observed.significant == 0.5
    assert Observed(np.empty(0), np.array([1.0]), np.array([3.0])).significant is None


def test_what_is_no_normal_law_is_refused_with_its_reason() -> None:
    exact = _ensemble(known=True)
    assert not_expected(exact) is None and no_z_curve(exact) is None
    for name, said in (("exact-r", "results are not normal"), ("student-t", "effects are not")):
        (fit,) = (replace(exact.members[0].fit, problem=problem(molloy(), name)),)
        other = Ensemble((replace(exact.members[0], fit=fit),))
        assert said in str(not_expected(other)) and said in str(no_z_curve(other))
