"""Parts of the grammar on r itself (COR) and on any effect sizes (GEN): sampled or refused by name.

That what is sampled has the textbook's density there is in ``test_nuts_density``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from drawn_fits import drawn_fit
from metarho.engines import exact
from metarho.errors import InputError
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit, as_dict
from metarho.predict.new_studies import Prediction, predict
from metarho.spec.analysis import Measure, Profile, Sampler
from other_measures import CASES, REFUSED, SAMPLED, problem_of


def test_rows_of_r_have_its_large_sample_variance_and_others_their_own(tmp_path: Path) -> None:
    of_r = problem_of(tmp_path, "COR", "random effects").evidence
    n = np.array([60, 60, 45, 51, 120, 33, 77])
    assert of_r.y == pytest.approx([0.31, 0.42, 0.12, -0.08, 0.27, 0.05, 0.56])
    assert of_r.v == pytest.approx((1 - of_r.y**2) ** 2 / (n - 1))
    others = problem_of(tmp_path, "GEN", "random effects").evidence
    sei = np.array([0.21, 0.18, 0.33, 0.25, 0.24, 0.15, 0.41, 0.29])
    assert others.v == pytest.approx(sei**2)
    assert others.y[~others.is_interval].max() == 1.72
    assert (others.lower[4], others.upper[4]) == (-0.5, 0.5)


@pytest.mark.parametrize(("measure", "name"), [case for case in CASES if case not in SAMPLED])
def test_what_is_about_fisher_s_z_alone_is_refused_by_name(
    tmp_path: Path, measure: Measure, name: str
) -> None:
    with pytest.raises(InputError) as caught:
        problem_of(tmp_path, measure, name)
    assert REFUSED[name] in str(caught.value)
    assert measure in str(caught.value)


def _predicted(fit: Fit) -> dict[str, Prediction]:
    profile = Profile.model_validate({"label": "new", "ni": 60, "sei": 0.2})
    return {found.quantity: found for found in predict(fit, profile, (0.0,))}


@pytest.mark.parametrize(
    ("measure", "name"),
    [
        # Drawing its effects takes ten seconds.
        pytest.param(*case, marks=[pytest.mark.slow] if "Student-t effects, st" in case[1] else [])
        for case in SAMPLED
    ],
)
def test_draws_of_a_part_are_read_on_the_scale_of_the_measure(
    tmp_path: Path, measure: Measure, name: str
) -> None:
    fit = drawn_fit(problem_of(tmp_path, measure, name))
    assert fit.tree["posterior"]["theta"].shape[-1] == fit.problem.evidence.k
    quantities = as_dict(fit)["quantities"]
    assert isinstance(quantities, dict)
    predicted = _predicted(fit)
    head = fit.posterior.mean_of(fit.posterior.head).summary(0.95, "eti")
    mean = predicted["mean"].summary
    # The mean at the average row, on the model's own scale: nothing is transformed.
    assert (mean.mean, mean.lower, mean.upper) == (head.mean, head.lower, head.upper)
    if measure == "GEN":
        assert not any(one.startswith("rho_") for one in quantities)
        assert list(predicted) == ["mean", "true", "observed"]
    else:
        # The variance of an r depends on the true one: what a new study observes is left out.
        assert list(predicted) == ["mean", "true"]
        for one in ("rho_median", "rho_mean"):
            assert quantities[one]["mean"] == pytest.approx(head.mean, rel=1e-12)


# One of every kind that both engines have; densities of all are seen without sampling.
AGREE: list[tuple[Measure, str]] = [
    ("GEN", "random effects, words"),
    ("GEN", "study and effect"),
    ("GEN", "correlated errors"),
    ("GEN", "Student-t effects, words"),
    ("GEN", "selection, three bands, words"),
    ("GEN", "PET, words"),
    ("COR", "study and effect"),
    ("COR", "moderators, words"),
    ("COR", "selection"),
    ("COR", "PEESE, correlated errors"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("measure", "name"), AGREE)
def test_the_engines_agree_on_other_measures(tmp_path: Path, measure: Measure, name: str) -> None:
    problem = problem_of(tmp_path, measure, name)
    assert exact.covers(problem) is None
    settings = Settings(engine="exact", agreement=True, sampler=Sampler(seed=2))
    (fit,) = fit_many([problem], settings)
    assert fit.agreement is not None
    assert fit.agreement.holds, (fit.agreement.largest, fit.agreement.threshold)
