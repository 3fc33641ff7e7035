"""Models of true scores: what is observed of them, against formulas on r and integration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from cases import model, molloy, problem, written
from grammar_cases import PARTS
from metarho.data.studies import Studies, load_studies
from metarho.engines import exact, nuts
from metarho.engines.measurement import observed_z
from metarho.engines.problem import Problem, encode
from metarho.errors import InputError
from metarho.fitting import Settings, fit_many
from metarho.fitting.notes import notes_on
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Fit
from metarho.posterior.hyperparameters import Hyperparameters
from metarho.posterior.rows import log_likelihood_of_rows
from metarho.predict.new_studies import predict
from metarho.spec.analysis import Profile, Sampler
from metarho.spec.priors import parse_prior

SHARE = st.floats(0.05, 1.0)


def _of(
    studies: Studies, rxx: float | None = None, ryy: float | None = None, ux: float | None = None
) -> Studies:
    rows = tuple(replace(row, rxx=rxx, ryy=ryy, ux=ux) for row in studies.rows)
    return replace(studies, rows=rows)


@given(st.floats(-3, 3), SHARE, SHARE, st.floats(0.2, 3))
def test_observed_z_is_attenuation_then_restriction_on_r(
    theta: float, rxx: float, ryy: float, ux: float
) -> None:
    a = np.tanh(theta) * np.sqrt(rxx * ryy)
    r = ux * a / np.sqrt(1 + (ux**2 - 1) * a**2)
    found = float(observed_z(*(np.array(value) for value in (theta, rxx, ryy, ux))))
    # On r a number near 1 has lost the digits of what it lacks to 1.
    assert np.tanh(found) == pytest.approx(r, abs=1e-12)


def test_perfect_measures_without_restriction_observe_the_truth() -> None:
    theta, one = np.linspace(-20, 20, 41), np.array(1.0)
    assert observed_z(theta, one, one, one) == pytest.approx(theta, rel=1e-14)


def _known(name: str = "effect") -> Problem:
    spec = model("true-score").model_copy(update={"random": name})
    return encode(spec, _of(molloy(), rxx=0.8, ryy=0.7, ux=0.9))


def _perfect() -> Problem:
    return encode(model("true-score"), _of(molloy(), rxx=1.0, ryy=1.0))


def _fitted(*encoded: Problem) -> list[Fit]:
    return fit_many(list(encoded), Settings(engine="nuts", sampler=Sampler(seed=2)))


@pytest.fixture(scope="module")
def fits() -> list[Fit]:
    """Of known and of perfect measures, from one compiled model."""
    both = _known(), _perfect()
    assert nuts.structure(both[0]) == nuts.structure(both[1])
    return _fitted(*both)


@pytest.fixture(scope="module")
def fit(fits: list[Fit]) -> Fit:
    return fits[0]


# Slow: a compiled model for itself, whose density test_nuts_density proves.
@pytest.mark.slow
def test_a_common_true_effect_is_that_of_adaptive_integration() -> None:
    encoded = _known("none")
    y, v = encoded.evidence.y, encoded.evidence.v

    def density(mu: float, power: int) -> float:
        a = np.tanh(mu) * np.sqrt(0.8 * 0.7)
        z = np.arctanh(0.9 * a / np.sqrt(1 + (0.9**2 - 1) * a**2))
        # Its height at the peak is about exp(8).
        log_joint = stats.norm(z, np.sqrt(v)).logpdf(y).sum() + stats.norm(0, 0.5).logpdf(mu) - 8
        return float(np.exp(log_joint) * mu**power)

    zero, one, two = (quad(density, -2, 2, args=(n,), points=[0.2], limit=200)[0] for n in range(3))
    (fit,) = _fitted(encoded)
    mean, sd = one / zero, np.sqrt(two / zero - (one / zero) ** 2)
    # 4000 draws worth at least 1000: four standard errors are an eighth of an sd.
    assert fit.parameters["mu"].mean == pytest.approx(mean, abs=0.125 * sd)
    assert fit.parameters["mu"].sd == pytest.approx(sd, rel=0.1)
    assert fit.log_evidence is not None and fit.log_evidence_mcse is not None
    assert fit.log_evidence == pytest.approx(np.log(zero) + 8, abs=5 * fit.log_evidence_mcse)


def test_perfect_measures_give_the_exact_engine_s_random_effects(fits: list[Fit]) -> None:
    observed = problem(molloy())
    truth = Exact(observed, exact.integrate(observed)).parameters
    found = fits[1].parameters
    for name in ("mu", "tau"):
        exactly = truth[name].summary(0.95, "eti")
        assert exactly.mean is not None and exactly.sd is not None
        assert found[name].mean == pytest.approx(exactly.mean, abs=0.2 * exactly.sd)
        assert found[name].sd == pytest.approx(exactly.sd, rel=0.15)


def test_the_likelihood_of_a_row_is_the_integral_over_its_true_effect() -> None:
    encoded = PARTS["true scores, words"].problem()
    rng = np.random.default_rng(1)
    k = encoded.evidence.k
    latent = {name: rng.uniform(0.4, 1, (1, k)) for name in ("rxx", "ryy")}
    tau = 0.3
    hyper = Hyperparameters(np.array([[0.25]]), {"effect": np.array([tau**2])}, latent=latent)
    found = log_likelihood_of_rows(encoded, hyper, np.full((1, k), 0.25))[0]
    for row in range(k):
        u = encoded.evidence.rows[row].ux or 1.0
        c = np.sqrt(latent["rxx"][0, row] * latent["ryy"][0, row])
        sd = np.sqrt(encoded.evidence.v[row])

        def density(
            theta: float, row: int = row, u: float = u, c: float = c, sd: float = sd
        ) -> float:
            a = np.tanh(theta) * c
            law = stats.norm(np.arctanh(u * a / np.sqrt(1 + (u**2 - 1) * a**2)), sd)
            if encoded.evidence.is_interval[row]:
                ends = encoded.evidence.lower[row], encoded.evidence.upper[row]
                seen = law.cdf(ends[1]) - law.cdf(ends[0])
            else:
                seen = law.pdf(encoded.evidence.y[row])
            return float(seen * stats.norm(0.25, tau).pdf(theta))

        truth, _ = quad(
            density, 0.25 - 10 * tau, 0.25 + 10 * tau, epsabs=0, epsrel=1e-10, limit=200
        )
        assert found[row] == pytest.approx(np.log(truth), abs=1e-8)


def test_everything_that_is_printed_says_true_scores(
    fit: Fit, capsys: pytest.CaptureFixture[str]
) -> None:
    from metarho.report.terminal import block

    block(fit)
    printed = capsys.readouterr().out
    assert "z, true scores" in printed and "r, true scores" in printed
    assert any("are of true scores" in note for note in fit.notes)
    assert any("in 16 rows, for restricted range" in note for note in fit.notes)
    assert fit.derived["I2"].median is None


def test_replicates_are_attenuated(fit: Fit) -> None:
    theta = fit.tree["posterior"]["theta"].to_numpy()
    replicated = fit.tree["posterior_predictive"]["y"].to_numpy()
    # About .9·√.56 of them; the mean of 4000 × 16 is known to a hundredth.
    assert replicated.mean() / theta.mean() == pytest.approx(0.9 * np.sqrt(0.56), rel=0.05)


def test_predictions_are_told_apart_by_level(fit: Fit) -> None:
    said = {"label": "new", "ni": 200, "rxx": 0.5, "ryy": 0.5}
    found = {p.quantity: p.summary for p in predict(fit, Profile.model_validate(said), ())}
    assert found["observed"].median == pytest.approx(0.5 * (found["true"].median or 0), rel=0.1)
    without = predict(fit, Profile.model_validate({"label": "new", "ni": 200}), ())
    assert [p.quantity for p in without] == ["mean", "true"]


def test_unknown_reliabilities_need_a_prior() -> None:
    spec = model("true-score")
    bare = spec.model_copy(update={"priors": {n: p for n, p in spec.priors.items() if n != "ryy"}})
    with pytest.raises(InputError, match="ryy is unknown in 16 rows"):
        encode(bare, molloy())
    known = encode(bare, _of(molloy(), ryy=0.8))
    assert any("rxx in 16 rows (Beta(alpha=45, beta=5))" in note for note in notes_on(known))
    prior_set = {"rxx": parse_prior("DiracDelta(c=0.9)"), "ryy": parse_prior("DiracDelta(c=1)")}
    assert encode(spec, molloy(), prior_set).reliabilities["rxx"].source == "prior set"


def test_only_correlations_on_z_have_true_scores(tmp_path: Path) -> None:
    generic = written(tmp_path, [{"yi": 0.1, "vi": 0.2}])
    with pytest.raises(InputError, match="not GEN"):
        encode(model("true-score"), generic)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"likelihood": "exact-r"}, "likelihood: exact-r"),
        ({"effects": "mixture"}, "effects: mixture"),
        ({"selection": "pet"}, "selection"),
    ],
)
def test_parts_that_do_not_go_with_true_scores_are_refused(
    part: dict[str, object], said: str
) -> None:
    spec = model("true-score")
    more = {"weight": "Beta(alpha=1, beta=9)", "tau_outlier": "HalfNormal(sigma=1)"}
    more["pet"] = "HalfNormal(sigma=1)"
    priors = {**spec.priors, **{name: parse_prior(text) for name, text in more.items()}}
    refused = encode(spec.model_copy(update={**part, "priors": priors}), molloy())
    assert f"does not join measurement: true-score with {said}" in (nuts.covers(refused) or "")


@pytest.mark.parametrize(("column", "value"), [("rxx", "1.2"), ("ryy", "0"), ("ux", "-1")])
def test_artefacts_out_of_range_are_refused_with_their_place(
    column: str, value: str, tmp_path: Path
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"r,n,a\n.3,40,\n.2,50,{value}\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"rows.csv:3.*\({column}\) is"):
        load_studies(path, columns={"ri": "r", "ni": "n", column: "a"})
