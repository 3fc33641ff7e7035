"""How often, and by how much, a method is right: measures of its answers on R data sets.

Each comes with its Monte Carlo standard error. Bias, coverage, mean squared error and rejection by
Morris, White & Crowther 2019 (10.1002/sim.8086, table 6); of the root of the mean squared error,
and of means and shares among the data sets whose interval excludes 0, by the delta method. Type S
and Type M errors are those of Gelman & Carlin 2014 (10.1177/1745691614551642).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

type Array = NDArray[np.float64]
type Measures = dict[str, float | None]

# Bayes factors that are read as moderate and as strong (Jeffreys 1961).
THRESHOLDS = (3.0, 10.0)


def with_error(name: str, value: float, variance: float, count: int) -> Measures:
    """A mean over so many data sets, whose numbers have this variance, with its standard error."""
    error = math.sqrt(variance / count) if count > 1 else None
    return {name: value, f"{name}_mcse": error}


def mean_of(name: str, values: Array) -> Measures:
    """A mean with its standard error, s/√R; nothing where there are no values."""
    if not len(values):
        return {name: None, f"{name}_mcse": None}
    variance = float(values.var(ddof=1)) if len(values) > 1 else 0.0
    return with_error(name, float(values.mean()), variance, len(values))


def share_of(name: str, holds: NDArray[np.bool_]) -> Measures:
    """A share with its standard error, √(p (1 − p)/R); nothing where there are no cases."""
    if not len(holds):
        return {name: None, f"{name}_mcse": None}
    p = float(holds.mean())
    return with_error(name, p, p * (1 - p), len(holds))


def of_parameter(
    truth: float, median: Array, lower: Array, upper: Array, *, may_be_0: bool
) -> Measures:
    """The measures of a parameter whose true value is known, on any one scale; arrays (R).

    The estimate is the posterior median. ``may_be_0`` says that 0 lies within the parameter's
    values, so that it means something whether an interval excludes it: ``excludes_0`` is power,
    where the truth is 0 the Type I error. Among these ``type_s`` is the share of estimates with the
    wrong sign and ``type_m`` the mean of |estimate|/|truth|.
    """
    off = median - truth
    found = share_of("coverage", (lower <= truth) & (truth <= upper))
    found |= mean_of("bias", off)
    found |= _rmse(off)
    found |= mean_of("width", upper - lower)
    excludes = (lower > 0) | (upper < 0)
    has_sign = may_be_0 and truth != 0
    found |= share_of("excludes_0", excludes if may_be_0 else excludes[:0])
    told = median[excludes] if has_sign else median[:0]
    found |= share_of("type_s", np.sign(told) != np.sign(truth))
    found |= mean_of("type_m", np.abs(told) / abs(truth) if has_sign else told)
    return found


def _rmse(off: Array) -> Measures:
    """√(mean of squares); its error is that of the mean of squares over twice the root."""
    if not len(off):
        return {"rmse": None, "rmse_mcse": None}
    square = mean_of("mse", off**2)
    mse, error = square["mse"], square["mse_mcse"]
    assert mse is not None
    root = math.sqrt(mse)
    return {"rmse": root, "rmse_mcse": error / (2 * root) if error is not None and root else error}


def of_new_study(mu: float, tau: float, lower: Array, upper: Array, width: Array) -> Measures:
    """How probable it is that the true effect of a new study lies in its interval (on z), (R).

    Given each interval that is a normal probability, and needs no further draw.
    """
    if tau == 0:
        inside = ((lower <= mu) & (mu <= upper)).astype(float)
    else:
        inside = ndtr((upper - mu) / tau) - ndtr((lower - mu) / tau)
    return {**mean_of("coverage", inside), **mean_of("width", width)}


def of_bayes_factors(mu: float, log_bf: Array) -> Measures:
    """What BF10 against mu = 0 says, (R): its mean log, and how often it misleads or is undecided.

    At a threshold t it is undecided from 1/t to t, and misleading beyond on the wrong side: above t
    where mu is 0, below 1/t where it is not.
    """
    found = mean_of("log_bf_mean", log_bf)
    for threshold in THRESHOLDS:
        most = math.log(threshold)
        wrong = log_bf > most if mu == 0 else log_bf < -most
        found |= share_of(f"bf_misleading_{threshold:g}", wrong)
        found |= share_of(f"bf_undecided_{threshold:g}", np.abs(log_bf) <= most)
    return found
