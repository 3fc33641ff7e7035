"""ArviZ's power scaling, of fits as they come."""

from __future__ import annotations

import math

from cases import alliance, problem
from metarho.compare.power_scaling import power_scaling
from metarho.fitting import Settings, fit_many


def test_a_model_of_several_slopes_is_scaled() -> None:
    rows = alliance("drop", "n > 0")
    (fit,) = fit_many([problem(rows, mods="~ guidance + center(year)")], Settings())
    assert fit.tree["log_prior"]["beta"].shape[-1] == 3
    found = power_scaling(fit)
    assert [one.parameter for one in found] == ["mu", "tau"]
    assert all(math.isfinite(one.prior) and one.prior > 0 for one in found)


def test_a_flat_prior_has_nothing_to_scale() -> None:
    made = problem(alliance("drop"), mu="Flat()", tau="Uniform(lower=0, upper=4)")
    (fit,) = fit_many([made], Settings())
    assert power_scaling(fit) == ()
