"""ArviZ's predictive plots take a fit's tree as it is: of rows that print numbers, and of no other.

``plot_loo_pit`` is not among them: it takes a log likelihood a row, and a fit's is that of studies,
jointly. PIT with the study left out are exact in ``fit.leave_out``, and ``plot_ecdf_pit`` draws
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import arviz as az
import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr

from cases import alliance, problem
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit

PLOTS: Mapping[str, Mapping[str, Any]] = {
    "plot_ppc_dist": {},
    "plot_ppc_pit": {},
    "plot_ppc_dist_pit": {},
    "plot_ppc_tstat": {"t_stat": "std"},
    "plot_ppc_interval": {},
}


@pytest.fixture(autouse=True)
def _no_window() -> None:
    mpl.use("agg")


@pytest.fixture(scope="module")
def fits() -> dict[str, Fit]:
    """The shipped evidence with its words and its range, and without."""
    problems = {name: problem(alliance(name)) for name in ("use", "drop")}
    return {name: fit_many([one], Settings())[0] for name, one in problems.items()}


@pytest.mark.parametrize("intervals", ["use", "drop"])
@pytest.mark.parametrize("name", PLOTS)
def test_a_predictive_plot_takes_the_tree_unmodified(
    fits: dict[str, Fit], intervals: str, name: str
) -> None:
    drawn = getattr(az, name)(fits[intervals].tree, backend="matplotlib", **PLOTS[name])
    assert drawn.viz["figure"].item() is not None


def test_what_was_expected_before_data_is_drawn_too(fits: dict[str, Fit]) -> None:
    az.plot_ppc_dist(fits["use"].tree, group="prior_predictive", backend="matplotlib")


def test_rows_that_print_words_are_not_taken_for_numbers(fits: dict[str, Fit]) -> None:
    tree, evidence = fits["use"].tree, fits["use"].problem.evidence
    printed = np.array(evidence.effect_names)[~evidence.is_interval]
    for group in ("observed_data", "posterior_predictive", "prior_predictive"):
        assert tree[group]["effect"].to_numpy().tolist() == printed.tolist()
    assert np.isfinite(tree["observed_data"]["y"].to_numpy()).all()
    known = tree["constant_data"]
    assert np.isnan(known["y"].to_numpy()).tolist() == evidence.is_interval.tolist()
    assert np.isfinite(known["y_upper"].to_numpy()).sum() > 0


def test_the_pit_of_left_out_studies_are_drawn_by_plot_ecdf_pit(fits: dict[str, Fit]) -> None:
    left_out = fits["use"].leave_out
    assert left_out is not None
    pit = np.array([one for score in left_out.studies for one in score.pit])
    tree = xr.DataTree.from_dict({"loo_pit": xr.Dataset({"y": (("sample",), pit)})})
    az.plot_ecdf_pit(tree, group="loo_pit", sample_dims="sample", backend="matplotlib")
