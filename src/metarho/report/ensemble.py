"""Ensembles as files and as text in the terminal: prior sets side by side."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from metarho.batch.ensemble import COMPONENTS, ESTIMATES, MEMBERS, RANGES, Found
from metarho.batch.plan import Plan
from metarho.batch.tables import to_csv
from metarho.compare.ensemble import Member
from metarho.compare.rows import Row
from metarho.report.comparison import between
from metarho.report.terminal import number, say, share, wide
from metarho.store.files import write_text

# As many as matter to most readers; all are in the table.
_SHOWN = 10


def publish_ensembles(plan: Plan, found: Sequence[Found]) -> None:
    """Leave the tables, and unless the config says report: none figures, in the plan's folder."""
    write_ensembles(plan, found)
    if plan.analysis.report == "html":
        # Loaded here: Matplotlib is for pictures only.
        from metarho.report.drawings import of_ensembles
        from metarho.report.figures.drawing import write_drawing

        for drawing in of_ensembles(plan, found):
            write_drawing(drawing, plan.folder / "figures")


def write_ensembles(plan: Plan, found: Sequence[Found]) -> set[str]:
    """Leave the tables in the plan's folder; returns their names."""
    tables = {
        COMPONENTS: [row for one in found for row in one.components],
        ESTIMATES: [row for one in found for row in one.estimates],
        MEMBERS: [row for one in found for row in one.probable],
    }
    if ranges := [row for one in found for row in one.ranges]:
        tables[RANGES] = ranges
    for name, rows in tables.items():
        write_text(plan.folder / name, to_csv(rows))
    return set(tables)


def print_ensembles(plan: Plan, found: Sequence[Found]) -> None:
    """On each evidence: components, estimates and the most probable members."""
    for intervals in dict.fromkeys(one.intervals for one in found):
        sets = [one for one in found if one.intervals == intervals]
        first = sets[0].ensemble.members
        evidence = first[0].fit.problem.evidence
        say("")
        say(
            f"intervals: {intervals}, k = {evidence.k} effects of {len(evidence.study_names)} "
            f"studies; {len(first)} members a prior set"
        )
        _print_components(sets)
        _print_ranges(sets)
        _print_estimates(plan, sets)
        for one in sets:
            _print_members(one)
    say("")
    names = [ESTIMATES, MEMBERS, *([RANGES] if any(one.ranges for one in found) else [])]
    say(f"all columns: {plan.folder / COMPONENTS}, {', '.join(names)}")


def _print_components(sets: Sequence[Found]) -> None:
    """How probable each component is, and its inclusion Bayes factor."""
    rows = sets[0].components
    if not rows:
        return
    table = _table(("component",), ("of", "before"))
    for one in sets:
        for name in (one.prior_set, "BF"):
            table.add_column(Text(name), justify="right", no_wrap=True)
    for index, row in enumerate(rows):
        cells = [text for one in sets for text in component_cells(one.components[index])]
        table.add_row(str(row["component"]), str(row["members"]), _share(row, "prior"), *cells)
    say("")
    sampled = any(one.ensemble.is_sampled for one in sets)
    error = ", ± the Monte Carlo error of its logarithm" if sampled else ""
    say(f"How probable before and after the data; BF: inclusion Bayes factor{error}.")
    wide().print(table)


def _print_ranges(sets: Sequence[Found]) -> None:
    """How far inclusion Bayes factors go over the scale of mu's prior, where that was asked."""
    if not sets[0].ranges:
        return
    table = _table(("component",), ())
    for one in sets:
        for name in (one.prior_set, "lowest", "at", "highest", "at"):
            table.add_column(Text(name), justify="right", no_wrap=True)
    for index, row in enumerate(sets[0].ranges):
        cells = []
        for one in sets:
            own = one.ranges[index]
            cells.append(_plain(own, "inclusion_bf"))
            for end in ("lowest", "highest"):
                cells += [_plain(own, f"inclusion_bf_{end}"), f"× {_plain(own, f'at_{end}')}"]
        table.add_row(str(row["component"]), *cells)
    say("")
    say(
        "Inclusion Bayes factors as the prior of mu is made ten times narrower to ten times wider "
        "(21 steps, in all members at once):"
    )
    wide().print(table)


def _plain(row: Row, name: str) -> str:
    value = _number(row, name)
    return "∞" if value is None else f"{value:.3g}"


def _print_estimates(plan: Plan, sets: Sequence[Found]) -> None:
    """Medians, intervals and spikes."""
    prob = f"{plan.analysis.interval.prob * 100:g}%"
    table = _table(("quantity", "members"), ())
    for one in sets:
        for name in (one.prior_set, prob, "spike"):
            table.add_column(Text(name), justify="right", no_wrap=True)
    for index, row in enumerate(sets[0].estimates):
        cells = [text for one in sets for text in estimate_cells(one.estimates[index])]
        table.add_row(str(row["quantity"]), str(row["over"]), *cells)
    say("")
    said = (
        f"Posterior medians and {prob} equal-tailed intervals of averages over members; spike: the "
        "probability of exactly that value."
    )
    weighs = any(str(row["quantity"]).startswith("omega") for row in sets[0].estimates)
    say(f"{said} omega: chances of being reported by one-sided p." if weighs else said)
    wide().print(table)


def _print_members(one: Found) -> None:
    """The most probable members of one ensemble."""
    rows = one.probable
    table = _table(("model", "effect", "heterogeneity"), ("before", "after", "log evidence"))
    table.add_column("engine", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for row in rows[:_SHOWN]:
        table.add_row(
            Text(str(row["model"])),
            str(row["effect"]),
            str(row["heterogeneity"]),
            _share(row, "prior"),
            _share(row, "posterior"),
            evidence_cell(row),
            str(row["engine"]),
            str(row["status"]),
        )
    say("")
    say(f"{one.prior_set}: the most probable members")
    wide().print(table)
    if len(rows) > _SHOWN:
        rest = sum(float(row["posterior"] or 0.0) for row in rows[_SHOWN:])
        say(f"… and {len(rows) - _SHOWN} more, together {share(rest)}")
    for sentence in one.sentences:
        say(sentence)
    for member in one.ensemble.members:
        for reason in member.fit.reasons:
            say(f"{member.fit.status}: {member_in_words(member)}: {reason}")


def component_cells(row: Row) -> tuple[str, str]:
    """How probable a component is after the data, and its inclusion Bayes factor."""
    return _share(row, "posterior"), _factor(row)


def estimate_cells(row: Row) -> tuple[str, str, str]:
    """Median, interval and spike of an estimate."""
    lower, upper = (_number(row, name) for name in ("lower", "upper"))
    spike = "" if row["spike"] == 0 else f"{_share(row, 'spike')} at {row['spike_at']:g}"
    return number(_number(row, "median")), between(lower, upper, 3), spike


def evidence_cell(row: Row) -> str:
    """The log evidence of a member, with its Monte Carlo error where it has one."""
    error = _number(row, "log_evidence_mcse")
    return f"{_number(row, 'log_evidence'):.2f}" + ("" if error is None else f" ± {error:.2f}")


def member_in_words(member: Member) -> str:
    """``pet with an effect and heterogeneity``."""
    parts = {"an effect": member.effect, "heterogeneity": member.heterogeneity}
    has = " and ".join(name for name, held in parts.items() if held)
    return f"{member.model} with {has or 'neither'}"


def _table(names: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _number(row: Row, name: str) -> float | None:
    value = row[name]
    return float(value) if isinstance(value, float | int) else None


def _share(row: Row, name: str) -> str:
    value = _number(row, name)
    return "–" if value is None else share(value)


def _factor(row: Row) -> str:
    """An inclusion Bayes factor, with the Monte Carlo error of its log where it has one."""
    factor, error = _number(row, "inclusion_bf"), _number(row, "log_inclusion_bf_mcse")
    said = f"e^{_number(row, 'log_inclusion_bf'):.0f}" if factor is None else f"{factor:.3g}"
    return said if error is None else f"{said} ± {error:.2f}"
