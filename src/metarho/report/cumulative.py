"""Sequential posteriors and the record of predictions as files and as text in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from metarho.batch.cumulative import RECORD, SUMMARY, TABLE, Recorded
from metarho.batch.plan import Plan
from metarho.batch.tables import to_csv
from metarho.compare.rows import Row, Value
from metarho.predict.tally import better, skill
from metarho.report.terminal import number, say, wide
from metarho.store.files import write_text


def publish_cumulative(plan: Plan, found: Recorded) -> None:
    """Leave the tables, and unless the config says report: none the figure, in the folder."""
    tables = {TABLE: found.years, RECORD: found.record, SUMMARY: found.summary}
    for name, rows in tables.items():
        write_text(plan.folder / name, to_csv(rows))
    if plan.analysis.report != "html":
        return
    # Loaded here: Matplotlib is for pictures only.
    from metarho.report.figures.cumulative import cumulative_figure
    from metarho.report.figures.drawing import write_drawing

    drawing = cumulative_figure(
        found.record,
        found.years,
        found.by,
        found.cell.problem.scale,
        plan.analysis.interval.prob,
        " ".join(sentences(found, plan.analysis.interval.prob)),
    )
    write_drawing(drawing, plan.folder / "figures")


def print_cumulative(plan: Plan, found: Recorded) -> None:
    """The record, the sequential posteriors, and what they come to."""
    cell, interval = found.cell, plan.analysis.interval
    evidence = cell.problem.evidence
    priors = ", ".join(f"{name} ~ {one.prior}" for name, one in cell.problem.priors.items())
    kind = {"eti": "equal-tailed", "hdi": "shortest"}[interval.kind]
    say("")
    say(
        f"{cell.label}, intervals: {cell.intervals}, k = {evidence.k} effects of "
        f"{len(evidence.study_names)} studies, in order of {found.by}; {cell.prior_set}: {priors}"
    )
    say("")
    say(
        f"What was predicted before the {found.by} of each study, with {interval.prob * 100:g}% "
        f"{kind} intervals of what a study of its size observes. P: of the word or range that was "
        "printed, of which the PIT is drawn within. Log scores are of one row alone."
    )
    _print_record(found.record, found.by, f"{interval.prob * 100:g}%")
    say("")
    say(f"What was known after each {found.by}; new: the true effect of a new study.")
    _print_years(found.years, found.by, f"{interval.prob * 100:g}%", cell.problem.scale)
    say("")
    for sentence in sentences(found, interval.prob):
        say(sentence)
    for reason in dict.fromkeys(step.reason for step in found.found.steps if step.reason):
        say(f"note: not predicted: {reason}")
    say(f"all columns: {plan.folder / RECORD}, {plan.folder / TABLE}, {plan.folder / SUMMARY}")


def sentences(found: Recorded, prob: float) -> list[str]:
    """What the record comes to, in words."""
    model, prior = found.model, found.prior
    percent = f"{prob * 100:g}%"
    said = []
    if model.coverage is not None:
        low, high = model.coverage
        said.append(
            f"{model.held} of {model.numbers} numbers lay within their {percent} prediction "
            f"intervals; the long-run share is {low:.2f} to {high:.2f} ({percent} interval)."
        )
    if model.crps is not None:
        said.append(f"Mean CRPS {model.crps:.4f}{_against(model.crps, prior.crps, 4)}.")
    if model.rps is not None:
        said.append(
            f"Tests: {model.not_significant} of {model.words} results were not significant, "
            f"{model.expected:.1f} were expected to be; mean ranked probability score "
            f"{model.rps:.3f}{_against(model.rps, prior.rps, 3)}."
        )
    if model.elpd is not None:
        text = f"Log score {model.elpd:.2f}, every study predicted from earlier ones"
        if prior.elpd is not None:
            gained = model.elpd - prior.elpd
            count = better(found.found.studies)
            text += (
                f", against {prior.elpd:.2f} by the prior alone: {gained:+.2f}, better in {count} "
                f"of {model.studies} studies"
            )
        said.append(f"{text}.")
    last, by_years = found.found.steps[-1].belief, found.summary[0]["elpd_by_years"]
    if last is not None and last.log_evidence is not None and by_years is not None:
        said.append(
            f"The log scores of whole years, jointly, sum to the log evidence, {by_years:.4f}."
        )
    return said


def _against(score: float, reference: float | None, digits: int) -> str:
    gain = skill(score, reference)
    if gain is None:
        return ""
    return f", {reference:.{digits}f} by the prior alone (skill {gain:.2f})"


def _print_record(rows: Sequence[Row], by: str, percent: str) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column(Text(by), justify="right", no_wrap=True)
    for name in ("study", "effect", "printed"):
        table.add_column(name, no_wrap=True)
    for name in ("n", "predicted", percent, "held", "PIT", "CRPS", "log score", "P"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            f"{row['at']:.15g}",
            *(Text(_short(str(row[name]))) for name in ("study", "effect")),
            Text(printed(row)),
            "–" if row["ni"] is None else f"{row['ni']:g}",
            number(_float(row["median"])),
            _between(row["lower"], row["upper"]),
            str(row["held"] or "–"),
            number(_float(row["pit"]), 2),
            number(_float(row["crps"])),
            number(_float(row["log_score"]), 2),
            _chance(_float(row["p_printed"])),
        )
    wide().print(table)


def _print_years(rows: Sequence[Row], by: str, percent: str, scale: str) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column(Text(by), justify="right", no_wrap=True)
    above = [name for name in rows[0] if name.startswith("P(")]
    mean = "mean" if scale == "yi" else "rho"
    names = ("studies", "k", mean, percent, "tau", f"new {percent}", *above, "BF mu", "log score")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for row in rows:
        factor = _float(row["bf_mu"])
        table.add_row(
            "prior" if row["at"] is None else f"{row['at']:.15g}",
            str(row["k_studies"]),
            str(row["k_effects"]),
            number(_float(row["median"])),
            _between(row["lower"], row["upper"]),
            number(_float(row["tau"])),
            _between(row["new_lower"], row["new_upper"]),
            *(number(_float(row[name])) for name in above),
            "–" if factor is None else f"{factor:.3g}" if factor < 1e4 else f"{factor:.1e}",
            number(_float(row["log_score"]), 2),
            str(row["status"]),
        )
    wide().print(table)


def printed(row: Row) -> str:
    """What a row printed: its number, its range, or its word."""
    if row["reported"] == "range":
        low, high = (number(_float(row[f"printed_{end}"]), 2) for end in ("low", "high"))
        return f"{low} to {high}"
    found = _float(row["printed"])
    return str(row["reported"]) if found is None else number(found, 2)


def _between(lower: Value, upper: Value) -> str:
    ends = _float(lower), _float(upper)
    return "–" if None in ends else f"[{number(ends[0])}, {number(ends[1])}]"


def _float(value: Value) -> float | None:
    return value if isinstance(value, float) else None


def _chance(value: float | None) -> str:
    return number(value, 2) if value is None or value >= 0.01 else "<0.01"


def _short(label: str, longest: int = 32) -> str:
    return label if len(label) <= longest else label[: longest - 1] + "…"
