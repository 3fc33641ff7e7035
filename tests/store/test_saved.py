"""A saved fit, read back, is the fit that it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import metarho
from drawn_fits import drawn_fit
from metarho.batch.update import update_saved
from metarho.data.new_study import NewStudy
from metarho.engines import exact
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.problem import Problem, encode
from metarho.errors import InputError
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Agreement, Fit
from metarho.spec.catalogue import read_prior
from metarho.spec.model import Model
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
    with pytest.raises(InputError, match="there is no such file"):
        read_saved(tmp_path / "nothing.nc")
    with pytest.raises(InputError, match="is a folder"):
        read_saved(tmp_path)
    (tmp_path / "text.nc").write_text("hello", encoding="utf-8")
    with pytest.raises(InputError, match="is not a saved fit"):
        read_saved(tmp_path / "text.nc")
    save_fit(fitted("common-effect"), tmp_path / "fit.nc")
    whole = (tmp_path / "fit.nc").read_bytes()
    (tmp_path / "half.nc").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged or cut short"):
        read_saved(tmp_path / "half.nc")


OTHERS: dict[str, tuple[str, object, str]] = {
    "another program's": ("creation_library", "ArviZ", "not a saved fit of metarho"),
    "sampled, without draws": ("engine", "nuts", "is not a saved fit"),
    "of no engine": ("engine", "jags", "is not a saved fit"),
    "of no verdict": ("status", "splendid", "is not a saved fit"),
    "with notes that are no texts": ("notes", "[1]", "is not a saved fit"),
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


def problem_of(model: Model, **priors: str) -> Problem:
    studies = metarho.load_studies("internet-alliance", where=WHERE)
    return encode(model, studies, {name: read_prior(text) for name, text in priors.items()})


def crossed() -> Problem:
    """Levels that are columns, one within another, and studies crossed with them."""
    model = metarho.load_model("random-effects")
    tau = model.priors["tau"]
    sds = {f"tau_{level}": tau for level in ("rater", "sample", "study")}
    changed = {
        "random": "rater/sample + study",
        "priors": {"mu": model.priors["mu"], **sds},
        "why": {},
    }
    return problem_of(model.model_copy(update=changed))


def true_scores() -> Problem:
    return problem_of(metarho.load_model("true-score"))


JOINT = {
    "horseshoe": "RegularizedHorseshoe(tau0=0.1, slab_df=4, slab_scale=0.5)",
    "R2D2": "R2D2(mean=0.3, precision=4, concentration=1)",
}
DRAWN: dict[str, Callable[[], Problem]] = {
    "imputed moderators": lambda: problem_of(metarho.load_model("three-level-moderators")),
    "a mixture": lambda: problem_of(metarho.load_model("mixture")),
    "true scores": true_scores,
    "a custom model": lambda: problem_of(metarho.load_model("multiplicative")),
    "crossed levels": crossed,
    **{
        name: lambda prior=prior: problem_of(  # type: ignore[misc]
            metarho.load_model("random-effects", mods="~ guidance + center(year)"), beta=prior
        )
        for name, prior in JOINT.items()
    },
}


@pytest.mark.parametrize("case", list(DRAWN))
def test_a_sampled_fit_is_the_same_when_it_is_read_back(case: str, tmp_path: Path) -> None:
    fit = drawn_fit(DRAWN[case](), "not reportable", ("R-hat of mu is 1.2; run more draws",))
    save_fit(fit, tmp_path / "fit.nc")
    saved = read_saved(tmp_path / "fit.nc").fit
    custom = fit.problem.model.custom is not None
    same_key = key_of(saved.problem, "nuts", saved.sampler) == key_of(
        fit.problem, "nuts", fit.sampler
    )
    # The code of a custom model is not kept, and with it what the key is of.
    assert same_key != custom
    assert saved.problem.evidence.labels == fit.problem.evidence.labels
    assert saved.problem.reliabilities == fit.problem.reliabilities
    assert (saved.status, saved.reasons, saved.notes) == (fit.status, fit.reasons, fit.notes)
    assert (saved.engine, saved.seed, saved.interval) == ("nuts", fit.seed, fit.interval)
    assert saved.parameters == fit.parameters
    assert saved.derived == fit.derived and saved.new_study == fit.new_study
    assert saved.diagnostics == fit.diagnostics and saved.outliers == fit.outliers
    assert saved.log_evidence == fit.log_evidence
    assert saved.log_evidence_mcse == fit.log_evidence_mcse


def test_the_code_of_a_custom_model_is_not_in_its_file(tmp_path: Path) -> None:
    save_fit(drawn_fit(DRAWN["a custom model"]()), tmp_path / "fit.nc")
    custom = read_saved(tmp_path / "fit.nc").fit.problem.model.custom
    assert custom is not None and (custom.name, custom.source) == ("multiplicative.py", "")
    with pytest.raises(InputError, match="a saved fit does not hold"):
        update_saved(tmp_path / "fit.nc", NewStudy(ri=0.1, ni=50))


def test_what_a_second_engine_said_is_kept(tmp_path: Path) -> None:
    said = Agreement(1.5, "mean of mu", 10, 4.2, reran=False)
    save_fit(replace(fitted("common-effect"), agreement=said), tmp_path / "fit.nc")
    assert read_saved(tmp_path / "fit.nc").fit.agreement == said


def test_other_draws_than_the_posterior_has_are_refused(tmp_path: Path) -> None:
    save_fit(drawn_fit(DRAWN["a mixture"]()), tmp_path / "fit.nc")
    with xr.open_datatree(tmp_path / "fit.nc") as tree:
        found = tree.load()
    posterior = found["posterior"].to_dataset()
    found["posterior"] = posterior.assign(mu=posterior["mu"] + 1)
    found.to_netcdf(tmp_path / "other.nc", engine="netcdf4")
    with pytest.raises(InputError, match="holds other draws"):
        read_saved(tmp_path / "other.nc")


def test_a_sampled_fit_of_before_its_draws_were_kept_says_to_save_it_again(tmp_path: Path) -> None:
    save_fit(drawn_fit(DRAWN["a mixture"]()), tmp_path / "fit.nc")
    with xr.open_datatree(tmp_path / "fit.nc") as tree:
        found = tree.load()
    del found.attrs["problem"]
    found.to_netcdf(tmp_path / "other.nc", engine="netcdf4")
    with pytest.raises(InputError, match="save the fit again"):
        read_saved(tmp_path / "other.nc")


def test_what_steers_a_terminal_is_not_read(tmp_path: Path) -> None:
    save_fit(fitted("common-effect"), tmp_path / "fit.nc")
    with xr.open_datatree(tmp_path / "fit.nc") as tree:
        found = tree.load()
    found.attrs["notes"] = json.dumps(["red \x1b[31m"])
    found.attrs["reason"] = "bell \x07"
    found.to_netcdf(tmp_path / "other.nc", engine="netcdf4")
    fit = read_saved(tmp_path / "other.nc").fit
    assert fit.notes == ("red [31m",) and fit.reason == "bell "


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
