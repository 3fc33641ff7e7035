"""A saved fit, read back, has the new study that it had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import metarho
from metarho.errors import InputError
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Fit
from metarho.store.save import save_fit
from metarho.store.saved import read_saved

MOLLOY = Path(__file__).parents[1] / "references" / "molloy2014.csv"


def fitted(model: str, intervals: bool = False, **priors: str) -> Fit:
    if intervals:
        studies = metarho.load_studies("internet-alliance", where='role == "main"')
    else:
        studies = metarho.load_studies(MOLLOY, columns={"ri": "ri", "ni": "ni", "study": "authors"})
    return metarho.fit(metarho.load_model(model), studies, priors=priors)


CASES = {
    "one level": ("random-effects", False, {}),
    "one level, words": ("random-effects", True, {"tau": "HalfCauchy(beta=0.3)"}),
    "a t prior of mu": ("random-effects", False, {"mu": "cochrane-mu-z"}),
    "made of standard errors": ("random-effects", False, {"tau": "bayesmeta-dumouchel"}),
    "nothing varies": ("common-effect", False, {}),
    "two levels": ("three-level", False, {}),
    "two levels, a total": ("three-level", False, {"tau": "HalfNormal(sigma=0.2)"}),
    "the exact law of r": ("exact-r", False, {}),
    "selected": ("selection", False, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_new_study_is_the_same_when_it_is_read_back(case: str, tmp_path: Path) -> None:
    model, intervals, priors = CASES[case]
    fit = fitted(model, intervals, **priors)
    save_fit(fit, tmp_path / "fit.nc")
    saved = read_saved(tmp_path / "fit.nc")
    assert saved.model == model
    assert saved.evidence == ("internet-alliance" if intervals else "molloy2014.csv",)
    assert isinstance(fit.posterior, Exact)
    x = np.linspace(-0.6, 0.9, 6)
    for before, after in (
        (fit.posterior.theta_new(fit.posterior.head), saved.posterior.theta_new(np.ones(1))),
        (fit.posterior.mean_of(fit.posterior.head), saved.posterior.mean_of(np.ones(1))),
    ):
        # The same sums over the same nodes.
        assert after.cdf(x) == pytest.approx(before.cdf(x), abs=1e-14)
        assert after.density(x) == pytest.approx(before.density(x), abs=1e-12)
    # Of the structure and of the rows' variances.
    assert saved.posterior.problem.model.random == fit.problem.model.random
    i2 = [one.i2() for one in (fit.posterior, saved.posterior)]
    assert i2[0] is not None and i2[1] is not None
    medians = [one.summary(0.9, "eti").median for one in i2 if one is not None]
    assert medians[0] == pytest.approx(medians[1], rel=1e-9)


def test_what_is_no_saved_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a saved fit"):
        read_saved(tmp_path / "nothing.nc")
    (tmp_path / "text.nc").write_text("hello", encoding="utf-8")
    with pytest.raises(InputError, match="is not a saved fit"):
        read_saved(tmp_path / "text.nc")


OTHERS = {
    "sampled": ("engine", "nuts", "was sampled"),
    "Student-t effects": (
        "priors",
        '{"mu": "Flat()", "tau": "HalfNormal(sigma=1)", "nu": "Gamma(alpha=2, beta=0.1)"}',
        r"only its model explains \(tau, nu\); name its config",
    ),
    "moderators": (
        "priors",
        '{"mu": "Flat()", "beta[year]": "Normal(mu=0, sigma=1)"}',
        r"only its model explains \(beta\[year\]\)",
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_fit_of_another_kind_is_refused(tmp_path: Path, case: str) -> None:
    name, value, said = OTHERS[case]
    save_fit(fitted("common-effect"), tmp_path / "fit.nc")
    with xr.open_datatree(tmp_path / "fit.nc") as tree:
        found = tree.load()
    found.attrs[name] = value
    found.to_netcdf(tmp_path / "other.nc", engine="netcdf4")
    with pytest.raises(InputError, match=said):
        read_saved(tmp_path / "other.nc")
