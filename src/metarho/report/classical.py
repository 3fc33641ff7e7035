"""Classical answers as text in the terminal: the table, heterogeneity, small studies, slopes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from metarho.classical.answers import (
    Answers,
    Heterogeneity,
    Regression,
    SmallStudyTest,
    ends,
    plain,
)
from metarho.classical.estimators import Number
from metarho.report.terminal import say, wide
from metarho.representations import Shown


def print_answers(answers: Answers, influence: Sequence[Mapping[str, Number]]) -> None:
    """Everything; ``influence`` are the effects left out, where they were asked for."""
    say("")
    wide().print(answers.shown.rich())
    if answers.heterogeneity is not None:
        say("")
        for sentence in heterogeneity_in_words(answers.heterogeneity, answers.prob):
            say(sentence)
    say("")
    wide().print(_small_studies(answers.small_studies).rich())
    for one in answers.regressions:
        say("")
        wide().print(regression_of(answers, one).rich())
    if influence:
        say("")
        say(f"Each effect left out of REML, on {answers.effects.scale}, and its influence.")
        wide().print(_table(influence))


def heterogeneity_in_words(found: Heterogeneity, prob: float) -> list[str]:
    """Q; tau and I² by REML with Q-profile intervals; each level with its profile interval."""
    interval, level = found.interval, f"{100 * prob:g}% CI"
    said = [f"Q({found.df}) = {found.q:.2f}, p {p_value(found.q_p)}."]
    if interval.empty:
        said.append(
            "The Q-profile interval of tau is empty: the effects differ less than sampling error "
            "alone would make them."
        )
    root = [value**0.5 for value in (found.tau2, interval.lower, interval.upper)]
    said.append(
        f"REML: tau {plain(root[0])}, {level} {ends(root[1], root[2])} (Q-profile); I² "
        f"{found.i2(found.tau2):.0f}% [{found.i2(interval.lower):.0f}%, "
        f"{found.i2(interval.upper):.0f}%]."
    )
    for one in found.levels:
        root = [value**0.5 for value in (one.sigma2, one.interval.lower, one.interval.upper)]
        where = "between studies" if one.level == "study" else "within studies"
        share = "" if one.i2 is None else f"; I² {one.i2:.0f}%"
        said.append(
            f"Three-level REML: tau {where} {plain(root[0])}, {level} {ends(root[1], root[2])} "
            f"(profile likelihood){share}; without it χ²(1) = {one.test.statistic:.2f}, "
            f"p {p_value(one.test.pval)}."
        )
    return said


def p_value(p: float) -> str:
    """A p-value with its relation."""
    return "< .001" if p < 0.001 else f"= {p:.3f}".replace("0.", ".")


def _small_studies(tests: Sequence[SmallStudyTest]) -> Shown:
    rows = tuple((t.name, t.found, "–" if t.pval is None else p_value(t.pval)) for t in tests)
    return Shown("Do small studies differ?", ("test", "found", "p"), rows, names=2)


def regression_of(answers: Answers, one: Regression) -> Shown:
    """A meta-regression as a small table: on the model's scale."""
    of = one.coefficients
    ddf = [None] * len(of.names) if of.ddf is None else of.ddf.tolist()
    rows = tuple(
        (label, plain(b), ends(low, high), "–" if df is None else f"{df:.1f}", p_value(p))
        for label, b, low, high, df, p in zip(
            of.names, of.estimate, of.ci_lb, of.ci_ub, ddf, of.pval, strict=True
        )
    )
    qm = one.qm
    left = (
        *([] if qm is None else [f"QM({qm.df}) = {qm.statistic:.2f}, p {p_value(qm.pval)}"]),
        f"QE({one.qe_df}) = {one.qe:.2f}, p {p_value(one.qe_p)}",
        f"tau {plain(one.tau2**0.5)}",
        *([] if one.r2 is None else [f"R² {one.r2:.0f}%"]),
    )
    title = f"Meta-regression on {answers.effects.scale}: {one.name}"
    ci = f"{100 * answers.prob:g}% CI"
    return Shown(title, ("coefficient", "estimate", ci, "df", "p"), rows, left)


def _table(rows: Sequence[Mapping[str, Number]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for place, name in enumerate(rows[0]):
        table.add_column(name, justify="right" if place else "left", no_wrap=bool(place))
    for row in rows:
        cells = (plain(v) if isinstance(v, float) else str(v) for v in row.values())
        table.add_row(*map(Text, cells))
    return table
