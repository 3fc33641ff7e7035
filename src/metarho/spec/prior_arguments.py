"""One argument of one prior, by name: ``mu.sigma``, ``tau.sigma``, ``mu.mu``, ``tau.width``.

``width`` goes with every prior that has a scale: it makes it so many times as wide as it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from metarho.errors import InputError, did_you_mean, shown
from metarho.spec.priors import FAMILIES, Prior, parse_prior
from metarho.spec.scaling import has_scale, rescaled, with_argument

WIDTH = "width"

# A decade either way: from a prior that says a tenth as much to one that says next to nothing.
DECADE = 10.0
# A centre more than two scales away is one that the prior itself finds surprising.
SCALES_AWAY = 2.0

# The arguments that say where a prior's centre is, and those that say how wide it is.
_CENTRES: Mapping[str, str] = {"Normal": "mu", "StudentT": "mu", "Cauchy": "alpha"}
_SCALES: Mapping[str, str] = {
    "Normal": "sigma",
    "StudentT": "sigma",
    "Cauchy": "beta",
    "HalfNormal": "sigma",
    "HalfStudentT": "sigma",
    "HalfCauchy": "beta",
    "Lomax": "scale",
    "InverseGamma": "beta",
}


@dataclass(frozen=True)
class PriorArgument:
    """An argument of a parameter's prior."""

    parameter: str
    name: str

    def __str__(self) -> str:
        return f"{self.parameter}.{self.name}"

    def of(self, prior: Prior) -> float:
        """Its value in a prior; the width of any is 1. Raises InputError where there is none."""
        inner = prior.dist or prior
        allowed = [*inner.values, *([WIDTH] if has_scale(prior) else [])]
        if self.name not in allowed:
            raise InputError(
                f"{self}: {prior} has no such argument; {did_you_mean(self.name, allowed)}"
            )
        return inner.values.get(self.name, 1.0)

    def put_into(self, prior: Prior, value: float) -> Prior:
        """The prior with another value. Raises InputError where the value breaks its rules."""
        self.of(prior)
        if not math.isfinite(value) or (self.is_scale(prior) and value <= 0):
            above = " above 0" if self.is_scale(prior) else ""
            raise InputError(f"{self}: {value!r} is no finite number{above}")
        if self.name == WIDTH and WIDTH not in (prior.dist or prior).values:
            changed = rescaled(prior, value)
        else:
            changed = with_argument(prior, self.name, float(value))
        # Whatever is varied to must be a prior that could be written.
        return parse_prior(str(changed))

    def is_scale(self, prior: Prior) -> bool:
        """Whether it is above 0, so that factors and not differences are steps."""
        inner = prior.dist or prior
        constraint = FAMILIES[inner.family].arguments.get(self.name)
        # The upper end of a uniform that begins at 0 is its scale.
        from_zero = inner.family == "Uniform" and inner.values["lower"] == 0
        return (
            self.name == WIDTH or constraint == "positive" or (self.name == "upper" and from_zero)
        )

    def default_range(self, prior: Prior) -> tuple[float, float]:
        """From where to where it is varied unless one says: see ``DECADE``, ``SCALES_AWAY``.

        Raises InputError where no range suggests itself.
        """
        own, inner = self.of(prior), prior.dist or prior
        if self.is_scale(prior):
            return own / DECADE, own * DECADE
        if self.name == _CENTRES.get(inner.family):
            away = SCALES_AWAY * inner.values[_SCALES[inner.family]]
            return own - away, own + away
        if (inner.family, self.name) == ("LogNormal", "mu"):
            return own - math.log(DECADE), own + math.log(DECADE)
        raise InputError(f"{self} of {prior} has no range of its own: give --from and --to")


def parse_argument(text: str) -> PriorArgument:
    """Read ``parameter.argument``. Raises InputError for anything else."""
    parameter, dot, name = text.strip().rpartition(".")
    if not dot or not parameter or not name.isidentifier():
        raise InputError(
            f"{shown(text)} is no argument of a prior: write parameter.argument, for instance "
            "mu.sigma, tau.sigma, mu.mu or tau.width"
        )
    return PriorArgument(parameter, name)


def default_argument(parameter: str, prior: Prior) -> PriorArgument:
    """The scale of a prior under its own name where it has one, else its width."""
    family = (prior.dist or prior).family
    named = family in _SCALES and prior.on != "r"
    return PriorArgument(parameter, _SCALES[family] if named else WIDTH)
