"""Weights of rows: metafor's where heterogeneity is known, averaged where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cases import REFERENCES, alliance, molloy, problem, reference
from metarho.data.studies import Studies, load_studies
from metarho.engines.nuts.draws import Draws
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Curve
from metarho.posterior.weights import no_weights, weights

THEIRS = reference("metafor_baujat_weights")


def _fit(studies: Studies, name: str = "random-effects", **priors: str) -> Fit:
    return fit_many([problem(studies, name, **priors)], Settings(engine="exact"))[0]


def _by_row(fit: Fit) -> dict[int, float]:
    """The place of a row in its file -> its weight."""
    return dict(zip((r.index for r in fit.problem.evidence.rows), weights(fit), strict=True))


def test_weights_are_metafor_s_where_heterogeneity_is_known() -> None:
    found = _by_row(_fit(molloy(), tau="DiracDelta(c=0.09)"))
    ours = [found[index] for index in sorted(found)]
    assert ours == pytest.approx(THEIRS["weights"]["weights"], abs=1e-12)


@pytest.mark.parametrize(("case", "rho"), [("nested", 0.0), ("correlated", 0.5)])
def test_rows_of_a_study_share_its_weight_as_metafor_has_them(case: str, rho: float) -> None:
    columns = {"ri": "ri", "ni": "ni", "study": "studyid", "effect": "sampleid"}
    studies = load_studies(
        REFERENCES / "crede2010.csv", columns=columns, where='criterion == "grade"', rho_within=rho
    )
    fit = _fit(
        studies,
        "three-level",
        tau_study=f"DiracDelta(c={0.02**0.5!r})",
        tau_effect=f"DiracDelta(c={0.03**0.5!r})",
    )
    found = _by_row(fit)
    ours = [found[index] for index in sorted(found)]
    assert ours == pytest.approx(THEIRS[case]["weights"], abs=1e-12)


def test_they_are_averaged_over_the_posterior_of_heterogeneity() -> None:
    fit = _fit(molloy())
    tau = fit.posterior.parameters["tau"]
    assert isinstance(tau, Curve)
    v = fit.problem.evidence.v

    def first(values: np.ndarray) -> np.ndarray:
        given = 1 / (v + values[:, None] ** 2)
        return np.asarray(given[:, 0] / given.sum(axis=1))

    assert weights(fit)[0] == pytest.approx(tau.expect(first), abs=1e-12)
    assert weights(fit).sum() == pytest.approx(1)


def test_rows_that_printed_no_number_have_none() -> None:
    fit = _fit(alliance())
    found = weights(fit)
    assert (np.isnan(found) == fit.problem.evidence.is_interval).all()
    assert np.nansum(found) == pytest.approx(1)


def test_draws_are_averaged_like_nodes() -> None:
    fit = _fit(molloy(), tau="DiracDelta(c=0.09)")
    tau = np.array([[0.05, 0.2], [0.05, 0.2]])
    drawn = replace(fit, result=Draws({"mu": 0 * tau, "tau": tau}, {}, {}, 0.8, False))
    ends = [weights(_fit(molloy(), tau=f"DiracDelta(c={c})")) for c in (0.05, 0.2)]
    assert weights(drawn) == pytest.approx(np.mean(ends, axis=0), abs=1e-12)


def test_models_whose_rows_have_no_weights_say_why() -> None:
    assert "not normal" in str(no_weights(problem(molloy(), "student-t")))
    assert "not normal" in str(no_weights(problem(molloy(), "selection")))
    words = alliance(where='role == "main" and reported != "exact"')
    assert no_weights(problem(words)) == "no row printed a number"
    assert no_weights(problem(molloy(), "exact-r")) is None
