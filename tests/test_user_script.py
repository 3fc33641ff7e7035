"""A script as users write it: it runs, and ``make lint`` checks its types strictly."""

from __future__ import annotations

import doctest
from pathlib import Path
from types import ModuleType
from typing import assert_type

import pytest
import xarray as xr

import metarho
import metarho.api
import metarho.data.studies


def test_what_is_loaded_and_fitted_has_the_public_types() -> None:
    studies = metarho.load_studies("internet-alliance", where='role == "main"')
    assert_type(studies, metarho.Studies)
    model = metarho.load_model("random-effects")
    assert_type(model, metarho.Model)
    own: dict[str, metarho.Prior] = model.priors
    fit = metarho.fit(model, studies, priors={"mu": "Normal(mu=0, sigma=1)", "tau": own["tau"]})
    assert_type(fit, metarho.Fit)
    summary = fit.derived["rho_median"]
    assert_type(summary, metarho.Summary)
    assert_type(summary.median, float | None)
    assert_type(fit.tree, xr.DataTree)
    for value, kind in (
        (studies, metarho.Studies),
        (model, metarho.Model),
        (own["mu"], metarho.Prior),
        (fit, metarho.Fit),
        (summary, metarho.Summary),
    ):
        assert isinstance(value, kind)


def test_what_is_wrong_is_raised_as_a_public_error() -> None:
    with pytest.raises(metarho.InputError, match="did you mean 'random-effects'"):
        metarho.load_model("random-efects")


def test_a_run_returns_the_public_type(tmp_path: Path) -> None:
    config = tmp_path / "small.yaml"
    studies = "studies: {source: internet-alliance, intervals: drop}"
    config.write_text(f"{studies}\nmodels: [common-effect]\nreport: none\n", encoding="utf-8")
    result = metarho.run(config, output=tmp_path / "outputs")
    assert_type(result, metarho.Result)
    assert isinstance(result, metarho.Result)
    assert_type(result.fits["common-effect", "default", "drop"], metarho.Fit)


@pytest.mark.parametrize("module", [metarho.api, metarho.data.studies])
def test_the_examples_in_docstrings_are_true(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0 and found.failed == 0
