"""What selection multiplies the likelihood of rows by, its unknown weights integrated out.

It is smooth in mu and tau, for it changes over the standard error of a study, not over that of the
mean: it is found at the nodes of panels of its own, and interpolated between them. A panel is as
fine as it has to be for what lies on it: exp(−L) of the posterior needs exp(L) of the precision.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact.inversion import invert_rows
from metarho.engines.exact.panels import Axis, legendre
from metarho.engines.exact.selection import Rows, SelectedRows, selected_rows
from metarho.engines.exact.weights import Rule, WeightLaw, weight_law
from metarho.engines.problem import Evidence, Problem
from metarho.spec.model import Step, StepSelection

type Array = NDArray[np.float64]

# Panels in asinh(mu/unit), asinh(tau/unit). A row's chances change around its own limits, at a few
# standard errors of it from 0, over as much.
_WIDTH = 1.0
# Errors of the log that may be asked, by how little of the posterior is there. In its far tails,
# beyond exp(−11), a density is known to a hundredth of itself.
_ERRORS = (1e-8, 1e-6, 1e-2)
# Beside what counts, the log of what does not.
_CANNOT_COUNT = 30.0
# Nodes each way of a first look at a panel, and a weight by how many weights there are.
_FIRST_ORDER, _FIRST_PLACES = 6, {1: 16, 2: 12, 3: 8}
# Where more are needed than this each way, or more of a weight than there may be, a panel is cut in
# four, and these again, so often.
_MOST_ORDER, _MOST_CUTS = 14, 2
# How slowly terms are taken to fall at least: where they are noise.
_SLOWEST = 0.5
# Nodes a weight, by how many weights there are: the first that agree with the next are taken.
_PLACES = {
    1: (8, 12, 16, 24, 32, 48),
    2: (8, 12, 16, 20, 24),
    3: (6, 8, 10, 12, 14, 17, 20),
}
_TINY = float(np.finfo(float).tiny)
# Evidences, step functions and laws whose panels are kept; a hundred take a few megabytes.
_MOST_KEPT = 100
# Numbers held at once (0.8 MB of doubles).
_BLOCK = 100_000


@dataclass(frozen=True)
class _Ladder:
    """How far a rule with some nodes a weight is from one with more, looked up when asked for."""

    rule: Rule
    shares: Array
    places: tuple[int, ...]
    _found: dict[int, Array] = field(default_factory=dict, compare=False, repr=False)

    def needed(self, error: float) -> float:
        """Nodes a weight for an error at all nodes of the rest; infinite: too many."""
        for index, places in enumerate(self.places):
            if (self._error(index) <= error).all():
                return places
        return math.inf

    def _error(self, index: int) -> Array:
        """A rule is as far from the truth as from the next; the last one, as they came closer."""
        if index + 1 < len(self.places):
            return np.abs(self._at(index + 1) - self._at(index))
        early, late = self._error(index - 2), self._error(index - 1)
        return late * np.minimum(late / np.maximum(early, _TINY), 1.0)

    def _at(self, index: int) -> Array:
        if index not in self._found:
            self._found[index] = self.rule.log_expected(self.shares, self.places[index])
        return self._found[index]


@dataclass(frozen=True)
class _Panel:
    """One panel of tau (``row``) and mu (``column``), in widths of its own from 0.

    What is found on it depends on nothing but itself and the error asked for.
    """

    rows: SelectedRows
    law: WeightLaw
    unit: float
    cuts: int
    row: int
    column: int
    _known: dict[float, Array] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def at_most(self) -> Array:
        """Coefficients of the most that it may be."""
        tau, mu = self._axes(_FIRST_ORDER, _FIRST_ORDER)
        return _coefficients(tau, mu, self.rows.at_most(tau.nodes, mu.nodes))

    @cached_property
    def first(self) -> Array:
        """Coefficients that show how much lies on the panel, and how fine it has to be."""
        places = _FIRST_PLACES[self.law.count]
        return self._tabulated(_FIRST_ORDER, _FIRST_ORDER, places)

    def is_hard(self, error: float) -> bool:
        """Whether it is better cut in four."""
        if self.cuts == _MOST_CUTS:
            return False
        if self._ladder.needed(0.5 * error) == math.inf:
            return True
        return max(_needed(self.first, error)) > _MOST_ORDER

    @cached_property
    def quarters(self) -> tuple[_Panel, ...]:
        """The four it is cut into: the halves of mu, first in the lower half of tau."""
        return tuple(
            replace(
                self,
                cuts=self.cuts + 1,
                row=2 * self.row + up,
                column=2 * self.column + right,
                _known={},
            )
            for up, right in product((0, 1), repeat=2)
        )

    def coefficients(self, error: float) -> Array:
        """Of Legendre's polynomials in both places, the log known to about an error.

        Nodes each way are as many as it takes for the terms that are left out to be as small, as
        they fall so far.
        """
        if error not in self._known:
            found = self._tabulated(*self._orders(self.first, error), self.places(error))
            while (orders := self._orders(found, error)) != found.shape:
                found = self._tabulated(*orders, self.places(error))
            self._known[error] = found
        return self._known[error]

    def _orders(self, found: Array, error: float) -> tuple[int, int]:
        tau, mu = _needed(found, error)
        return min(tau, _MOST_ORDER), min(mu, _MOST_ORDER)

    @cached_property
    def rule(self) -> Rule:
        """The rule of the weights on the panel."""
        return Rule.at(self.rows, self.law, self._shares)

    def places(self, error: float) -> int:
        """So many nodes a weight, for errors of half as much at the corners and in the middle."""
        return int(min(self._ladder.needed(0.5 * error), self._ladder.places[-1]))

    @cached_property
    def _ladder(self) -> _Ladder:
        return _Ladder(self.rule, self._shares, _PLACES[self.law.count])

    @cached_property
    def _shares(self) -> Array:
        """Those of the bands at the four corners and in the middle."""
        tau = self.row + np.array([0.0, 0.0, 1.0, 1.0, 0.5])
        mu = self.column + np.array([0.0, 1.0, 0.0, 1.0, 0.5])
        tau, mu = (self.unit * np.sinh(self.width * place) for place in (tau, mu))
        return self.rows.shares(mu, tau**2)

    @property
    def width(self) -> float:
        """In asinh(x/unit)."""
        return float(_WIDTH / 2**self.cuts)

    def holds(self, mu: Array, tau: Array) -> NDArray[np.bool_]:
        """Which points lie on the panel."""
        row, column = (np.floor(self._widths(x)) for x in (tau, mu))
        return np.asarray((row == self.row) & (column == self.column))

    def _widths(self, x: Array) -> Array:
        return np.asarray(np.arcsinh(x / self.unit) / self.width)

    def _axes(self, *orders: int) -> tuple[Axis, ...]:
        """The nodes of tau and of mu."""
        return tuple(
            Axis("sinh", 0.0, self.unit, self.width * np.array([panel, panel + 1.0]), order)
            for panel, order in zip((self.row, self.column), orders, strict=True)
        )

    def _tabulated(self, tau_order: int, mu_order: int, places: int) -> Array:
        tau, mu = self._axes(tau_order, mu_order)
        shares = self.rows.shares(np.tile(mu.nodes, tau_order), np.repeat(tau.nodes, mu_order) ** 2)
        values = self.rule.log_expected(shares, places)
        return _coefficients(tau, mu, values.reshape(tau_order, mu_order))


def _coefficients(tau: Axis, mu: Axis, values: Array) -> Array:
    """Coefficients in both places' Legendre polynomials, from values at a panel's nodes."""
    by_column = mu.coefficients(values)[:, 0]
    return tau.coefficients(by_column.T)[:, 0].T


def _needed(coefficients: Array, error: float) -> tuple[int, int]:
    """Nodes each way with which the terms left out come to half an error.

    Terms fall by pairs, for every other one may be missing, as the last ones do.
    """
    sizes = np.abs(coefficients)
    needed = []
    for terms in (sizes.max(axis=1), sizes.max(axis=0)):
        early, late = terms[-4:-2].sum(), terms[-2:].sum()
        fall = min(late / early, _SLOWEST) if early > 0 else _SLOWEST
        left = late * fall / (1 - fall)
        pairs = math.ceil(math.log(0.5 * error / left) / math.log(fall)) if left > 0 else 0
        needed.append(len(terms) + 2 * max(pairs, 0))
    return needed[0], needed[1]


@dataclass(frozen=True)
class _Places:
    """Where values of tau or mu lie: indices, places in a panel, Legendre's polynomials there."""

    index: NDArray[np.intp]
    place: Array
    polynomials: Array

    @classmethod
    def at(cls, index: NDArray[np.intp], place: Array) -> _Places:
        """At places from −1 to 1."""
        return cls(index, place, legendre(place, _MOST_ORDER))

    def only(self, chosen: NDArray[np.bool_]) -> _Places:
        """Some of them."""
        return _Places(self.index[chosen], self.place[chosen], self.polynomials[chosen])

    def halves(self) -> tuple[_Places, _Places]:
        """Those in the lower and in the upper half of the panel, with their places in it."""
        low = self.place < 0
        return (
            _Places.at(self.index[low], 2 * self.place[low] + 1),
            _Places.at(self.index[~low], 2 * self.place[~low] - 1),
        )


@dataclass(frozen=True, eq=False)
class _Part:
    """The nodes of a tensor of tau and mu that lie on one panel."""

    panel: _Panel
    tau: _Places
    mu: _Places

    @property
    def at(self) -> tuple[NDArray[np.intp], ...]:
        """Where they are in the tensor."""
        return np.ix_(self.tau.index, self.mu.index)

    def values(self, coefficients: Array) -> Array:
        """What a panel's polynomial is at the nodes."""
        rows, columns = coefficients.shape
        left, right = self.tau.polynomials[:, :rows], self.mu.polynomials[:, :columns]
        return np.asarray(left @ coefficients @ right.T)

    def quarters(self) -> Iterator[_Part]:
        """The same nodes on the quarters of the panel; those that hold none are left out."""
        halves = product(self.tau.halves(), self.mu.halves())
        for panel, (tau, mu) in zip(self.panel.quarters, halves, strict=True):
            if len(tau.index) and len(mu.index):
                yield _Part(panel, tau, mu)


@dataclass(frozen=True)
class Selection:
    """What selection multiplies the likelihood of rows by, weights integrated out.

    It depends on no prior but that of the weights, so that problems which differ in others share
    it: what is found on a panel is kept. ``unit`` is the standard error of the most precise row, in
    which mu and tau are measured.
    """

    rows: SelectedRows
    law: WeightLaw
    unit: float
    _panels: dict[tuple[int, int], _Panel] = field(default_factory=dict, compare=False, repr=False)

    def log_expected(self, tau: Array, mu: Array, beside: Array | None = None) -> Array:
        """Its log at N values of tau and M of mu, between nodes interpolated: (N, M).

        ``beside`` (N, M) is the log of what it multiplies: panels on which the product is small
        are known as well as that needs, and where it cannot count, no more than roughly.
        """
        found = np.empty((len(tau), len(mu)))
        parts = self._parts(tau, mu)
        if beside is None:
            for part in parts:
                _fill(found, part, None, 0.0)
            return found
        for part in parts:
            found[part.at] = part.values(part.panel.at_most)
        most = {part: float((beside[part.at] + found[part.at]).max()) for part in parts}
        best, held = -math.inf, []
        for part in sorted(parts, key=lambda one: -most[one]):
            if most[part] < best - _CANNOT_COUNT:
                break
            best = max(best, _highest(part, beside))
            held.append(part)
        for part in held:
            _fill(found, part, beside, best)
        return found

    def draw(self, tau: Array, mu: Array, rng: np.random.Generator) -> Array:
        """Independent draws of the weights at N values of tau and mu together: (N, D).

        Ratios one after the other, each by its quantile function given those before.
        """
        uniform = rng.uniform(size=(self.law.count, len(mu)))
        found = np.empty((len(mu), self.law.count))
        panels = np.stack([self._locate(tau)[0], self._locate(mu)[0]], axis=1)
        for row, column in np.unique(panels, axis=0).tolist():
            of_panel = np.flatnonzero((panels == (row, column)).all(axis=1))
            for panel, here in _leaves(self._panel(row, column), of_panel, tau, mu):
                places = panel.places(_ERRORS[1])
                block = max(1, _BLOCK // places**self.law.count)
                for start in range(0, len(here), block):
                    some = here[start : start + block]
                    shares = self.rows.shares(mu[some], tau[some] ** 2)
                    found[some] = _drawn(panel.rule, shares, places, uniform[:, some])
        return found

    def log_expected_anew(self, tau: float, mu: Array) -> Array:
        """The same, M values at one tau, by the finest rule and between no nodes: (M)."""
        found, places = np.empty(len(mu)), _PLACES[self.law.count][-1] + 2
        for node in range(len(mu)):
            shares = self.rows.shares(mu[node : node + 1], tau**2)
            rule = Rule.at(self.rows, self.law, shares)
            found[node] = rule.log_expected(shares, places)[0]
        return found

    def _parts(self, tau: Array, mu: Array) -> list[_Part]:
        (row, row_place), (column, column_place) = self._locate(tau), self._locate(mu)
        left, right = (
            _Places.at(np.arange(len(place)), place) for place in (row_place, column_place)
        )
        rows = [(i, left.only(row == i)) for i in np.unique(row).tolist()]
        columns = [(j, right.only(column == j)) for j in np.unique(column).tolist()]
        return [
            _Part(self._panel(i, j), here, there)
            for (i, here), (j, there) in product(rows, columns)
        ]

    def _panel(self, row: int, column: int) -> _Panel:
        if (row, column) not in self._panels:
            self._panels[row, column] = _Panel(self.rows, self.law, self.unit, 0, row, column)
        return self._panels[row, column]

    def _locate(self, x: Array) -> tuple[NDArray[np.intp], Array]:
        """The panel of each value, from 0 up, and its place there from −1 to 1."""
        u = np.arcsinh(x / self.unit) / _WIDTH
        panel = np.floor(u)
        return panel.astype(np.intp), 2 * (u - panel) - 1


def _highest(part: _Part, beside: Array) -> float:
    return float((beside[part.at] + part.values(part.panel.first)).max())


def _fill(found: Array, part: _Part, beside: Array | None, best: float) -> None:
    """Fill in the values of a part's nodes, as closely as what is there counts beside the best."""
    error = _ERRORS[0]
    if beside is not None:
        highest = _highest(part, beside)
        if not highest > best - _CANNOT_COUNT:
            found[part.at] = part.values(part.panel.first)
            return
        allowed = _ERRORS[0] * math.exp(max(best - highest, 0.0))
        error = max(one for one in _ERRORS if one <= allowed)
    if part.panel.is_hard(error):
        for quarter in part.quarters():
            _fill(found, quarter, beside, best)
    else:
        found[part.at] = part.values(part.panel.coefficients(error))


def _leaves(
    panel: _Panel, here: NDArray[np.intp], tau: Array, mu: Array
) -> Iterator[tuple[_Panel, NDArray[np.intp]]]:
    """The panels on which points lie, of those that are not cut: each with its points."""
    if not panel.is_hard(_ERRORS[1]):
        yield panel, here
        return
    for quarter in panel.quarters:
        inside = quarter.holds(mu[here], tau[here])
        if inside.any():
            yield from _leaves(quarter, here[inside], tau, mu)


def _drawn(rule: Rule, shares: Array, places: int, uniform: Array) -> Array:
    """Draws of the weights, one at each of M nodes, by uniform numbers (D, M): (M, D)."""
    count = rule.law.count
    axis = rule.axis(places)
    weights = axis.weights / axis.slope(axis.u)
    logs = rule.log_integrand(shares, places)
    mass = np.exp(logs - logs.max(axis=1, keepdims=True))
    mass = mass.reshape(len(mass), *[len(weights)] * count)
    ratios = np.empty((len(mass), count))
    for d in range(count):
        # What comes later is summed out; what came before is known.
        density = mass.sum(axis=tuple(range(2, mass.ndim))) / weights
        panel, place = invert_rows(axis, density, uniform[d])
        u = axis.breaks[panel] + 0.5 * (1 + place) * axis.widths[panel]
        x = rule.low[d] + (rule.high - rule.low)[d] * u
        ratios[:, d] = rule.scale[d] * np.expm1(x)
        if d + 1 < count:
            factors = np.zeros(density.shape)
            nodes = panel[:, None] * places + np.arange(places)
            np.put_along_axis(factors, nodes, axis.interpolation(place), axis=1)
            mass = np.einsum("ia...,ia->i...", mass, factors / weights)
    return rule.law.weights(np.minimum(ratios, 1.0))[:, 1:]


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
