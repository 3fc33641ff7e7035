"""Sampling variances inflated by one factor: y ~ Normal(mu, phi·v).

Stanley and Doucouliagos 2015, 10.1002/jrsm.1211 (unrestricted weighted least squares). An interval
counts with its probability under the same law, v its nominal variance.
"""

import numpy as np
import pymc as pm
import pytensor.tensor as pt

import metarho

# An end that is not there: so far out that it cuts off nothing. A gradient bears no infinity.
ENDLESS = 1e10


def build(studies, priors):
    """Mean and factor, and all rows as one observed variable."""
    rows = studies.used
    v = np.array([row.vi for row in rows])
    is_interval = np.array([row.is_interval for row in rows])
    # PyMC takes a blank for a value to be imputed: intervals hold a place with a number.
    y = np.array([0.0 if row.is_interval else row.yi for row in rows])
    ends = [(row.lower, row.upper) if row.is_interval else (-1.0, 1.0) for row in rows]
    lower, upper = np.clip(ends, -ENDLESS, ENDLESS).T

    def log_likelihood(value, mean, sd):
        number = pm.logp(pm.Normal.dist(mean, sd), value)
        return pt.switch(is_interval, log_probability(lower, upper, mean, sd), number)

    def replicate(mean, sd, size):
        return pm.Normal.dist(mean, sd, size=size)

    with pm.Model() as model:
        mu = metarho.random_variable("mu", priors["mu"])
        phi = metarho.random_variable("phi", priors["phi"])
        pm.CustomDist("y", mu, pt.sqrt(phi * v), logp=log_likelihood, dist=replicate, observed=y)
    return model


def log_probability(lower, upper, mean, sd):
    """Log P(lower < y < upper), taken in the tail where both ends are small."""
    low, high = (lower - mean) / sd, (upper - mean) / sd
    flip = low + high > 0
    standard = pm.Normal.dist(0, 1)
    log_low = pm.logcdf(standard, pt.switch(flip, -high, low))
    log_high = pm.logcdf(standard, pt.switch(flip, -low, high))
    return log_high + pt.log1p(-pt.exp(log_low - log_high))
