"""Published and default priors that can be cited by name: where each was read, and on which scale.

The entries stand in ``catalogue.yaml``. A prior set names one in place of a prior's text, with a
discount behind it or not: ``alliance-internet-2019``, ``alliance-internet-2019 power 0.3``,
``alliance-internet-2019 robust 0.2``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from metarho.errors import InputError, did_you_mean, shown
from metarho.spec.document import Frozen, read_document
from metarho.spec.priors import MOST_COMPONENTS, Prior, parse_prior

_FILE = Path(__file__).with_name("catalogue.yaml")

# The sd of one participant's z, 1/√(n − 3) at n = 4: what RBesT calls unit information.
UNIT_SD = 1.0

# A name, and what is made of it. Everything else is read as a prior's text.
_CITATION = re.compile(r"\s*([a-z][a-z0-9.-]*)(?:\s+(\S+)\s+(\S+))?\s*")
DISCOUNTS = ("power", "robust")

type Certainty = Literal["S", "D", "2", "C"]

CERTAINTIES: Mapping[Certainty, str] = {
    "S": "read in source code, or printed by the installed package",
    "D": "read in documentation, or in the paper's abstract",
    "2": "secondary: read in somebody else's code or page that cites it",
    "C": "computed here, from published numbers or by a choice that is stated",
}

TRANSFERS: Mapping[str, tuple[float, str]] = {
    "d to z": (0.5, "times 1/2: z = asinh(d/2), about d/2"),
    "log OR to z": (
        math.sqrt(3) / (2 * math.pi),
        "times √3/(2π) = 0.2757: d is √3/π log OR, and z about d/2",
    ),
    "log OR to z by unit information": (
        0.25,
        "times 1/4: one person's estimate has sd 4 as a log OR, 1 as z",
    ),
    "r to z": (1.0, "unchanged: dz = dr/(1 − r²), about dr for small r"),
}
"""How a scale becomes one on Fisher's z: the factor, and why."""


class Derivation(Frozen):
    """The row of ``published-meta-analyses`` that a prior of mu was derived from.

    mu = atanh(r), sigma = (atanh(ci_high) − atanh(ci_low))/3.92.
    """

    source: str
    setting: str
    subscale: str = "total"


class Entry(Frozen):
    """A prior one can cite, as it is written on Fisher's z (``scale`` any: on every scale)."""

    slug: str
    group: str
    parameter: str
    prior: Prior
    about: str
    scale: Literal["z", "any"] = "z"
    native: Prior | None = None
    native_scale: str = "z"
    transfer: str | None = None
    references: tuple[str, ...] = ()
    software: str = ""
    certainty: Annotated[tuple[Certainty, ...], Field(min_length=1)]
    derived_from: Derivation | None = None
    data_overlap: tuple[str, ...] = ()
    warn: str = ""

    @property
    def on(self) -> str:
        """What the prior is of: the parameter, or its square (tau2)."""
        return self.prior.on or self.parameter

    @property
    def sources(self) -> str:
        """Where it was read: publications and software; ``own`` where it is a choice of ours."""
        return "; ".join([*self.references, *filter(None, [self.software])]) or "own"

    @property
    def of(self) -> Prior:
        """The prior, with the name that it was cited by."""
        return replace(self.prior, cited=self.slug)

    def as_dict(self) -> dict[str, object]:
        """The entry as plain values."""
        return {**self.model_dump(mode="json"), "on": self.on}

    @model_validator(mode="after")
    def _transfer_is_known(self) -> Entry:
        if (self.transfer is None) != (self.native is None):
            raise ValueError("native and transfer are given together")
        if self.transfer is not None and self.transfer not in TRANSFERS:
            raise ValueError(f"no transfer {shown(self.transfer)}; {did_you_mean('', TRANSFERS)}")
        return self


@cache
def catalogue() -> Mapping[str, Entry]:
    """Every entry by its name, in the order of the file."""
    return read_catalogue(_FILE)


def read_catalogue(path: Path) -> dict[str, Entry]:
    """The entries of a file. Raises InputError with file, line, value and what is allowed."""

    class Entries(Frozen):
        entries: dict[str, Entry]

    document = read_document(path)
    named = {slug: {"slug": slug, **fields} for slug, fields in document.data.items()}
    lines = {("entries", *location): line for location, line in document.lines.items()}
    return replace(document, data={"entries": named}, lines=lines).validate(Entries).entries


def entry(slug: str) -> Entry:
    """The entry of a name. Raises InputError that lists names of the catalogue."""
    found = catalogue().get(slug)
    if found is None:
        raise InputError(f"no prior {shown(slug)} in the catalogue; {_nearest(slug)}")
    return found


def read_prior(text: str) -> Prior:
    """A prior's text, or the name of one in the catalogue, discounted or not.

    Raises InputError when it is neither.
    """
    found = _CITATION.fullmatch(text)
    if found is None:
        return parse_prior(text)
    slug, discount, size = found.groups()
    if slug not in catalogue():
        raise InputError(
            f"{shown(text)} is not a prior: neither a name in the catalogue ({_nearest(slug)}) nor "
            "a family with its arguments, for instance HalfNormal(sigma=0.25)"
        )
    prior = entry(slug).of
    if discount is None:
        return prior
    if discount not in DISCOUNTS:
        raise InputError(
            f"{shown(text)}: no discount {discount!r}; {did_you_mean(discount, DISCOUNTS)}"
        )
    share = _share(text, discount, size)
    made = powered(prior, share) if discount == "power" else robust(prior, share)
    # Read again: numbers keep to the limits that written ones have.
    return replace(parse_prior(str(made)), cited=slug, discount=made.discount)


def powered(prior: Prior, power: float) -> Prior:
    """The power prior p**power, for a normal one: its variance over the power.

    Ibrahim and Chen 2000, Statistical Science 15(1), 10.1214/ss/1009212673. Raises InputError for
    other families, whose powers the grammar cannot say.
    """
    if prior.family != "Normal" or prior.on:
        raise InputError(f"{_name(prior)}: a power prior is available for Normal, not for {prior}")
    sigma = prior.values["sigma"] / math.sqrt(power)
    return replace(
        prior,
        arguments=(("mu", prior.values["mu"]), ("sigma", sigma)),
        discount=f"power {power:g}",
    )


def robust(prior: Prior, weight: float, mean: float | None = None) -> Prior:
    """A mixture that gives ``weight`` to a vague normal with the information of one participant.

    Its mean is that of the prior unless given, its sd 1 on Fisher's z (Schmidli et al. 2014,
    10.1111/biom.12242; RBesT's ``robustify``). Raises InputError for priors that are neither normal
    nor mixtures of normals.
    """
    if prior.family not in ("Normal", "NormalMixture") or prior.on:
        raise InputError(
            f"{_name(prior)}: robust is available for Normal and NormalMixture, not for {prior}"
        )
    parts: dict[str, tuple[float, ...]]
    if prior.family == "Normal":
        parts = {"w": (1.0,), "mu": (prior.values["mu"],), "sigma": (prior.values["sigma"],)}
    else:
        parts = dict(prior.lists)
    if len(parts["w"]) == MOST_COMPONENTS:
        raise InputError(f"{_name(prior)}: a mixture has at most {MOST_COMPONENTS} components")
    total = math.fsum(parts["w"])
    shares = [w / total for w in parts["w"]]
    centre = mean
    if centre is None:
        centre = math.fsum(w * mu for w, mu in zip(shares, parts["mu"], strict=True))
    lists = (
        ("w", (*(_plain((1 - weight) * w) for w in shares), weight)),
        ("mu", (*parts["mu"], _plain(centre))),
        ("sigma", (*parts["sigma"], UNIT_SD)),
    )
    return Prior("NormalMixture", lists=lists, cited=prior.cited, discount=f"robust {weight:g}")


def misnamed(name: str, prior: Prior) -> str | None:
    """Why a cited prior is not one of a parameter; None when it is, or is not cited."""
    if not prior.cited:
        return None
    known = entry(prior.cited)
    base = name.partition("[")[0]
    # An sd of one of two levels is heterogeneity too; tau2 is a square.
    if base == known.parameter or (known.parameter == "tau" and re.fullmatch(r"tau_\w+", base)):
        return None
    same = [slug for slug, one in catalogue().items() if one.parameter == base]
    instead = _nearest(prior.cited, same) if same else "write a prior out"
    return f"{name}: {prior.cited} is a prior of {known.parameter}, not of {name}; {instead}"


def overlaps(prior: Prior, evidence: Collection[str]) -> tuple[str, ...]:
    """What a cited prior was made from that evidence says it holds (names of sets, DOIs)."""
    return shared(entry(prior.cited).data_overlap, evidence) if prior.cited else ()


def shared(made_from: Collection[str], evidence: Collection[str]) -> tuple[str, ...]:
    """The names that both have, in any case of letters."""
    said = {name.casefold() for name in evidence}
    return tuple(name for name in made_from if name.casefold() in said)


def _read(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    if not isinstance(value, str):
        return handler(value)
    try:
        return read_prior(value)
    except InputError as error:
        raise ValueError(error.message) from None


type Written = Annotated[Prior, WrapValidator(_read)]
"""A prior as YAML writes it: its text, or a name in the catalogue."""


def _share(text: str, word: str, size: str) -> float:
    try:
        share = float(size)
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise InputError(f"{shown(text)}: {word} takes a number between 0 and 1, not {size}")
    return share


def _plain(value: float) -> float:
    """Six digits: what is printed is what is meant."""
    return float(f"{value:.6g}")


def _name(prior: Prior) -> str:
    return prior.cited or prior.family


def _nearest(slug: str, names: Collection[str] | None = None) -> str:
    """The nearest name, or where all of them are: there are too many to list."""
    near = did_you_mean(slug, catalogue() if names is None else names).partition("; ")[2]
    return near or "see metarho priors list"
