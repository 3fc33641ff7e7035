"""What the terminal shows: progress while fitting, the printed block of a fit, headlines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from metarho.posterior import printed
from metarho.posterior.fit import Fit
from metarho.report.comparison import SHORT, between, comparison_note, comparison_rows

if TYPE_CHECKING:
    from metarho.batch.compute import Done
    from metarho.batch.plan import Plan
    from metarho.compare.rows import Row
    from metarho.engines.problem import Problem


def say(message: str) -> None:
    """A line on standard output; text from users stays text."""
    Console().print(Text(message), soft_wrap=True)


# Numbers look alike wherever they are printed.
number, share, interval = printed.number, printed.share, printed.interval


def block(fit: Fit) -> None:
    """The printed block of one fit, in the order of metafor's."""
    say("")
    say(printed.title(fit))
    say(f"engine: {fit.engine} ({fit.reason}); status: {fit.status}")
    for reason in fit.reasons:
        say(f"  {reason}")
    for name, applied in fit.problem.priors.items():
        say(f"prior: {name} ~ {applied.prior.described}")
    say("")
    wide().print(_quantities(fit))
    say("")
    if fit.log_evidence is not None:
        error = fit.log_evidence_mcse
        by = "" if error is None else f" (bridge sampling, Monte Carlo error {error:.3f})"
        say(f"log evidence: {fit.log_evidence:.{4 if error is None else 2}f}{by}")
    if fit.diagnostics is not None:
        say(f"sampled: {printed.sampling_in_words(fit)}")
    if fit.agreement is not None:
        verdict = "agree" if fit.agreement.holds else "differ"
        say(
            f"engines {verdict}: largest difference {fit.agreement.largest:.2f} MCSE "
            f"({fit.agreement.quantity}; threshold {fit.agreement.threshold:.2f})"
        )
    if fit.outliers is not None:
        likely = {name: p for name, p in fit.outliers.items() if p > printed.LIKELY_OUTLIER}
        named = ", ".join(f"{name} ({p:.2f})" for name, p in likely.items())
        say(f"probability above {printed.LIKELY_OUTLIER:g} to be an outlier: {named or 'none'}")
    for note in fit.notes:
        say(f"note: {note}")


def _quantities(fit: Fit) -> Table:
    """The quantities of a fit below the headings of their groups."""
    table = Table(box=None, pad_edge=False)
    # A long name is folded; a number never is.
    table.add_column("", overflow="fold", max_width=60)
    for name in ("mean", "sd", "median", printed.interval_name(fit), "P(> 0)", "scale"):
        table.add_column(name, justify="right", no_wrap=True)
    rows = printed.shown(fit)
    texts = {row.name: printed.cells(row) for row in rows}
    low, high = (max(len(cells[end]) for cells in texts.values()) for end in (3, 4))
    group = None
    for row in rows:
        if row.group != group:
            group = row.group
            table.add_row(Text(group, style="bold"))
        mean, sd, median, lower, upper, above = texts[row.name]
        known = row.summary.lower is not None
        ends = f"[{lower:>{low}}, {upper:>{high}}]" if known else "–"
        table.add_row(Text(f"  {row.name}"), mean, sd, median, Text(ends), above, Text(row.scale))
    return table


def headline(plan: Plan, fits: Sequence[Fit]) -> None:
    """The headline table of a run."""
    table = Table(box=None, pad_edge=False)
    prob = f"{plan.analysis.interval.prob * 100:g}%"
    for name in ("model", "priors", "intervals"):
        table.add_column(name, no_wrap=True)
    mean = "mean" if plan.evidence.scale == "yi" else "rho"
    for name in ("k", mean, prob, "new study", prob):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("engine", "status"):
        table.add_column(name, no_wrap=True)
    for cell, fit in zip(plan.cells, fits, strict=True):
        pooled, new = fit.pooled, fit.pooled_new
        table.add_row(
            Text(cell.label),
            Text(cell.prior_set),
            cell.intervals,
            str(fit.problem.evidence.k),
            number(pooled.median),
            interval(pooled),
            number(new.median),
            interval(new),
            fit.engine,
            fit.status,
        )
    on = "the scale of yi" if plan.evidence.scale == "yi" else "r"
    kind = {"eti": "equal-tailed", "hdi": "shortest"}[plan.analysis.interval.kind]
    say("")
    say(f"Posterior medians and {prob} {kind} intervals on {on}; new study: its true effect.")
    wide().print(table)
    for fit in fits:
        for reason in fit.reasons:
            say(f"{fit.status}: {fit.problem.model.name}: {reason}")


def comparison(plan: Plan, rows: Sequence[Row]) -> None:
    """The table that answers "which prior?", as much of it as a terminal is wide."""
    table = Table(box=None, pad_edge=False)
    texts = comparison_rows(plan, rows)
    for name in texts[0] if texts else ():
        is_name = name in ("model", "prior", "intervals", "status")
        table.add_column(
            # A pair of columns has one name here, and its second part alone.
            SHORT.get(name, name),
            justify="left" if is_name else "right",
            no_wrap=True,
        )
    for row in texts:
        table.add_row(*(Text(str(text)) for text in row.values()))
    say("")
    say(comparison_note(plan))
    wide().print(table)


def averaged(plan: Plan, rows: Sequence[Row]) -> None:
    """Averages over the rows of a comparison."""
    if not rows:
        return
    table = Table(box=None, pad_edge=False)
    prob = f"{plan.analysis.interval.prob * 100:g}%"
    mean = "mean" if plan.evidence.scale == "yi" else "rho"
    several = len({row["intervals"] for row in rows}) > 1
    for name in ("averaged by", "over", *(["intervals"] if several else [])):
        table.add_column(name, no_wrap=True)
    for name in ("of", mean, prob, f"new {prob}", "P(mu = 0)"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        numbers = {name: value for name, value in row.items() if isinstance(value, float | int)}
        table.add_row(
            str(row["weights"]),
            str(row["over"]),
            *([str(row["intervals"])] if several else []),
            str(row["candidates"]),
            number(numbers.get("median")),
            between(numbers.get("lower"), numbers.get("upper"), 3),
            between(numbers.get("new_lower"), numbers.get("new_upper"), 3),
            number(numbers.get("spike"), 4),
        )
    say("")
    wide().print(table)


def reported(plan: Plan, rows: Sequence[Row]) -> None:
    """The answer under each reading of what was printed."""
    table = Table(box=None, pad_edge=False)
    prob = f"{plan.analysis.interval.prob * 100:g}%"
    for name in ("model", "prior", "assumption", "setting"):
        table.add_column(name, no_wrap=True)
    above = [name for name in rows[0] if name.startswith("P(")] if rows else []
    mean = "mean" if plan.evidence.scale == "yi" else "rho"
    for name in ("k", mean, prob, "rho_mean", f"new {prob}", *above):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for row in rows:
        numbers = {name: value for name, value in row.items() if isinstance(value, float | int)}
        table.add_row(
            *(Text(str(row[name])) for name in ("model", "prior", "assumption", "setting")),
            str(row["k_effects"]),
            number(numbers.get("median")),
            between(numbers.get("lower"), numbers.get("upper"), 3),
            number(numbers.get("rho_mean")),
            between(numbers.get("new_lower"), numbers.get("new_upper"), 3),
            *(number(numbers.get(name)) for name in above),
            str(row["status"]),
        )
    say("")
    say(
        f"Posterior medians and {prob} intervals under other readings of what was printed; "
        "new: the true effect of a new study."
    )
    wide().print(table)


def wide() -> Console:
    """Standard output; numbers are never cut, a narrow window wraps the line."""
    return Console(width=200)


class Progress:
    """A progress bar over the fits of a plan, on standard error."""

    def __init__(self, plan: Plan, fits: int | None = None, further: int = 0) -> None:
        """``fits`` (default: those of a run) are to be made, and ``further`` steps follow."""
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        from metarho.fitting import both_cover

        if fits is None:
            agreement = plan.analysis.agreement
            again = sum(agreement and both_cover(cell.problem) for cell in plan.cells)
            fits = len(plan.cells) + again
        self._bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("starting", total=fits + further)

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def announce(self, event: str, problem: Problem | None) -> None:
        """Show what goes on; ``fitted`` and ``compared`` move the bar."""
        name = f" {problem.model.name} ({problem.intervals})" if problem is not None else ""
        if event in ("fitted", "compared"):
            self._bar.update(self._task, advance=1)
        else:
            self._bar.update(self._task, description=f"{event}{name}")
        if not self._bar.console.is_terminal and event in ("compiling", "writing"):
            self._bar.console.print(Text(f"{event}{name}"))

    def warn(self, message: str) -> None:
        """A line above the bar, whole: a path that is broken cannot be copied."""
        self._bar.console.print(Text(message), soft_wrap=True)


class BatchProgress:
    """A bar over the fits of a batch, on standard error: counts, rate, what became of them."""

    def __init__(self, fits: int) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            ProgressColumn,
            Task,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as Bar

        class Rate(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text("" if task.speed is None else f"{task.speed:.1f}/s")

        self._found: Counter[str] = Counter()
        self._bar = Bar(
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("", total=fits)

    def __enter__(self) -> BatchProgress:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def heard(self, done: Done, source: str) -> None:
        """A fit is done: from an earlier table, from the store, or computed, with its status."""
        self._found[done.status if source == "computed" else f"from the {source}"] += 1
        said = ", ".join(f"{count} {kind}" for kind, count in self._found.items())
        self._bar.update(self._task, advance=1, description=said)
        if done.failure is not None:
            self.warn(f"failed: {done.failure}")

    def warn(self, message: str) -> None:
        """A line above the bar, whole: a path that is broken cannot be copied."""
        self._bar.console.print(Text(message), soft_wrap=True)
