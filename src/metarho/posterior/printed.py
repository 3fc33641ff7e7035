"""What is printed of a fit: one list of rows, whatever prints it, and how their numbers look."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metarho.engines.nuts.draws import Draws
from metarho.posterior.fit import Fit
from metarho.posterior.heterogeneity import scale_of_derived, scale_of_parameter
from metarho.posterior.levels import Surface
from metarho.posterior.marginals import NOTHING, Curve, Marginal, Point, Summary, Transformed
from metarho.representations import Shown
from metarho.spec.model import Model

type Array = NDArray[np.float64]
type Group = Literal["Heterogeneity", "Model results", "Selection", "New study"]

# What a reader should look at; all probabilities are in --json and the saved fit.
LIKELY_OUTLIER = 0.5

# Kinds of intervals, in the words of papers.
KINDS = {"eti": "equal-tailed", "hdi": "highest-density"}

# metafor's order: how much true effects differ, their mean, and what follows for a new study.
GROUPS: tuple[Group, ...] = ("Heterogeneity", "Model results", "Selection", "New study")

_SELECTION = ("omega", "pet", "peese")
_SPREAD = ("share", "nu", "weight", "alpha")
# Quantities that lie above 0 whatever the data are: their P(> 0) says nothing.
_POSITIVE = ("tau", "share", "nu", "weight", "omega", "I2", "H2")

# What a quantity is, where its name alone does not depend on the model.
_MEANINGS = {
    "share": "share of the variance of true effects that lies between studies",
    "nu": "degrees of freedom of the t law of true effects",
    "weight": "chance of an effect to be an outlier",
    "tau_outlier": "sd of the true effects that are outliers",
    "omega": "chance of being reported over that of the most significant results",
    "pet": "slope of reported effects on their standard error",
    "peese": "slope of reported effects on their sampling variance",
    "alpha": "change of log tau with a moderator",
    "beta_global": "scale that all slopes share",
    "beta_local": "scale of one slope",
    "beta_slab2": "squared scale of large slopes",
    "beta_R2": "share of the variance of true effects that moderators explain",
    "beta_gamma": "part of a slope before parts are made to sum to 1",
    "beta_phi": "part of a slope in what moderators explain",
    "rho_median": "correlation at the mean of true effects, which half of true correlations exceed",
    "rho_mean": "mean of true correlations",
    "I2": "share of the variance between estimates that is heterogeneity",
    "H2": "variance between estimates over that of sampling alone",
    "theta_new": "true effect of a new study",
    "rho_new": "true correlation of a new study",
}


@dataclass(frozen=True)
class Printed:
    """One quantity of a fit as tables have it.

    ``above_zero`` is P(> 0), of quantities that may be below. ``meaning`` says in words what it is.
    """

    name: str
    group: Group
    summary: Summary
    scale: str
    above_zero: float | None
    meaning: str


def printed(fit: Fit) -> tuple[Printed, ...]:
    """All quantities of a fit, in the order of ``GROUPS``: those that do not exist have no numbers.

    Beside what ``Fit`` has: tau² of every sd, and the total sd of several levels.
    """
    rows = [*_parameters(fit), *_derived(fit), *_new_study(fit)]
    return tuple(row for group in GROUPS for row in rows if row.group == group)


def shown(fit: Fit) -> tuple[Printed, ...]:
    """The quantities for readers: without what evidence that is no correlation cannot have."""
    is_r = fit.problem.scale != "yi"
    return tuple(row for row in printed(fit) if is_r or not row.name.startswith("rho_"))


def _parameters(fit: Fit) -> Iterator[Printed]:
    problem = fit.problem
    for name, summary in fit.parameters.items():
        marginal = fit.posterior.parameters[name]
        scale = scale_of_parameter(name, problem.scale_label)
        yield Printed(
            name,
            _group_of(name),
            summary,
            scale,
            None if _base(name) in _POSITIVE or name.startswith("tau_") else _above(marginal),
            _meaning(name, problem.model),
        )
        if _is_sd(name) and problem.model.custom is None:
            yield _squared(fit, name, marginal)
    if len(problem.model.levels) > 1 and "tau" not in problem.priors:
        total = fit.posterior.tau
        summary = total.summary(fit.interval.prob, fit.interval.kind)
        meaning = "total sd of true effects, the root of the sum of the variances"
        yield Printed("tau", "Heterogeneity", summary, problem.scale_label, None, meaning)
        yield _squared(fit, "tau", total)


def _derived(fit: Fit) -> Iterator[Printed]:
    for name, summary in fit.derived.items():
        is_r = name.startswith("rho_") and summary != NOTHING
        # The mean correlation is above 0 where the mean of z is: effects spread evenly around it.
        above = _above(fit.posterior.mean_of(fit.posterior.head)) if is_r else None
        level = name.removeprefix("I2_") if name.startswith("I2_") else None
        yield Printed(
            name,
            "Model results" if name.startswith("rho_") else "Heterogeneity",
            summary,
            scale_of_derived(name, fit.problem.r_label),
            above,
            _MEANINGS[name] if level is None else f"part of I2 that is of the level {level}",
        )


def _new_study(fit: Fit) -> Iterator[Printed]:
    theta = fit.posterior.theta_new(fit.posterior.head)
    scales = {"theta": fit.problem.scale_label, "rho": fit.problem.r_label}
    for name, summary in fit.new_study.items():
        above = None if summary == NOTHING else _above(theta)
        known = _MEANINGS[f"{name}_new"]
        yield Printed(f"{name}_new", "New study", summary, scales[name], above, known)


def _group_of(name: str) -> Group:
    base = _base(name)
    if base in _SELECTION:
        return "Selection"
    return "Heterogeneity" if _is_sd(name) or base in _SPREAD else "Model results"


def _base(name: str) -> str:
    return name.partition("[")[0]


def _is_sd(name: str) -> bool:
    return name == "tau" or name.startswith("tau_")


def _above(marginal: Marginal) -> float | None:
    """P(> 0); None where the quantity is not known."""
    below = float(np.asarray(marginal.cdf(np.zeros(1)))[0])
    return None if math.isnan(below) else 1 - below


def _squared(fit: Fit, name: str, marginal: Marginal) -> Printed:
    """The variance that an sd is the root of."""
    found: Marginal
    if isinstance(marginal, Point):
        found = Point(marginal.value**2)
    elif isinstance(fit.result, Draws):
        # Loaded here: ArviZ's statistics load scipy.stats, which exact fits do without.
        from metarho.posterior.sampled import Sample

        assert isinstance(marginal, Sample)
        found = Sample(marginal.draws**2, marginal.moments / 2)
    else:
        assert isinstance(marginal, Curve | Transformed | Surface)
        found = Transformed(
            marginal,
            np.square,
            lambda square: np.sqrt(np.maximum(square, 0.0)),
            lambda sd: 2 * sd,
            marginal.moments / 2,
        )
    summary = found.summary(fit.interval.prob, fit.interval.kind)
    label = fit.problem.scale_label
    return Printed(
        name.replace("tau", "tau2", 1),
        "Heterogeneity",
        summary,
        f"{label} squared",
        None,
        f"the square of {name}",
    )


def _meaning(name: str, model: Model) -> str:
    base, _, inside = name.partition("[")
    of = inside.removesuffix("]")
    if model.custom is not None and base != "mu":
        return f"as {model.custom} defines it"
    if base in _MEANINGS:
        return f"{_MEANINGS[base]}: {of}" if of else _MEANINGS[base]
    if base == "mu":
        return _meaning_of_mu(model)
    if base == "beta":
        return f"slope of {of}"
    if base == "tau":
        return _meaning_of_tau(model)
    level = name.removeprefix("tau_")
    return "sd of true effects within a study" if level == "effect" else f"sd between {level} means"


def _meaning_of_mu(model: Model) -> str:
    where = []
    if model.custom is None and model.mods != "~ 1":
        where.append("with moderators at 0 and factors at their reference level")
    if model.selection in ("pet", "peese"):
        where.append("of a study without sampling error")
    return " ".join(["mean of true effects", *where])


def _meaning_of_tau(model: Model) -> str:
    if model.effects == "student-t":
        return "scale of the t law of true effects"
    if model.effects == "mixture":
        return "sd of the true effects that are no outliers"
    if model.scale != "~ 1":
        return "sd of true effects with the moderators of log tau at 0"
    return "total sd of true effects" if len(model.levels) > 1 else "sd of true effects"


def title(fit: Fit) -> str:
    """What the model is called, and of how many effects and studies the fit is."""
    evidence, model = fit.problem.evidence, fit.problem.model
    effects = counted(evidence.k, "effect", "effects")
    studies = counted(len(evidence.study_names), "study", "studies")
    of = f"k = {effects}, {studies}; measure {fit.problem.measure}"
    return f"{model.title or model.name} ({of})"


def counted(number: int, one: str, many: str) -> str:
    """How many there are: ``1 study``, ``20 studies``."""
    return f"{number} {one if number == 1 else many}"


def sampling_in_words(fit: Fit) -> str:
    """How a sampled fit was sampled, and the worst that its diagnostics say."""
    found = fit.diagnostics
    assert found is not None
    worst: dict[str, float] = {}
    for name, of in (("r_hat", max), ("ess_bulk", min), ("ess_tail", min)):
        values = found[name]
        assert isinstance(values, dict)
        worst[name] = of(values.values())
    return (
        f"{fit.sampler.chains} chains of {fit.sampler.draws:,} draws, largest R-hat "
        f"{worst['r_hat']:.3f}, smallest bulk ESS {worst['ess_bulk']:,.0f}, smallest tail ESS "
        f"{worst['ess_tail']:,.0f}, {found['divergences']} divergences"
    )


def number(value: float | None, digits: int = 3) -> str:
    """A number as tables print it; a dash where there is none. What rounds to 0 has no sign.

    What has more than ten digits before the point is written with a power of ten.
    """
    if value is None:
        return "–"
    return f"{value:.{digits}e}" if abs(value) >= 1e10 else f"{value:z.{digits}f}"


def share(p: float | None) -> str:
    """A probability to three digits; what would print as 0 or 1 is below or above the last."""
    if p is None:
        return "–"
    return "<0.001" if p < 0.0005 else ">0.999" if p >= 0.9995 else f"{p:.3f}"


def interval(summary: Summary, digits: int = 3) -> str:
    """An interval in brackets."""
    if summary.lower is None or summary.upper is None:
        return "–"
    return f"[{number(summary.lower, digits)}, {number(summary.upper, digits)}]"


def interval_name(fit: Fit) -> str:
    """What a column of intervals is headed by: ``95% eti``."""
    return f"{fit.interval.prob * 100:g}% {fit.interval.kind}"


def digits_of(row: Printed, digits: int = 4) -> int:
    """How many digits after the point a row is printed with: percent fewer, squares more.

    Effects of measure GEN may be of any size: two digits of their sd are shown, up to twelve.
    """
    if row.scale == "percent":
        return max(digits - 3, 0)
    if row.scale.endswith(" squared"):
        # The square of an sd below 1 is smaller than the sd.
        digits += 1
    sd = row.summary.sd
    if row.scale.partition(" ")[0] != "yi" or not sd or not math.isfinite(sd):
        return digits
    return min(max(digits, 1 - math.floor(math.log10(sd))), 12)


def cells(row: Printed, digits: int = 4) -> tuple[str, ...]:
    """Mean, sd, median, lower and upper end, P(> 0) as texts."""
    own = digits_of(row, digits)
    s = row.summary
    five = (s.mean, s.sd, s.median, s.lower, s.upper)
    above = "" if row.above_zero is None else share(row.above_zero)
    return (*(number(value, own) for value in five), above)


def shown_fit(fit: Fit) -> Shown:
    """What a fit shows of itself: its quantities, verdict, priors and notes."""
    rows = [(row.name, *cells(row)[:3], _ends(row), cells(row)[5], row.scale) for row in shown(fit)]
    columns = ("", "mean", "sd", "median", interval_name(fit), "P(> 0)", "scale")
    verdict = [f"engine: {fit.engine}; status: {fit.status}", *fit.reasons]
    priors = [f"{name} ~ {applied.prior.described}" for name, applied in fit.problem.priors.items()]
    notes = [f"note: {note}" for note in fit.notes]
    return Shown(title(fit), columns, tuple(rows), (*verdict, *priors, *notes))


def _ends(row: Printed) -> str:
    _, _, _, lower, upper, _ = cells(row)
    return "–" if row.summary.lower is None else f"[{lower}, {upper}]"
