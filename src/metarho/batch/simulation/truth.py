"""A truth, and the data sets that are drawn from it.

True effects are theta ~ Normal(mu, tau²) on Fisher's z, one a study; z = atanh(r) has its exact law
(``engines/law_of_r.py``) given theta and n. A result appears with the chance ``selection`` where
its one-sided p is above .025, else always; of those that appear and are not significant (two-sided
p above .05, t test with n − 2 df) ``reporting`` prints r, a word, or nothing. A study whose result
does not appear is done anew, with another true effect and as many people.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from metarho.data.effect_sizes import critical_r, word_interval, zcor
from metarho.data.studies import Row, Studies
from metarho.data.tables import Table
from metarho.engines import law_of_r
from metarho.spec.simulation import Reporting

type Array = NDArray[np.float64]

SOURCE = "simulated"


@dataclass(frozen=True)
class Truth:
    """What data are drawn from. ``mu`` and ``tau`` are on Fisher's z, ``sizes`` one a study."""

    mu: float
    tau: float
    sizes: tuple[int, ...]
    reporting: Reporting = "all"
    selection: float = 1.0

    @cached_property
    def critical(self) -> Array:
        """The z at which each study's two-sided test at .05 turns significant."""
        at = {size: math.atanh(critical_r(size)) for size in set(self.sizes)}
        return np.array([at[size] for size in self.sizes])

    @cached_property
    def _entropy(self) -> tuple[int, ...]:
        """The truth as words of a seed, the same in every process and version."""
        found = hashlib.sha256(json.dumps(asdict(self)).encode()).digest()
        return tuple(int.from_bytes(found[at : at + 4]) for at in range(0, 32, 4))

    def generator(self, seed: int, replicate: int) -> np.random.Generator:
        """The generator of one data set: its seed, truth and number alone decide it."""
        sequence = np.random.SeedSequence([seed, *self._entropy], spawn_key=(replicate,))
        return np.random.Generator(np.random.PCG64(sequence))


def sizes_at(listed: Sequence[int], k: int) -> tuple[int, ...]:
    """The sizes of k studies that spread as a list does: its (i + ½)/k quantiles, i = 0, …, k − 1.

    As many studies as the list is long have its sizes; twice as many have each twice.
    """
    ordered = sorted(listed)
    return tuple(ordered[(2 * i + 1) * len(ordered) // (2 * k)] for i in range(k))


def draw(truth: Truth, rng: np.random.Generator) -> Array:
    """The z of each study that appears (k)."""
    sizes = np.array(truth.sizes, dtype=float)
    z = np.empty(len(sizes))
    left = np.arange(len(sizes))
    while len(left):
        theta = truth.mu + truth.tau * rng.standard_normal(len(left))
        drawn = law_of_r.sample(theta, sizes[left], rng)
        critical = truth.critical[left]
        appears = (drawn >= critical) | (rng.uniform(size=len(left)) < truth.selection)
        if truth.reporting == "drawer":
            appears &= np.abs(drawn) >= critical
        z[left[appears]] = drawn[appears]
        left = left[~appears]
    return z


def studies_of(truth: Truth, z: Array) -> Studies:
    """A data set as evidence: every row a number, or the words "not significant"."""
    silent = (np.abs(z) < truth.critical) & (truth.reporting == "words")
    rows = tuple(
        _row(index, size, float(value), bool(said))
        for index, (size, value, said) in enumerate(zip(truth.sizes, z, silent, strict=True))
    )
    # No columns but those that have a role: a simulated study has no moderators.
    table = Table(SOURCE, {}, tuple(row.place for row in rows))
    return Studies(table, "ZCOR", "use", rows)


def _row(index: int, size: int, z: float, is_word: bool) -> Row:
    ri = math.tanh(z)
    _, vi = zcor(0.0, size)
    name = f"study {index + 1:04d}"
    place = f"{SOURCE}, row {index + 1}"
    if not is_word:
        return Row(
            place, index, name, name, "1", "exact", True, "a number",
            ri=ri, ni=float(size), yi=z, vi=vi,
        )  # fmt: skip
    low, high = word_interval("not significant", size)
    return Row(
        place, index, name, name, "1", "not significant", True, "an interval",
        ni=float(size), ri_low=low, ri_high=high,
        lower=math.atanh(low), upper=math.atanh(high), vi=vi,
    )  # fmt: skip
