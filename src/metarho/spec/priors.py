"""Priors as values: a family, its keyword arguments, where it lives. No numerics.

Families and arguments are PyMC's, one parametrisation each; what PyMC lacks keeps the literature's
name. A prior is written as a call, ``HalfNormal(sigma=0.25)``, and read as a literal: parsed,
checked, never evaluated. Behind the call ``on r`` or ``on tau2`` may say on which scale it is.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

from metarho.errors import InputError, did_you_mean, shown
from metarho.spec.grammar import expression

# Long enough for a mixture of twenty with all digits, short enough that parsing is instant.
LONGEST_PRIOR = 2000
MOST_COMPONENTS = 20

# Beyond, squares are no longer numbers in double precision, and no prior means anything.
LARGEST_NUMBER = 1e100

# (1 - mean)·precision of R2D2: slopes have tails like x**-(1 + twice this), Cauchy's at 0.5.
HEAVIEST_R2D2 = 0.5
# Its concentration: a Gamma of shape 0.05 is a number in double precision but once in 1e15.
SPARSEST_R2D2 = 0.05

REAL = (-math.inf, math.inf)
POSITIVE = (0.0, math.inf)

PER_TAU = "mu/tau"
# What slopes with a joint prior are in units of, and weights of selection: the band before theirs.
# Nobody writes these: joint priors expand to them.
PER_HORSESHOE, PER_R2D2, PER_BAND = "beta/horseshoe", "beta/R2D2", "omega/band before"
SCALES = ("r", "tau2", PER_TAU)
"""What a prior may be on, other than its parameter: ``... on r`` or ``... on mu/tau`` (mu), ``...
on tau2`` (tau)."""
_SCALE = re.compile(r"\)\s*on\s+([\w/]+)\s*$")


@dataclass(frozen=True)
class Family:
    """One row of the table: what a family is called, takes and where it has mass."""

    arguments: Mapping[str, str]
    """Argument -> constraint: ``real``, ``positive``, ``share`` (between 0 and 1), or ``end``
    (real, may be left out)."""
    support: Callable[[Mapping[str, float]], tuple[float, float]]
    proper: bool = True
    tail: float = 0.0
    """Of an improper family: for large x the density goes like x**-tail."""
    lists: Mapping[str, str] = field(default_factory=dict)
    """Arguments that are lists of one length, with the constraint of their members."""
    nests: bool = False
    """Whether it takes another prior, ``dist``."""
    reference: bool = False
    """A reference prior of the literature: for tau, given the rows' sampling variances."""
    joint: str = ""
    """Of which parameters together it is a prior: ``beta``, all slopes (``spec/shrinkage.py``), or
    ``omega``, all weights of selection (``spec/weights.py``)."""


def _reference(*, proper: bool = True, tail: float = 0.0) -> Family:
    return Family({}, lambda a: POSITIVE, proper=proper, tail=tail, reference=True)


FAMILIES: Mapping[str, Family] = {
    "Normal": Family({"mu": "real", "sigma": "positive"}, lambda a: REAL),
    "StudentT": Family({"nu": "positive", "mu": "real", "sigma": "positive"}, lambda a: REAL),
    "Cauchy": Family({"alpha": "real", "beta": "positive"}, lambda a: REAL),
    "Uniform": Family({"lower": "real", "upper": "real"}, lambda a: (a["lower"], a["upper"])),
    "Flat": Family({}, lambda a: REAL, proper=False),
    "HalfNormal": Family({"sigma": "positive"}, lambda a: POSITIVE),
    "HalfStudentT": Family({"nu": "positive", "sigma": "positive"}, lambda a: POSITIVE),
    "HalfCauchy": Family({"beta": "positive"}, lambda a: POSITIVE),
    "Exponential": Family({"lam": "positive"}, lambda a: POSITIVE),
    "PenalizedComplexity": Family({"upper": "positive", "alpha": "share"}, lambda a: POSITIVE),
    "Gamma": Family({"alpha": "positive", "beta": "positive"}, lambda a: POSITIVE),
    "InverseGamma": Family({"alpha": "positive", "beta": "positive"}, lambda a: POSITIVE),
    "LogNormal": Family({"mu": "real", "sigma": "positive"}, lambda a: POSITIVE),
    "Lomax": Family({"alpha": "positive", "scale": "positive"}, lambda a: POSITIVE),
    "Beta": Family({"alpha": "positive", "beta": "positive"}, lambda a: (0.0, 1.0)),
    "StretchedBeta": Family({"alpha": "positive", "beta": "positive"}, lambda a: (-1.0, 1.0)),
    "NormalMixture": Family(
        {}, lambda a: REAL, lists={"w": "positive", "mu": "real", "sigma": "positive"}
    ),
    "Truncated": Family(
        {"lower": "end", "upper": "end"},
        lambda a: (a.get("lower", -math.inf), a.get("upper", math.inf)),
        nests=True,
    ),
    "DiracDelta": Family({"c": "real"}, lambda a: (a["c"], a["c"])),
    "DuMouchel": _reference(),
    "UniformShrinkage": _reference(),
    "UniformI2": _reference(),
    "Conventional": _reference(),
    "SquareRoot": _reference(proper=False, tail=0.5),
    "Jeffreys": _reference(proper=False, tail=1.0),
    "BergerDeely": _reference(proper=False, tail=1.0),
    "OverallJeffreys": _reference(proper=False, tail=2.0),
    "RegularizedHorseshoe": Family(
        {"tau0": "positive", "slab_df": "positive", "slab_scale": "positive"},
        lambda a: REAL,
        joint="beta",
    ),
    "R2D2": Family(
        {"mean": "share", "precision": "positive", "concentration": "positive"},
        lambda a: REAL,
        joint="beta",
    ),
    "CumulativeDirichlet": Family(
        {}, lambda a: (0.0, 1.0), lists={"alpha": "positive"}, joint="omega"
    ),
}
"""Every family that can be written today, by its PyMC name. The weights ``w`` of a mixture are
divided by their sum."""

REFERENCES = frozenset(name for name, family in FAMILIES.items() if family.reference)

# What may stand in Truncated(dist=...).
TRUNCATABLE = frozenset(
    name
    for name, family in FAMILIES.items()
    if family.proper
    and not (family.reference or family.nests or family.joint)
    and name != "DiracDelta"
)

# Other spellings of Truncated, by the family that they truncate.
SHORT_FORMS: Mapping[str, str] = {"TruncatedNormal": "Normal"}

# Words of the grammar that a later version reads; told apart from misspellings.
COMING = frozenset({"Dirichlet"})


@dataclass(frozen=True)
class Prior:
    """A prior distribution: ``family`` from the table, ``arguments`` in the table's order.

    ``lists`` and ``dist`` hold what mixtures and truncations take besides. ``on`` says what the
    distribution is of: "" the parameter itself, "r" tanh(mu), "tau2" the square of tau, else the
    parameter in units of an sd. ``cited`` is its name in the catalogue, ``discount`` what was made
    of that entry; neither changes what the prior is.
    """

    family: str
    arguments: tuple[tuple[str, float], ...] = ()
    lists: tuple[tuple[str, tuple[float, ...]], ...] = ()
    dist: Prior | None = None
    on: str = ""
    cited: str = field(default="", compare=False)
    discount: str = field(default="", compare=False)

    @property
    def values(self) -> dict[str, float]:
        """The arguments by name."""
        return dict(self.arguments)

    @property
    def proper(self) -> bool:
        """Whether the density has a finite integral."""
        return FAMILIES[self.family].proper

    @property
    def is_reference(self) -> bool:
        """Whether this is a reference prior of the literature, for tau only."""
        return FAMILIES[self.family].reference

    @property
    def joint(self) -> str:
        """Of which parameters together this is a prior: ``beta``, ``omega``; empty of one alone."""
        return FAMILIES[self.family].joint

    @property
    def is_joint(self) -> bool:
        """Whether this is a prior of several parameters together."""
        return bool(self.joint)

    @property
    def is_relative(self) -> bool:
        """Whether this is a prior of the parameter in units that others determine."""
        return self.on in (PER_TAU, PER_HORSESHOE, PER_R2D2, PER_BAND)

    @property
    def own_support(self) -> tuple[float, float]:
        """Lower and upper end of the support, on the scale that the prior is on."""
        lower, upper = FAMILIES[self.family].support(self.values)
        if self.dist is None:
            return lower, upper
        inner = self.dist.own_support
        return max(lower, inner[0]), min(upper, inner[1])

    @property
    def support(self) -> tuple[float, float]:
        """Lower and upper end of the support, on the parameter's own scale."""
        lower, upper = self.own_support
        if self.on == "tau2":
            return math.sqrt(max(lower, 0.0)), math.sqrt(upper)
        if self.on == "r":
            return _atanh(lower), _atanh(upper)
        return lower, upper

    @property
    def improper_tail(self) -> float:
        """Of an improper prior: for a large parameter x its density goes like x**-this."""
        tail = FAMILIES[self.family].tail
        return 2 * tail - 1 if self.on == "tau2" else tail

    @property
    def is_point(self) -> bool:
        """Whether all mass sits in one value."""
        return self.family == "DiracDelta"

    def __str__(self) -> str:
        inside = [f"dist={self.dist}"] if self.dist is not None else []
        inside += [f"{name}=[{', '.join(map(_plain, members))}]" for name, members in self.lists]
        inside += [f"{name}={_plain(value)}" for name, value in self.arguments]
        return f"{self.family}({', '.join(inside)})" + (f" on {self.on}" if self.on else "")

    @property
    def citation(self) -> str:
        """What it was cited by, as a prior set writes it; empty where it was written out."""
        return f"{self.cited} {self.discount}".strip() if self.cited else ""

    @property
    def described(self) -> str:
        """The prior's text, and behind it in brackets what it was cited by."""
        return f"{self} [{self.citation}]" if self.citation else str(self)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        def read(text: str) -> Prior:
            try:
                return parse_prior(text)
            except InputError as error:
                raise ValueError(error.message) from None

        return core_schema.json_or_python_schema(
            json_schema=core_schema.no_info_after_validator_function(
                read, core_schema.str_schema(strict=True)
            ),
            python_schema=core_schema.union_schema(
                [
                    core_schema.is_instance_schema(cls),
                    core_schema.no_info_after_validator_function(
                        read, core_schema.str_schema(strict=True)
                    ),
                ]
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )


def parse_prior(text: str) -> Prior:
    """Read ``Family(argument=number, ...)``, with ``on`` and one of SCALES behind it or not.

    Raises InputError for anything else: an unknown family or argument, a missing or
    positional one, a value that is not a finite number or breaks its constraint.
    """
    if len(text) > LONGEST_PRIOR:
        raise InputError(f"a prior may have {LONGEST_PRIOR} characters; this one has {len(text)}")
    call, scale = text.strip(), ""
    if found := _SCALE.search(call):
        call, scale = call[: found.start() + 1], found[1]
        if scale not in SCALES:
            raise InputError(
                f"prior {shown(text)}: a prior may be 'on r' or 'on mu/tau' (for mu) or 'on tau2' "
                f"(for tau), not 'on {scale}'"
            )
    try:
        tree = expression(call)
    except SyntaxError:
        raise InputError(_not_a_prior(text)) from None
    prior = _read(tree, text)
    return on_scale(prior, scale) if scale else prior


def on_scale(prior: Prior, scale: str) -> Prior:
    """The prior of tanh(mu) (scale "r"), of mu/tau, or of tau**2 (scale "tau2").

    A point is moved to the parameter's own scale, for it has no density to transform.
    Raises InputError when the prior has mass where the scale has no values.
    """
    if prior.on == scale:
        return prior
    if prior.on or prior.is_reference:
        raise InputError(f"{prior} has a scale of its own; it cannot be on {scale}")
    lower, upper = prior.own_support
    if scale == PER_TAU:
        if prior.family not in ("Normal", "NormalMixture"):
            raise InputError(f"{prior} cannot be on mu/tau; use Normal or NormalMixture")
    elif scale == "tau2":
        if prior.proper and lower < 0:
            raise InputError(f"{prior} has mass below 0, tau2 has none")
        if prior.is_point:
            return Prior("DiracDelta", (("c", math.sqrt(lower)),))
    else:
        if lower < -1 or upper > 1 or (prior.is_point and abs(lower) == 1):
            raise InputError(
                f"{prior} has mass outside -1 to 1, r has none; use Uniform, StretchedBeta, Beta "
                "or Truncated(dist=..., lower=-1, upper=1)"
            )
        if prior.is_point:
            return Prior("DiracDelta", (("c", math.atanh(lower)),))
    return replace(prior, on=scale)


def _read(call: ast.expr, text: str) -> Prior:
    """The prior that a call says."""
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
        raise InputError(_not_a_prior(text))
    name = call.func.id
    if name in COMING:
        raise InputError(
            f"prior {shown(text)}: {name} belongs to the grammar but is not available yet; "
            f"{did_you_mean('', FAMILIES)}"
        )
    if name not in FAMILIES and name not in SHORT_FORMS:
        known = [*FAMILIES, *SHORT_FORMS]
        raise InputError(f"prior {shown(text)}: no family {name!r}; {did_you_mean(name, known)}")
    if name in SHORT_FORMS:
        ends = FAMILIES["Truncated"].arguments
        inner = FAMILIES[SHORT_FORMS[name]].arguments
        given = _given(call, text, name, [*inner, *ends])
        dist = _prior(SHORT_FORMS[name], {key: given[key] for key in inner if key in given}, text)
        return _truncated(dist, {key: given[key] for key in ends if key in given}, text)
    family = FAMILIES[name]
    nested = ["dist"] if family.nests else []
    given = _given(call, text, name, [*nested, *family.lists, *family.arguments])
    if not family.nests:
        return _prior(name, given, text)
    if "dist" not in given:
        raise InputError(f"prior {shown(text)}: dist missing; write {call_form(name)}")
    inside = given.pop("dist")
    dist = _read(inside, text)
    if dist.family not in TRUNCATABLE:
        raise InputError(
            f"prior {shown(text)}: {dist.family} cannot be truncated; "
            + did_you_mean("", TRUNCATABLE)
        )
    return _truncated(dist, given, text)


def _given(call: ast.Call, text: str, name: str, allowed: list[str]) -> dict[str, ast.expr]:
    """The arguments of a call by name."""
    if call.args or any(keyword.arg is None for keyword in call.keywords):
        raise InputError(f"prior {shown(text)}: arguments are given by name: {call_form(name)}")
    given: dict[str, ast.expr] = {}
    for keyword in call.keywords:
        argument = str(keyword.arg)
        if argument not in allowed:
            raise InputError(
                f"prior {shown(text)}: {name} has no argument {argument!r}; "
                f"{did_you_mean(argument, allowed)}"
            )
        if argument in given:
            raise InputError(f"prior {shown(text)}: {argument} is given twice")
        given[argument] = keyword.value
    return given


def _prior(name: str, given: Mapping[str, ast.expr], text: str) -> Prior:
    """A prior of numbers and lists, each checked against its constraint."""
    family = FAMILIES[name]
    members = {key: _members(given[key], text, key) for key in family.lists if key in given}
    numbers = {key: _number(given[key], text, key) for key in family.arguments if key in given}
    missing = [
        argument
        for argument in (*family.lists, *family.arguments)
        if argument not in given and family.arguments.get(argument) != "end"
    ]
    if missing:
        raise InputError(
            f"prior {shown(text)}: {', '.join(missing)} missing; write {call_form(name)}"
        )
    for argument, constraint in family.arguments.items():
        if argument in numbers:
            _check(numbers[argument], constraint, text, argument)
    for argument, constraint in family.lists.items():
        for place, member in enumerate(members[argument]):
            _check(member, constraint, text, f"{argument}[{place}]")
    lengths = {argument: len(values) for argument, values in members.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{argument} {length}" for argument, length in lengths.items())
        raise InputError(f"prior {shown(text)}: the lists must be of equal length, not {said}")
    if name == "Uniform" and not numbers["lower"] < numbers["upper"]:
        raise InputError(f"prior {shown(text)}: lower must be less than upper")
    if name == "R2D2":
        _check_r2d2(numbers, text)
    return Prior(
        name,
        tuple((key, numbers[key]) for key in family.arguments if key in numbers),
        tuple(members.items()),
    )


def _truncated(dist: Prior, given: Mapping[str, ast.expr], text: str) -> Prior:
    """A prior cut to the part between its ends."""
    cut = replace(_prior("Truncated", given, text), dist=dist)
    if not cut.arguments:
        raise InputError(f"prior {shown(text)}: give lower, upper or both")
    lower, upper = FAMILIES["Truncated"].support(cut.values)
    if not lower < upper:
        raise InputError(f"prior {shown(text)}: lower must be less than upper")
    start, end = cut.own_support
    if not start < end:
        raise InputError(
            f"prior {shown(text)}: nothing is left; {dist} has its mass between "
            f"{dist.own_support[0]:g} and {dist.own_support[1]:g}"
        )
    return cut


def _check(value: float, constraint: str, text: str, argument: str) -> None:
    """Raises InputError when a number breaks its constraint."""
    if constraint in ("positive", "share") and value <= 0:
        raise InputError(f"prior {shown(text)}: {argument} must be greater than 0, not {value!r}")
    if constraint == "share" and value >= 1:
        raise InputError(f"prior {shown(text)}: {argument} must be less than 1, not {value!r}")
    size = abs(value)
    if size > LARGEST_NUMBER or (constraint == "positive" and size < 1 / LARGEST_NUMBER):
        raise InputError(
            f"prior {shown(text)}: {argument} is {value!r}; sizes from "
            f"{1 / LARGEST_NUMBER:g} to {LARGEST_NUMBER:g} are allowed"
        )


def _check_r2d2(numbers: Mapping[str, float], text: str) -> None:
    """Raises InputError where R² piles up on 1, or shares on 0, beyond what doubles can tell."""
    near_one = (1 - numbers["mean"]) * numbers["precision"]
    if near_one < HEAVIEST_R2D2 * (1 - 1e-9):  # (1 - 0.9)·5 is a little less than 0.5
        raise InputError(
            f"prior {shown(text)}: (1 - mean)·precision is {near_one:g}, and slopes would have "
            f"tails heavier than Cauchy's; give at least {HEAVIEST_R2D2:g}"
        )
    if numbers["concentration"] < SPARSEST_R2D2:
        raise InputError(
            f"prior {shown(text)}: concentration is {numbers['concentration']:g}, and nearly all "
            f"shares would be 0; give at least {SPARSEST_R2D2:g}"
        )


def _atanh(r: float) -> float:
    return math.atanh(r) if abs(r) < 1 else math.copysign(math.inf, r)


def _plain(value: float) -> str:
    """A number that reads back as itself, whole ones without a decimal point."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def call_form(name: str) -> str:
    """How a family is written: its name, and its arguments without their values."""
    inner = FAMILIES[SHORT_FORMS[name]].arguments if name in SHORT_FORMS else {}
    family = FAMILIES["Truncated" if name in SHORT_FORMS else name]
    words = ["dist=..."] if family.nests and not inner else []
    words += [f"{argument}=[...]" for argument in family.lists]
    words += [f"{argument}=..." for argument in (*inner, *family.arguments)]
    return f"{name}({', '.join(words)})"


def _not_a_prior(text: str) -> str:
    return (
        f"{shown(text)} is not a prior: write a family and its arguments by name, "
        "for instance HalfNormal(sigma=0.25)"
    )


def _members(node: ast.expr, text: str, argument: str) -> tuple[float, ...]:
    if not isinstance(node, ast.List) or not 1 <= len(node.elts) <= MOST_COMPONENTS:
        raise InputError(
            f"prior {shown(text)}: {argument} must be a list of 1 to {MOST_COMPONENTS} numbers"
        )
    return tuple(
        _number(member, text, f"{argument}[{place}]") for place, member in enumerate(node.elts)
    )


def _number(node: ast.expr, text: str, argument: str) -> float:
    sign = 1.0
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
        node = node.operand
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"prior {shown(text)}: {argument} must be a number")
    try:
        number = sign * float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"prior {shown(text)}: {argument} must be a finite number")
    return number
