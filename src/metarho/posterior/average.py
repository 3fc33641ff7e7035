"""The average correlation over a distribution of true effects, E tanh(mu + tau·ε).

Two forms, each accurate to rounding where it is used:

- tau <= 1: the trapezoidal rule over ε, which converges geometrically because tanh is smooth
  over a distance of tau;
- tau > 1: integrated by parts, ∫ sech²(u) [Φ((mu − u)/tau) − ½] du, smooth over distance 1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

type Array = NDArray[np.float64]

_STEP = 0.25
_EPS = np.arange(-36, 37) * _STEP
_EPS_WEIGHTS = np.exp(-0.5 * _EPS**2) * _STEP / math.sqrt(2 * math.pi)
_U = np.arange(-100, 101) * 0.2
_U_WEIGHTS = 0.2 / np.cosh(_U) ** 2


def average_correlation(mu: Array, tau: Array) -> Array:
    """E tanh(mu + tau·ε) for standard normal ε; mu and tau broadcast."""
    mu, tau = np.broadcast_arrays(np.asarray(mu, dtype=float), np.asarray(tau, dtype=float))
    result = np.empty(mu.shape)
    near = tau <= 1
    result[near] = np.tanh(mu[near, None] + tau[near, None] * _EPS) @ _EPS_WEIGHTS
    scaled = (mu[~near, None] - _U) / tau[~near, None]
    result[~near] = (ndtr(scaled) - 0.5) @ _U_WEIGHTS
    return result


def average_correlation_slope(mu: Array, tau: Array) -> Array:
    """d/dmu of the average correlation: E sech²(mu + tau·ε)."""
    mu, tau = np.broadcast_arrays(np.asarray(mu, dtype=float), np.asarray(tau, dtype=float))
    result = np.empty(mu.shape)
    near = tau <= 1
    theta = mu[near, None] + tau[near, None] * _EPS
    result[near] = (1 - np.tanh(theta) ** 2) @ _EPS_WEIGHTS
    scaled = (mu[~near, None] - _U) / tau[~near, None]
    density = np.exp(-0.5 * scaled**2) / (math.sqrt(2 * math.pi) * tau[~near, None])
    result[~near] = density @ _U_WEIGHTS
    return result


def average_square(mu: Array, tau: Array, centre: float) -> Array:
    """E (tanh(mu + tau·ε) − centre)²; mu and tau broadcast.

    For tau > 1 by E tanh² = 1 − E sech²; below, directly, so that small spreads keep their digits.
    """
    mu, tau = np.broadcast_arrays(np.asarray(mu, dtype=float), np.asarray(tau, dtype=float))
    result = np.empty(mu.shape)
    near = tau <= 1
    theta = mu[near, None] + tau[near, None] * _EPS
    result[near] = (np.tanh(theta) - centre) ** 2 @ _EPS_WEIGHTS
    far_mu, far_tau = mu[~near], tau[~near]
    square = 1 - average_correlation_slope(far_mu, far_tau)
    result[~near] = square - 2 * centre * average_correlation(far_mu, far_tau) + centre**2
    return result
