"""Unknown weights of selection, integrated out at every node of the mean and of heterogeneity.

Weights enter the likelihood of a row through one short sum (``selection.SelectedRows``), so that
given mu and tau they are integrated by a rule of their own, whatever the other priors are:

    log ∫ Π_b ω_b^counts Π_r (Σ_b ω_b P_rb)^powers dπ(ω).

The result is smooth in mu and tau, for it changes over the standard error of a study, not over that
of the mean: it is found at the nodes of panels of its own, and interpolated between them.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, logsumexp, xlog1py, xlogy

from metarho.engines.exact.inversion import invert_rows
from metarho.engines.exact.panels import Axis, legendre
from metarho.engines.exact.selection import Rows, SelectedRows, selected_rows
from metarho.engines.problem import Evidence, Problem
from metarho.spec.model import Step, StepSelection
from metarho.spec.priors import PER_BAND, Prior

type Array = NDArray[np.float64]

# A tensor rule over more weights than this is no longer a matter of seconds.
MOST_WEIGHTS = 3
# With so few rows, and no longer a stretch of x, up to two weights have a law as wide as that: no
# narrower one is looked for. Of three a wider one would take more nodes than looking does.
_FEW_ROWS, _LONG = {1: 40, 2: 40, 3: 0}, 8.0
# Where it is looked for: nodes a weight, rounds, and what counts beside the largest: exp(−30).
_LOOK, _ROUNDS, _NEGLIGIBLE = 9, 3, 30.0
# Ends of the log of a ratio's scale: far below, products of as many are no numbers; above, a ratio
# is itself.
_LOWEST_SCALE, _HIGHEST_SCALE = -600.0, 2.0
# Nodes a weight, by how many weights there are.
_PLACES = {1: 32, 2: 20, 3: 14}
# Panels a weight: the law bends at a distance of π from the line of x.
_MOST_PANELS = {1: 100, 2: 6, 3: 1}
# A fractional power of the distance to an end is a polynomial to 1e-8 from this shape of a Beta on.
_SMOOTH = 4.0
# Panels in asinh(mu/unit), asinh(tau/unit): their width, and nodes by how many weights there are. A
# row's chances change around its own limits, at a few standard errors of it from 0, over as much.
_WIDTH, _ORDER = 1.0, {1: 18, 2: 18, 3: 14}
# So many factors, each at least that, have a product.
_FACTORS, _LEAST_FACTOR = 8, 1e-30
# Evidences, step functions and laws whose values are kept; a hundred take a few megabytes.
_MOST_KEPT = 100
# Beside what counts, the log of what does not.
_CANNOT_COUNT = 30.0
# Numbers held at once (8 MB of doubles).
_BLOCK = 1_000_000


@dataclass(frozen=True)
class WeightLaw:
    """The prior of D unknown weights: ``shapes`` (alpha, beta) of a Beta law each.

    ``cumulative``: of each in units of the one before it, so that weights never rise.
    """

    shapes: tuple[tuple[float, float], ...]
    cumulative: bool

    @property
    def count(self) -> int:
        """D."""
        return len(self.shapes)

    def weights(self, ratios: Array) -> Array:
        """Weights of all bands from what the law is of, (..., D) → (..., D + 1), the first 1."""
        found = np.cumprod(ratios, axis=-1) if self.cumulative else ratios
        return np.concatenate([np.ones((*found.shape[:-1], 1)), found], axis=-1)

    def counts(self, of_bands: Array) -> Array:
        """How often each of what the law is of is a factor (D), from how often each band is."""
        if self.cumulative:
            return np.asarray(np.cumsum(of_bands[::-1])[::-1][1:])
        return of_bands[1:]

    def log_density(self, ratios: Array) -> Array:
        """Log density of what the law is of, (..., D) → (..., D)."""
        a, b = np.array(self.shapes).T
        return np.asarray(xlogy(a - 1, ratios) + xlog1py(b - 1, -ratios) - betaln(a, b))


def weight_law(problem: Problem) -> WeightLaw | None:
    """The law of weights that are integrated here; None where weights are known, or an axis.

    Up to three weights, each with a Uniform(0, 1) prior or a Beta whose density has no root and no
    pole at an end.
    """
    selection = problem.model.selection
    if not isinstance(selection, StepSelection) or not selection.step.omegas:
        return None
    priors = [problem.prior(name) for name in selection.step.omegas]
    shapes = [shape for prior in priors if (shape := _shape(prior)) is not None]
    if len(priors) > MOST_WEIGHTS or len(shapes) < len(priors):
        return None
    return WeightLaw(tuple(shapes), any(prior.on == PER_BAND for prior in priors))


def _shape(prior: Prior) -> tuple[float, float] | None:
    if prior.on not in ("", PER_BAND):
        return None
    values = prior.values
    if prior.family == "Uniform" and (values["lower"], values["upper"]) == (0.0, 1.0):
        return 1.0, 1.0
    if prior.family != "Beta" or not all(map(_is_smooth, values.values())):
        return None
    return values["alpha"], values["beta"]


def _is_smooth(shape: float) -> bool:
    """Whether a Beta density is as good as a polynomial at the end that has the shape."""
    return shape >= 1 and (shape >= _SMOOTH or shape.is_integer())


@dataclass(frozen=True)
class Selection:
    """What selection multiplies the likelihood of rows by, weights integrated out.

    It depends on no prior but that of the weights, so that problems which differ in others share
    it. Values at the nodes of a panel of mu and tau are found when a first one asks for them.
    ``unit`` is the standard error of the most precise row, in which mu and tau are measured.
    """

    rows: SelectedRows
    law: WeightLaw
    unit: float
    _known: dict[tuple[int, int], Array] = field(default_factory=dict, compare=False, repr=False)
    _bounds: dict[tuple[int, int], Array] = field(default_factory=dict, compare=False, repr=False)

    def log_expected(self, tau: Array, mu: Array, beside: Array | None = None) -> Array:
        """Its log at N values of tau and M of mu, between nodes interpolated: (N, M).

        ``beside`` (N, M) is the log of what it multiplies. Panels on which the product cannot count
        keep the most that it might be there, whatever is known of them by then.
        """
        (row, row_place), (column, column_place) = (self._locate(x) for x in (tau, mu))
        found = np.empty((len(tau), len(mu)))
        best = -math.inf
        for i, j in self._in_order(row, column, beside):
            here, there = np.flatnonzero(row == i), np.flatnonzero(column == j)
            at = np.ix_(here, there)
            order = _ORDER[self.law.count]
            left, right = (legendre(x, order) for x in (row_place[here], column_place[there]))
            if beside is not None:
                most = left @ self._most(i, j) @ right.T
                if float((beside[at] + most).max()) < best - _CANNOT_COUNT:
                    found[at] = most
                    continue
            found[at] = left @ self._coefficients(i, j) @ right.T
            if beside is not None:
                best = max(best, float((beside[at] + found[at]).max()))
        return found

    def draw(self, tau: Array, mu: Array, rng: np.random.Generator) -> Array:
        """Independent draws of the weights at N values of tau and mu together: (N, D).

        Ratios one after the other, each by its quantile function given those before.
        """
        places, count = _PLACES[self.law.count], self.law.count
        share = rng.uniform(size=(count, len(mu)))
        found = []
        block = max(1, _BLOCK // (places**count * len(self.rows.powers)))
        for start in range(0, len(mu), block):
            here = slice(start, start + block)
            rule = Rule.at(self.rows, self.law, self.rows.shares(mu[here], tau[here] ** 2))
            axis = rule.axis(places)
            weights = np.tile(np.polynomial.legendre.leggauss(places)[1], axis.panels)
            logs = rule.log_integrand(places)
            mass = np.exp(logs - logs.max(axis=1, keepdims=True))
            mass = mass.reshape(len(mass), *[len(weights)] * count)
            ratios = np.empty((len(mass), count))
            for d in range(count):
                # What comes later is summed out; what came before is known.
                density = mass.sum(axis=tuple(range(2, mass.ndim))) / weights
                panel, place = invert_rows(axis, density, share[d, here])
                u = axis.breaks[panel] + 0.5 * (1 + place) * axis.widths[panel]
                x = rule.low[:, d] + (rule.high - rule.low)[:, d] * u
                ratios[:, d] = rule.scale[:, d] * np.expm1(x)
                if d + 1 < count:
                    factors = np.zeros(density.shape)
                    nodes = panel[:, None] * places + np.arange(places)
                    np.put_along_axis(factors, nodes, axis.interpolation(place), axis=1)
                    mass = np.einsum("ia...,ia->i...", mass, factors / weights)
            found.append(self.law.weights(np.minimum(ratios, 1.0))[:, 1:])
        return np.concatenate(found)

    def _in_order(
        self, row: NDArray[np.intp], column: NDArray[np.intp], beside: Array | None
    ) -> list[tuple[int, int]]:
        """The panels of rows and columns, first those that hold the most of what is beside."""
        panels = [(int(i), int(j)) for i in np.unique(row) for j in np.unique(column)]
        if beside is None:
            return panels
        return sorted(
            panels, key=lambda one: -float(beside[np.ix_(row == one[0], column == one[1])].max())
        )

    def log_expected_anew(self, tau: float, mu: Array) -> Array:
        """The same, M values at one tau, by a finer rule and between no nodes: (M)."""
        return _log_expected(self.rows, self.law, mu, tau**2, _PLACES[self.law.count] + 4)

    def _locate(self, x: Array) -> tuple[NDArray[np.intp], Array]:
        """The panel of each value, from 0 up, and its place there from −1 to 1."""
        u = np.arcsinh(x / self.unit) / _WIDTH
        panel = np.floor(u)
        return panel.astype(np.intp), 2 * (u - panel) - 1

    def _axis(self, panel: int) -> Axis:
        """The nodes of one panel of mu or tau."""
        breaks = _WIDTH * np.array([panel, panel + 1.0])
        return Axis("sinh", 0.0, self.unit, breaks, _ORDER[self.law.count])

    def _most(self, row: int, column: int) -> Array:
        """The same as ``_coefficients`` of the most that it may be."""
        if (row, column) not in self._bounds:
            tau, mu = self._axis(row), self._axis(column)
            self._bounds[row, column] = _in_both(tau, mu, self.rows.at_most(tau.nodes, mu.nodes))
        return self._bounds[row, column]

    def _coefficients(self, row: int, column: int) -> Array:
        """Of Legendre's polynomials in both places of a panel."""
        if (row, column) not in self._known:
            tau, mu = self._axis(row), self._axis(column)
            places = _PLACES[self.law.count]
            values = [
                _log_expected(self.rows, self.law, mu.nodes, float(one) ** 2, places)
                for one in tau.nodes
            ]
            self._known[row, column] = _in_both(tau, mu, np.stack(values))
        return self._known[row, column]


def _in_both(tau: Axis, mu: Axis, values: Array) -> Array:
    """Coefficients in both places' Legendre polynomials, from values at a panel's nodes."""
    by_column = mu.coefficients(values)[:, 0]
    return tau.coefficients(by_column.T)[:, 0].T


def selection_of(problem: Problem, evidence: Evidence | None = None) -> Selection | None:
    """What selection does to the rows of a problem, or to some of them; None as ``weight_law``."""
    law, selection = weight_law(problem), problem.model.selection
    if law is None or not isinstance(selection, StepSelection):
        return None
    rows = Rows.of(problem.evidence if evidence is None else evidence)
    return _selection(selection.step, law, tuple(part.tobytes() for part in astuple(rows)))


@lru_cache(maxsize=_MOST_KEPT)
def _selection(step: Step, law: WeightLaw, rows: tuple[bytes, ...]) -> Selection:
    """The same from what it depends on, so that whoever asks again shares what was found."""
    arrays = Rows(*(np.frombuffer(part) for part in rows))
    return Selection(selected_rows(arrays, step), law, float(np.sqrt(arrays.v.min())))


def forget() -> None:
    """Keep nothing of what was found: what a measurement begins with."""
    _selection.cache_clear()


def _log_expected(rows: SelectedRows, law: WeightLaw, mu: Array, tau2: float, places: int) -> Array:
    """Log of what selection multiplies the likelihood by, weights integrated out, at M mu: (M)."""
    shares = rows.shares(mu, tau2)
    block = max(1, _BLOCK // (places**law.count * len(rows.powers)))
    found = []
    for start in range(0, len(mu), block):
        here = shares[start : start + block]
        found.append(logsumexp(Rule.at(rows, law, here).log_integrand(places), axis=1))
    return np.concatenate(found)


@dataclass(frozen=True)
class Rule:
    """Where weights are looked at, given M nodes of the rest.

    A ratio s runs over x = log(1 + s/c), evenly below ``scale`` c (M, D) and in its logarithm
    above, between ``low`` and ``high`` (M, D): a row's sum of weights is about to vanish at s = −c.
    """

    rows: SelectedRows
    law: WeightLaw
    shares: Array
    scale: Array
    low: Array
    high: Array

    @classmethod
    def at(cls, rows: SelectedRows, law: WeightLaw, shares: Array) -> Rule:
        """The rule for nodes at which bands have shares (M, B, R)."""
        scale = _scales(law, shares)
        rule = cls(rows, law, shares, scale, np.zeros(scale.shape), np.log1p(1 / scale))
        narrow = rows.size > _FEW_ROWS[law.count] or rule.high.max() > _LONG
        for _ in range(_ROUNDS if narrow else 0):
            rule = rule.narrowed()
        return rule

    def log_integrand(self, places: int) -> Array:
        """Log of prior, likelihood and weight of the rule at the tensor of nodes: (M, places**D).

        All is a product over ratios but the sums that rows divide by.
        """
        axis = self.axis(places)
        nodes, weights = axis.u, np.tile(np.polynomial.legendre.leggauss(places)[1], axis.panels)
        places = len(nodes)
        width = (self.high - self.low)[:, None]
        x = self.low[:, None] + width * nodes[:, None]
        scale = self.scale[:, None]
        ratios = scale * np.expm1(x)
        alone = self.law.log_density(ratios) + self.law.counts(self.rows.counts) * np.log(ratios)
        alone += np.log((0.5 / axis.panels * weights)[:, None] * width * (ratios + scale))
        grid = np.indices((places,) * self.law.count).reshape(self.law.count, -1).T
        each = range(self.law.count)
        total = sum((alone[:, grid[:, d], d] for d in each), np.zeros(()))
        omega = self.law.weights(np.stack([ratios[:, grid[:, d], d] for d in each], axis=-1))
        return np.asarray(total + _log_power(omega @ self.shares, self.rows.powers))

    def axis(self, places: int) -> Axis:
        """The nodes of a ratio between its ends, from 0 to 1.

        A weight may be of any order of magnitude, and have a law that is flat in its logarithm.
        """
        longest = float((self.high - self.low).max())
        panels = min(max(1, math.ceil(longest / _LONG)), _MOST_PANELS[self.law.count])
        return Axis("sinh", 0.0, 1.0, np.linspace(0.0, 1.0, panels + 1), places)

    def narrowed(self) -> Rule:
        """The rule between the nodes, of a coarse one, next to those that count.

        In the logs of the ratios the law is log-concave: what counts is one piece.
        """
        nodes = self.axis(_LOOK).u
        places = np.concatenate([[0.0], nodes, [1.0]])
        logs = self.log_integrand(_LOOK)
        alive = logs > logs.max(axis=1, keepdims=True) - _NEGLIGIBLE
        cube = alive.reshape(len(alive), *[len(nodes)] * self.law.count)
        low, high = self.low.copy(), self.high.copy()
        for d in range(self.law.count):
            others = tuple(axis + 1 for axis in range(self.law.count) if axis != d)
            along = cube.any(axis=others)
            first = along.argmax(axis=1)
            last = len(nodes) - 1 - along[:, ::-1].argmax(axis=1)
            width = self.high[:, d] - self.low[:, d]
            low[:, d] = self.low[:, d] + width * places[first]
            high[:, d] = self.low[:, d] + width * places[last + 2]
        return replace(self, low=low, high=high)


def _log_power(sums: Array, powers: Array) -> Array:
    """Σ_r powers_r log sums_r, (..., R) → (...). A logarithm takes longer than eight products."""
    single = powers == -1
    if not single.any() or sums.min() < _LEAST_FACTOR:
        return np.asarray(np.log(sums) @ powers)
    found = np.log(sums[..., ~single]) @ powers[~single]
    alone = sums[..., single]
    for start in range(0, alone.shape[-1], _FACTORS):
        found = found - np.log(alone[..., start : start + _FACTORS].prod(axis=-1))
    return np.asarray(found)


def _scales(law: WeightLaw, shares: Array) -> Array:
    """The c of each ratio (M, D): the other bands' share over that of those it multiplies.

    Of the row for which it is least: for it the sum changes at the smallest ratio.
    """
    if law.cumulative:
        multiplied = np.cumsum(shares[:, ::-1], axis=1)[:, ::-1][:, 1:]
        others = np.cumsum(shares, axis=1)[:, :-1]
    else:
        multiplied = shares[:, 1:]
        others = np.maximum(1 - multiplied, 0.0)
    with np.errstate(divide="ignore"):
        logs = np.log(others) - np.log(multiplied)
    lowest = _LOWEST_SCALE / law.count**2
    return np.asarray(np.exp(np.clip(logs, lowest, _HIGHEST_SCALE).min(axis=2)))
