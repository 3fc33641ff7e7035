"""Products of sums of weights over rows, at many weights at once."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import logsumexp

from metarho.engines.exact.products import Products

type Array = NDArray[np.float64]

# Powers of rows, and how small their first share may be: what is taken from its log at most.
CASES = {
    "one row": (np.array([-1.0]), 10),
    "an odd number of rows": (-np.ones(7), 10),
    "repeated rows": (np.array([-3.0, -1.0, -6.0]), 10),
    "more than are multiplied out": (np.array([-70.0, -1.0]), 10),
    "words": (np.array([-1.0, -1.0, 1.0, 2.0]), 10),
    "words alone": (np.array([1.0, 3.0]), 10),
    "powers that are no numbers of rows": (np.array([-1.5, 0.25, -2.0]), 10),
    "products beyond any number": (-np.ones(40), 100),
    "rows beyond any number": (-np.ones(4), 450),
    "no row": (np.zeros(0), 10),
}


def drawn(powers: Array, small: float, bands: int) -> Products:
    """Shares and weights of all orders of magnitude, 40 nodes and 300 weights."""
    rng = np.random.default_rng(len(powers) + bands)
    logs = np.log(rng.uniform(size=(40, bands, len(powers))))
    logs[:, 0] -= small * rng.uniform(size=(40, len(powers)))
    shares = np.exp(logs - logsumexp(logs, axis=1, keepdims=True))
    # A word leaves bands out: all but the last, which no weight is 0 of.
    shares[:, :-1, powers > 0] = 0.0
    shares[:, -1, powers > 0] = 1.0
    weights = np.cumprod(rng.uniform(size=(bands, 300)) ** 8, axis=0)
    # At one node all but the first come to next to nothing.
    weights[0], weights[1:, 0] = 1.0, 1e-280
    return Products(shares, powers, weights)


@pytest.mark.parametrize("bands", [2, 3, 4])
@pytest.mark.parametrize("name", CASES)
def test_products_are_those_of_each_row_s_logarithm(name: str, bands: int) -> None:
    found = drawn(*CASES[name], bands)
    logs = np.zeros((40, 300))
    for row, power in enumerate(found.powers.tolist()):
        logs += power * np.log(found.shares[:, :, row] @ found.weights)
    # Sums of logs of up to thousands, to rounding.
    assert found.logs() == pytest.approx(logs, abs=1e-10)
    masses = np.random.default_rng(1).normal(scale=40, size=300)
    assert found.log_sums(masses) == pytest.approx(logsumexp(logs + masses, axis=1), abs=1e-10)


def test_a_mass_that_is_no_number_counts_where_products_make_up_for_it() -> None:
    # Beside a mass of 1 one of exp(−740), below the least number, but of products of exp(800).
    shares = np.zeros((1, 2, 80))
    shares[0, 0], shares[0, 1] = np.exp(-10.0), 1 - np.exp(-10.0)
    weights = np.array([[1.0, 1.0], [1.0, 1e-12]])
    found = Products(shares, -np.ones(80), weights)
    lifted = -80 * np.log(shares[0, 0, 0] + 1e-12 * shares[0, 1, 0])
    truth = np.logaddexp(0.0, lifted - 740)
    assert found.log_sums(np.array([0.0, -740.0])) == pytest.approx([truth], abs=1e-9)


def test_words_whose_products_are_no_numbers_count_as_their_logarithms() -> None:
    # Eight words of one band, whose weights are so small that all products are below any number.
    shares = np.array([0.0, 1.0])[None, :, None].repeat(8, axis=2)
    weights = np.array([[1.0, 1.0], [1e-42, 3e-42]])
    truth = 8 * np.log(1e-42) + np.log(1 + 3.0**8)
    found = Products(shares, np.ones(8), weights).log_sums(np.zeros(2))
    assert found == pytest.approx([truth], abs=1e-10)
