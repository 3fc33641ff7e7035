"""Moderators in the exact engine: pinned high-accuracy references, and bayesmeta's bmr.

bmr takes coefficients and new effects from a grid of normal components, so that they agree to its
own error; everything about tau, the log evidence and the Bayes factors agrees to all digits.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cases import REFERENCES, file_order, problem, reference
from metarho.data.studies import Studies, load_studies
from metarho.engines import exact
from metarho.engines.problem import Problem
from metarho.posterior.exact import Exact
from metarho.posterior.marginals import Marginal, Summary

type Array = NDArray[np.float64]

# The oracle's own accuracy, as in test_exact_oracle.py; quantiles in posterior sds.
EVIDENCE, MOMENTS, QUANTILES = 1e-9, 1e-8, 1e-7
# bmr's: tau is integrated adaptively; its grid is off by up to 7.5e-3 sd (the oracle says).
TAU, GRID = 1e-9, 8e-3

HALF_NORMAL, FLAT = "HalfNormal(sigma=0.5)", {"mu": "Flat()", "beta": "Flat()"}
NORMAL = {"mu": "Normal(mu=0, sigma=0.5)", "beta": "Normal(mu=0, sigma=0.5)"}
WIDER = {"mu": "Normal(mu=0, sigma=1)", "beta": "Normal(mu=0, sigma=0.3)"}
GROUPS = {"mu": "DiracDelta(c=0)", "beta": "Normal(mu=0, sigma=1)"}
CLIMATE = {"mu": "Normal(mu=0, sigma=2)", "beta": "Normal(mu=0, sigma=1)"}
COLUMNS: Mapping[str, Callable[[dict[str, str]], float]] = {
    "age10": lambda row: (float(row["meanage"]) - 50) / 10,
    "quality2": lambda row: float(row["quality"]) - 2,
    "cross": lambda row: float(row["design"] == "cross-sectional"),
    "prosp": lambda row: float(row["design"] == "prospective"),
    "north": lambda row: (float(row["ablat"]) - 33) / 10,
}
AGE = "~ age10 + quality2"
# Two groups without an intercept: mu is held at 0.
MODELS: dict[tuple[str, str], tuple[str, dict[str, str]]] = {
    ("molloy2014_ZCOR", "age_quality_flat_hn0.5"): (AGE, FLAT | {"tau": HALF_NORMAL}),
    ("molloy2014_ZCOR", "age_quality_flat_uniform"): (AGE, FLAT | {"tau": "Flat()"}),
    ("molloy2014_ZCOR", "age_quality_n0_0.5_hn0.5"): (AGE, NORMAL | {"tau": HALF_NORMAL}),
    ("molloy2014_ZCOR", "age_quality_n_hc0.3"): (AGE, WIDER | {"tau": "HalfCauchy(beta=0.3)"}),
    ("molloy2014_ZCOR", "design_groups_n0_1_hn0.5"): (
        "~ cross + prosp",
        GROUPS | {"tau": HALF_NORMAL},
    ),
    ("molloy2014_ZCOR", "intercept_only_n0_1_hn0.5"): (
        "~ 1",
        {"mu": "Normal(mu=0, sigma=1)", "tau": HALF_NORMAL},
    ),
    ("bcg_RR", "ablat_flat_hn0.5"): ("~ north", FLAT | {"tau": HALF_NORMAL}),
    ("bcg_RR", "ablat_n0_2_n0_1_hn0.5"): ("~ north", CLIMATE | {"tau": HALF_NORMAL}),
    ("bcg_RR", "ablat_flat_uniform"): ("~ north", FLAT | {"tau": "Flat()"}),
}
BMR = reference("bmr_molloy2014_ZCOR")["settings"]


def _studies(name: str, mods: str, folder: Path) -> Studies:
    """The evidence with the columns that a formula reads."""
    source = name.partition("_")[0]
    with (REFERENCES / f"{source}.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = [column for column in COLUMNS if column in mods]
    path = folder / "rows.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [*rows[0], *names])
        writer.writeheader()
        writer.writerows(row | {column: COLUMNS[column](row) for column in names} for row in rows)
    if source == "bcg":
        return load_studies(path, measure="GEN", columns={"yi": "yi", "vi": "vi"})
    return load_studies(path, columns={"ri": "ri", "ni": "ni"})


def _problem(name: str, setting: str, folder: Path, **changed: str) -> Problem:
    mods, priors = MODELS[name, setting]
    return problem(_studies(name, mods, folder), mods=mods, **(priors | changed))


def _row(encoded: Problem, x: list[float]) -> Array:
    """A row of the reference's design as one of ours."""
    return np.array([0.0] * (len(encoded.coefficients) - len(x)) + [*x])


@pytest.mark.parametrize(("name", "setting"), MODELS)
def test_moderators_have_the_oracle_s_posterior(name: str, setting: str, tmp_path: Path) -> None:
    truth = reference(f"oracle_bmr_{name}")["settings"][setting]
    encoded = _problem(name, setting, tmp_path)
    quadrature = exact.integrate(encoded)
    posterior = Exact(encoded, quadrature)
    evidence = truth["log_marginal_likelihood"]
    assert (quadrature.log_evidence is None) == (evidence is None)
    if evidence is not None:
        assert quadrature.log_evidence == pytest.approx(evidence, abs=EVIDENCE)
    tau = posterior.parameters["tau"].summary(0.95, "eti")
    assert tau.mean == pytest.approx(truth["tau"]["mean"], abs=MOMENTS * truth["tau"]["sd"])
    assert tau.sd == pytest.approx(truth["tau"]["sd"], rel=MOMENTS)
    for at, x in enumerate(np.eye(len(truth["beta"]))):
        _assert_same(posterior.mean_of(_row(encoded, [*x])), truth["beta"][at])
    for profile in truth["pred"]:
        row = _row(encoded, profile["x"])
        _assert_same(posterior.mean_of(row), profile["mean"])
        _assert_same(posterior.theta_new(row), profile["theta"])


def _assert_same(found: Marginal, truth: dict[str, Any]) -> None:
    seen, sd = found.summary(0.95, "eti"), truth["sd"]
    assert seen.mean == pytest.approx(truth["mean"], abs=MOMENTS * sd)
    assert seen.sd == pytest.approx(sd, rel=MOMENTS)
    assert seen.median == pytest.approx(truth["median"], abs=QUANTILES * sd)
    assert [seen.lower, seen.upper] == pytest.approx(truth["central"], abs=QUANTILES * sd)


@pytest.mark.parametrize("setting", BMR)
def test_moderators_have_bmr_s_posterior_within_its_own_error(setting: str, tmp_path: Path) -> None:
    truth = BMR[setting]
    encoded = _problem("molloy2014_ZCOR", setting, tmp_path)
    design = np.array([_row(encoded, x) for x in truth["X"]])[file_order(encoded)]
    design[:, 0] = 1
    assert encoded.design.matrix == pytest.approx(design, abs=1e-12)
    quadrature = exact.integrate(encoded)
    posterior = Exact(encoded, quadrature)
    tau = posterior.parameters["tau"].summary(0.95, "eti")
    assert _middle(tau) == pytest.approx(truth["tau_central"], abs=TAU)
    theirs = [truth["summary"][of]["tau"] for of in ("mean", "sd")]
    assert [tau.mean, tau.sd] == pytest.approx(theirs, abs=TAU)
    for at, name in enumerate(truth["X_columns"]):
        x = np.eye(len(truth["X_columns"]))[at]
        seen = posterior.mean_of(_row(encoded, [*x])).summary(0.95, "eti")
        assert seen.sd is not None
        theirs = [truth["summary"][of][name] for of in ("mean", "sd")]
        assert [seen.mean, seen.sd] == pytest.approx(theirs, abs=GRID * seen.sd)
        assert _middle(seen) == pytest.approx(truth["beta_central"][at], abs=GRID * seen.sd)
    for profile in truth["pred"]:
        row = _row(encoded, profile["x"])
        mean, new = posterior.mean_of(row), posterior.theta_new(row)
        for found, of in ((mean, "mean_median_central"), (new, "theta_median_central")):
            seen = found.summary(0.95, "eti")
            assert seen.sd is not None
            assert _middle(seen) == pytest.approx(profile[of], abs=GRID * seen.sd)


def _middle(seen: Summary) -> list[float | None]:
    return [seen.lower, seen.median, seen.upper]


NULLS = {
    "age_quality_n0_0.5_hn0.5": {
        "tau=0": {"tau": "DiracDelta(c=0)"},
        "intercept=0": {"mu": "DiracDelta(c=0)"},
        "age10=0": {"beta[age10]": "DiracDelta(c=0)"},
        "quality=0": {"beta[quality2]": "DiracDelta(c=0)"},
    },
    "design_groups_n0_1_hn0.5": {
        "tau=0": {"tau": "DiracDelta(c=0)"},
        "cross=0": {"beta[cross]": "DiracDelta(c=0)"},
        "prosp=0": {"beta[prosp]": "DiracDelta(c=0)"},
    },
    "intercept_only_n0_1_hn0.5": {
        "tau=0": {"tau": "DiracDelta(c=0)"},
        "intercept=0": {"mu": "DiracDelta(c=0)"},
    },
}
NULLS["age_quality_n_hc0.3"] = NULLS["age_quality_n0_0.5_hn0.5"]


@pytest.mark.parametrize("setting", NULLS)
def test_a_held_coefficient_has_bmr_s_bayes_factor(setting: str, tmp_path: Path) -> None:
    whole = exact.integrate(_problem("molloy2014_ZCOR", setting, tmp_path)).log_evidence
    assert whole == pytest.approx(BMR[setting]["log_marginal_likelihood"], abs=EVIDENCE)
    assert set(NULLS[setting]) == set(BMR[setting]["bayesfactor"])
    for null, held in NULLS[setting].items():
        encoded = _problem("molloy2014_ZCOR", setting, tmp_path, **held)
        evidence = exact.integrate(encoded).log_evidence
        assert evidence is not None and whole is not None
        truth = math.log(BMR[setting]["bayesfactor"][null])
        assert evidence - whole == pytest.approx(truth, abs=EVIDENCE)
