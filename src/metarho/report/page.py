"""The report: one self-contained HTML page, and the figures beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from metarho.batch.describe import model_in_words
from metarho.batch.plan import Cell, Plan, file_names
from metarho.batch.run import Outcome, provenance
from metarho.batch.tables import threshold_probabilities
from metarho.engines.problem import Problem
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Summary
from metarho.predict.new_studies import Prediction, marginal_means
from metarho.report.figures.drawing import Drawing, write_drawing
from metarho.report.figures.forest import forest
from metarho.report.figures.new_study import new_study
from metarho.report.figures.prior_posterior import prior_posterior
from metarho.report.moderators import moderators_in_words
from metarho.store.files import write_text

# A page with more rows than this embeds no forest plot of them; the file beside it has it.
MOST_ROWS_EMBEDDED = 100


@dataclass(frozen=True)
class Headline:
    """One row of the table of results."""

    model: str
    prior_set: str
    intervals: str
    fit: Fit
    pooled: Summary
    new: Summary
    above: list[tuple[float, float]]


def write_report(
    outcome: Outcome, announce: Callable[[str, Problem | None], None] = lambda e, p: None
) -> set[str]:
    """Write figures and ``report.html``; returns their paths below the run's folder."""
    announce("drawing", None)
    plan = outcome.plan
    drawings = draw_all(outcome)
    written: set[str] = set()
    for drawing in drawings:
        names = write_drawing(drawing, plan.folder / "figures")
        written |= {f"figures/{name}" for name in names}
    write_text(plan.folder / "report.html", render(outcome, drawings))
    return written | {"report.html"}


def draw_all(outcome: Outcome) -> list[Drawing]:
    """A forest, a prior–posterior and a new-study figure for every model."""
    plan = outcome.plan
    sets = list(plan.analysis.priors)
    first_set, first_intervals = sets[0], plan.analysis.studies.intervals[0]
    names = file_names(list(plan.models))
    drawings = []
    for name, (model_name, (model, _)) in zip(names, plan.models.items(), strict=True):
        cells = {
            (cell.prior_set, cell.intervals): (fit, predictions)
            for cell, fit, predictions in zip(
                plan.cells, outcome.fits, outcome.predictions, strict=True
            )
            if cell.model == model_name
        }
        title = model.title or model_name
        fit, _ = cells[first_set, first_intervals]
        drawings.append(
            forest(
                fit,
                plan.studies[first_intervals],
                f"forest-{name}",
                f"{title}, {first_set} priors, {_evidence_words(first_intervals)}",
            )
        )
        drawings.append(
            prior_posterior(
                {key: fit for key, (fit, _) in cells.items()}, sets, f"priors-{name}", title
            )
        )
        if plan.analysis.new_studies:
            by_set = {s: cells[s, first_intervals][1] for s in sets}
            drawings.append(
                new_study(
                    by_set,
                    f"new-studies-{name}",
                    title,
                    plan.evidence.scale,
                    plan.analysis.interval.prob,
                )
            )
    return drawings


def render(outcome: Outcome, drawings: list[Drawing]) -> str:
    """The page. Every text from data or config is escaped; only our own SVG is markup."""
    environment = Environment(
        loader=PackageLoader("metarho.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "r": _r,
        "interval": _interval,
        "percent": _percent,
        "probability": _probability,
        "evidence_words": _evidence_words,
    }
    plan = outcome.plan
    headlines = [_headline(plan, *pair) for pair in zip(plan.cells, outcome.fits, strict=True)]
    figures = {drawing.name: _figure(drawing) for drawing in drawings}
    names = dict(zip(plan.models, file_names(list(plan.models)), strict=True))
    if plan.evidence.k_effects > MOST_ROWS_EMBEDDED:
        figures = {n: f for n, f in figures.items() if not n.startswith("forest-")}
    return environment.get_template("report.html").render(
        plan=plan,
        analysis=plan.analysis,
        evidence=plan.evidence,
        headlines=headlines,
        effect_word=_effect_word(plan),
        # The answer is the first cell: the first model with the first prior set.
        question=headlines[0],
        comparison=_comparison(headlines),
        kinds=_kinds(plan),
        outside=Counter(row.reason for row in plan.evidence.rows if not row.included),
        statistics=_statistics(plan),
        figures=figures,
        file_of=names,
        means=_means(outcome),
        moderations=_moderations(outcome),
        predictions=_predictions(outcome),
        words={name: model_in_words(model) for name, (model, _) in plan.models.items()},
        record=provenance(plan, outcome.fits),
        prob=f"{plan.analysis.interval.prob * 100:g}%",
        kind={"eti": "equal-tailed", "hdi": "shortest"}[plan.analysis.interval.kind],
    )


def _headline(plan: Plan, cell: Cell, fit: Fit) -> Headline:
    return Headline(
        cell.label,
        cell.prior_set,
        cell.intervals,
        fit,
        fit.pooled,
        fit.pooled_new,
        threshold_probabilities(plan, fit),
    )


def _comparison(headlines: list[Headline]) -> tuple[Headline, Headline] | None:
    """The first model's first prior set with intervals used and dropped, if both were run."""
    first = headlines[0]
    pair = {
        h.intervals: h
        for h in headlines
        if (h.model, h.prior_set) == (first.model, first.prior_set)
    }
    return (pair["use"], pair["drop"]) if len(pair) == 2 else None


def _effect_word(plan: Plan) -> str:
    return "effect" if plan.evidence.scale == "yi" else "correlation"


def _kinds(plan: Plan) -> Mapping[str, int]:
    return Counter(row.reported for row in plan.evidence.rows if row.included)


def _statistics(plan: Plan) -> Mapping[str, int]:
    """How many rows used are about what, where the evidence has a column ``statistic``."""
    if "statistic" not in plan.evidence.table.columns:
        return {}
    return Counter(str(cell) for cell in plan.evidence.moderator("statistic"))


def _means(outcome: Outcome) -> list[tuple[str, str, str, str, str, Summary]]:
    """Marginal means by factor level of every cell with factors."""
    return [
        (cell.label, cell.prior_set, cell.intervals, factor, level, summary)
        for cell, fit in zip(outcome.plan.cells, outcome.fits, strict=True)
        for factor, level, summary in marginal_means(fit)
    ]


def _moderations(outcome: Outcome) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """The sentences on moderators of each model that has some, from its first cell."""
    word = _effect_word(outcome.plan)
    found = {}
    for cell, fit in zip(outcome.plan.cells, outcome.fits, strict=True):
        if cell.label not in found:
            sentences = moderators_in_words(fit, word)
            found[cell.label] = (cell.label, cell.prior_set, cell.intervals, sentences)
    return [entry for entry in found.values() if entry[3]]


def _predictions(outcome: Outcome) -> list[tuple[str, str, str, Prediction]]:
    return [
        (cell.label, cell.prior_set, cell.intervals, prediction)
        for cell, found in zip(outcome.plan.cells, outcome.predictions, strict=True)
        for prediction in found
    ]


def _figure(drawing: Drawing) -> dict[str, object]:
    svg = drawing.svg
    # The document's own markup: escaped by Matplotlib, no scripts, no references outside.
    return {"svg": Markup(svg[svg.index("<svg") :]), "alternative": drawing.alternative}


def _evidence_words(intervals: str) -> str:
    return {"use": "interval rows used", "drop": "interval rows dropped"}[intervals]


def _probability(probability: float) -> str:
    """A probability with its relation: ``= 2.3%``, ``> 99.9%``."""
    text = _percent(probability)
    return text if text[0] in "<>" else f"= {text}"


def _r(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(summary: Summary) -> str:
    if summary.lower is None or summary.upper is None:
        return "–"
    return f"[{_r(summary.lower)}, {_r(summary.upper)}]"


def _percent(value: float | None) -> str:
    if value is None:
        return "–"
    share = 100 * value
    if share < 0.1:
        return "< 0.1%"
    return "> 99.9%" if share > 99.9 else f"{share:.1f}%"
