"""What a model's moderators say, as a paragraph for readers who do not read tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metarho.data.tables import is_blank, number, text
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Summary

# The probability of a direction from which on a sentence calls it likely, and clear: the latter is
# where a 95% interval leaves 0 out.
LIKELY, CLEAR = 0.9, 0.975


def moderators_in_words(fit: Fit, effect_word: str) -> tuple[str, ...]:
    """Sentences on each moderator of the mean, and on what they leave; none without moderators."""
    design = fit.problem.design
    if not design.cells:
        return ()
    said = [f"With all other moderators at their average, the mean {effect_word} is as follows."]
    for name in design.cells:
        if name in design.levels:
            said += _factor(fit, name, design.levels[name])
        else:
            said.append(_number(fit, name))
    new = fit.pooled_new
    said.append(
        f"The true {effect_word} of a new study like the average one lies in {_interval(new)} with "
        f"{100 * fit.interval.prob:g}% probability: its width is what the moderators leave "
        "unexplained. Studies were not allotted to these conditions by chance, so a difference may "
        "be due to anything else in which they differ."
    )
    return tuple(said)


def _factor(fit: Fit, name: str, levels: Sequence[str]) -> list[str]:
    seen = _rows_at(fit, name)
    means = [f"{_mean(fit, {name: level})} at {level} ({seen[level]} effects)" for level in levels]
    unknown = sum(map(is_blank, fit.problem.design.cells[name]))
    imputed = f"; of {unknown} it is unknown" if unknown else ""
    said = [f"By {name}: {_joined(means)}{imputed}."]
    reference, *others = levels
    found = [(level, *_direction(fit, {name: reference}, {name: level})) for level in others]
    for worth, chance in (("clearly", CLEAR), ("probably", LIKELY)):
        said += [
            f"It is {worth} {word} at {level} than at {reference} ({_percent(share)})."
            for level, word, share in found
            if share >= chance and (worth == "clearly" or share < CLEAR)
        ]
    open_ones = [
        f"{level} ({word} with probability {_percent(share)})"
        for level, word, share in found
        if share < LIKELY
    ]
    if open_ones:
        said.append(f"The data do not tell {_joined(open_ones, 'or')} from {reference}.")
    return said


def _number(fit: Fit, name: str) -> str:
    cells = [number(cell) for cell in fit.problem.design.cells[name] if not is_blank(cell)]
    low, high = (float(x) for x in np.quantile(np.array(cells, dtype=float), [0.25, 0.75]))
    if low == high:
        return f"By {name}: most effects have the value {low:g}, which says little of a trend."
    word, share = _direction(fit, {name: low}, {name: high})
    worth = (
        f"clearly {word} ({_percent(share)})"
        if share >= CLEAR
        else f"probably {word} ({_percent(share)})"
        if share >= LIKELY
        else f"not told apart from the first ({word} with probability {_percent(share)})"
    )
    return (
        f"By {name}: {_mean(fit, {name: low})} at {low:g} and {_mean(fit, {name: high})} at "
        f"{high:g}, the quartiles here; the second is {worth}."
    )


def _rows_at(fit: Fit, name: str) -> dict[str, int]:
    design = fit.problem.design
    column = [text(cell) for cell in design.cells[name]]
    return {level: column.count(level) for level in design.levels[name]}


def _mean(fit: Fit, at: dict[str, str | float]) -> str:
    posterior = fit.posterior
    marginal = posterior.rho(posterior.mean_of(fit.problem.design.encode(at)))
    found: Summary = marginal.summary(fit.interval.prob, fit.interval.kind)
    return f"{_r(found.median)} {_interval(found)}"


def _direction(
    fit: Fit, start: dict[str, str | float], end: dict[str, str | float]
) -> tuple[str, float]:
    """Whether the mean is lower or higher at the end, and the probability of that."""
    design = fit.problem.design
    contrast = design.encode(end) - design.encode(start)
    below = float(np.asarray(fit.posterior.mean_of(contrast).cdf(np.zeros(1)))[0])
    return ("lower", below) if below >= 0.5 else ("higher", 1 - below)


def _percent(share: float) -> str:
    """Rounded down: a sentence does not promise more than the number."""
    return f"{np.floor(100 * share):.0f}%"


def _joined(parts: Sequence[str], last: str = "and") -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def _r(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}".replace("0.", ".", 1)


def _interval(summary: Summary) -> str:
    return f"[{_r(summary.lower)}, {_r(summary.upper)}]"
