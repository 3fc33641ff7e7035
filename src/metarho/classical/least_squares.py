"""Weighted least squares: coefficients, and traces of the matrix that leaves residuals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]

# Where weights differ so much sums of their squares cancel to fewer than eight digits, and P is
# written out after all.
_UNEVEN = 1e4


@dataclass(frozen=True)
class LeastSquares:
    """Of y (k) on x (k × p) with weights w (k), the inverse variances.

    P = W − W X (XᵀWX)⁻¹ XᵀW; it is not written out where that can be helped, for k may be large.
    """

    y: Array
    x: Array
    w: Array

    @cached_property
    def _root(self) -> Array:
        """R⁻¹ of √W X = QR. Columns are scaled first: years beside shares are no loss of digits."""
        weighted = np.sqrt(self.w)[:, None] * self.x
        size = np.sqrt((weighted**2).sum(axis=0))
        r = np.linalg.qr(weighted / size, mode="r")
        return np.asarray(np.linalg.inv(r) / size[:, None])

    @cached_property
    def vb(self) -> Array:
        """(XᵀWX)⁻¹."""
        return np.asarray(self._root @ self._root.T)

    @cached_property
    def beta(self) -> Array:
        """(XᵀWX)⁻¹ XᵀWy, of y about its weighted mean where there is an intercept."""
        return np.asarray(self._root @ (self._root.T @ (self.x.T @ (self.w * self.y))))

    @cached_property
    def residuals(self) -> Array:
        """Y − Xβ."""
        return np.asarray(self.y - self.x @ self.beta)

    @cached_property
    def rss(self) -> float:
        """yᵀPy, the weighted sum of squared residuals."""
        return float((self.w * self.residuals**2).sum())

    @cached_property
    def rss_of_weighted(self) -> float:
        """yᵀPPy."""
        return float(((self.w * self.residuals) ** 2).sum())

    @property
    def hat(self) -> Array:
        """The diagonal of X(XᵀWX)⁻¹XᵀW: the leverage of each row."""
        return np.asarray(((self.x @ self._root) ** 2).sum(axis=1) * self.w)

    @cached_property
    def logdet(self) -> float:
        """Log |XᵀWX|."""
        return -2.0 * float(np.linalg.slogdet(self._root)[1])

    def trace(self, d: Array | float = 1.0) -> float:
        """tr(PD) of a diagonal D."""
        return float((self.w * d).sum() - np.trace(self._inside(self.w**2 * d)))

    def trace_of_two(self, d: Array | float = 1.0, e: Array | float = 1.0) -> float:
        """tr(PDPE) of diagonal D and E."""
        d, e = np.broadcast_to(d, self.w.shape), np.broadcast_to(e, self.w.shape)
        if self.w.max() > _UNEVEN * self.w.min():
            turned = self.w[:, None] * (self.x @ self._root)
            p = np.diag(self.w) - turned @ turned.T
            return float(e @ (p * p) @ d)
        whole = float((self.w**2 * d * e).sum())
        crossed = float(np.trace(self._inside(self.w**3 * d * e)))
        both = self._inside(self.w**2 * d) @ self._inside(self.w**2 * e)
        return whole - 2 * crossed + float(np.trace(both))

    def _inside(self, d: Array) -> Array:
        """R⁻ᵀ XᵀDX R⁻¹."""
        turned = self.x @ self._root
        return np.asarray(turned.T @ (d[:, None] * turned))
