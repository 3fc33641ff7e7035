"""Every figure of a report, by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from metarho.batch.ensemble import Found
from metarho.batch.findings import Findings
from metarho.batch.plan import Plan, file_names
from metarho.compare.baujat import no_baujat, places
from metarho.compare.ensemble import ALL
from metarho.compare.influence import changes
from metarho.compare.reported import not_expected, parts_of
from metarho.compare.z_curve import no_z_curve
from metarho.compare.z_curve import z_curve as found_z_curve
from metarho.posterior.mean_and_tau import no_mean_and_tau
from metarho.posterior.printed import KINDS, share
from metarho.report.figures.baujat import baujat
from metarho.report.figures.bubble import bubble, no_bubble
from metarho.report.figures.classical import PosteriorRow, classical
from metarho.report.figures.drawing import Drawing
from metarho.report.figures.ensemble_funnel import ensemble_funnel
from metarho.report.figures.forest import forest
from metarho.report.figures.funnel import funnel, no_funnel
from metarho.report.figures.influence import influence
from metarho.report.figures.joint import joint
from metarho.report.figures.leave_one_out import leave_one_out
from metarho.report.figures.new_study import new_study
from metarho.report.figures.ppc import ppc_figure, surprise_figure
from metarho.report.figures.prior_posterior import prior_posterior
from metarho.report.figures.spike_and_slab import spike_and_slab
from metarho.report.figures.triplot import triplot
from metarho.report.figures.weight_function import no_weight_function, weight_function
from metarho.report.figures.which_prior import which_prior
from metarho.report.figures.z_curve import z_curve
from metarho.report.sensitivity import sensitivity_drawing
from metarho.report.wording import evidence_words


def draw_all(found: Findings) -> list[Drawing]:
    """Of every model a forest, its priors and new studies; of the answer everything else."""
    return [
        *_of_models(found),
        *_of_answer(found),
        *of_ensembles(found.plan, found.ensembles),
    ]


def of_ensembles(plan: Plan, found: Sequence[Found]) -> Iterator[Drawing]:
    """Of every ensemble its z-curve, funnel, spike and slab, and weights, where it has them."""
    prob = plan.analysis.interval.prob
    several = len({one.intervals for one in found}) > 1
    for name, one in zip(ensemble_names(found), found, strict=True):
        title = f"{one.prior_set}, {evidence_words(one.intervals)}" if several else one.prior_set
        if not_expected(one.ensemble) is None:
            parts = parts_of(one.ensemble)
            if no_z_curve(one.ensemble) is None:
                curve = found_z_curve(one.ensemble, parts, prob)
                yield z_curve(one.ensemble, curve, prob, f"z-curve--{name}", title)
            yield ensemble_funnel(one.ensemble, parts, prob, f"funnel--{name}", title)
        yield spike_and_slab(one.ensemble, f"spike-and-slab--{name}", title)
        if no_weight_function(one.ensemble) is None:
            yield weight_function(
                one.ensemble, one.averages, prob, f"weight-function--{name}", title
            )


def ensemble_names(found: Sequence[Found]) -> list[str]:
    """What the names of each ensemble's figures end with, after ``--``."""
    return file_names([f"{one.prior_set}--{one.intervals}" for one in found])


def _of_models(found: Findings) -> Iterator[Drawing]:
    plan = found.plan
    sets = list(plan.analysis.priors)
    first_set, first_intervals = sets[0], plan.analysis.studies.intervals[0]
    names = file_names(list(plan.models))
    for name, (model_name, (model, _)) in zip(names, plan.models.items(), strict=True):
        cells = {
            (cell.prior_set, cell.intervals): (fit, predictions)
            for cell, fit, predictions in zip(
                plan.cells, found.outcome.fits, found.outcome.predictions, strict=True
            )
            if cell.model == model_name
        }
        title = model.title or model_name
        fit, _ = cells[first_set, first_intervals]
        yield forest(
            fit,
            plan.studies[first_intervals],
            f"forest-{name}",
            f"{title}, {first_set} priors{_reading(plan, first_intervals)}",
        )
        yield prior_posterior(
            {key: fit for key, (fit, _) in cells.items()}, sets, f"priors-{name}", title
        )
        if no_bubble(fit.problem) is None:
            yield bubble(fit, f"bubble-{name}", title)
        if plan.analysis.new_studies:
            by_set = {s: cells[s, first_intervals][1] for s in sets}
            yield new_study(
                by_set,
                f"new-studies-{name}",
                title,
                plan.evidence.scale,
                plan.analysis.interval.prob,
            )


def _of_answer(found: Findings) -> Iterator[Drawing]:
    plan, analysis = found.plan, found.plan.analysis
    if found.classical is not None:
        title = plan.analysis.title or plan.config.stem
        interval = f"{analysis.interval.prob * 100:g}% {KINDS[analysis.interval.kind]}"
        averages = _averages(found.ensembles)
        yield classical(found.classical, _posteriors(found), "classical", title, interval, averages)
    if found.compared is not None and len(found.compared.rows) > 1:
        rows, scale = found.compared.rows, plan.evidence.scale
        yield which_prior(rows, analysis.reference_set, scale, analysis.interval.prob)
    if found.sensitivity is not None:
        yield sensitivity_drawing(plan, found.sensitivity)
    if found.checked is not None:
        yield ppc_figure(found.checked.p_values, found.checked.calibrated)
        if found.checked.surprises:
            yield surprise_figure(found.checked.surprises, plan.evidence.scale)
    cell, fit = plan.cells[0], found.answer
    title = f"{cell.label}, {cell.prior_set} priors{_reading(plan, cell.intervals)}"
    if no_funnel(fit.problem) is None:
        yield funnel(fit, "funnel", title)
    if found.flat is not None:
        yield triplot(fit, found.flat, "triplot", title)
    if no_mean_and_tau(fit) is None:
        yield joint(fit, "joint", title)
    if found.left_out:
        yield leave_one_out(fit, found.left_out, "leave-one-out", title)
        if no_baujat(fit.problem) is None:
            yield baujat(fit, places(fit, found.left_out), "baujat", title)
    cells = {
        (c.model, c.prior_set, c.intervals): one
        for c, one in zip(plan.cells, found.outcome.fits, strict=True)
    }
    moved = changes(cells, (cell.model, cell.prior_set, cell.intervals), found.left_out)
    if moved:
        yield influence(moved, title, plan.evidence.scale, "influence", title)


INTERVALS = {"use": "used", "drop": "dropped"}
# As many posteriors as a page has lines for beside the classical rows.
_MOST_POSTERIORS = 24


def _posteriors(found: Findings) -> list[PosteriorRow]:
    """Every cell, or where they are many those of the answer's model."""
    cells, answer = found.plan.cells, found.plan.cells[0]
    many = len(cells) > _MOST_POSTERIORS
    several = len(found.plan.analysis.studies.intervals) > 1
    return [
        PosteriorRow(
            ", ".join(
                [
                    c.label,
                    c.prior_set,
                    *([f"intervals {INTERVALS[c.intervals]}"] if several else []),
                ]
            ),
            fit.pooled,
            fit.pooled_new,
        )
        for c, fit in zip(cells, found.outcome.fits, strict=True)
        if not many or c.model == answer.model
    ]


def _averages(ensembles: Sequence[Found]) -> list[PosteriorRow]:
    """Of every ensemble the mean over all members, and over those with an effect."""
    several = len({one.intervals for one in ensembles}) > 1
    rows = []
    for one in ensembles:
        said = [one.prior_set, *([f"intervals {INTERVALS[one.intervals]}"] if several else [])]
        mean, new = one.averages[0].quantity, one.averages[-1].quantity
        new_of = {e.over: e.summary for e in one.averages if e.quantity == new}
        for each in one.averages:
            if each.quantity == mean:
                over = "all members" if each.over == ALL else f"members {each.over}"
                spike = f", {share(each.spike)} at 0" if each.spike else ""
                rows.append(
                    PosteriorRow(", ".join([over, *said]) + spike, each.summary, new_of[each.over])
                )
    return rows


def _reading(plan: Plan, intervals: str) -> str:
    """What was done with rows that printed no r, where there are some."""
    some = any(row.is_interval for row in plan.evidence.rows if row.included)
    return f", {evidence_words(intervals)}" if some else ""
