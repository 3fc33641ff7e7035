"""Posterior predictive checks as files and as text in the terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from metarho.batch.plan import Plan
from metarho.batch.ppc import STUDIES, TABLE, Checked
from metarho.batch.tables import to_csv
from metarho.checks.calibration import REPLICATES
from metarho.report.terminal import number, say, share, wide
from metarho.store.files import write_text

# As many as a terminal shows at once; all are in the table.
_SHOWN = 30


def publish_ppc(plan: Plan, found: Checked) -> None:
    """Leave the tables, and unless the config says report: none figures, in the plan's folder."""
    write_text(plan.folder / TABLE, to_csv(found.rows))
    write_text(plan.folder / STUDIES, to_csv(found.studies))
    if plan.analysis.report != "html":
        return
    # Loaded here: Matplotlib is for pictures only.
    from metarho.report.figures.drawing import write_drawing
    from metarho.report.figures.ppc import ppc_figure, surprise_figure

    folder = plan.folder / "figures"
    write_drawing(ppc_figure(found.p_values, found.calibrated), folder)
    if found.surprises:
        scale = found.cell.problem.scale
        write_drawing(surprise_figure(found.surprises, scale), folder)


def print_ppc(plan: Plan, found: Checked) -> None:
    """The statistics with their p-values, then the rows, the most surprising first."""
    evidence, cell = found.cell.problem.evidence, found.cell
    say("")
    say(
        f"{cell.label}, {cell.prior_set}, intervals: {cell.intervals}, k = {evidence.k} effects of "
        f"{len(evidence.study_names)} studies"
    )
    draws = f"{len(found.p_values[0].replicated):,}"
    say(
        f"{draws} replicates of the evidence with new true effects; p: the share at or above what "
        "was observed, ties counted half."
    )
    if first := found.calibrated[0]:
        say(
            "Calibrated: uniform under the model and its priors, by "
            f"{len(first.plain):,} simulated data sets with {REPLICATES:,} replicates each; ± its "
            "Monte Carlo error."
        )
    _print_statistics(plan, found)
    if found.surprises:
        _print_studies(found)
    for reason in found.fit.reasons:
        say(f"{found.fit.status}: {reason}")
    for remark in found.remarks:
        say(f"note: {remark}")
    say(f"all columns: {plan.folder / TABLE}, {STUDIES}")


def _print_statistics(plan: Plan, found: Checked) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("check", no_wrap=True)
    prob = f"{plan.analysis.interval.prob * 100:g}%"
    further_columns = ("calibrated", "") if found.calibrated[0] else ()
    for name in ("rows", "observed", "replicated", prob, "p", *further_columns):
        table.add_column(name, justify="right", no_wrap=True)
    for one, row, further in zip(found.p_values, found.rows, found.calibrated, strict=True):
        numbers = {name: value for name, value in row.items() if isinstance(value, float)}
        lower, upper = numbers["replicated_lower"], numbers["replicated_upper"]
        cells = [
            number(one.observed),
            number(numbers["replicated_median"]),
            f"[{number(lower)}, {number(upper)}]",
            share(one.p),
        ]
        if further is not None:
            cells += [share(further.p), f"± {number(further.mcse)}"]
        table.add_row(Text(one.name), str(one.rows), *cells)
    wide().print(table)


def _share(p: float | None) -> str:
    return "–" if p is None else share(p)


def _print_studies(found: Checked) -> None:
    shown = [one for one in found.surprises if one.bits is not None][:_SHOWN]
    if not shown:
        return
    say("")
    say(
        "Each row predicted by the others. Tail: two-sided, of a number, its study left out. Bits: "
        "-log2 of it, or of the word's probability."
    )
    table = Table(box=None, pad_edge=False)
    for name in ("study", "effect", "printed"):
        table.add_column(name, no_wrap=True)
    for name in ("n", "PIT", "tail", "P(word)", "bits"):
        table.add_column(name, justify="right", no_wrap=True)
    scale = found.cell.problem.scale
    for one in shown:
        table.add_row(
            Text(one.row.study),
            Text(one.row.effect),
            one.printed(scale),
            "–" if one.row.ni is None else f"{one.row.ni:g}",
            _share(one.pit),
            _share(one.tail),
            _share(one.probability),
            number(one.bits, 2),
        )
    wide().print(table)
    if left := len(found.surprises) - len(shown):
        say(f"… and {left} more, less surprising or without a surprise")
