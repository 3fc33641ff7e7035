"""Joint priors of slopes in what is read from a fit: draws, densities, moments, evidence."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

import textbook
from cases import JOINT, molloy
from drawn_fits import drawn_fit
from grammar_cases import MANY, PARTS, Part
from metarho.compare.bayes_factors import held, nulls
from metarho.engines import exact, nuts
from metarho.engines.nuts.draws import Draws
from metarho.engines.nuts.model import build
from metarho.engines.problem import Problem, problem_without
from metarho.errors import InputError
from metarho.fitting import Settings, choose, fit_many
from metarho.fitting.notes import notes_on
from metarho.posterior.fit import Fit, as_dict
from metarho.posterior.heterogeneity import scale_of_parameter
from metarho.posterior.prior_draws import draw_priors
from metarho.posterior.sampled import Sampled
from metarho.spec.analysis import Sampler
from metarho.store.keys import key_of
from pymc_density import free_variables, log_density
from simulation import draw_slopes

type Array = NDArray[np.float64]

SHRUNK = ["horseshoe", "R2D2"]


@pytest.fixture(scope="module", params=SHRUNK)
def drawn(request: pytest.FixtureRequest) -> Fit:
    """A fit of each joint prior whose parameters lie where they may, without sampling."""
    return drawn_fit(PARTS[request.param].problem())


@pytest.mark.parametrize("name", SHRUNK)
def test_prior_draws_of_slopes_follow_the_paper_s_own_way_to_draw_them(name: str) -> None:
    problem = PARTS[name].problem()
    count = 20_000
    found = draw_priors(problem, np.random.default_rng(1), count)
    tau = np.abs(np.random.default_rng(2).normal(0, 0.25, count))
    truth = draw_slopes(problem, tau, np.random.default_rng(3))
    assert set(found) == {*truth, "mu", "tau"}
    for one, values in truth.items():
        # Of the 11 or 12 parameters an honest pair fails one time in a thousand.
        assert stats.ks_2samp(found[one], values).pvalue > 1e-4, one


def test_r2_is_the_share_of_variance_that_moderators_explain() -> None:
    part = Part(molloy, MANY, {"beta": "R2D2(mean=0.3, precision=8, concentration=1)"})
    problem = part.problem()
    found = draw_priors(problem, np.random.default_rng(1), 20_000)
    # Were columns uncorrelated, their slopes would explain Σ beta² sd(x)², on average over signs.
    sds = problem.design.matrix[:, 1:].std(axis=0)
    slopes = np.stack([found[name] for name in problem.shrunk_slopes], axis=-1)
    explained = (slopes**2 * sds**2).sum(axis=1) / found["tau"] ** 2
    odds = stats.beta(2.4, 5.6).expect(lambda r2: r2 / (1 - r2))
    error = explained.std() / math.sqrt(len(explained))
    assert explained.mean() == pytest.approx(odds, abs=4 * error)
    implied = problem.implied(found)
    assert sum(implied.values()) == pytest.approx(np.ones(20_000))
    assert list(implied) == [n.replace("beta[", "beta_phi[") for n in problem.shrunk_slopes]


def test_a_fit_with_a_joint_prior_is_a_fit_like_any_other(drawn: Fit) -> None:
    problem, tree = drawn.problem, drawn.tree
    slopes = [name[5:-1] for name in problem.shrunk_slopes]
    assert tree["posterior"]["beta"].coords["coef"].to_numpy().tolist() == slopes
    of_scale = [name for name in problem.priors if name.startswith("beta_") and "[" in name]
    base = of_scale[0].partition("[")[0]
    for group in ("posterior", "prior", "log_prior"):
        assert tree[group][base].coords["shrunk_coef"].to_numpy().tolist() == slopes
        assert np.isfinite(tree[group]["beta"].to_numpy()).all()
    assert tree["prior_predictive"]["y"].shape[-1] == problem.evidence.k
    assert json.loads(tree.attrs["priors"])["beta[scale(year)]"].startswith("Normal(mu=0, ")
    plain = json.loads(json.dumps(as_dict(drawn), allow_nan=False))
    for name in problem.priors:
        assert plain["parameters"][name]["lower"] < plain["parameters"][name]["upper"]


def test_the_log_prior_is_the_paper_s(drawn: Fit) -> None:
    problem, result = drawn.problem, drawn.result
    assert isinstance(result, Draws)
    log_prior = drawn.tree["log_prior"]
    total = np.zeros(result.parameters["mu"].shape)
    for name in problem.priors:
        base, _, column = name.partition("[")
        if base.startswith("beta"):
            along = "coef" if base == "beta" else "shrunk_coef"
            one = log_prior[base].sel({along: column[:-1]}) if column else log_prior[base]
            total += one.to_numpy()
    for place in ((0, 0), (1, 70), (1, 149)):
        values = {name: draws[place] for name, draws in result.parameters.items()}
        assert total[place] == pytest.approx(textbook.log_slope_prior(problem, values))


# Slow: each samples for as long as ten other models. test_nuts_density proves their densities.
@pytest.mark.slow
@pytest.mark.parametrize("name", SHRUNK)
def test_evidence_is_the_average_likelihood_over_the_prior(name: str) -> None:
    problem = PARTS[name].problem()
    (fitted,) = fit_many([problem], Settings(engine="nuts", sampler=Sampler(seed=5)))
    assert fitted.status in ("ok", "warnings"), fitted.reasons
    rng = np.random.default_rng(11)
    count = 40_000
    tau = np.abs(rng.normal(0, 0.25, count))
    drawn = draw_slopes(problem, tau, rng)
    sds = textbook.slope_sds(problem, {**drawn, "tau": tau})
    # Given tau and the scale of slopes the rows are normal, mu and slopes integrated out.
    x = problem.design.matrix
    spread = np.vstack([np.full(count, 0.5), sds]) ** 2
    covariance = np.einsum("ip,pn,jp->nij", x, spread, x)
    covariance += (problem.evidence.v + tau[:, None] ** 2)[:, :, None] * np.eye(len(x))
    _, log_det = np.linalg.slogdet(covariance)
    y = problem.evidence.y
    solved = np.linalg.solve(covariance, np.broadcast_to(y, (count, len(y)))[..., None])[..., 0]
    log_likelihood = -0.5 * (log_det + solved @ y + len(y) * math.log(2 * math.pi))
    likelihood = np.exp(log_likelihood - log_likelihood.max())
    truth = math.log(likelihood.mean()) + log_likelihood.max()
    error = likelihood.std() / likelihood.mean() / math.sqrt(count)
    assert fitted.log_evidence is not None and fitted.log_evidence_mcse is not None
    assert fitted.log_evidence == pytest.approx(
        truth, abs=4 * math.hypot(error, fitted.log_evidence_mcse)
    )
    assert max(error, fitted.log_evidence_mcse) < 0.1


def test_what_leaves_the_likelihood_as_it_is_has_the_moments_of_its_prior() -> None:
    problem = PARTS["horseshoe"].problem()
    rng = np.random.default_rng(1)
    parameters = {name: rng.uniform(0.1, 0.2, (2, 50)) for name in problem.priors}
    found = Sampled(problem, Draws(parameters, {}, {}, 0.8, False)).parameters
    summaries = {name: marginal.summary(0.95, "eti") for name, marginal in found.items()}
    # Cauchy tails have no mean; c² ~ InverseGamma(2, ·) has one and no variance.
    for name in ("beta_global", "beta_local[scale(year)]"):
        assert (summaries[name].mean, summaries[name].sd) == (None, None)
    assert summaries["beta_slab2"].mean is not None
    assert summaries["beta_slab2"].sd is None
    assert summaries["beta[scale(year)]"].sd is not None


@pytest.mark.parametrize("name", SHRUNK)
def test_the_exact_engine_refuses_by_name(name: str) -> None:
    problem = PARTS[name].problem()
    family = problem.model.priors["beta"].family
    refusal = f"the exact engine has no {family} prior of slopes; engine: nuts"
    assert exact.covers(problem) == refusal
    assert nuts.covers(problem) is None
    engine, reason = choose(problem, "auto")
    assert engine == "nuts" and family in reason


@pytest.mark.parametrize("random", ["none", "effect"])
def test_r2d2_needs_effects_that_vary(random: str) -> None:
    priors = {"beta": JOINT["R2D2"], "tau": "DiracDelta(c=0)"}
    with pytest.raises(InputError, match="R2D2 has no meaning where true effects do not vary"):
        Part(molloy, {**MANY, "random": random}, priors).problem()


def test_without_heterogeneity_r2d2_has_no_bayes_factor() -> None:
    problem = PARTS["R2D2"].problem()
    found = {null.name: nuts.covers(held(problem, null)) for null in nulls(problem)}
    assert found["mu = 0"] is None
    assert "no meaning where true effects do not vary" in str(found["tau = 0"])


def _with(prior: str) -> Problem:
    return Part(molloy, MANY, {"beta": prior}).problem()


def test_numbers_of_a_joint_prior_are_data_of_one_compiled_model() -> None:
    first = _with("R2D2(mean=0.4, precision=2.5, concentration=0.6)")
    second = _with("R2D2(mean=0.2, precision=5, concentration=1)")
    assert nuts.structure(first) == nuts.structure(second)
    assert nuts.structure(first) != nuts.structure(_with(JOINT["RegularizedHorseshoe"]))
    assert key_of(first, "nuts", Sampler()) != key_of(second, "nuts", Sampler())


def test_leaving_rows_out_leaves_the_prior_of_slopes_as_it_is() -> None:
    whole = PARTS["R2D2"].problem()
    rest = problem_without(whole, np.arange(whole.evidence.k) < 3)
    assert rest.priors == whole.priors


def test_a_horseshoe_of_moderators_on_unlike_scales_is_remarked_on() -> None:
    horseshoe = {"beta": JOINT["RegularizedHorseshoe"]}
    unlike = Part(molloy, {"mods": "~ center(year) + design"}, horseshoe).problem()
    (note,) = [one for one in notes_on(unlike) if "RegularizedHorseshoe" in one]
    assert "(design[T.prospective]) to " in note and "(center(year))" in note
    of_r2d2 = Part(molloy, {"mods": "~ center(year) + design"}, {"beta": JOINT["R2D2"]}).problem()
    for problem in (PARTS["horseshoe"].problem(), of_r2d2):
        assert not [one for one in notes_on(problem) if "one scale" in one]


def test_parameters_of_the_scale_of_slopes_name_their_own_scale() -> None:
    names = ("beta[x]", "beta_global", "beta_local[x]", "beta_slab2", "beta_R2", "beta_phi[x]")
    scales = [scale_of_parameter(name, "z") for name in names]
    assert scales == ["z", "z", "ratio", "z squared", "share", "share"]


def _in_other_units(name: str, times: float) -> Problem:
    """One moderator whose column is multiplied, under a joint prior."""
    studies = molloy()
    column = studies.table.column("meanage")
    other = tuple(str(float(str(cell)) * times) for cell in column)
    table = replace(studies.table, columns={**studies.table.columns, "meanage": other})
    part = Part(
        lambda: replace(studies, table=table), {"mods": "~ center(meanage)"}, {"beta": JOINT[name]}
    )
    return part.problem()


def _log_density(problem: Problem, slope: float) -> float:
    """The log density where the slope in units of its scale is given; all else is the same."""
    model = build(problem)
    others = {"mu": 0.1, "tau": 0.2, "beta_R2": 0.4, "beta_gamma_0": 0.7}
    others |= {"beta_global": 0.3, "beta_local_0": 0.8, "beta_slab2": 0.2}
    return log_density(model, {one: others.get(one, slope) for one in free_variables(model)})


@pytest.mark.parametrize(("name", "same"), [("R2D2", True), ("RegularizedHorseshoe", False)])
def test_units_of_a_moderator_matter_to_a_horseshoe_and_not_to_r2d2(name: str, same: bool) -> None:
    here = _log_density(_in_other_units(name, 1.0), 0.03)
    # A density of slopes that are a thousand times smaller is a thousand times higher.
    there = _log_density(_in_other_units(name, 1000.0), 0.03 / 1000) - math.log(1000)
    assert (there == pytest.approx(here, abs=1e-9)) is same


@pytest.mark.parametrize(("times", "said"), [(1e-4, "0.0014"), (0.1, None), (1000.0, "1.4e+04")])
def test_a_note_says_that_a_horseshoe_s_only_moderator_is_in_odd_units(
    times: float, said: str | None
) -> None:
    found = [
        note
        for note in notes_on(_in_other_units("RegularizedHorseshoe", times))
        if "scale(...)" in note and "per unit of a moderator" in note
    ]
    assert [f"the sd of center(meanage) is {said} units" in note for note in found] == (
        [True] if said else []
    )
    assert not [note for note in notes_on(_in_other_units("R2D2", times)) if "scale(...)" in note]
