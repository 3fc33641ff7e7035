"""Parts of the grammar sampled: computed well, in ArviZ's form, and near a truth."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from grammar_cases import PARTS
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit, as_dict
from metarho.predict.new_studies import predict
from metarho.spec.analysis import Profile, Sampler

LOG = logging.getLogger("parts")

# Of the parts that the exact engine does not cover, one of every kind that a tree treats alike.
# Both compile for many seconds: one is for make test-slow.
SOME = ["crossed with raters", pytest.param("mixture, study", marks=pytest.mark.slow)]


def _sampled(name: str, seed: int = 3) -> Fit:
    (fit,) = fit_many([PARTS[name].problem()], Settings(engine="nuts", sampler=Sampler(seed=seed)))
    return fit


@pytest.mark.parametrize("name", SOME)
def test_a_sampled_part_is_a_fit_like_any_other(name: str) -> None:
    # A seed that does not diverge: it is sampled once.
    fit = _sampled(name, 1)
    assert fit.status in ("ok", "warnings"), fit.reasons
    tree = fit.tree
    groups = {"posterior", "prior", "prior_predictive", "posterior_predictive"}
    groups |= {"log_prior", "sample_stats", "observed_data", "constant_data"}
    assert groups <= set(tree.children)
    assert tree["posterior"]["theta"].shape == (4, 1000, fit.problem.evidence.k)
    assert ("log_likelihood" in tree.children) == (name != "crossed with raters")
    for variable in tree["posterior"].data_vars.values():
        assert np.isfinite(variable.to_numpy()).all()
    plain = as_dict(fit)
    assert plain["log_evidence_mcse"] is not None
    profile = Profile.model_validate({"label": "new", "ni": 60})
    predictions = {p.quantity: p.summary for p in predict(fit, profile, (0.0,))}
    widths = [
        (summary.upper or 0) - (summary.lower or 0)
        for summary in (predictions[quantity] for quantity in ("mean", "true", "observed"))
    ]
    assert widths == sorted(widths)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_every_part_samples_well(name: str) -> None:
    fit = _sampled(name)
    assert fit.diagnostics is not None
    ess, retried = fit.diagnostics["ess_bulk"], fit.diagnostics["retried"]
    assert isinstance(ess, dict)
    LOG.info("| %s | %.0f | %s |", name, min(ess.values()), "yes" if retried else "no")
    assert fit.status == "ok", fit.reasons
