"""Remarks about data and model that a reader of a fit should see."""

from __future__ import annotations

import numpy as np

from metarho.engines.problem import Evidence, Problem
from metarho.fitting.citations import notes_on_citations
from metarho.posterior.study_likelihood import no_study_likelihood
from metarho.spec.model import Step, StepSelection
from metarho.spec.priors import PER_HORSESHOE

# Columns whose sds differ more than this are not on one scale for a horseshoe; a factor's columns
# with from a tenth to a half of the rows differ less.
UNLIKE = 3.0
# A horseshoe's numbers are per unit of a moderator. Its sd may differ so much from 1 before that is
# remarked on; a factor's column has less than the least where fewer than 3 in 1,000 rows have it.
UNITS = (0.05, 3.0)


def notes_on(problem: Problem) -> tuple[str, ...]:
    """The remarks, each a sentence."""
    if problem.model.custom is not None:
        return _notes_on_custom(problem)
    notes = []
    evidence, model, design = problem.evidence, problem.model, problem.design
    studies = len(evidence.study_names)
    if evidence.k > studies and model.levels in ((), ("effect",)):
        treated = "one common effect" if not model.levels else "a true effect of its own"
        notes.append(
            f"{evidence.k} effects come from {studies} studies, but the model gives each row "
            f"{treated}; effects of one study count as independent (see three-level)"
        )
    notes += _on_reporting(evidence)
    if problem.dropped:
        notes.append(
            f"{len(problem.dropped)} rows are left out for a blank moderator (missing: drop): "
            f"{', '.join(problem.dropped)}"
        )
    if problem.imputation is not None:
        unknown = [*problem.imputation.factors, *problem.imputation.numbers]
        where = ", ".join(evidence.effect_names[row] for row in sorted(problem.imputation.rows))
        notes.append(
            f"{' and '.join(unknown)} unknown in {where}: imputed with the model from the values "
            "that are known, as if blanks had nothing to do with the value (missing at random)"
        )
    if evidence.correlated:
        tied = sum(len(group.rows) for group in evidence.correlated)
        notes.append(
            f"sampling errors of {tied} rows correlate within {len(evidence.correlated)} "
            f"{'groups' if len(evidence.correlated) > 1 else 'group'}"
        )
    far = design.far_from_zero()
    if far:
        notes.append(
            f"mu is the mean where {' and '.join(far)} is 0, far outside the data; centre it: "
            f"center({far[0]})"
        )
    apart = problem.scale_design.far_from_zero()
    if apart:
        notes.append(
            f"tau is the sd where {' and '.join(apart)} is 0, far outside the data; centre it: "
            f"center({apart[0]})"
        )
    for encoded, slope, centre in ((design, "beta", "mu"), (problem.scale_design, "alpha", "tau")):
        silent = [f"{slope}[{name}]" for name in encoded.prior_only()]
        if silent:
            notes.append(
                f"no row informs {', '.join(silent)}: its posterior is its prior (prior only)"
            )
        for factor, level in encoded.empty_references().items():
            notes.append(
                f"no row is at {factor} {level}, the reference: the data inform {centre} and the "
                f"slopes of {factor} only together; name another reference"
            )
    notes += _unlike_columns(problem)
    if model.selection in ("pet", "peese"):
        size = "standard error" if model.selection == "pet" else "sampling variance"
        notes.append(
            f"mu is the mean that a study without sampling error would have: the mean of what is "
            f"reported rises with the {size} by {model.selection}; predictions leave that out"
        )
    if problem.scale_slopes:
        notes.append(
            "heterogeneity differs with moderators (scale): tau is that of the reference row, and "
            "there is no single I² or H²"
        )
    if model.measurement == "true-score":
        unknown = [
            f"{name} in {np.isnan(evidence.artefact(name)).sum()} rows ({applied.prior})"
            for name, applied in problem.reliabilities.items()
            if np.isnan(evidence.artefact(name)).any()
        ]
        restricted = int((~np.isnan(evidence.artefact("ux"))).sum())
        notes.append(
            "effects, their mean and heterogeneity, and the priors on them, are of true scores: "
            "corrected for unreliability"
            + (f" and, in {restricted} rows, for restricted range" if restricted else "")
            + (f"; unknown reliabilities have a prior: {', '.join(unknown)}" if unknown else "")
        )
    if model.effects == "mixture":
        notes.append(
            "true effects are a mixture: a share `weight` of them, the outliers, varies by "
            "tau_outlier besides tau"
        )
    reason = no_study_likelihood(problem)
    if reason:
        notes.append(f"{reason}; leave-one-study-out is not available")
    if isinstance(model.selection, StepSelection):
        notes += _on_selection(model.selection.step)
    vague = [name for name, applied in problem.priors.items() if not applied.prior.proper]
    if vague:
        notes.append(f"the prior on {', '.join(vague)} is improper, so there is no log evidence")
    return (*notes, *notes_on_citations(problem))


def _on_reporting(evidence: Evidence) -> list[str]:
    """What rows printed in place of a correlation."""
    notes = []
    intervals = int(evidence.is_interval.sum())
    if intervals:
        notes.append(
            f"{intervals} of {evidence.k} rows printed no r and count as intervals, assuming that "
            "the form of a report depends on r only through the interval it prints"
        )
    several = [row for row, many in zip(evidence.rows, evidence.sums_up, strict=True) if many]
    if several:
        notes.append(
            f"{len(several)} of them sum up several tests ({sum(row.tests for row in several)} in "
            f"all), whose errors correlate by {several[0].rho_tests:g}"
        )
    partial = sum(not row.is_zero_order for row in evidence.rows)
    if partial:
        notes.append(
            f"{partial} of {evidence.k} rows are not about zero-order correlations (see statistic)"
        )
    return notes


def _notes_on_custom(problem: Problem) -> tuple[str, ...]:
    """What is not known of a custom model."""
    custom, evidence = problem.model.custom, problem.evidence
    notes = [
        f"{custom} is Python code: whether its posterior is proper was not checked, and there is "
        "no I² or H²"
    ]
    special = {
        "interval rows": evidence.is_interval.any(),
        "correlated sampling errors": bool(evidence.correlated),
        "several effects of one study": evidence.k > len(evidence.study_names),
    }
    found = [name for name, there in special.items() if there]
    if found:
        notes.append(f"what becomes of {' and of '.join(found)} is up to {custom}")
    vague = [name for name, applied in problem.priors.items() if not applied.prior.proper]
    if vague:
        notes.append(f"the prior on {', '.join(vague)} is improper, so there is no log evidence")
    return (*notes, *notes_on_citations(problem))


def _unlike_columns(problem: Problem) -> list[str]:
    """Where a horseshoe shrinks slopes of moderators on different scales alike."""
    shrunk = [name for name in problem.shrunk_slopes if problem.prior(name).on == PER_HORSESHOE]
    sds = {
        column: sd
        for column, sd in problem.design.column_sds.items()
        if f"beta[{column}]" in shrunk and sd > 0
    }
    if not sds:
        return []
    least, most = min(sds, key=sds.__getitem__), max(sds, key=sds.__getitem__)
    if sds[most] <= UNLIKE * sds[least]:
        far = [name for name in (most, least) if not UNITS[0] <= sds[name] <= UNITS[1]]
        return [
            f"RegularizedHorseshoe has tau0 and slab_scale per unit of a moderator, and the sd of "
            f"{name} is {sds[name]:.2g} units; put moderators on one scale: scale(...)"
            for name in far[:1]
        ]
    return [
        f"RegularizedHorseshoe shrinks all slopes alike, and the sds of their columns go from "
        f"{sds[least]:.2g} ({least}) to {sds[most]:.2g} ({most}); put moderators on one scale: "
        "scale(...)"
    ]


def _on_selection(step: Step) -> list[str]:
    """Which sign one-sided p favour; nothing of two-sided ones."""
    if step.sides == "two":
        return []
    sign, side = ("positive", "above") if step.favours == "positive" else ("negative", "below")
    return [
        f"selection favours {sign} effects: p-values are one-sided, for effects {side} 0; code "
        f"correlations so that the expected direction is {sign}"
    ]
