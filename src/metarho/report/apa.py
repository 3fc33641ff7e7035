"""A fit in sentences, written as the APA's manual (7th edition) writes results.

Sentences are about posterior probabilities: there is no test in them, and no word of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from importlib.metadata import version

from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.problem import Problem
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import NOTHING, Marginal, Point, below
from metarho.posterior.printed import KINDS, LIKELY_OUTLIER, counted, sampling_in_words
from metarho.predict.new_studies import marginal_means
from metarho.report.written_numbers import (
    Write,
    bounded,
    interval,
    percent,
    probability,
    rounded,
    with_interval,
)
from metarho.spec.formulas import is_intercept_only
from metarho.spec.model import Model, StepSelection

_SCALES = {"z": "Fisher's z", "r": "the scale of r", "yi": "the scale of yi"}
# Correlations that a reader asks of beside 0: small by Cohen (1988).
THRESHOLDS = (0.0, 0.1)


def apa_sentences(
    fit: Fit, *, digits: int = 2, thresholds: Sequence[float] = THRESHOLDS
) -> tuple[str, ...]:
    """The sentences of a fit, the first of which says if it cannot be reported.

    ``digits`` are those after the point (percent have two less, probabilities one more);
    ``thresholds`` are correlations, of which probabilities to lie above are given. For measure GEN
    there is the one of 0.
    """
    return (
        *_verdict(fit),
        _estimate(fit, digits),
        _probabilities(fit, digits, thresholds),
        *_heterogeneity(fit, digits),
        *_shapes(fit, digits),
        *_new_study(fit, digits),
        *_slopes(fit, digits),
        *_level_means(fit, digits),
        *_others(fit, digits),
        _priors(fit),
        _computation(fit),
    )


def _verdict(fit: Fit) -> Iterator[str]:
    # What failed; what to do about it is for the one who runs it.
    because = ", ".join(reason.partition("; ")[0] for reason in fit.reasons)
    if fit.status == "not reportable":
        why = f": {because}" if because else ""
        yield f"These numbers are not to be reported, for their computation failed its checks{why}."
    elif fit.status != "ok":
        yield f"The computation was accepted with warnings: {because or 'see its diagnostics'}."


def _estimate(fit: Fit, digits: int) -> str:
    problem = fit.problem
    evidence = problem.evidence
    words = int((evidence.is_interval & ~evidence.is_silent).sum())
    some = f" ({words} known only as intervals)" if words else ""
    of = f"{counted(evidence.k, 'effect', 'effects')}{some} from "
    of += counted(len(evidence.study_names), "study", "studies")
    kind = f"{_percentage(fit)} {KINDS[fit.interval.kind]} credible interval"
    found = with_interval(fit.pooled, digits, _of_effects(problem))
    where = _where(problem)
    lead = f"{_article(_model(problem.model))} of {of} gave a pooled {_effect(problem)}"
    return f"{lead}{where} of {_symbol(problem)} = {found} (posterior median, {kind})."


def _probabilities(fit: Fit, digits: int, thresholds: Sequence[float]) -> str:
    problem = fit.problem
    is_r = problem.scale != "yi"
    mean = fit.posterior.mean_of(fit.posterior.head)
    law: Marginal = fit.posterior.rho(mean) if is_r else mean
    asked = thresholds if is_r else (0.0,)
    parts = []
    for threshold in asked:
        # As many digits as the threshold has, or the estimate.
        own = max(digits, len(f"{threshold:g}".partition(".")[2]))
        at = bounded(threshold, own) if threshold else "0"
        chance = probability(_above(fit, law, threshold), digits + 1)
        parts.append(f"P({_symbol(problem)} > {at}) {chance}")
    return f"Given data and priors, {_joined(parts)}."


def _above(fit: Fit, law: Marginal, threshold: float) -> float:
    """P(> threshold). Where no draw of many is on one side, its share is half of a draw."""
    found = 1 - below(law, threshold)
    if isinstance(fit.result, Quadrature) or isinstance(law, Point):
        return found
    least = 0.5 / (fit.sampler.chains * fit.sampler.draws)
    return min(max(found, least), 1 - least)


def _heterogeneity(fit: Fit, digits: int) -> Iterator[str]:
    problem = fit.problem
    scale = _scale(problem)
    if problem.model.custom is not None:
        return
    if not problem.model.levels:
        yield "The model has no heterogeneity: one true effect for all."
        return
    found = {name: one for name, one in fit.parameters.items() if name.startswith("tau")}
    found.pop("tau_outlier", None)
    if "tau" not in found and len(problem.model.levels) > 1:
        found["tau"] = fit.posterior.tau.summary(fit.interval.prob, fit.interval.kind)
    parts = [
        f"{lead} = {with_interval(one, digits, rounded)}{of}"
        for one, (lead, of) in ((one, _tau(name, problem)) for name, one in found.items())
    ]
    sentence = f"True effects differed by {_joined(parts)} ({scale})"
    shares = {name: one for name, one in fit.derived.items() if name[:2] == "I2" and one != NOTHING}
    for name, one in shares.items():
        level = name.removeprefix("I2")
        sentence += f", I²{level} = {with_interval(one, digits, percent)}"
    yield f"{sentence}."


def _shapes(fit: Fit, digits: int) -> Iterator[str]:
    """What the law of effects and of reporting has for parameters."""
    write = partial(with_interval, digits=digits, write=rounded)
    within_1 = partial(with_interval, digits=digits, write=bounded)
    for name, found in fit.parameters.items():
        base, _, inside = name.partition("[")
        of = inside.removesuffix("]")
        if fit.problem.model.custom is not None:
            return
        if base == "share":
            yield (
                "The share of the variance of true effects that lies between studies was "
                f"{within_1(found)}."
            )
        elif base == "nu":
            yield f"True effects followed a t law with ν = {write(found)} degrees of freedom."
        elif base == "weight":
            wide = write(fit.parameters["tau_outlier"])
            yield (
                f"An effect was an outlier with probability {within_1(found)}; outliers differed "
                f"by τ = {wide} ({_scale(fit.problem)}). {_outliers(fit, digits)}"
            )
        elif base == "omega":
            band = f" with a {_p(fit)} of {of.replace('-', ' to ')}" if of else _beyond(fit)
            yield (
                f"Results{band} were reported ω = {write(found)} times as often as those "
                "with a smaller p."
            )
        elif base in ("pet", "peese"):
            on = "standard error" if base == "pet" else "sampling variance"
            yield (
                f"Reported effects rose by b = {write(found)} per unit of the {on} "
                f"({base.upper()}; {_scale(fit.problem)})."
            )
        elif base == "alpha":
            yield f"The log of τ changed by {write(found)} with {of}."


def _outliers(fit: Fit, digits: int) -> str:
    likely = {n: p for n, p in (fit.outliers or {}).items() if p > LIKELY_OUTLIER}
    named = [f"{name} ({probability(p, digits).removeprefix('= ')})" for name, p in likely.items()]
    return f"Likely outliers (probability above .5): {', '.join(named) or 'none'}."


def _p(fit: Fit) -> str:
    selection = fit.problem.model.selection
    assert isinstance(selection, StepSelection)
    return selection.step.p_in_words


def _beyond(fit: Fit) -> str:
    selection = fit.problem.model.selection
    assert isinstance(selection, StepSelection)
    cut = f"{selection.step.cutpoints[0]:g}".replace("0.", ".", 1)
    return f" with a {_p(fit)} above {cut}"


def _new_study(fit: Fit, digits: int) -> Iterator[str]:
    found = fit.pooled_new
    if found.lower is None:
        return
    problem = fit.problem
    like = " like the average one" if problem.moderators else ""
    span = interval(found, digits, _of_effects(problem))
    is_true = problem.model.measurement == "true-score"
    effect = _effect(problem) if is_true else f"true {_effect(problem)}"
    yield (f"The {effect} of a new study{like} lies in {span} with {_percentage(fit)} probability.")


def _slopes(fit: Fit, digits: int) -> Iterator[str]:
    design = fit.problem.design
    parts = []
    for name in fit.problem.coefficients:
        if name == "mu":
            continue
        found = fit.parameters[name]
        law = fit.posterior.parameters[name]
        parts.append(
            f"{name.removeprefix('beta[')[:-1]}, b = {with_interval(found, digits, rounded)}, "
            f"P(b > 0) {probability(_above(fit, law, 0.0), digits + 1)}"
        )
    if parts:
        about = [f"{factor} {levels[0]}" for factor, levels in design.levels.items()]
        against = f" against {', '.join(about)}" if about else ""
        yield f"Slopes{against} ({_scale(fit.problem)}): {'; '.join(parts)}."


def _level_means(fit: Fit, digits: int) -> Iterator[str]:
    means: dict[str, list[str]] = {}
    for factor, level, found in marginal_means(fit):
        text = with_interval(found, digits, _of_effects(fit.problem))
        means.setdefault(factor, []).append(f"{level}, {text}")
    for factor, parts in means.items():
        yield (
            f"The mean {_effect(fit.problem)} by {factor}, other moderators at their average: "
            f"{'; '.join(parts)}."
        )


def _others(fit: Fit, digits: int) -> Iterator[str]:
    """Parameters that only the file of a custom model knows."""
    if fit.problem.model.custom is None:
        return
    for name, found in fit.parameters.items():
        if name != "mu":
            yield f"The parameter {name} was {with_interval(found, digits, rounded)}."


def _priors(fit: Fit) -> str:
    priors = fit.problem.priors
    said = "; ".join(f"{name} ~ {applied.prior.described}" for name, applied in priors.items())
    improper = [name for name, applied in priors.items() if not applied.prior.proper]
    tail = ""
    if improper:
        which = "prior of {} is" if len(improper) == 1 else "priors of {} are"
        tail = (
            f" The {which.format(_joined(improper))} improper, so there is no marginal "
            "likelihood and no Bayes factor."
        )
    return f"Priors: {said}.{tail}"


def _computation(fit: Fit) -> str:
    program = f"metarho {version('metarho')}"
    if fit.quad_err is not None:
        how = (
            f"The posterior was integrated numerically ({program}, exact engine; estimated error "
            f"{fit.quad_err:.0e})."
        )
    else:
        by = f"{program}, NUTS of PyMC {version('pymc')}"
        how = f"The posterior was sampled ({by}; {sampling_in_words(fit)})."
    if fit.agreement is not None:
        verdict = "agreed with" if fit.agreement.holds else "differed from"
        how += f" The second engine {verdict} the first (largest difference "
        how += f"{fit.agreement.largest:.2f} Monte Carlo standard errors)."
    return how


def _model(model: Model) -> str:
    if model.custom is not None:
        return f"custom model ({model.title or model.name})"
    name = {
        (): "common-effect model",
        ("effect",): "random-effects model",
        ("study", "effect"): "three-level random-effects model",
    }.get(model.levels, f"random-effects model with the levels {', '.join(model.levels)}")
    parts = {
        "Student-t true effects": model.effects == "student-t",
        "a mixture for outlying effects": model.effects == "mixture",
        "the exact law of r": model.likelihood == "exact-r",
        "moderators": not is_intercept_only(model.mods),
        "moderators of τ": not is_intercept_only(model.scale),
        "correction for unreliability": model.measurement == "true-score",
        "selection by p": isinstance(model.selection, StepSelection),
        "a slope on the standard error (PET)": model.selection == "pet",
        "a slope on the sampling variance (PEESE)": model.selection == "peese",
    }
    having = [part for part, used in parts.items() if used]
    return f"{name} with {_joined(having)}" if having else name


def _where(problem: Problem) -> str:
    where = []
    if problem.model.custom is None and problem.design.cells:
        where.append("at the average of the moderators")
    if problem.model.selection in ("pet", "peese"):
        where.append("in a study without sampling error")
    return f" {' '.join(where)}" if where else ""


def _effect(problem: Problem) -> str:
    if problem.scale == "yi":
        return "effect"
    is_true = problem.model.measurement == "true-score"
    return "correlation of true scores" if is_true else "correlation"


def _symbol(problem: Problem) -> str:
    return "μ" if problem.scale == "yi" else "ρ"


def _of_effects(problem: Problem) -> Write:
    """Correlations cannot exceed 1; other effects can."""
    return rounded if problem.scale == "yi" else bounded


def _scale(problem: Problem) -> str:
    return _SCALES[problem.scale]


def _tau(name: str, problem: Problem) -> tuple[str, str]:
    """An sd by its symbol, and behind its number what it is of, where that is not all of it."""
    model = problem.model
    if name != "tau":
        level = name.removeprefix("tau_")
        between = {"study": "between studies", "effect": "within studies"}
        # The innermost level is within whatever is around it.
        alone = level == "effect" and "study" not in model.levels
        words = f"at the level {level}" if alone else between.get(level, f"at the level {level}")
        return f"τ_{level}", f" {words}"
    if model.effects == "student-t":
        return "τ", ", the scale of a t law"
    if not is_intercept_only(model.scale):
        return "τ", " with its moderators at 0"
    return "τ", " in all" if len(model.levels) > 1 else ""


def _percentage(fit: Fit) -> str:
    return f"{fit.interval.prob * 100:g}%"


def _article(noun: str) -> str:
    return f"{'An' if noun[0] in 'aeiou' else 'A'} {noun}"


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
