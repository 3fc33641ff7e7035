"""A PyMC model of a result, written out: numpy, pymc and arviz, and nothing of metarho.

It is written from the model's definition and not from the engine: deviations of groups and
Student-t effects are variables here, of which the engine integrates many out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metarho.engines import nuts
from metarho.engines.nuts.layout import group_levels, variables
from metarho.engines.problem import Problem
from metarho.posterior.fit import Fit
from metarho.report.scripts.findings import Found, Origin, findings, head
from metarho.report.scripts.pymc_priors import prior_lines
from metarho.report.scripts.quoting import (
    python_array,
    python_number,
    python_places,
    python_text,
    remark,
)
from metarho.spec.model import StepSelection
from metarho.spec.priors import PER_BAND, PER_HORSESHOE, PER_R2D2

SUFFIX = "py"
NEEDS = "numpy, pymc and arviz"

_AGREES = """The posterior below is that of the same model, data and priors, sampled here. Means,
sds, medians and ends of intervals should agree with metarho's within 4 Monte Carlo standard
errors; the script says which do, and ends with exit code 1 where one does not or chains did
not mix."""

_IMPORTS = """import sys

import arviz as az
import numpy as np
import pymc as pm
import pytensor.tensor as pt"""

# An end that is not there: the normal distribution function is 0 or 1 so far out.
_ENDLESS = """# An interval that is open on a side: so far out that the normal cdf is 0 or 1.
lower = np.maximum(lower, -1e10)
upper = np.minimum(upper, 1e10)"""

_LOG_BETWEEN = '''
def log_cdf(x):
    """log of the standard normal cdf; each branch sees only arguments that suit it."""
    tail, body = pt.minimum(x, -1.0), pt.maximum(x, -1.0)
    in_tail = pt.log(0.5 * pt.erfcx(-tail / np.sqrt(2))) - 0.5 * tail**2
    return pt.switch(x < -1.0, in_tail, pt.log1p(-0.5 * pt.erfc(body / np.sqrt(2))))


def log_between(low, high, mean, sd):
    """log P(low < y < high) for y ~ Normal(mean, sd), taken in the tail where both are small."""
    a, b = (low - mean) / sd, (high - mean) / sd
    above = a + b > 0
    a, b = pt.switch(above, -b, a), pt.switch(above, -a, b)
    return log_cdf(b) + pt.log1p(-pt.exp(log_cdf(a) - log_cdf(b)))

'''

_LOG_ROWS = '''
def log_rows(mean, sd):
    """The log likelihood of each row: the density of a number, the chance of an interval."""
    number = pm.logp(pm.Normal.dist(mean, sd), np.where(words, 0.0, y))
    interval = log_between(np.where(words, lower, -1.0), np.where(words, upper, 1.0), mean, sd)
    return pt.switch(words, interval, number)

'''

_SELECTION = '''
def log_in_bands(low, high, mean, sd, weights):
    """log of the sum over the bands of y of weight times P(low < y < high, y in the band)."""
    held = low < high
    safe_low, safe_high = np.where(held, low, 0.0), np.where(held, high, 1.0)
    inside = log_between(safe_low, safe_high, mean[:, None], sd[:, None]) + pt.log(weights)
    return pt.logsumexp(pt.switch(held, inside, -1e6), axis=1)


def log_seen(mean, sd, weights):
    """log of the weighted density of a number, or chance of an interval, before it is selected."""
    density = pm.logp(pm.Normal.dist(mean, sd), np.where(words, 0.0, y))
    number = density + pt.log((in_band * weights).sum(axis=1))
    if not words.any():
        return number
    low = np.where(words, lower, -1.0)[:, None]
    high = np.where(words, upper, 1.0)[:, None]
    parts = np.maximum(low, band_low), np.minimum(high, band_high)
    return pt.switch(words, log_in_bands(*parts, mean, sd, weights), number)


def log_reported(mean, sd, weights):
    """log of the chance that a row is reported at all."""
    return log_in_bands(band_low, band_high, mean, sd, weights)

'''

_COMPARE = '''
def summary(draws):
    """What metarho prints of a quantity, from draws (chain, draw)."""
    return {
        "mean": draws.mean(),
        "sd": draws.std(),
        "median": np.median(draws),
        "lower": np.quantile(draws, TAIL),
        "upper": np.quantile(draws, 1 - TAIL),
    }


def monte_carlo_error(trace, variable, number):
    """The Monte Carlo standard error of one of these numbers, by ArviZ."""
    shares = {"median": 0.5, "lower": TAIL, "upper": 1 - TAIL}
    method = {"method": number}
    if number in shares:
        method = {"method": "quantile", "prob": shares[number]}
    return float(az.mcse(trace, var_names=[variable], **method)[variable])


def main():
    """Sample, compare, and return 0 where all agrees."""
    with model:
        trace = pm.sample(
            draws=2000, tune=2000, chains=4, target_accept=TARGET, random_seed=1, progressbar=False
        )
    wrong = 0
    print(f"{'':24}{'':8}{'here':>12}{'metarho':>12}{'error':>10}")
    for name, variable, numbers, errors in METARHO:
        draws = trace.posterior[variable].values
        r_hat = float(az.rhat(trace, var_names=[variable])[variable])
        if r_hat > 1.01:
            wrong += 1
            print(f"{name:24}R-hat is {r_hat:.3f}: chains did not mix; sample longer")
        here = summary(draws)
        for number, theirs in numbers.items():
            error = np.hypot(monte_carlo_error(trace, variable, number), errors.get(number, 0.0))
            agrees = abs(here[number] - theirs) <= 4 * error
            wrong += not agrees
            said = "agrees" if agrees else "DIFFERS"
            print(f"{name:24}{number:8}{here[number]:12.6f}{theirs:12.6f}{error:10.6f}  {said}")
    diverging = int(trace.sample_stats["diverging"].sum())
    print(f"divergences: {diverging}")
    print("all agrees" if not wrong else f"{wrong} of these do not agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
'''


def covers(problem: Problem) -> str | None:
    """None when a script can say a problem, else the part that it cannot and what would work."""
    model = problem.model
    if model.custom is not None:
        return f"custom model {model.custom}: its file is a PyMC model, which runs by itself"
    parts = {
        "likelihood: exact-r (use likelihood: normal)": model.likelihood == "exact-r",
        "measurement: true-score (use observed scores)": model.measurement == "true-score",
        "missing: impute (use missing: drop)": problem.imputation is not None,
        "words that sum up several tests (leave the column tests out)": bool(
            problem.evidence.sums_up.any()
        ),
        "informative reporting": problem.reporting is not None,
    }
    for part, used in parts.items():
        if used:
            return f"no PyMC script has {part}"
    return nuts.covers(problem)


def script(fit: Fit, origin: Origin) -> str:
    """The script of a fit, whose problem is covered."""
    problem, found = fit.problem, findings(fit)
    title = "A check of one result of a meta-analysis: run it with Python, pymc and arviz."
    parts = [head(title, _AGREES, fit, origin, found), "", model_script(problem)]
    parts += [*_numbers(fit, found), _COMPARE.rstrip("\n")]
    return "\n".join(parts) + "\n"


def model_script(problem: Problem) -> str:
    """The part of a script that makes the model, as a variable of that name."""
    parts = [
        _imports(problem),
        "",
        *_data(problem),
        _functions(problem),
        "with pm.Model() as model:",
    ]
    parts += [f"    {line}" if line else "" for line in _model(problem)]
    return "\n".join(parts) + "\n"


def _imports(problem: Problem) -> str:
    """What the script needs; for p of a test also its quantiles."""
    selection = problem.model.selection
    if not isinstance(selection, StepSelection):
        return _IMPORTS
    if selection.step.test == "t":
        return f"{_IMPORTS}\nfrom scipy.special import stdtrit"
    return _IMPORTS.replace("\n\n", "\nfrom statistics import NormalDist\n\n", 1)


def _data(problem: Problem) -> list[str]:
    """The rows, sorted by study and effect."""
    evidence = problem.evidence
    lines = [
        "# The rows, by study and effect.",
        "effects = [",
        *(f"    {python_text(name)}," for name in evidence.effect_names),
        "]",
        f"y = {python_array(evidence.y)}",
        f"v = {python_array(evidence.v)}",
    ]
    if evidence.is_interval.any():
        lines += [
            "# Where a row says an interval, its ends.",
            f"lower = {python_array(evidence.lower)}",
            f"upper = {python_array(evidence.upper)}",
            _ENDLESS,
        ]
    lines += ["words = np.isnan(y)  # the rows that are intervals"]
    for number, name in enumerate(problem.design.names[1:]):
        column = problem.design.matrix[:, number + 1]
        lines += [f"x_{number} = {python_array(column)}{remark(name)}"]
    for number, name in enumerate(problem.scale_design.names[1:]):
        column = problem.scale_design.matrix[:, number + 1]
        lines += [f"s_{number} = {python_array(column)}{remark(f'of log tau: {name}')}"]
    for number, level in enumerate(group_levels(problem)):
        index, _ = evidence.groups(level)
        lines += [f"group_{number} = {python_places(index)}{remark(level)}"]
    for number, group in enumerate(evidence.correlated):
        covariance = ",\n    ".join(python_array(row, 4) for row in group.covariance)
        lines += [
            f"tied_{number} = {python_places(group.rows)}  # rows whose errors correlate",
            f"covariance_{number} = np.array([\n    {covariance},\n])",
        ]
    return [*lines, *_bands(problem)]


def _bands(problem: Problem) -> list[str]:
    """The stretches of y between one-sided p, the first above the first cutpoint."""
    selection = problem.model.selection
    if not isinstance(selection, StepSelection):
        return []
    cutpoints = ", ".join(map(repr, selection.step.one_sided))
    cuts = "np.array([NormalDist().inv_cdf(1 - p) for p in cutpoints]) * np.sqrt(v)[:, None]"
    if selection.step.test == "t":
        rows = ", ".join(map(repr, (problem.evidence.sizes - 2).tolist()))
        cuts = f"np.array([stdtrit(df, 1 - np.array(cutpoints)) / np.sqrt(df) for df in [{rows}]])"
        # r/sqrt(1 − r²) = t/sqrt(df), and its asinh is Fisher's z.
        cuts = f"np.arcsinh({cuts})"
    return [
        "# The stretches of y between one-sided p, the smallest first: (rows, stretches).",
        f"cutpoints = [{cutpoints}]",
        f"cuts = {cuts}",
        "far = np.full((len(v), 1), 1e10)",
        "band_low, band_high = np.hstack([cuts, -far]), np.hstack([far, cuts])",
        "z = np.where(words, 0.0, y)[:, None]",
        "in_band = ((z >= band_low) & (z < band_high)).astype(float)",
    ]


def _functions(problem: Problem) -> str:
    has_words = bool(problem.evidence.is_interval.any())
    if isinstance(problem.model.selection, StepSelection):
        return _LOG_BETWEEN + _SELECTION
    mixed = problem.model.effects == "mixture"
    if mixed and has_words:
        return _LOG_BETWEEN + _LOG_ROWS
    return _LOG_BETWEEN if has_words else ""


def _model(problem: Problem) -> list[str]:
    """Priors, the mean and sd of each row, the rows."""
    lines = ["# Parameters.", *_parameters(problem), "", "# The mean of each row.", *_mean(problem)]
    return [*lines, "", "# The rows.", *_rows(problem), "", *_pooled(problem)]


def _parameters(problem: Problem) -> list[str]:
    """Parameters in an order in which none is needed before it is there."""
    names, lines = variables(problem), []
    later = [*problem.shrunk_slopes, "mu"]
    for name in [n for n in problem.priors if n not in later] + later:
        variable, prior = names[name], problem.prior(name)
        unit = _unit(problem, name, names) if prior.is_relative else ""
        first, *rest = prior_lines(
            variable, prior, positive=name.startswith("tau"), unit=f"({unit})"
        )
        lines += [first + (remark(name) if name != variable else ""), *rest]
    return lines


def _unit(problem: Problem, name: str, names: dict[str, str]) -> str:
    """The expression of what a relative prior is in units of."""
    column = name.removeprefix("beta[").removesuffix("]")
    on = problem.prior(name).on
    if on == PER_BAND:
        return names[problem.band_before(name)]
    if on == PER_HORSESHOE:
        wide2 = f"(beta_global * {names[f'beta_local[{column}]']}) ** 2"
        return f"pt.sqrt({wide2} * beta_slab2 / (beta_slab2 + {wide2}))"
    total = _total_sd(problem)
    if on != PER_R2D2:
        return total
    gammas = [variable for one, variable in names.items() if one.startswith("beta_gamma[")]
    share = f"{names[f'beta_gamma[{column}]']} / ({' + '.join(gammas)})"
    return f"{total} * pt.sqrt({share} * beta_R2 / (1 - beta_R2))"


def _total_sd(problem: Problem) -> str:
    sds = ["tau"] if problem.is_total_form else list(problem.model.level_sds.values())
    return sds[0] if len(sds) == 1 else f"pt.sqrt({' + '.join(f'{sd} ** 2' for sd in sds)})"


def _level_sds(problem: Problem) -> dict[str, str]:
    """Level -> the expression of its sd."""
    if problem.is_total_form:
        return {"study": "tau * pt.sqrt(share)", "effect": "tau * pt.sqrt(1 - share)"}
    return dict(problem.model.level_sds)


def _mean(problem: Problem) -> list[str]:
    names, sds = variables(problem), _level_sds(problem)
    lines = ["mean = mu + np.zeros(len(v))"]
    for number, name in enumerate(problem.coefficients[1:]):
        lines += [f"mean = mean + {names[name]} * x_{number}"]
    selection = str(problem.model.selection)
    if problem.bias is not None:
        bias = {"pet": "np.sqrt(v)", "peese": "v"}[selection]
        lines += [f"mean = mean + {selection} * {bias}  # small studies show more"]
    for number, level in enumerate(group_levels(problem)):
        groups = len(problem.evidence.groups(level)[1])
        lines += [
            f'deviation_{number} = pm.Normal("deviation_{level}", 0, 1, shape={groups})',
            f"mean = mean + {sds[level]} * deviation_{number}[group_{number}]",
        ]
    if "effect" not in sds:
        return [*lines, "sd = np.sqrt(v) + pt.zeros(len(v))"]
    slopes = [f"{names[one]} * s_{number}" for number, one in enumerate(problem.scale_slopes)]
    factor = f" * pt.exp({' + '.join(slopes)})" if slopes else ""
    lines += [f"effect_sd = {sds['effect']}{factor} + np.zeros(len(v))"]
    if problem.model.effects == "student-t":
        return [
            *lines,
            "# The true effects are Student-t around their mean.",
            'away = pm.StudentT("effect_away", nu=nu, mu=0, sigma=1, shape=len(v))',
            "mean = mean + effect_sd * away",
            "sd = np.sqrt(v) + pt.zeros(len(v))",
        ]
    return [*lines, "sd = pt.sqrt(v + effect_sd**2)  # the true effects are integrated out"]


def _rows(problem: Problem) -> list[str]:
    model, evidence = problem.model, problem.evidence
    mixed = model.effects == "mixture"
    wide = ["wide = pt.sqrt(v + effect_sd**2 + tau_outlier**2)"] if mixed else []
    if isinstance(model.selection, StepSelection):
        names = variables(problem)
        step = model.selection.step
        later = map(repr, step.weights) if step.weights else (names[one] for one in step.omegas)
        of_bands = ["1.0", *later]
        weights = f"weights = pt.stack([{', '.join(of_bands[band] for band in step.band_of)}])"
        if not mixed:
            return [
                weights,
                "log_rows = log_seen(mean, sd, weights) - log_reported(mean, sd, weights)",
                'pm.Potential("rows", log_rows.sum())',
            ]
        sums = [
            f"{what} = pt.logaddexp(\n        pt.log1p(-weight) + log_{what}(mean, sd, weights),\n"
            f"        pt.log(weight) + log_{what}(mean, wide, weights),\n    )"
            for what in ("seen", "reported")
        ]
        return [weights, *wide, *sums, 'pm.Potential("rows", (seen - reported).sum())']
    if mixed:
        law = "log_rows({0})"
        if not evidence.is_interval.any():
            law = "pm.logp(pm.Normal.dist({0}), y)"
        return [
            *wide,
            "log_narrow = pt.log1p(-weight) + " + law.format("mean, sd"),
            "log_wide = pt.log(weight) + " + law.format("mean, wide"),
            'pm.Potential("rows", pt.logaddexp(log_narrow, log_wide).sum())',
        ]
    return _normal_rows(problem)


def _normal_rows(problem: Problem) -> list[str]:
    evidence = problem.evidence
    lines = []
    alone = ~evidence.is_interval
    if evidence.correlated:
        between = "effect_sd" if "effect" in problem.model.levels else ""
        for number, group in enumerate(evidence.correlated):
            alone[group.rows] = False
            tied = f"tied_{number}"
            spread = f" + pt.diag({between}[{tied}] ** 2)" if between else ""
            lines += [
                f'pm.MvNormal("y_{number}", mean[{tied}], cov=covariance_{number}{spread}, '
                f"observed=y[{tied}])"
            ]
        if alone.any():
            lines += [f"alone = {python_places(np.flatnonzero(alone), 4)}"]
            lines += ['pm.Normal("y", mean[alone], sd[alone], observed=y[alone])']
    elif not evidence.is_interval.any():
        lines += ['pm.Normal("y", mean, sd, observed=y)']
    elif alone.any():
        lines += ['pm.Normal("y", mean[~words], sd[~words], observed=y[~words])']
    if evidence.is_interval.any():
        ends = "lower[words], upper[words], mean[words], sd[words]"
        lines += [f'pm.Potential("intervals", log_between({ends}).sum())']
    return lines


def _pooled(problem: Problem) -> list[str]:
    """The mean at the average of the moderators; of Fisher's z as a correlation."""
    names = variables(problem)
    terms = ["mu"]
    for name, value in zip(problem.coefficients[1:], problem.design.average[1:], strict=True):
        terms += [f"{names[name]} * {python_number(value)}"]
    pooled = " + ".join(terms)
    if problem.scale == "z":
        pooled = f"pt.tanh({pooled})"
    note = "" if len(terms) == 1 else "  # at the average of the moderators"
    return [f'pm.Deterministic("pooled", pt.as_tensor({pooled}) + 0.0){note}']


def _numbers(fit: Fit, found: Sequence[Found]) -> list[str]:
    """What metarho found, as values."""
    problem = fit.problem
    # Where deviations or effects are variables, an sd near 0 makes the posterior steep.
    plain = (problem.model.effects, problem.model.selection) == ("normal", "none")
    is_steep = bool(group_levels(problem)) or bool(problem.shrunk_slopes) or not plain
    lines = [
        f"TAIL = {(1 - fit.interval.prob) / 2!r}  # outside of an interval, on either side",
        f"TARGET = {0.99 if is_steep else 0.9}  # of the sampler: smaller steps where it is higher",
        "# Name, variable, what metarho found, its Monte Carlo errors (none where it integrated).",
        "METARHO = [",
    ]
    for one in found:
        lines += [
            "    (",
            f"        {python_text(one.name)},",
            f"        {python_text(one.variable)},",
            f"        {_dict(one.numbers)},",
            f"        {_dict(one.errors)},",
            "    ),",
        ]
    return [*lines, "]", ""]


def _dict(values: object) -> str:
    assert isinstance(values, dict)
    return "{" + ", ".join(f'"{name}": {value!r}' for name, value in values.items()) + "}"
