"""Products of sums of weights over rows: what selection divides by, at many weights at once.

A row's sum Σ_b ω_b P_b is a linear form in the weights, the product of two rows a quadratic one:
its coefficients are found once for a place, and its values at all weights by a matrix product.
Nothing is subtracted, so that nothing cancels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]

# A power is as many factors; a logarithm takes about as long as six.
_MOST_FACTORS = 6
# Log of a product that is surely a number, and has one over it; a sum of such that is one.
_LOWEST, _LEAST_SUM = -600.0, float(np.exp(-50.0))
# Multiplications of one matrix product: as few stay in a processor's cache, and are not shared out
# to threads, which would wait for each other. Nodes of it, and the fewest weights.
_MULTIPLICATIONS, _NODES, _WEIGHTS = 2**18, 16, 64


@dataclass(frozen=True)
class Products:
    """Π_r (Σ_b ω_b P_rb)^powers_r at M nodes and W weights.

    ``shares`` P (M, B, R) and ``weights`` ω (B, W) are not negative; the first weight is 1.
    """

    shares: Array
    powers: Array
    weights: Array

    def logs(self) -> Array:
        """Their logs: (M, W)."""
        found = np.zeros((len(self.shares), self.weights.shape[1]))
        for sign, forms in ((1, self._above), (-1, self._below)):
            for block in self._blocks(forms.multiplications):
                values = forms.values(*block)
                for stretch in forms.stretches():
                    found[block] += sign * np.log(np.multiply.reduce(values[:, stretch], axis=1))
        apart = np.flatnonzero(~self._together)
        rows = self.shares[:, :, apart].transpose(0, 2, 1)
        for nodes, weights in self._blocks(rows[0].size) if len(apart) else ():
            logs = np.log(rows[nodes] @ self.weights[:, weights])
            found[nodes, weights] += np.einsum("r,mrw->mw", self.powers[apart], logs)
        return found

    def log_sums(self, log_masses: Array) -> Array:
        """Log of their sum over weights, each with its mass (W): (M)."""
        found = self._sums(log_masses)
        if found is not None:
            return found
        logs = self.logs() + log_masses
        peak = logs.max(axis=1)
        return np.asarray(peak + np.log(np.exp(logs - peak[:, None]).sum(axis=1)))

    def _sums(self, log_masses: Array) -> Array | None:
        """The same without a logarithm and an exponential each; None where numbers do not reach.

        What is divided by is at least exp(−600). A mass, or a product of words, that rounds to 0 is
        below exp(−700), and adds less than exp(−100): nothing to a sum of exp(−50).
        """
        above, below = self._above, self._below
        if not self._together.all() or below.least.sum() < _LOWEST:
            return None
        highest = float(log_masses.max())
        masses, found = np.exp(log_masses - highest), np.zeros(len(self.shares))
        for nodes, weights in self._blocks(above.multiplications + below.multiplications):
            over, under = (
                np.multiply.reduce(forms.values(nodes, weights), axis=1) for forms in (above, below)
            )
            found[nodes] += (over / under) @ masses[weights]
        return highest + np.log(found) if found.min() > _LEAST_SUM else None

    def _blocks(self, multiplications: int) -> Iterator[tuple[slice, slice]]:
        """Nodes and weights, of so many multiplications a node and weight."""
        most = _MULTIPLICATIONS // max(multiplications, 1)
        nodes = min(max(most // _WEIGHTS, 1), _NODES, len(self.shares))
        weights = max(most // nodes, _WEIGHTS)
        for first in range(0, len(self.shares), nodes):
            for start in range(0, self.weights.shape[1], weights):
                yield slice(first, first + nodes), slice(start, start + weights)

    @cached_property
    def _least(self) -> Array:
        """The log of what each row's sum is at least (R)."""
        with np.errstate(divide="ignore"):
            smallest = self.shares.min(axis=0) * self.weights.min(axis=1)[:, None]
            return np.asarray(np.log(smallest.max(axis=0)))

    @cached_property
    def _together(self) -> NDArray[np.bool_]:
        """Rows that are multiplied with others: a few times, and a pair of them is a number (R)."""
        factors = np.abs(self.powers)
        few = (factors % 1 == 0) & (factors <= _MOST_FACTORS)
        return np.asarray(few & (self._least > _LOWEST / 4))

    @cached_property
    def _above(self) -> _Forms:
        """What is multiplied by: rows that are words."""
        return self._forms(1)

    @cached_property
    def _below(self) -> _Forms:
        """What is divided by."""
        return self._forms(-1)

    def _forms(self, sign: int) -> _Forms:
        """Of the rows whose powers have a sign, an odd one with the first weight, 1."""
        rows = np.flatnonzero(self._together & (sign * self.powers > 0))
        rows = np.repeat(rows, np.abs(self.powers[rows]).astype(int))
        lacking = len(rows) % 2
        one = np.zeros((len(self.shares), len(self.weights), lacking))
        one[:, 0] = 1.0
        linear = np.concatenate([self.shares[:, :, rows], one], axis=2).transpose(0, 2, 1)
        least = np.append(self._least[rows], np.zeros(lacking)).reshape(-1, 2).sum(axis=1)
        pairs = linear[:, ::2, :, None] * linear[:, 1::2, None, :]
        folding = _folding(len(self.weights))
        return _Forms(
            pairs.reshape(*pairs.shape[:2], len(folding)) @ folding, self._monomials, least
        )

    @cached_property
    def _monomials(self) -> Array:
        """Products of two weights: (K, W)."""
        one, other = np.array(_pairs(len(self.weights))).T
        return np.asarray(self.weights[one] * self.weights[other])


@dataclass(frozen=True)
class _Forms:
    """G products of two rows: coefficients (M, G, K) of monomials (K, W), logs of the least (G)."""

    coefficients: Array
    monomials: Array
    least: Array

    @property
    def multiplications(self) -> int:
        """A node and weight."""
        return int(self.coefficients[0].size)

    def values(self, nodes: slice, weights: slice) -> Array:
        """At some nodes and weights: (m, G, w)."""
        some, monomials = self.coefficients[nodes], self.monomials[:, weights]
        values = some.reshape(-1, len(monomials)) @ monomials
        return values.reshape(*some.shape[:2], monomials.shape[1])

    def stretches(self) -> Iterator[slice]:
        """Groups one after the other, as many as have a product that is a number."""
        start, total = 0, 0.0
        for index, one in enumerate(self.least.tolist()):
            if total + one < _LOWEST:
                yield slice(start, index)
                start, total = index, 0.0
            total += one
        if len(self.least):
            yield slice(start, len(self.least))


@lru_cache
def _pairs(bands: int) -> list[tuple[int, int]]:
    """Of bands, each once: the monomials of a quadratic form."""
    return list(combinations_with_replacement(range(bands), 2))


@lru_cache
def _folding(bands: int) -> Array:
    """Which monomial a product of two weights is: (B², K)."""
    place = {pair: index for index, pair in enumerate(_pairs(bands))}
    found = np.zeros((bands**2, len(place)))
    for row, (one, other) in enumerate(np.ndindex(bands, bands)):
        found[row, place[min(one, other), max(one, other)]] = 1.0
    return found
