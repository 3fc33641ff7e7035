"""A model: likelihood, moderators, heterogeneity, selection and priors as one frozen value."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from metarho.errors import InputError, did_you_mean, shown
from metarho.representations import Shown
from metarho.spec.catalogue import Written, misnamed
from metarho.spec.custom import CustomFile, own_parameter_name, read_custom
from metarho.spec.document import Document, Frozen, read_document, without_control
from metarho.spec.formulas import columns_of
from metarho.spec.priors import PER_TAU, Prior, on_scale
from metarho.spec.shrinkage import expanded
from metarho.spec.weights import weight_priors
from metarho.spec.why import Reason

if TYPE_CHECKING:
    from rich.console import RenderableType

_RANDOM = re.compile(r"\w+(\s*/\s*\w+)*(\s*\+\s*\w+(\s*/\s*\w+)*)*")
PARAMETERS = (
    *("mu", "beta", "beta[TERM]", "tau", "tau2", "tau_study", "tau_effect", "share"),
    *("alpha", "alpha[TERM]", "nu", "weight", "tau_outlier", "omega", "omega[BAND]"),
    *("pet", "peese"),
)
# What each parameter of a shape is, for the message about a prior that does not fit it.
SHAPES = {
    "nu": "degrees of freedom are greater than 0",
    "omega": "a weight is greater than 0",
}
_PARAMETER = re.compile(
    r"mu|(beta|alpha|omega)(\[.+\])?|tau2?|tau_\w+|share|nu|weight|pet|peese|rxx|ryy"
)
# Of x and of y; unknown ones have a prior.
RELIABILITIES = ("rxx", "ryy")
# Slopes whose prior must be proper, for propriety is checked on the design of the mean only.
_PROPER = ("alpha", "pet", "peese")

# What is left for a nested model's own level sds when a prior set speaks of the total: nothing
# is known about the split, so every share of the variance is as likely as any other.
SHARE_PRIOR = Prior("Beta", (("alpha", 1.0), ("beta", 1.0)))

# What a custom model leaves at its defaults: its file says it all.
PARTS = (
    *("likelihood", "mods", "scale", "random", "effects", "selection", "reference"),
    *("measurement", "missing"),
)


type Priors = Annotated[
    dict[Annotated[str, AfterValidator(_name_in_model)], Written],
    AfterValidator(checked_priors),
]
"""Parameter -> prior, as a model's YAML writes it."""

type PriorSet = Annotated[
    dict[Annotated[str, AfterValidator(_name_in_set)], Written],
    AfterValidator(checked_priors),
]
"""Parameter -> prior, as an analysis writes it: of any model, custom ones included."""


class Step(Frozen):
    """p-value cutpoints at which the chance of being reported changes.

    Results with p up to the first cutpoint have weight 1. ``weights`` are those of the bands after
    it, relative to it; without them the weight is the parameter omega. One-sided p are of a mean
    above 0, or, with ``favours: negative``, below it; two-sided ones favour neither sign.
    """

    cutpoints: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(min_length=1)]
    weights: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] | None = None
    sides: Literal["one", "two"] = "one"
    favours: Literal["positive", "negative"] = "positive"
    # The literature's p, of y against its standard error; t is the test that papers print of r.
    test: Literal["z", "t"] = "z"

    @property
    def p_in_words(self) -> str:
        """Which p selects: ``one-sided p``, and what is not as it is by default."""
        of = " of r's t test" if self.test == "t" else ""
        if self.sides == "two":
            return f"two-sided p{of}"
        return f"one-sided p{of}" + (", for effects below 0" if self.favours == "negative" else "")

    @property
    def one_sided(self) -> tuple[float, ...]:
        """The one-sided p, of means above 0, at which the weight changes, increasing."""
        if self.sides == "two":
            half = [cut / 2 for cut in self.cutpoints]
            return (*half, *(1 - cut for cut in reversed(half)))
        if self.favours == "negative":
            return tuple(1 - cut for cut in reversed(self.cutpoints))
        return self.cutpoints

    @property
    def band_of(self) -> tuple[int, ...]:
        """Whose weight each stretch between the one-sided p has: the number of its band, from 0."""
        bands = range(len(self.cutpoints) + 1)
        if self.sides == "two":
            return (*bands, *reversed(bands[:-1]))
        return tuple(reversed(bands)) if self.favours == "negative" else tuple(bands)

    @property
    def omegas(self) -> tuple[str, ...]:
        """The weights that are parameters: ``omega``, or one a band, ``omega[0.025-0.5]``."""
        if self.weights is not None:
            return ()
        if len(self.cutpoints) == 1:
            return ("omega",)
        return tuple(f"omega[{low:g}-{high:g}]" for low, high in pairwise((*self.cutpoints, 1.0)))

    @field_validator("cutpoints")
    @classmethod
    def _cutpoints_increase(cls, cutpoints: tuple[float, ...]) -> tuple[float, ...]:
        if any(second <= first for first, second in pairwise(cutpoints)):
            raise ValueError(f"cutpoints increase; {shown(list(cutpoints))} do not")
        return cutpoints

    @model_validator(mode="after")
    def _one_weight_a_cutpoint(self) -> Step:
        if self.weights is not None and len(self.weights) != len(self.cutpoints):
            raise ValueError(
                f"{len(self.weights)} weights for {len(self.cutpoints)} cutpoints; give one for "
                "each band after the first, which has weight 1"
            )
        if self.sides == "two" and self.favours == "negative":
            raise ValueError(
                "sides: two favours neither sign; leave favours out, or use sides: one"
            )
        return self


class StepSelection(Frozen):
    """Selection by a step function of the p-value."""

    step: Step


class Model(Frozen):
    """What we believe. Read from ``models/*.yaml``; DESIGN's grammar, one field a part."""

    name: str
    title: str = ""
    description: str = ""
    references: tuple[str, ...] = ()
    # What its priors were made from, by DOI or name: evidence that holds it would be used twice.
    data_overlap: tuple[str, ...] = ()
    likelihood: Literal["normal", "exact-r"] = "normal"
    mods: str = "~ 1"
    scale: str = "~ 1"
    random: str = "effect"
    effects: Literal["normal", "student-t", "mixture"] = "normal"
    selection: Literal["none", "pet", "peese"] | StepSelection = "none"
    reference: dict[str, str] = Field(default={})
    # What theta is a correlation of: of scores as they were observed, or of true scores.
    measurement: Literal["observed", "true-score"] = "observed"
    # A blank moderator is an oversight until a model says otherwise.
    missing: Literal["refuse", "drop", "impute"] = "refuse"
    custom: CustomFile | None = None
    priors: Priors = Field(default={})
    # Parameter -> why its prior is what it is, for readers.
    why: dict[str, Reason] = Field(default={})

    @field_validator("mods", "scale")
    @classmethod
    def _formula_is_allowed(cls, formula: str) -> str:
        try:
            columns_of(formula)
        except InputError as error:
            raise ValueError(error.message) from None
        return formula

    @field_validator("random")
    @classmethod
    def _random_is_levels(cls, random: str) -> str:
        if not _RANDOM.fullmatch(random.strip()):
            raise ValueError(
                f"{shown(random)} is not a random-effects structure; allowed: none, effect, "
                "study, study/effect, and crossed terms added with +"
            )
        levels = re.findall(r"\w+", random)
        if len(set(levels)) != len(levels) or ("none" in levels and len(levels) > 1):
            raise ValueError(f"{shown(random)} names a level twice, or none beside others")
        if "outlier" in levels:
            raise ValueError(f"{shown(random)}: tau_outlier is the sd of a mixture, not of a level")
        if re.search(r"\beffect\s*/", random):
            raise ValueError(f"{shown(random)}: nothing is nested in effect, which is a single row")
        return random.strip()

    @model_validator(mode="after")
    def _custom_stands_alone(self) -> Model:
        if self.custom is None:
            return self
        for part in PARTS:
            if getattr(self, part) != type(self).model_fields[part].default:
                raise ValueError(
                    f"{part} has no place beside custom: {self.custom} says the whole model; "
                    f"leave {part} out"
                )
        return self

    @model_validator(mode="after")
    def _weights_are_of_bands(self) -> Model:
        omegas = {"omega"}
        if isinstance(self.selection, StepSelection):
            omegas |= {*self.selection.step.omegas}
        for name in self.priors:
            if name.startswith("omega[") and name not in omegas:
                raise ValueError(
                    f"priors: the selection has no {name}; {did_you_mean(name, sorted(omegas))}"
                )
        return self

    @model_validator(mode="after")
    def _reasons_are_of_priors(self) -> Model:
        for name in self.why:
            if name not in self.priors:
                raise ValueError(
                    f"why: the model has no prior of its own for {shown(name)}; "
                    + did_you_mean(name, self.priors)
                )
        return self

    def __repr__(self) -> str:
        """The model as a file of YAML would say it, without what stands at its default."""
        return "\n".join([f"# model {self.name}", *(f"{n}: {v}" for n, v in self._said.items())])

    def __str__(self) -> str:
        return repr(self)

    def __rich__(self) -> RenderableType:
        """What a terminal shows of it: a table of its parts."""
        return self._shown.rich()

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        return self._shown.html()

    @property
    def _shown(self) -> Shown:
        title = f"model {self.name}"
        return Shown(title, ("part", "value"), tuple(self._said.items()), names=2)

    @property
    def _said(self) -> dict[str, str]:
        """The parts that are not at their defaults, and the priors, as texts on one line."""
        parts = self.model_dump(mode="json", exclude={"name", "priors", "why", "custom"})
        fields = type(self).model_fields
        defaults = {name: fields[name].get_default(call_default_factory=True) for name in parts}
        found = {
            name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in parts.items()
            if getattr(self, name) != defaults[name]
        }
        if self.custom is not None:
            found["custom"] = str(self.custom)
        found |= {f"priors[{name}]": prior.described for name, prior in self.priors.items()}
        return {without_control(n): " ".join(without_control(v).split()) for n, v in found.items()}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the mean or log tau has for moderators, sorted."""
        return tuple(sorted(columns_of(self.mods) | columns_of(self.scale)))

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels that true effects vary on, outermost first; empty for a common effect.

        Those of a custom model are its file's, and not known here.
        """
        if self.random == "none" or self.custom is not None:
            return ()
        return tuple(re.findall(r"\w+", self.random))

    @property
    def paths(self) -> dict[str, tuple[str, ...]]:
        """Level -> the levels that it is nested in, itself the last."""
        terms = [re.findall(r"\w+", term) for term in self.random.split("+")]
        nested = {path[d]: tuple(path[: d + 1]) for path in terms for d in range(len(path))}
        return nested if self.levels else {}

    @property
    def level_sds(self) -> dict[str, str]:
        """Level -> the name of its sd: ``tau`` for a single effect level, else ``tau_<level>``."""
        if self.levels == ("effect",):
            return {"effect": "tau"}
        return {level: f"tau_{level}" for level in self.levels}

    @property
    def shapes(self) -> tuple[str, ...]:
        """The parameters of the law of effects and of selection, each with a prior."""
        found = {"student-t": ("nu",), "mixture": ("weight", "tau_outlier")}.get(self.effects, ())
        if isinstance(self.selection, StepSelection):
            return found + self.selection.step.omegas
        return found if self.selection == "none" else (*found, self.selection)


@dataclass(frozen=True)
class AppliedPrior:
    """A parameter's prior and where it was said: ``model``, ``prior set`` or ``total form``."""

    prior: Prior
    source: str


def checked_priors(priors: Mapping[str, Prior]) -> dict[str, Prior]:
    """Priors whose support fits the parameter that the grammar has by the name.

    Other names are those of custom models. Raises ValueError (pydantic's) otherwise.
    """
    for name, prior in priors.items():
        _name_in_set(name)
        lower, upper = prior.support
        if reason := misnamed(name, prior):
            raise ValueError(reason)
        if prior.is_joint and name != prior.joint:
            them = {"beta": "slopes", "omega": "weights"}[prior.joint]
            raise ValueError(
                f"{name}: {prior} is a prior of all {them} together; name it {prior.joint}"
            )
        if prior.on in ("r", PER_TAU) and name != "mu":
            raise ValueError(f"{name}: only a prior of mu can be on {prior.on}, not {prior}")
        if prior.on == "tau2" and not name.startswith("tau"):
            raise ValueError(f"{name}: only a prior of heterogeneity can be on tau2, not {prior}")
        if prior.is_reference and name != "tau":
            raise ValueError(f"{name}: {prior} is a prior for tau only")
        if name.startswith("tau") and prior.proper and lower < 0:
            raise ValueError(
                f"{name}: {prior} has mass below 0, heterogeneity has none; "
                "use HalfNormal, HalfStudentT, HalfCauchy or another family on 0 and above"
            )
        if name in ("share", "weight") and (lower < 0 or upper > 1 or not prior.proper):
            raise ValueError(f"{name}: {prior} must lie in 0 to 1; use Beta(alpha=..., beta=...)")
        if name in RELIABILITIES and prior.family not in ("Beta", "DiracDelta"):
            raise ValueError(
                f"{name}: the prior of an unknown reliability is Beta(alpha=..., beta=...) or "
                f"DiracDelta(c=...), not {prior}"
            )
        if name in RELIABILITIES and (lower < 0 or upper > 1 or (prior.is_point and lower == 0)):
            raise ValueError(f"{name}: a reliability lies above 0, up to 1, and {prior} does not")
        base = name.partition("[")[0]
        if base in SHAPES and (not prior.proper or lower < 0 or upper <= 0):
            raise ValueError(f"{name}: {prior} does not fit: {SHAPES[base]}, its prior proper")
        if base in _PROPER and not prior.proper:
            raise ValueError(f"{name}: {prior} is improper; give a proper prior")
    try:
        _on_tau(priors)
    except InputError as error:
        raise ValueError(error.message) from None
    return dict(priors)


def parameter_name(name: str) -> str:
    """A name that is a parameter of the grammar. Raises ValueError (pydantic's) otherwise."""
    if not _PARAMETER.fullmatch(name):
        raise ValueError(f"no parameter {name!r}; {did_you_mean(name, PARAMETERS)}")
    return name


def _name_in_set(name: str) -> str:
    return own_parameter_name(name) if name.isidentifier() else parameter_name(name)


def _name_in_model(name: str, info: ValidationInfo) -> str:
    return parameter_name(name) if info.data.get("custom") is None else own_parameter_name(name)


def read_model(path: Path, *, mods: str | None = None) -> Model:
    """Read a model file; ``mods`` replaces its moderators.

    Raises InputError with file, line, value and what is allowed.
    """
    document = read_document(path)
    return model_from(document, mods=mods)


def model_from(document: Document, *, mods: str | None = None) -> Model:
    """The model that a document holds."""
    if "name" in document.data:
        raise InputError(
            "unknown key 'name'; a model is named by its file", place=document.place(("name",))
        )
    known: dict[str, object] = {"name": document.path.stem}
    name = document.data.get("custom")
    if name is not None:
        try:
            custom = read_custom(name, document.path.parent)
        except InputError as error:
            raise error.at(document.place(("custom",))) from None
        known["custom"] = {**custom.model_dump(), "path": str(custom.path)}
    model = document.validate(Model, **known)
    return model if mods is None else with_mods(model, mods)


def with_mods(model: Model, mods: str) -> Model:
    """The model with other moderators. Raises InputError when the formula is not allowed."""
    if model.custom is not None:
        raise InputError(
            f"the custom model {model.name!r} has no mods; {model.custom} says its mean"
        )
    columns = columns_of(mods)
    reference = {name: level for name, level in model.reference.items() if name in columns}
    return model.model_copy(update={"mods": mods, "reference": reference})


def resolve_priors(
    model: Model,
    coefficients: Mapping[str, str],
    prior_set: Mapping[str, Prior],
    scale_coefficients: Mapping[str, str] | None = None,
    column_sds: Mapping[str, float] | None = None,
) -> dict[str, AppliedPrior]:
    """Every parameter of a model with its prior, a prior set laid over the model's own.

    ``coefficients`` maps each slope's design column to its term, ``scale_coefficients`` does so
    for the slopes of log tau. ``column_sds`` are the sds of the design's columns, 1 unless given: a
    joint prior of slopes is expanded by them (``spec/shrinkage.py``).

    A slope takes the most special entry: ``beta[column]``, ``beta[term]``, ``beta``; likewise
    ``alpha`` and ``omega``. ``tau`` in a set reaches every model with heterogeneity: in a nested
    one it is the total sd, split by ``share``. ``tau2`` is ``tau`` with a prior on its square.

    Raises InputError when a parameter has no prior, total and level sds are both given, or a
    reference prior would meet more than one level.
    """
    prior_set = _on_tau(prior_set)
    model = model.model_copy(update={"priors": _on_tau(model.priors)})
    if model.custom is not None:
        return _own_priors(model, prior_set)
    sds = list(model.level_sds.values())
    total = "tau" in prior_set and len(sds) > 1
    if total and model.levels != ("study", "effect"):
        raise InputError(
            f"tau (the total) is split between study and effect only, and the model "
            f"{model.name!r} has random: {model.random}; give priors to {', '.join(sds)}"
        )
    clash = sorted(name for name in prior_set if name in sds and name != "tau")
    if total and clash:
        raise InputError(
            f"tau (the total) and {', '.join(clash)} cannot both have a prior in one set"
        )
    if "share" in prior_set and len(sds) > 1 and not total:
        raise InputError("share splits a total: a set that names share names tau too")
    applied: dict[str, AppliedPrior] = {"mu": _applied(["mu"], model, prior_set)}
    for column, term in coefficients.items():
        names = [f"beta[{column}]", f"beta[{term}]", "beta"]
        applied[f"beta[{column}]"] = _applied(names, model, prior_set)
    applied |= _expanded(applied, column_sds or dict.fromkeys(coefficients, 1.0))
    if total:
        applied["tau"] = AppliedPrior(prior_set["tau"], "prior set")
        share = prior_set.get("share", model.priors.get("share", SHARE_PRIOR))
        applied["share"] = AppliedPrior(
            share, "prior set" if "share" in prior_set else "total form"
        )
    elif len(sds) == 1 and sds != ["tau"] and "tau" in prior_set and sds[0] not in prior_set:
        applied[sds[0]] = AppliedPrior(prior_set["tau"], "prior set")
    else:
        for name in sds:
            applied[name] = _applied([name], model, prior_set)
    for column, term in (scale_coefficients or {}).items():
        names = [f"alpha[{column}]", f"alpha[{term}]", "alpha"]
        applied[f"alpha[{column}]"] = _applied(names, model, prior_set)
    for name in model.shapes:
        applied[name] = _applied([name, name.partition("[")[0]], model, prior_set)
    applied |= _weights(model, applied)
    for name, entry in applied.items():
        if entry.prior.is_reference and (name != "tau" or model.levels != ("effect",)):
            raise InputError(
                f"{name}: {entry.prior} is defined for tau in models with random: effect "
                f"(here random: {model.random}); use a family with numbers of its own"
            )
    return applied


def _own_priors(model: Model, prior_set: Mapping[str, Prior]) -> dict[str, AppliedPrior]:
    """The priors of a custom model: of mu, which every model has, and of what else it names."""
    names = dict.fromkeys(("mu", *model.priors))
    applied = {name: _applied([name], model, prior_set) for name in names}
    for name, entry in applied.items():
        prior = entry.prior
        if prior.is_reference or prior.is_joint or prior.on == PER_TAU:
            raise InputError(
                f"{name}: {prior} is made of what a custom model ({model.custom}) does not "
                "tell; use a family with numbers of its own"
            )
    return applied


def reliability_priors(model: Model, prior_set: Mapping[str, Prior]) -> dict[str, AppliedPrior]:
    """The priors of reliabilities that are unknown, of models of true scores, as far as said."""
    if model.measurement != "true-score":
        return {}
    said = [name for name in RELIABILITIES if name in prior_set or name in model.priors]
    return {name: _applied([name], model, prior_set) for name in said}


def _expanded(
    applied: Mapping[str, AppliedPrior], column_sds: Mapping[str, float]
) -> dict[str, AppliedPrior]:
    """The slopes that share a joint prior, and the parameters of their scale."""
    shared = {name: entry for name, entry in applied.items() if entry.prior.joint == "beta"}
    if not shared:
        return {}
    # All are the one entry beta of the prior set or of the model.
    joint = next(iter(shared.values()))
    sds = {column: sd for column, sd in column_sds.items() if f"beta[{column}]" in shared}
    return {n: AppliedPrior(p, joint.source) for n, p in expanded(joint.prior, sds).items()}


def _weights(model: Model, applied: Mapping[str, AppliedPrior]) -> dict[str, AppliedPrior]:
    """The weights of selection that share a joint prior, each with its own."""
    if not isinstance(model.selection, StepSelection):
        return {}
    names = model.selection.step.omegas
    shared = {name: applied[name] for name in names if applied[name].prior.is_joint}
    if not shared:
        return {}
    if len(shared) < len(names):
        alone = next(name for name in names if name not in shared)
        raise InputError(
            f"{alone} has a prior of its own, and the other weights share one; give every weight a "
            "prior of its own, or all of them omega"
        )
    # All are the one entry omega of the prior set or of the model.
    joint = next(iter(shared.values()))
    own = weight_priors(joint.prior, names)
    return {name: AppliedPrior(prior, joint.source) for name, prior in own.items()}


def _on_tau(priors: Mapping[str, Prior]) -> dict[str, Prior]:
    """The priors with ``tau2`` said as ``tau``. Raises InputError when both are there."""
    if "tau2" not in priors:
        return dict(priors)
    if "tau" in priors:
        raise InputError("tau and tau2 cannot both have a prior; they are one parameter")
    return {
        "tau" if name == "tau2" else name: on_scale(prior, "tau2") if name == "tau2" else prior
        for name, prior in priors.items()
    }


def names_reached(
    model: Model,
    coefficients: Mapping[str, str],
    scale_coefficients: Mapping[str, str] | None = None,
) -> set[str]:
    """The names under which a prior set can speak to a model."""
    if model.custom is not None:
        return {*model.priors, *({"tau", "tau2"} if {"tau", "tau2"} & {*model.priors} else ())}
    names = {"mu", *model.level_sds.values(), *model.shapes}
    if model.measurement == "true-score":
        names |= {*RELIABILITIES}
    names |= {name.partition("[")[0] for name in model.shapes}
    if model.levels:
        names |= {"tau", "tau2"}
    if len(model.levels) > 1:
        names.add("share")
    for slope, columns in (("beta", coefficients), ("alpha", scale_coefficients or {})):
        for column, term in columns.items():
            names |= {slope, f"{slope}[{column}]", f"{slope}[{term}]"}
    return names


def _applied(names: list[str], model: Model, prior_set: Mapping[str, Prior]) -> AppliedPrior:
    for name in names:
        if name in prior_set:
            return AppliedPrior(prior_set[name], "prior set")
        if name in model.priors:
            return AppliedPrior(model.priors[name], "model")
    raise InputError(f"the model {model.name!r} has no prior for {names[0]}; add one under priors:")
