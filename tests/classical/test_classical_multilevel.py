"""Three levels, correlated errors and cluster-robust variances against metafor and clubSandwich."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from cases import reference
from classical_cases import NESTED, grades, mods_in, near
from metarho.classical import regtest, rma, rma_mv, robust
from metarho.classical.multilevel import LEVELS, Level, Multilevel
from metarho.classical.nested import study_blocks, turned

FITS: Mapping[str, Mapping[str, Any]] = NESTED["fits"]


def fitted(label: str) -> Multilevel:
    """The fit that a label of the references stands for."""
    only: Mapping[str, tuple[Level, ...]] = {
        "two_level_cluster_only_REML": ("study",),
        "two_level_es_only_REML": ("effect",),
    }
    rho = float(label.removeprefix("CHE_rho")) if label.startswith("CHE") else 0.0
    effects = grades(mods_in(FITS[label]["call"]), rho)
    return rma_mv(
        effects,
        method="ML" if "_ML_" in label else "REML",
        test="t" if label.endswith("_t") else "z",
        levels=only.get(label, LEVELS),
    )


def test_metafor_saw_the_same_effects_in_the_same_studies() -> None:
    ours, order = grades(), np.lexsort([NESTED["yi"], NESTED["cluster_index"]])
    mine = np.lexsort([ours.y, ours.study])
    # Studies are sorted as texts here, by number there; their effects are the same.
    assert sorted(ours.y) == near(sorted(NESTED["yi"]), 1e-12)
    assert sorted(ours.v) == near(sorted(NESTED["vi"]), 1e-12)
    sizes = np.bincount(NESTED["cluster_index"])[1:]
    assert sorted(np.bincount(ours.study)) == sorted(sizes)
    assert len(order) == len(mine) == NESTED["k"]


# nlminb stopped at 1e-10 of the log likelihood: 1e-8 of variances, which Q of the model (some
# hundreds) and percent show as 5e-5 and 3e-6.
@pytest.mark.parametrize("label", FITS)
def test_a_nested_fit_is_metafors(label: str) -> None:
    truth, fit = FITS[label], fitted(label)
    mean, plain, restricted = (
        fit.coefficients,
        fit.criteria(restricted=False),
        fit.criteria(restricted=True),
    )
    assert mean.estimate.tolist() == near(list(truth["coef"].values()))
    for ours, theirs in (("se", "se"), ("statistic", "zval"), ("pval", "pval"), ("ci_lb", "ci_lb"),
                         ("ci_ub", "ci_ub")):  # fmt: skip
        assert getattr(mean, ours) == near(np.atleast_1d(truth[theirs]), 2e-6), ours
    assert list(fit.sigma2.values()) == near(list(truth["sigma2"].values()))
    assert fit.qe == near(truth["QE"])
    assert fit.qe_p == near(truth["QEp"], 0.0, 1e-8)
    assert fit.qm.statistic == near(truth["QM"], 5e-5)
    assert fit.qm.pval == near(truth["QMp"])
    found = {
        "ll_ML": plain.ll,
        "AIC_ML": plain.aic,
        "ll_REML": restricted.ll,
        "AIC_REML": restricted.aic,
        "BIC_REML": restricted.bic,
        "AICc_REML": restricted.aicc,
    }
    assert found == near({name: truth[name] for name in found})
    if "ddf" in truth and isinstance(truth["ddf"], int):
        assert mean.ddf is not None
        assert mean.ddf[0] == truth["ddf"]
    if "pi_lb" in truth:
        assert fit.prediction is not None
        assert fit.prediction.pi_lb == near(truth["pi_lb"])
        assert fit.prediction.pi_ub == near(truth["pi_ub"])
    if "I2" in truth:
        assert fit.i2 == near(truth["I2"]["total"], 1e-5)
        assert fit.i2_by_level is not None
        assert list(fit.i2_by_level.values()) == near(truth["I2"]["by_level"], 1e-5)


@pytest.mark.parametrize(
    ("label", "correction"),
    [(label, kind) for label in FITS for kind in ("CR1", "CR2") if f"robust_{kind}" in FITS[label]],
)
def test_robust_variances_are_metafors_and_clubsandwichs(label: str, correction: str) -> None:
    truth = FITS[label][f"robust_{correction}"]
    found = robust(fitted(label), correction)  # type: ignore[arg-type]
    assert found.ddf is not None
    assert found.se == near(np.atleast_1d(truth["se"]))
    assert found.ddf == near(np.broadcast_to(truth["ddf"], found.ddf.shape))
    for ours, theirs in (("pval", "pval"), ("ci_lb", "ci_lb"), ("ci_ub", "ci_ub")):
        assert getattr(found, ours) == near(np.atleast_1d(truth[theirs])), ours
    assert found.vb.ravel() == near(np.ravel(truth["vb"]))


def test_profile_intervals_are_metafors_within_its_root_finder() -> None:
    fit = fitted("three_level_REML_z")
    truth = FITS["three_level_REML_z"]["sigma2_profile_ci"]
    for level, place in zip(LEVELS, "12", strict=True):
        _, lower, upper = truth[place]["sigma2"]
        found = fit.profile_interval(level)
        # R's uniroot stops at 1.2e-4 by default; ends lie where they should, as the next test says.
        assert [found.lower, found.upper] == near([lower, upper], 2e-5)


def test_at_the_ends_of_a_profile_interval_the_log_likelihood_is_down_by_its_limit() -> None:
    fit = fitted("three_level_REML_z")
    effects, best = grades(), fit.criteria().ll
    from scipy import optimize, stats

    limit = stats.chi2.ppf(0.95, 1) / 2
    found = fit.profile_interval("study")
    for end in (found.lower, found.upper):

        def cost(of_effects: float, end: float = end) -> float:
            # Written out: dense blocks, no turning.
            blocks = study_blocks(effects, end, of_effects)
            return -_restricted_log_likelihood(effects.y, effects.x, blocks)

        lowest = optimize.minimize_scalar(cost, bounds=(0, 0.2), method="bounded").fun
        assert best + lowest == near(limit, 1e-6)


def _restricted_log_likelihood(y: Any, x: Any, blocks: list[Any]) -> float:
    from scipy.linalg import block_diag

    m = block_diag(*blocks)
    w = np.linalg.inv(m)
    a = x.T @ w @ x
    e = y - x @ np.linalg.solve(a, x.T @ w @ y)
    k, p = x.shape
    return float(
        -0.5 * ((k - p) * np.log(2 * np.pi) - np.linalg.slogdet(x.T @ x)[1]
                + np.linalg.slogdet(m)[1] + np.linalg.slogdet(a)[1] + e @ w @ e)
    )  # fmt: skip


@pytest.mark.parametrize("label", ["three_level_REML_z", "CHE_rho0.8"])
def test_the_restricted_likelihood_is_that_of_the_whole_matrix(label: str) -> None:
    fit = fitted(label)
    blocks = study_blocks(fit.effects, fit.sigma2["study"], fit.sigma2["effect"])
    whole = _restricted_log_likelihood(fit.effects.y, fit.effects.x, blocks)
    assert fit.criteria().ll == near(whole, 1e-9)


@pytest.mark.parametrize(("level", "label"), [("study", "drop_cluster"), ("effect", "drop_es")])
def test_the_test_of_a_level_is_metafors(level: Level, label: str) -> None:
    truth = NESTED["LRT_cluster"][label]
    found = fitted("three_level_REML_z").likelihood_ratio(level)
    assert found.statistic == near(truth["LRT"])
    assert found.pval == near(truth["p"])


@pytest.mark.parametrize("label", ["sei", "vi", "sei_rho0.5", "vi_rho0.5"])
def test_eggers_test_with_three_levels_is_metafors_with_clubsandwichs_errors(label: str) -> None:
    truth = reference("rmamv_regtest")["fits"][label]
    predictor, _, rho = label.partition("_rho")
    found = regtest(grades(rho=float(rho or 0)), predictor=predictor, form="mv")  # type: ignore[arg-type]
    lines, robustly = found.coefficients, truth["robust_CR2"]
    # The slope on variances, of which the largest is 0.06, is -1.4 with an error of 5.
    assert lines.estimate.tolist() == near(truth["coef"], 1e-6, 1e-6)
    assert found.tau2 == near(sum(truth["sigma2"]))
    assert lines.se.tolist() == near(robustly["se"], 1e-6, 1e-6)
    assert lines.ddf == near(robustly["ddf"], 1e-5)
    assert found.statistic == near(robustly["tstat"][1])
    assert found.pval == near(robustly["pval"][1])
    assert lines.ci_lb.tolist() == near(robustly["ci_lb"], 2e-6, 2e-6)


def test_one_level_of_effects_is_the_two_level_fit() -> None:
    effects = grades()
    two, one = rma(effects, method="REML"), rma_mv(effects, levels=("effect",))
    assert one.tau2 == near(two.tau2, 1e-9)
    assert one.coefficients.se[0] == near(two.coefficients.se[0], 1e-9)


def test_turning_errors_changes_no_distance() -> None:
    effects = grades(rho=0.8)
    rows = turned(effects)
    assert effects.correlated
    whole = np.concatenate([np.linalg.eigvalsh(block) for block in study_blocks(effects, 0.0, 0.0)])
    assert sorted(rows.v) == near(sorted(whole), 1e-12)
    assert rows.y @ rows.y == near(effects.y @ effects.y, 1e-10)
