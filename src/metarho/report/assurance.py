"""Assurance as files and as text in the terminal."""

from __future__ import annotations

import numpy as np
from rich.table import Table
from rich.text import Text

from metarho.batch.assurance import TABLE, Assured
from metarho.batch.plan import Plan
from metarho.batch.tables import to_csv
from metarho.predict.assurance import Chance, Outlook
from metarho.report.sensitivity import heading
from metarho.report.terminal import say, wide
from metarho.store.files import write_text

# As many sizes as a terminal shows without scrolling; the table has all.
_SHOWN = 8


def publish_assurance(plan: Plan, found: Assured) -> None:
    """Leave the table, and unless the config says report: none its figure, in the plan's folder."""
    write_text(plan.folder / TABLE, to_csv(found.rows))
    if plan.analysis.report != "html":
        return
    # Loaded here: Matplotlib is for pictures only.
    from metarho.report.figures.assurance import assurance_figure
    from metarho.report.figures.drawing import write_drawing

    write_drawing(assurance_figure(found, plan.analysis.interval.prob), plan.folder / "figures")


def print_assurance(plan: Plan, found: Assured) -> None:
    """Some sizes of every number of studies, then the sentences."""
    asked = found.question
    say("")
    say(heading(plan, found.cell))
    where = f" at {asked.profile}" if asked.profile else ""
    say(
        f"Further studies{where}, by the model's own predictive law; {asked.futures:,} possible "
        "findings of each size."
    )
    if found.cell.problem.moderators:
        at = "these moderators" if asked.at_profile else "the evidence's average"
        say(f"What is asked is about the mean at {at}.")
    for index, count in enumerate(asked.studies):
        say("")
        say("one further study" if count == 1 else f"{count} further studies that share n people")
        _print_curve(found, index)
    say("")
    for sentence in found.sentences:
        say(sentence)
    if found.status == "not reportable":
        say("not reportable: today's posterior is not known well enough")
    say(f"all rows: {plan.folder / TABLE}")


def _print_curve(found: Assured, index: int) -> None:
    goals = found.question.goals
    table = Table(box=None, pad_edge=False)
    table.add_column("n", justify="right", no_wrap=True)
    for goal in goals:
        table.add_column(Text(f"Pr({goal})"), justify="right", no_wrap=True)
    names = ("expected width", "90% of rho_median tomorrow", "bf_mu median", "Pr(> 3)", "Pr(< 1/3)")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    curve = found.curves[index]
    places = np.unique(np.linspace(0, len(curve) - 1, min(_SHOWN, len(curve))).round().astype(int))
    for place in places.tolist():
        one = curve[place]
        table.add_row(f"{one.further.ni:,.0f}", *_cells(one))
    table.add_row("endless", *_cells(found.limits[index]))
    wide().print(table)


def _cells(one: Outlook) -> list[str]:
    low, _, high = one.medians
    bayes = ["–"] * 3
    if one.bf_mu is not None:
        median, above, below = one.bf_mu
        bayes = [f"{median:.3g}", f"{above:.3f}", f"{below:.3f}"]
    return [
        *(_chance(chance) for chance in one.chances),
        f"{one.width:.3f}",
        f"{low:.3f} to {high:.3f}",
        *bayes,
    ]


def _chance(chance: Chance) -> str:
    by = "" if chance.error is None else f" ± {chance.error:.3f}"
    return f"{chance.probability:.3f}{by}"
