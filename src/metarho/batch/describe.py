"""A plan in words: what ``metarho check`` prints."""

from __future__ import annotations

from collections import Counter

from metarho.batch.grid import GridPlan
from metarho.batch.plan import Plan
from metarho.spec.formulas import is_intercept_only
from metarho.spec.model import Model, StepSelection


def describe(plan: Plan) -> list[str]:
    """The lines of a plan."""
    spec = plan.analysis.studies
    lines = [f"{plan.config}: {plan.analysis.title or plan.config.stem}"]
    evidence = plan.evidence
    outside = Counter(row.reason for row in evidence.rows if not row.included)
    lines.append(
        f"evidence: {evidence.table.source}, measure {spec.measure}: {evidence.k_effects} effects "
        f"from {evidence.k_studies} studies"
    )
    if spec.rho_within:
        lines.append(f"  sampling errors within a sample correlate at {spec.rho_within:g}")
    if spec.covariance:
        lines.append(f"  sampling errors covary as {spec.covariance} says")
    lines += [f"  {count} rows out: {reason}" for reason, count in sorted(outside.items())]
    for intervals, studies in plan.studies.items():
        printed = sum(not row.is_interval for row in studies.used)
        lines.append(
            f"  intervals {intervals}: {printed} printed numbers, "
            f"{studies.k_effects - printed} interval rows"
        )
    for name, (model, path) in plan.models.items():
        lines.append(f"model {name} ({path}): {model_in_words(model)}")
        if model.custom is not None:
            lines.append(f"  the Python file {model.custom.path} will be run when fitting starts")
        cells = [cell for cell in plan.cells if cell.model == name]
        problem = cells[0].problem
        if problem.dropped:
            lines.append(f"  {len(problem.dropped)} rows left out for a blank moderator")
        if problem.imputation is not None:
            unknown = " and ".join([*problem.imputation.factors, *problem.imputation.numbers])
            lines.append(f"  {unknown} imputed in {len(problem.imputation.rows)} rows")
        for parameter, design in (("mu", problem.design), ("tau", problem.scale_design)):
            reference = [f"{factor} {levels[0]}" for factor, levels in design.levels.items()]
            if reference:
                lines.append(
                    f"  {parameter}, and the prior on it, is about the reference row: "
                    f"{', '.join(reference)}"
                )
        for cell in cells:
            if cell.intervals != cells[0].intervals:
                continue
            priors = "; ".join(
                f"{parameter} ~ {applied.prior.described}"
                + (" *" if applied.source != "model" else "")
                for parameter, applied in cell.problem.priors.items()
            )
            lines.append(f"  {cell.prior_set}: {priors}")
        for reason in dict.fromkeys((cell.engine, cell.reason) for cell in cells):
            lines.append(f"  engine {reason[0]} ({reason[1]})")
    lines.append("  * from the prior set; the others are the model's own")
    lines += [f"note: {remark}" for remark in (*plan.remarks, *plan.citations)]
    lines += [
        f"check {check.name}: the Python file {check.file} will be run by metarho ppc"
        for check in plan.analysis.checks
        if check.file is not None
    ]
    second = " (and the second engine where both can answer)" if plan.analysis.agreement else ""
    lines.append(f"{len(plan.cells)} fits{second}; results go to {plan.folder}")
    return lines


def describe_grid(plan: GridPlan) -> list[str]:
    """The lines of the plan of a grid."""
    analysis, estimand = plan.analysis, plan.grid.estimand
    lines = [f"{plan.config}: {analysis.title or plan.config.stem}"]
    lines.append(f"evidence: {plan.studies.table.source}")
    for name, (model, path) in plan.models.items():
        lines.append(f"model {name} ({path}): {model_in_words(model)}")
        if model.custom is not None:
            lines.append(f"  the Python file {model.custom.path} will be run when fitting starts")
    lines.append("decisions (* changes what is estimated; the others how):")
    for name, values in plan.values.items():
        marked = f"{name} *" if name in estimand else name
        lines.append(f"  {marked}: {', '.join(map(str, values))}")
    left_out = f", {plan.size - len(plan.cells)} left out" if plan.size > len(plan.cells) else ""
    lines.append(
        f"{len(plan.cells)} cells of a product of {plan.size}{left_out}: {len(plan.works)} "
        "different fits"
    )
    for reason, count in plan.refusals.most_common():
        lines.append(f"  {count} cells refused: {reason}")
    engines = Counter(work.engine for work in plan.works)
    lines += [f"  {count} fits by the engine {name}" for name, count in engines.items()]
    lines += [f"note: {remark}" for remark in plan.remarks]
    lines.append(f"results go to {plan.folder}")
    return lines


def model_in_words(model: Model) -> str:
    """Which row has which true effect, and what is not normal, plain and as printed about it."""
    if model.custom is not None:
        return f"custom model {model.custom}"
    parts = [_heterogeneity(model)]
    if model.effects == "student-t":
        parts.append("effects vary by a t law")
    if model.effects == "mixture":
        parts.append("a share of effects are outliers, which vary more")
    if not is_intercept_only(model.scale):
        parts.append(f"how much they vary depends on {model.scale}")
    if model.likelihood == "exact-r":
        parts.append("r follows its exact law")
    if isinstance(model.selection, StepSelection):
        step = model.selection.step
        cuts = " and ".join(f"{cut:g}" for cut in step.cutpoints)
        parts.append(f"the chance of being reported changes at p = {cuts} ({step.p_in_words})")
    if model.measurement == "true-score":
        parts.append("true effects are of true scores, corrected for unreliability")
    if model.selection == "pet":
        parts.append("what is reported rises with the standard error (PET)")
    if model.selection == "peese":
        parts.append("what is reported rises with the sampling variance (PEESE)")
    return "; ".join(parts)


def _heterogeneity(model: Model) -> str:
    match model.random:
        case "none":
            return "one true effect for all rows"
        case "effect":
            return "one true effect a row"
        case "study":
            return "one true effect a study, shared by its rows"
        case "study/effect":
            return "true effects of rows nested in studies; both levels vary"
    deepest = [
        path
        for level, path in model.paths.items()
        if not any(level in other[:-1] for other in model.paths.values())
    ]
    nested = [" within ".join(reversed(path)) for path in deepest]
    return f"true effects vary by {', and crossed with it by '.join(nested)}"
