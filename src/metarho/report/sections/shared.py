"""What every section may use: the plan, the answer, figures by name, and the words for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metarho.batch.findings import Findings
from metarho.batch.plan import file_names
from metarho.report.figures.drawing import Drawing
from metarho.report.sections.ensemble import averaged, figures_of
from metarho.report.sections.results import comparison, effect_word, headlines

# A page with more rows than this embeds no figure that has a line a row; the file beside it has it.
MOST_ROWS_EMBEDDED = 100

# Figures of single studies and what to see in them, in the order of the section on checks.
STUDY_FIGURES = {
    "leave-one-out": "The answer with each study left out.",
    "influence": "What moves the answer most: single studies, and assumptions.",
    "funnel": "Every row against its standard error; the shades are where a test is significant.",
    "baujat": "Which studies disagree with the others, and which of them matter.",
}


def shared(found: Findings, drawings: Sequence[Drawing]) -> Mapping[str, object]:
    """The values that every section may use."""
    plan = found.plan
    rows = headlines(found.outcome)
    figures, linked = _embedded(found, drawings)
    interval = plan.analysis.interval
    return {
        "title": plan.analysis.title or plan.config.stem,
        "plan": plan,
        "analysis": plan.analysis,
        "evidence": plan.evidence,
        "models": plan.models,
        # The answer is the first cell: the first model with the first prior set.
        "first": rows[0],
        "answer_model": rows[0].model,
        "comparison": comparison(rows),
        "effect_word": effect_word(plan),
        "thresholds": [threshold for threshold, _ in rows[0].above],
        # What the pooled median is of.
        "averaged": averaged(found),
        "symbol": "μ" if plan.evidence.scale == "yi" else "ρ",
        "figures": figures,
        "linked": linked,
        "study_figures": STUDY_FIGURES,
        "drawn": {
            "evidence": [n for n in figures if n == f"forest-{file_names(list(plan.models))[0]}"],
            "results": [n for n in ("triplot", "joint") if n in figures],
        },
        "bubbles": [name for name in figures if name.startswith("bubble-")],
        "file_of": dict(zip(plan.models, file_names(list(plan.models)), strict=True)),
        "has_intervals": any(row.is_interval for row in plan.evidence.rows if row.included),
        "prob": f"{interval.prob * 100:g}%",
        "kind": {"eti": "equal-tailed", "hdi": "shortest"}[interval.kind],
        "scale": {"z": "Fisher z", "r": "r", "yi": "yi"}[plan.evidence.scale],
    }


def _embedded(found: Findings, drawings: Sequence[Drawing]) -> tuple[dict[str, Drawing], set[str]]:
    """The figures that the page holds, by name, and the names of those that it links."""
    plan, figures = found.plan, {drawing.name: drawing for drawing in drawings}
    # Of ensembles the first has its figures in the page.
    linked = {name for one in figures_of(found)[1:] for name in one.values()} & figures.keys()
    if plan.evidence.k_effects > MOST_ROWS_EMBEDDED:
        linked |= {name for name in figures if name.startswith("forest-")}
    if plan.evidence.k_studies > MOST_ROWS_EMBEDDED:
        linked |= {"leave-one-out"} & figures.keys()
    return {name: figure for name, figure in figures.items() if name not in linked}, linked
