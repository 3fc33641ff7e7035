"""A saved fit, read back, is the fit that it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import metarho
from metarho.engines import exact
from metarho.engines.exact.quadrature import Quadrature
from metarho.errors import InputError
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Fit
from metarho.store.keys import key_of
from metarho.store.save import FORMAT, save_fit
from metarho.store.saved import read_saved

MOLLOY = Path(__file__).parents[1] / "references" / "molloy2014.csv"
WHERE = 'role == "main"'


def fitted(model: str, evidence: str = "molloy", mods: str | None = None, **priors: str) -> Fit:
    if evidence == "molloy":
        studies = metarho.load_studies(MOLLOY, columns={"ri": "ri", "ni": "ni", "study": "authors"})
    else:
        rho = 0.5 if evidence == "correlated" else 0.0
        studies = metarho.load_studies("internet-alliance", where=WHERE, rho_within=rho)
        if evidence != "with words":
            studies = studies.dropping_intervals()
    return metarho.fit(metarho.load_model(model, mods=mods), studies, priors=priors)


CASES: dict[str, tuple[str, str, str | None, dict[str, str]]] = {
    "one level": ("random-effects", "molloy", None, {}),
    "one level, words": ("random-effects", "with words", None, {"tau": "HalfCauchy(beta=0.3)"}),
    "a t prior of mu": ("random-effects", "molloy", None, {"mu": "cochrane-mu-z"}),
    "on r": ("random-effects", "molloy", None, {"mu": "Uniform(lower=-1, upper=1) on r"}),
    "made of standard errors": ("random-effects", "molloy", None, {"tau": "bayesmeta-dumouchel"}),
    "nothing varies": ("common-effect", "molloy", None, {}),
    "two levels": ("three-level", "alliance", None, {}),
    "two levels, a total": ("three-level", "alliance", None, {"tau": "HalfNormal(sigma=0.2)"}),
    "the exact law of r": ("exact-r", "molloy", None, {}),
    "selected": ("selection", "molloy", None, {}),
    "Student-t effects": ("student-t", "alliance", None, {"nu": "DiracDelta(c=4)"}),
    "moderators": (
        "random-effects",
        "alliance",
        "~ guidance + center(year)",
        {"beta[guidance]": "Normal(mu=0, sigma=0.1)"},
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_a_fit_is_the_same_when_it_is_read_back(case: str, tmp_path: Path) -> None:
    model, evidence, mods, priors = CASES[case]
    fit = fitted(model, evidence, mods, **priors)
    save_fit(fit, tmp_path / "fit.nc")
    saved = read_saved(tmp_path / "fit.nc").fit
    # Everything that numbers depend on.
    assert key_of(saved.problem, "exact", saved.sampler) == key_of(
        fit.problem, "exact", fit.sampler
    )
    assert saved.problem.overlaps == fit.problem.overlaps
    assert saved.status == fit.status and saved.notes == fit.notes
    assert saved.log_evidence == fit.log_evidence
    assert isinstance(fit.posterior, Exact) and isinstance(saved.posterior, Exact)
    row = fit.posterior.head
    assert saved.posterior.head == pytest.approx(row, abs=0)
    x = np.linspace(-0.6, 0.9, 6)
    for before, after in (
        (fit.posterior.theta_new(row), saved.posterior.theta_new(row)),
        (fit.posterior.mean_of(row), saved.posterior.mean_of(row)),
    ):
        # The same sums over the same nodes.
        assert after.cdf(x) == pytest.approx(before.cdf(x), abs=1e-14)
        assert after.density(x) == pytest.approx(before.density(x), abs=1e-12)
    assert saved.parameters == fit.parameters


@pytest.mark.parametrize("evidence", ["with words", "correlated"])
def test_rows_read_back_can_be_fitted_anew(evidence: str, tmp_path: Path) -> None:
    fit = fitted("random-effects", evidence)
    assert bool(fit.problem.evidence.correlated) == (evidence == "correlated")
    save_fit(fit, tmp_path / "fit.nc")
    saved = read_saved(tmp_path / "fit.nc")
    assert isinstance(fit.result, Quadrature)
    # Samples of one study may be turned together, which rounds otherwise.
    again = exact.integrate(saved.fit.problem).log_integral
    assert again == pytest.approx(fit.result.log_integral, abs=1e-11)
    assert [row.reported for row in saved.studies.used] == [
        row.reported for row in fit.problem.evidence.rows
    ]


def test_what_is_no_saved_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a saved fit"):
        read_saved(tmp_path / "nothing.nc")
    (tmp_path / "text.nc").write_text("hello", encoding="utf-8")
    with pytest.raises(InputError, match="is not a saved fit"):
        read_saved(tmp_path / "text.nc")


OTHERS: dict[str, tuple[str, object, str]] = {
    "another program's": ("creation_library", "ArviZ", "not a saved fit of metarho"),
    "sampled": ("engine", "nuts", "was sampled"),
    "newer": ("format", FORMAT + 1, rf"a newer metarho \(format {FORMAT + 1}; .* that one"),
    "older": ("format", 0, "an older metarho"),
    "of other priors": (
        "priors",
        '{"mu": "Normal(mu=3, sigma=0.1)"}',
        "other priors than it was fitted with",
    ),
    "broken": ("problem", "{}", "is not a saved fit"),
    "bottomless": ("problem", "[" * 100_000, "is not a saved fit"),
}


@pytest.mark.parametrize("case", list(OTHERS))
def test_a_file_of_another_kind_is_refused(tmp_path: Path, case: str) -> None:
    name, value, said = OTHERS[case]
    save_fit(fitted("common-effect"), tmp_path / "fit.nc")
    with xr.open_datatree(tmp_path / "fit.nc") as tree:
        found = tree.load()
    found.attrs[name] = value
    found.to_netcdf(tmp_path / "other.nc", engine="netcdf4")
    with pytest.raises(InputError, match=said) as caught:
        read_saved(tmp_path / "other.nc")
    assert str(tmp_path / "other.nc") in str(caught.value)


DAMAGES: dict[str, tuple[str, object]] = {
    "no priors": ("priors", []),
    "a list of columns": ("columns", []),
    "factors that are lists": ("levels", [[1], [2]]),
    "no word of intervals": ("intervals", ["use"]),
    "overlaps that are numbers": ("overlaps", [1]),
    "dropped numbers": ("dropped", [1]),
}


@pytest.mark.parametrize("key, value", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_problem_is_refused(tmp_path: Path, key: str, value: object) -> None:
    save_fit(fitted("common-effect"), tmp_path / "fit.nc")
    with xr.open_datatree(tmp_path / "fit.nc") as tree:
        found = tree.load()
    found.attrs["problem"] = json.dumps({**json.loads(found.attrs["problem"]), key: value})
    found.to_netcdf(tmp_path / "other.nc", engine="netcdf4")
    with pytest.raises(InputError, match="is not a saved fit"):
        read_saved(tmp_path / "other.nc")


def test_a_fit_to_other_data_is_refused(tmp_path: Path) -> None:
    save_fit(fitted("common-effect"), tmp_path / "fit.nc")
    with xr.open_datatree(tmp_path / "fit.nc") as tree:
        found = tree.load()
    found["observed_data"] = found["observed_data"].to_dataset() + 0.01
    found.to_netcdf(tmp_path / "other.nc", engine="netcdf4")
    with pytest.raises(InputError, match="other data than it was fitted to"):
        read_saved(tmp_path / "other.nc")


@pytest.mark.parametrize("column", ["v", "y_lower"])
def test_a_fit_to_other_intervals_or_variances_is_refused(tmp_path: Path, column: str) -> None:
    save_fit(fitted("random-effects", "with words"), tmp_path / "fit.nc")
    with xr.open_datatree(tmp_path / "fit.nc") as tree:
        found = tree.load()
    changed = found["constant_data"].to_dataset()
    changed[column] = changed[column] + 0.01
    found["constant_data"] = changed
    found.to_netcdf(tmp_path / "other.nc", engine="netcdf4")
    with pytest.raises(InputError, match="other data than it was fitted to"):
        read_saved(tmp_path / "other.nc")
