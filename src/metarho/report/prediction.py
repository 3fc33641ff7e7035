"""Predictions for new studies as files and as text in the terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from metarho.batch.plan import Plan
from metarho.batch.prediction import TABLE, TOGETHER, Answer, Answers
from metarho.batch.prediction_rows import expected_of_priors, rows_of, together_rows
from metarho.batch.tables import to_csv
from metarho.compare.which_prior import Candidate
from metarho.predict.new_studies import Prediction
from metarho.report.terminal import interval, number, say, wide
from metarho.store.files import write_text

NAMES = {
    "mean": "mean of true effects",
    "true": "its true effect",
    "observed": "what it observes",
}


def publish_prediction(plan: Plan, answers: Answers) -> None:
    """Leave the tables, and unless the config says report: none a figure, in the plan's folder."""
    write_text(plan.folder / TABLE, to_csv(rows_of(answers)))
    if answers.together:
        write_text(plan.folder / TOGETHER, to_csv(together_rows(answers)))
    if plan.analysis.report != "html":
        return
    # Loaded here: Matplotlib is for pictures only.
    from metarho.report.figures.drawing import write_drawing
    from metarho.report.figures.prediction import prediction

    write_drawing(prediction(answers), plan.folder / "figures")


def print_prediction(title: str, answers: Answers) -> None:
    """A table a profile, a line a fit and quantity; then the new studies together."""
    say("")
    say(f"{title}: what a new study would see" + (", by the priors alone" * answers.prior_only))
    first = answers.answers[0].candidate.fit
    percent = f"{first.interval.prob * 100:g}% {first.interval.kind}"
    for label in dict.fromkeys(answer.profile.label for answer in answers.answers):
        of_profile = [answer for answer in answers.answers if answer.profile.label == label]
        say("")
        _head(label, of_profile[0])
        wide().print(_table(of_profile, answers, percent))
        for remark in dict.fromkeys(r for answer in of_profile for r in answer.remarks):
            say(f"note: {remark}")
    if answers.prior_only:
        for candidate in answers.candidates:
            _before(candidate)
    _together(answers)
    say("")
    say(
        "mean: of true effects at the new study's moderators. true: of the new study itself, "
        "with all heterogeneity. observed: the r that it will print, with its sampling error."
    )


def _head(label: str, answer: Answer) -> None:
    ni = answer.profile.ni
    people = "" if ni is None else f", n = {ni:g}"
    stands = f" ({answer.stands})" if answer.stands else ""
    say(f"{label}{people}{stands}")


def _table(of_profile: list[Answer], answers: Answers, percent: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("model", "prior", "intervals", ""):
        table.add_column(name, no_wrap=True)
    above = [f"P(> {t:g})" for t in answers.thresholds]
    for name in ("mean", "sd", "median", percent, *above, "P(p < .05)"):
        table.add_column(name, justify="right", no_wrap=True)
    for answer in of_profile:
        candidate = answer.candidate
        names = (candidate.model, candidate.prior_set, candidate.intervals)
        for item in answer.items:
            table.add_row(
                *(Text(name if item is answer.items[0] else "") for name in names),
                _quantity(item, several=answer.own is not None),
                number(item.summary.mean),
                number(item.summary.sd),
                number(item.summary.median),
                interval(item.summary),
                *(number(p) for p in item.probabilities),
                number(item.significant),
            )
        if answer.own is not None:
            table.add_row("", "", "", *_difference(answer))
    return table


def _quantity(item: Prediction, several: bool) -> str:
    if item.quantity != "observed" or not several:
        return item.quantity
    return f"observed, {'exact law' if item.law == 'exact' else 'own law'}"


def _difference(answer: Answer) -> tuple[str, ...]:
    """The exact law less the model's own."""
    exactly = answer.found[-1]
    assert answer.own is not None

    def less(a: float | None, b: float | None) -> str:
        return "–" if a is None or b is None else f"{a - b:+.4f}"

    a, b = exactly.summary, answer.own.summary
    ends = f"[{less(a.lower, b.lower)}, {less(a.upper, b.upper)}]"
    above = [
        less(p, q) for p, q in zip(exactly.probabilities, answer.own.probabilities, strict=True)
    ]
    words = less(exactly.significant, answer.own.significant)
    return (
        "difference",
        *(less(a.mean, b.mean), less(a.sd, b.sd), less(a.median, b.median), ends),
        *above,
        words,
    )


def _before(candidate: Candidate) -> None:
    """What priors say of heterogeneity and of signs."""
    found = expected_of_priors(candidate.fit)
    tau, i2 = found["tau"], found["I2"]
    assert isinstance(tau, dict)
    said = [
        f"{candidate.model}, {candidate.prior_set}: tau {number(tau['median'])} "
        f"[{number(tau['lower'])}, {number(tau['upper'])}]"
    ]
    if isinstance(i2, dict):
        said.append(
            f"I² {number(i2['median'], 0)}% [{number(i2['lower'], 0)}, {number(i2['upper'], 0)}]"
        )
    share = found["share_below_0"]
    assert isinstance(share, float)
    said.append(f"share of true effects below 0: {share:.3f}")
    say("; ".join(said))


def _together(answers: Answers) -> None:
    """All new studies at once, where there are several, by the first fit that was asked."""
    if not answers.together:
        return
    first = answers.together[0][0]
    rows = [
        row
        for row in together_rows(answers)
        if (row["model"], row["priors"], row["intervals"])
        == (first.model, first.prior_set, first.intervals)
        and (not str(row["event"]).startswith("at least") or "significant" in str(row["event"]))
    ]
    others = f"; other fits in {TOGETHER}" if len(answers.together) > 1 else ""
    say("")
    say(
        f"The {rows[0]['new_studies']} new studies together, which share what is unknown of mean "
        f"and heterogeneity ({first.model}, {first.prior_set} priors{others}):"
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in ("probability", "Monte Carlo error", "if independent"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        numbers = [
            value if isinstance(value := row.get(name), float) else None
            for name in ("probability", "mcse", "if_independent")
        ]
        table.add_row(
            str(row["event"]), number(numbers[0]), number(numbers[1], 4), number(numbers[2])
        )
    wide().print(table)
