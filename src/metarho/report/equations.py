"""A model in equations, as LaTeX: what was printed, given true effects; true effects; priors.

Names of levels are letters, digits and underscores (the grammar allows no others); no other text
of a user's enters, so that what is set in mathematics is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from metarho.engines.problem import Problem
from metarho.spec.formulas import is_intercept_only
from metarho.spec.model import Step, StepSelection


@dataclass(frozen=True)
class Equation:
    """A line of LaTeX, and what it says in words."""

    latex: str
    words: str


def equations(problem: Problem) -> tuple[Equation, ...]:
    """The model of a problem, from what is observed to what varies. Empty for a custom model."""
    if problem.model.custom is not None:
        return ()
    return (
        *_measure(problem),
        *_observed(problem),
        _true_effects(problem),
        *_deviations(problem),
    )


def _measure(problem: Problem) -> tuple[Equation, ...]:
    match problem.measure:
        case "ZCOR":
            return (
                Equation(
                    r"y_i = \operatorname{atanh}(r_i), \qquad v_i = \frac{1}{n_i - 3}",
                    "each correlation on Fisher's z, with its sampling variance",
                ),
            )
        case "COR":
            return (
                Equation(
                    r"y_i = r_i, \qquad v_i = \frac{(1 - r_i^2)^2}{n_i - 1}",
                    "each correlation as it is, with its sampling variance",
                ),
            )
    return (Equation(r"y_i, \quad v_i", "each effect and its sampling variance, as given"),)


def _observed(problem: Problem) -> tuple[Equation, ...]:
    model, evidence = problem.model, problem.evidence
    centre = _centre(problem)
    found: list[Equation] = []
    if model.measurement == "true-score":
        found.append(
            Equation(
                r"a_i = \tanh(\theta_i)\,\sqrt{r_{xx,i}\,r_{yy,i}}, \qquad "
                r"\eta_i = \operatorname{atanh}\frac{u_i a_i}{\sqrt{1 + (u_i^2 - 1)\,a_i^2}}",
                "what unreliable scores and a restricted range leave of a true correlation",
            )
        )
    if model.likelihood == "exact-r":
        found.append(
            Equation(
                rf"r_i \mid {centre} \;\sim\; f(r \mid \tanh {centre}, n_i)",
                "the exact law of a correlation under bivariate normality (Hotelling 1953)",
            )
        )
    elif (~evidence.is_interval).any():
        found.append(
            Equation(
                rf"y_i \mid \theta_i \;\sim\; \mathrm{{N}}\left({centre},\, v_i\right)",
                "rows that printed a number",
            )
        )
    if evidence.has_intervals and model.likelihood == "exact-r":
        found.append(
            Equation(
                rf"P(l_i < r_i < h_i \mid {centre}) = \int_{{l_i}}^{{h_i}} "
                rf"f(r \mid \tanh {centre}, n_i)\,dr",
                "rows that printed no r: the probability of the interval that their word or range "
                "stands for",
            )
        )
    elif evidence.has_intervals:
        # A sum that is subtracted stands in parentheses.
        less = rf"\left({centre}\right)" if "+" in centre else centre
        found.append(
            Equation(
                rf"P(l_i < y_i < h_i \mid \theta_i) = \Phi\left(\frac{{h_i - {less}}}"
                rf"{{\sqrt{{v_i}}}}\right) - \Phi\left(\frac{{l_i - {less}}}"
                r"{\sqrt{v_i}}\right)",
                "rows that printed no r: the probability of the interval that their word or range "
                "stands for",
            )
        )
    if evidence.correlated:
        found.append(
            Equation(
                r"\operatorname{Cov}(y_i, y_j \mid \theta) = c_{ij}",
                "sampling errors of rows of one sample covary",
            )
        )
    if isinstance(model.selection, StepSelection):
        step = model.selection.step
        cuts = ", ".join(f"{cut:g}" for cut in step.cutpoints)
        found.append(
            Equation(
                r"p(y_i \mid \text{reported}) \propto p(y_i \mid \mu, \tau)\,\omega(p_i)"
                + _p(step),
                f"the chance of being reported is a step function of the {step.p_in_words}, "
                f"with steps at {cuts}",
            )
        )
    return tuple(found)


def _p(step: Step) -> str:
    """What p is, where it is z's; of a t test the words say it."""
    if step.test == "t":
        return ""
    tail = {
        ("one", "positive"): r"1 - \Phi\left(\frac{y_i}{\sqrt{v_i}}\right)",
        ("one", "negative"): r"\Phi\left(\frac{y_i}{\sqrt{v_i}}\right)",
    }.get((step.sides, step.favours), r"2\Phi\left(-\frac{|y_i|}{\sqrt{v_i}}\right)")
    return rf", \qquad p_i = {tail}"


def _centre(problem: Problem) -> str:
    if problem.model.measurement == "true-score":
        return r"\eta_i"
    match problem.model.selection:
        case "pet":
            return r"\theta_i + \mathit{pet}\sqrt{v_i}"
        case "peese":
            return r"\theta_i + \mathit{peese}\,v_i"
    return r"\theta_i"


def _true_effects(problem: Problem) -> Equation:
    terms = [r"\mu"]
    words = "the true effect of a row: the mean"
    if problem.design.names[1:]:
        terms.append(r"x_i^\top \beta")
        words += ", its moderators"
    terms += [_deviation(level) for level in problem.model.levels]
    if problem.model.levels:
        words += ", and what it has of its own"
    return Equation(r"\theta_i = " + " + ".join(terms), words)


def _deviation(level: str) -> str:
    return "e_i" if level == "effect" else rf"u_{{\text{{{_text(level)}}}(i)}}"


def _deviations(problem: Problem) -> tuple[Equation, ...]:
    model = problem.model
    varies = not is_intercept_only(model.scale)
    found = []
    for level, name in model.level_sds.items():
        own = level == "effect"
        law = _law(problem, r"\tau_i" if varies else _sd(name)) if own else _normal(_sd(name))
        words = "how true effects vary" if own else f"how true effects vary by {level}"
        found.append(Equation(rf"{_deviation(level)} \;\sim\; {law}", words))
        if own and varies:
            found.append(
                Equation(
                    rf"\tau_i = {_sd(name)}\,\exp\left(s_i^\top \alpha\right)",
                    "how much they vary depends on moderators",
                )
            )
    if problem.is_total_form:
        found.append(
            Equation(
                r"\tau_{\text{study}}^2 = \mathit{share}\cdot\tau^2, \qquad "
                r"\tau_{\text{effect}}^2 = (1 - \mathit{share})\,\tau^2",
                "the total heterogeneity, split between studies and their effects",
            )
        )
    return tuple(found)


def _sd(name: str) -> str:
    _, _, level = name.partition("_")
    return rf"\tau_{{\text{{{_text(level)}}}}}" if level else r"\tau"


def _law(problem: Problem, sd: str) -> str:
    match problem.model.effects:
        case "student-t":
            return rf"t_\nu\left(0,\, {sd}\right)"
        case "mixture":
            wide = rf"\mathrm{{N}}\left(0,\, {sd}^2 + \tau_{{\text{{outlier}}}}^2\right)"
            return rf"(1 - w)\,{_normal(sd)} + w\,{wide}"
    return _normal(sd)


def _normal(sd: str) -> str:
    return rf"\mathrm{{N}}\left(0,\, {sd}^2\right)"


def _text(level: str) -> str:
    if not level.isidentifier():
        raise ValueError(f"{level!r} is no name of a level")
    return level.replace("_", r"\_")
