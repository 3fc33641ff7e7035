"""How strong selection must be for a claim to fail, in words and against the evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from metarho.compare.selected import less_often
from metarho.compare.surface import varied
from metarho.compare.tipping import Tipping, said, stretches
from metarho.engines.problem import Problem
from metarho.fitting import Settings, fit_many
from metarho.spec.model import StepSelection
from metarho.spec.weight_arguments import WeightArgument


def log_evidence_ratios(
    problem: Problem, weight: WeightArgument, at: Sequence[float], settings: Settings
) -> tuple[float | None, ...]:
    """Log p(rows | weight) − log p(rows | no selection) at some weights; None with improper priors.

    ``problem`` is the one that the weight is a parameter of.
    """
    fits = fit_many([varied(problem, {weight: one}) for one in (1.0, *at)], settings)
    base = fits[0].log_evidence
    return tuple(
        None if base is None or fit.log_evidence is None else fit.log_evidence - base
        for fit in fits[1:]
    )


def which_results(problem: Problem, weight: WeightArgument) -> str:
    """The results that the weight is of: ``results with one-sided p of r's t test > 0.025``."""
    selection = problem.model.selection
    assert isinstance(selection, StepSelection)
    of = "r's t test" if selection.step.test == "t" else "y/√v"
    sides = "two-sided" if selection.step.sides == "two" else "one-sided"
    return f"results with {sides} p of {of} {weight.stretch[-1]} {weight.cutpoint:g}"


def strength_sentence(found: Tipping, problem: Problem, log_ratios: Sequence[float | None]) -> str:
    """What was found of a weight, in words. ``log_ratios`` are those at its crossings.

    ``problem`` is the one that the weight is a parameter of.
    """
    claim, over = found.claim, found.over
    weight = over.argument
    assert isinstance(weight, WeightArgument)
    which, own = which_results(problem, weight), f"{claim.quantity} is {said(found.own)}"
    begin = f"Without selection {claim} {'holds' if found.holds else 'fails'}: {own}."
    if not found.crossings:
        return f"{begin} {_everywhere(found, which)}"
    nearest = found.nearest
    assert nearest is not None
    verb = "fail" if found.holds else "hold"
    words = [
        begin,
        f"It would {verb} if {which} were reported {less_often(nearest.at)} than all others "
        f"({weight.parameter} = {nearest.at:.4g}).",
        *_evidence(log_ratios[found.crossings.index(nearest)]),
    ]
    if len(found.crossings) > 1:
        words.append(
            f"From {weight.parameter} = {over.values[0]:.4g} to {over.values[-1]:.4g} it changes "
            f"{len(found.crossings)} times: it {'; '.join(stretches(found))}."
        )
    return " ".join(words)


def _everywhere(found: Tipping, which: str) -> str:
    """That it never changes, and how far that was looked at."""
    over, holds = found.over, found.claim.holds(float(found.scan[0]))
    far = 0 if abs(math.log(over.values[0])) >= abs(math.log(over.values[-1])) else -1
    begin = "It never changes" if holds == found.holds else f"It {'holds' if holds else 'fails'}"
    return (
        f"{begin} from {over.argument.parameter} = {over.values[0]:.4g} to {over.values[-1]:.4g}: "
        f"even if {which} were reported {less_often(float(over.values[far]))} than all others, "
        f"{found.claim.quantity} would be {said(float(found.scan[far]))}."
    )


def _evidence(log_ratio: float | None) -> list[str]:
    """How much more or less probable the rows are; nothing where evidence is not known."""
    if log_ratio is None:
        return []
    factor = said_factor(abs(log_ratio))
    more = "as probable" if log_ratio >= 0 else "less probable"
    than = "as" if log_ratio >= 0 else "than"
    return [f"The rows are {factor} times {more} with that weight {than} without selection."]


def said_factor(log: float) -> str:
    """A factor from its log, in three digits."""
    return f"{math.exp(log):.3g}" if log < 700 else f"e^{log:.0f}"
