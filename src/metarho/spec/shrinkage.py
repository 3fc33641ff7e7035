"""Joint priors of all slopes, as the ordinary priors that they consist of.

A slope is a standard normal variable, or one of a known sd, times a scale made of further
parameters; ``engines/slope_scales.py`` has the scales.

**RegularizedHorseshoe(tau0, slab_df, slab_scale)** (Piironen & Vehtari 2017, 10.1214/17-EJS1337SI):

    beta_j ~ Normal(0, tau_g² λ̃_j²)         λ̃_j² = c² λ_j² / (c² + tau_g² λ_j²)
    tau_g ~ HalfCauchy(tau0)                 beta_global
    λ_j ~ HalfCauchy(1)                      beta_local[j]
    c² ~ InverseGamma(slab_df/2, slab_df·slab_scale²/2)     beta_slab2

Slopes are near 0, or as if from a Student-t of slab_df and slab_scale.

**R2D2(mean, precision, concentration)** (Zhang et al. 2022, 10.1080/01621459.2020.1825449, with the
Dirichlet's concentration free as in brms):

    beta_j ~ Normal(0, tau² φ_j R²/(1 − R²) / sd(x_j)²)     tau² the total variance of true effects
    R² ~ Beta(mean·precision, (1 − mean)·precision)         beta_R2
    φ ~ Dirichlet(concentration, …)                         beta_phi[j]

R² is the share of the variance of true effects that moderators explain, where their columns do not
correlate; φ_j the part of x_j in it, sampled as γ_j/Σγ with γ_j ~ Gamma(concentration, 1), here
beta_gamma[j]. sd(x_j) is that of the column over the rows used, as encoded: leaving rows out does
not change it.
"""

from __future__ import annotations

from collections.abc import Mapping

from metarho.errors import InputError
from metarho.spec.priors import PER_HORSESHOE, PER_R2D2, Prior

FAMILY_OF = {PER_HORSESHOE: "RegularizedHorseshoe", PER_R2D2: "R2D2"}
"""What slopes are in units of -> the joint prior that they share."""


def expanded(joint: Prior, column_sds: Mapping[str, float]) -> dict[str, Prior]:
    """Slopes and the parameters of their scale, with ordinary priors.

    ``column_sds`` maps the design columns of the slopes to their sds. Raises InputError when R2D2
    meets a column that does not vary.
    """
    if not column_sds:
        return {}
    families = {"RegularizedHorseshoe": _horseshoe, "R2D2": _r2d2}
    return families[joint.family](joint, column_sds)


def at_sds(priors: Mapping[str, Prior], column_sds: Mapping[str, float]) -> dict[str, Prior]:
    """Priors in which R2D2's slopes go by other sds of their columns: those of other rows."""
    found = dict(priors)
    for column, sd in column_sds.items():
        name = f"beta[{column}]"
        if name in found and found[name].on == PER_R2D2:
            found[name] = _slope(1 / sd, PER_R2D2)
    return found


def _horseshoe(joint: Prior, column_sds: Mapping[str, float]) -> dict[str, Prior]:
    given = joint.values
    half_df = given["slab_df"] / 2
    slab2 = Prior(
        "InverseGamma", (("alpha", half_df), ("beta", half_df * given["slab_scale"] ** 2))
    )
    return {
        **{f"beta[{column}]": _slope(1.0, PER_HORSESHOE) for column in column_sds},
        "beta_global": Prior("HalfCauchy", (("beta", given["tau0"]),)),
        "beta_slab2": slab2,
        **{f"beta_local[{column}]": Prior("HalfCauchy", (("beta", 1.0),)) for column in column_sds},
    }


def _r2d2(joint: Prior, column_sds: Mapping[str, float]) -> dict[str, Prior]:
    given = joint.values
    constant = [column for column, sd in column_sds.items() if not sd > 0]
    if constant:
        raise InputError(
            f"beta: {joint} is about moderators that vary, and {', '.join(constant)} is the same "
            f"in all rows; leave it out, or give it a prior of its own: beta[{constant[0]}]"
        )
    of_r2 = (
        ("alpha", given["mean"] * given["precision"]),
        ("beta", (1 - given["mean"]) * given["precision"]),
    )
    gamma = Prior("Gamma", (("alpha", given["concentration"]), ("beta", 1.0)))
    return {
        **{f"beta[{column}]": _slope(1 / sd, PER_R2D2) for column, sd in column_sds.items()},
        "beta_R2": Prior("Beta", of_r2),
        **{f"beta_gamma[{column}]": gamma for column in column_sds},
    }


def _slope(sigma: float, unit: str) -> Prior:
    return Prior("Normal", (("mu", 0.0), ("sigma", sigma)), on=unit)
