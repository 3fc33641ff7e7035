"""An R script for metafor: the same rows and design, what has to agree, and REML besides.

metafor has no priors. With every tau held at metarho's posterior median and a flat prior on the
coefficients, metarho's posterior is normal with generalised least squares' estimates and
covariance: there the two must agree to rounding, which shows that data, design and weights are the
same. With normal priors on the coefficients base R adds these to metafor's estimates, and that must
agree as well. A confidence interval is not a credible interval, and is printed for information.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from metarho.engines import exact
from metarho.engines.problem import Problem, improper
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit
from metarho.report.scripts.findings import Found, Origin, findings, head
from metarho.report.scripts.quoting import r_number, r_texts, r_vector
from metarho.report.scripts.r_rows import (
    columns_of_mean,
    covariance_lines,
    data_lines,
    group_columns,
)
from metarho.spec.model import AppliedPrior
from metarho.spec.priors import Prior

SUFFIX = "R"
NEEDS = "R with the package metafor (3.8 or newer)"

_AGREES = """metafor has no priors. What must agree, to a millionth of a standard error:
1. with every tau held at metarho's posterior median and flat coefficients: estimates and
   standard errors (metarho's posterior is normal there);
2. where all coefficients have normal priors: the same with these priors added in base R.
The script says whether they do, and ends with exit code 1 where one does not. What it prints
last, REML with confidence intervals, is another estimate: it need not agree, and a
confidence interval is not a credible interval."""

_COMPARE = """
# here and metarho are matrices: estimate and standard error of each coefficient.
compare <- function(title, here, metarho) {
  far <- abs(here - metarho) / metarho[, "se"]
  agrees <- apply(far < 1e-6, 1, all)
  cat("\\n", title, "\\n", sep = "")
  found <- data.frame(here = here, metarho = metarho, agrees = agrees, row.names = names_of)
  print(found, digits = 8)
  all(agrees)
}
"""


@dataclass(frozen=True)
class _Held:
    """Estimates and standard errors of the coefficients with all sds held."""

    estimates: tuple[float, ...]
    errors: tuple[float, ...]


def covers(problem: Problem) -> str | None:
    """None when a script can say a problem, else the part that it cannot and what would work."""
    model = problem.model
    parts = {
        f"custom models ({model.custom})": model.custom is not None,
        "interval rows (use intervals: drop)": problem.evidence.has_intervals
        or bool(problem.evidence.is_interval.any()),
        "likelihood: exact-r (use likelihood: normal)": model.likelihood != "normal",
        f"effects: {model.effects} (use effects: normal)": model.effects != "normal",
        f"selection: {model.selection} as metarho has it (use selection: none)": (
            model.selection != "none"
        ),
        "measurement: true-score": model.measurement != "observed",
        "missing: impute (use missing: drop)": problem.imputation is not None,
        f"scale: {model.scale} (use scale: ~ 1)": bool(problem.scale_slopes),
        "informative reporting": problem.reporting is not None,
    }
    for part, used in parts.items():
        if used:
            return f"no metafor script has {part}"
    if refusal := exact.covers(_held(problem, dict.fromkeys(problem.spreads, 0.1), flat=True)):
        return f"the comparison with metafor is an exact fit with tau held, and {refusal}"
    if not _free(problem):
        return "no metafor script has mu and all slopes at points: nothing is left to estimate"
    if reason := improper(_held(problem, dict.fromkeys(problem.spreads, 0.1), flat=True)):
        return f"the comparison with metafor has flat coefficients, and {reason}"
    return None


def script(fit: Fit, origin: Origin) -> str:
    """The script of a fit, whose problem is covered."""
    problem, found = fit.problem, findings(fit)
    medians = {
        name: problem.prior(name).values["c"]
        if problem.prior(name).is_point
        else next(one.numbers["median"] for one in found if one.name == name)
        for name in problem.spreads
    }
    normal = all(_is_normal(problem.prior(name)) for name in _free(problem))
    wanted = [_held(problem, medians, flat=True)]
    wanted += [_held(problem, medians, flat=False)] if normal else []
    held = [_estimates(one) for one in fit_many(wanted, Settings(engine="exact"))]
    title = "A check of one result of a meta-analysis: run it with R and metafor."
    lines = [head(title, _AGREES, fit, origin, found), "", "library(metafor)", ""]
    lines += data_lines(problem)
    if problem.evidence.correlated:
        lines += covariance_lines(problem)
    return "\n".join([*lines, *_fits(problem, medians, held, found)]) + "\n"


def _fits(
    problem: Problem, medians: dict[str, float], held: list[_Held], found: tuple[Found, ...]
) -> list[str]:
    free = _free(problem)
    columns = dict(zip(problem.coefficients, columns_of_mean(problem), strict=True))
    formula = "~ 0 + " + " + ".join(columns[name] for name in free)
    variances = {
        level: float(value)
        for level, value in problem.level_variances(
            {name: np.array(value) for name, value in medians.items()}
        ).items()
    }
    fixed = [
        f"dat$yi <- dat$yi - {r_number(problem.prior(name).values['c'])} * dat${columns[name]}"
        for name in problem.coefficients
        if name not in free
    ]
    if fixed:
        fixed = ["", "# Coefficients that their priors hold at a number.", *fixed]
    lines = [
        *fixed,
        "",
        "# 1. The variances of true effects held, coefficients flat.",
        f"held <- {_call(problem, formula, variances)}",
        f"names_of <- {r_texts(free)}",
        _COMPARE.strip("\n"),
        "here <- cbind(estimate = as.vector(coef(held)), se = as.vector(held$se))",
        f"metarho <- {_matrix(held[0])}",
        'agreed <- compare("tau held, flat coefficients", here, metarho)',
    ]
    if len(held) > 1:
        priors = [problem.prior(name).values for name in free]
        lines += [
            "",
            "# 2. The same with the normal priors of the coefficients.",
            f"prior_mean <- {r_vector(one['mu'] for one in priors)}",
            f"prior_sd <- {r_vector(one['sigma'] for one in priors)}",
            "precision <- solve(vcov(held)) + diag(1 / prior_sd^2, length(prior_sd))",
            "pull <- solve(vcov(held), as.vector(coef(held))) + prior_mean / prior_sd^2",
            "here <- cbind(estimate = as.vector(solve(precision, pull)), "
            "se = sqrt(diag(solve(precision))))",
            f"metarho <- {_matrix(held[1])}",
            'agreed <- compare("tau held, normal priors", here, metarho) && agreed',
        ]
    numbers = {one.name: one.numbers for one in found}
    lines += ["", "# For information: REML, with nothing held and no priors."]
    lines += [f"free <- {_call(problem, formula, None)}", "print(free)"]
    if problem.spreads:
        lines += ['cat("\\nposterior medians of metarho, for information\\n")']
        for name in problem.spreads:
            if name in numbers:
                lines += [f'cat("  {name}", {r_number(numbers[name]["median"])}, "\\n")']
    return [
        *lines,
        "",
        'cat(if (agreed) "\\nall agrees\\n" else "\\nnot all agrees\\n")',
        "quit(status = if (agreed) 0 else 1)",
    ]


def _call(problem: Problem, formula: str, variances: dict[str, float] | None) -> str:
    """The call of metafor, with variances held or estimated by REML."""
    levels = problem.model.levels
    simple = levels in ((), ("effect",)) and not problem.evidence.correlated
    if simple:
        method = 'method = "REML"' if levels else 'method = "FE"'
        tau2 = f", tau2 = {r_number(variances['effect'])}" if variances and levels else ""
        return f"rma(yi, vi, mods = {formula}, data = dat, {method}{tau2})"
    groups = group_columns(problem)
    random = ", ".join(f"~ 1 | {groups[level]}" for level in levels)
    parts = [f"random = list({random})"] if levels else []
    if variances and levels:
        parts += [f"sigma2 = {r_vector(variances[level] for level in levels)}"]
    errors = "V" if problem.evidence.correlated else "vi"
    return f"rma.mv(yi, {errors}, mods = {formula}, {', '.join([*parts, 'data = dat'])})"


def _matrix(held: _Held) -> str:
    return f"cbind(estimate = {r_vector(held.estimates)}, se = {r_vector(held.errors)})"


def _free(problem: Problem) -> tuple[str, ...]:
    """The coefficients that are estimated."""
    return tuple(name for name in problem.coefficients if not problem.prior(name).is_point)


def _is_normal(prior: Prior) -> bool:
    return prior.family == "Normal" and not prior.on


def _held(problem: Problem, at: dict[str, float], *, flat: bool) -> Problem:
    """The problem with its heterogeneity held, and its coefficients flat or as they are."""
    priors = {}
    for name in (*problem.coefficients, *problem.spreads):
        applied = problem.priors[name]
        if name in at:
            applied = AppliedPrior(Prior("DiracDelta", (("c", at[name]),)), "check")
        elif flat and not applied.prior.is_point:
            applied = AppliedPrior(Prior("Flat"), "check")
        priors[name] = applied
    return replace(problem, priors=priors)


def _estimates(fit: Fit) -> _Held:
    """Posterior means and sds of the coefficients that are not held."""
    found = [fit.posterior.parameters[name] for name in _free(fit.problem)]
    summaries = [marginal.summary(fit.interval.prob, "eti") for marginal in found]
    return _Held(
        tuple(float(one.mean or 0.0) for one in summaries),
        tuple(float(one.sd or 0.0) for one in summaries),
    )
