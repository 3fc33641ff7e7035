"""An R script for bayesmeta: the same normal-normal model, integrated by another program.

The calls are as bayesmeta 3.4 documents them, ``bayesmeta()`` and, with moderators, ``bmr()``;
tests compare them with the calls behind pinned numbers (``tests/references/bayesmeta.json``). The
scripts themselves were not run: bayesmeta could not be installed where they were written.
"""

from __future__ import annotations

from collections.abc import Mapping

from metarho.engines.problem import Problem
from metarho.posterior.fit import Fit
from metarho.report.scripts import r_priors
from metarho.report.scripts.findings import Origin, findings, head
from metarho.report.scripts.quoting import r_number, r_vector
from metarho.report.scripts.r_rows import columns_of_mean, data_lines, found_lines
from metarho.spec.priors import Prior

SUFFIX = "R"
NEEDS = "R with the package bayesmeta (3.4 or newer)"

_AGREES = """The posterior of bayesmeta is that of the same model, data and priors. It stands on a
grid of normal components (delta = 0.01, epsilon = 1e-4, its defaults), whose error is up to
2.5e-3 posterior sds in means and sds and 7.5e-3 in ends of intervals. All should agree to 0.01
posterior sds, and 4 Monte Carlo standard errors more where metarho sampled; the script says
which do, and ends with exit code 1 where one does not."""

# What bayesmeta itself calls reference priors of tau.
_BY_NAME: Mapping[str, str] = {
    "Flat": "uniform",
    "SquareRoot": "sqrt",
    "Jeffreys": "Jeffreys",
    "OverallJeffreys": "overallJeffreys",
    "BergerDeely": "BergerDeely",
    "Conventional": "conventional",
    "DuMouchel": "DuMouchel",
    "UniformShrinkage": "shrinkage",
    "UniformI2": "I2",
}

_COMPARE = """
rows <- c(mean = "mean", sd = "sd", median = "median", lower = "95% lower", upper = "95% upper")
metarho$here <- mapply(function(variable, number) fit$summary[rows[number], variable],
                       metarho$variable, metarho$number)
sds <- sapply(metarho$variable, function(variable) fit$summary["sd", variable])
metarho$agrees <- abs(metarho$here - metarho$value) <= 0.01 * sds + 4 * metarho$error
print(metarho[, c("quantity", "number", "here", "value", "agrees")], digits = 7)
cat(if (all(metarho$agrees)) "all agrees\\n" else "not all agrees\\n")
quit(status = if (all(metarho$agrees)) 0 else 1)"""


def covers(problem: Problem) -> str | None:
    """None when a script can say a problem, else the part that it cannot and what would work."""
    model = problem.model
    parts = {
        f"custom models ({model.custom})": model.custom is not None,
        "interval rows (use intervals: drop)": bool(problem.evidence.is_interval.any()),
        "likelihood: exact-r (use likelihood: normal)": model.likelihood != "normal",
        f"effects: {model.effects} (use effects: normal)": model.effects != "normal",
        f"selection: {model.selection} (use selection: none)": model.selection != "none",
        "measurement: true-score": model.measurement != "observed",
        "missing: impute (use missing: drop)": problem.imputation is not None,
        f"scale: {model.scale} (use scale: ~ 1)": bool(problem.scale_slopes),
        f"random: {model.random} (use random: effect)": model.levels != ("effect",),
        "correlated sampling errors": bool(problem.evidence.correlated),
        "informative reporting": problem.reporting is not None,
    }
    for part, used in parts.items():
        if used:
            return f"no bayesmeta script has {part}"
    tau = problem.prior("tau")
    if tau.is_point:
        return f"no bayesmeta script holds tau at a number: its prior is {tau}"
    return _refused_coefficients(problem)


def _refused_coefficients(problem: Problem) -> str | None:
    """Which prior of a coefficient bayesmeta lacks; None when it has all."""
    for name in problem.coefficients:
        prior = problem.prior(name)
        if prior.on or prior.family not in ("Normal", "Flat"):
            return f"bayesmeta has no prior {name} ~ {prior}; use Normal or Flat"
    if len({problem.prior(name).family for name in problem.coefficients}) > 1:
        return "bmr() has normal priors of all coefficients or of none; mu and beta differ here"
    return None


def tau_prior(prior: Prior, *, by_name: bool) -> str:
    """The argument ``tau.prior``: a name that bayesmeta has, or a function of t."""
    if by_name and prior.family in _BY_NAME and not prior.on:
        return f'"{_BY_NAME[prior.family]}"'
    return f"function(t) {r_priors.density(prior)}"


def script(fit: Fit, origin: Origin) -> str:
    """The script of a fit, whose problem is covered."""
    problem, found = fit.problem, findings(fit)
    columns = dict(zip(problem.coefficients, columns_of_mean(problem), strict=True))
    names = {"tau": "tau", **(columns if len(columns) > 1 else {"mu": "mu"})}
    if abs(fit.interval.prob - 0.95) < 1e-12:
        kept = found
    else:  # the summary of bayesmeta has intervals of 95% only
        kept = tuple(
            type(one)(
                one.name,
                one.variable,
                {n: x for n, x in one.numbers.items() if n not in ("lower", "upper")},
                one.errors,
            )
            for one in found
        )
    title = "A check of one result of a meta-analysis: run it with R and bayesmeta."
    lines = [head(title, _AGREES, fit, origin, found), "", "library(bayesmeta)", ""]
    lines += [*data_lines(problem), "v <- dat$vi", "", *_call(problem, columns), ""]
    lines += ["print(fit)", *found_lines(kept, names), _COMPARE.lstrip("\n")]
    return "\n".join(lines) + "\n"


def _call(problem: Problem, columns: Mapping[str, str]) -> list[str]:
    priors = [problem.prior(name) for name in problem.coefficients]
    flat = priors[0].family == "Flat"
    rows = "y = dat$yi, sigma = dat$sei, labels = make.unique(dat$study)"
    if len(columns) == 1:
        mean, sd = priors[0].values.get("mu"), priors[0].values.get("sigma")
        said = "mu.prior.mean = NA, mu.prior.sd = NA"
        if not flat and mean is not None and sd is not None:
            said = f"mu.prior.mean = {r_number(mean)}, mu.prior.sd = {r_number(sd)}"
        return [
            f"fit <- bayesmeta({rows},",
            f"                 tau.prior = {tau_prior(problem.prior('tau'), by_name=True)},",
            f'                 {said}, interval.type = "central")',
        ]
    said = ""
    if not flat:
        means, sds = ([one.values[argument] for one in priors] for argument in ("mu", "sigma"))
        said = f"beta.prior.mean = {r_vector(means)}, beta.prior.sd = {r_vector(sds)}, "
    # References by formula: what bmr() makes of their names with moderators is its own.
    by_name = problem.prior("tau").family == "Flat"
    return [
        f"X <- as.matrix(dat[, c({', '.join(repr(one) for one in columns.values())})])",
        f"fit <- bmr({rows}, X = X,",
        f"           tau.prior = {tau_prior(problem.prior('tau'), by_name=by_name)},",
        f'           {said}interval.type = "central")',
    ]
