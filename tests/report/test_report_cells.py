"""What the terminal says of a grid's table."""

from __future__ import annotations

import itertools

import pytest

from metarho.cells.average import SHARED_DATA, average_cells
from metarho.cells.variance import variance_by_decision
from metarho.compare.rows import Row, Value
from metarho.report.cells import (
    average_sentences,
    counted,
    print_averages,
    print_counts,
    print_variance,
    variance_sentences,
)

DECISIONS = ("where", "model", "priors")
HOSTILE = "[red]$x$ " + "long " * 40


def _cell(where: str, model: str, priors: str, median: float | None, **more: Value) -> Row:
    ends = (None, None) if median is None else (median - 0.1, median + 0.1)
    return {"where": where, "model": model, "priors": priors, "status": "ok", "reason": None,
            "median": median, "lower": ends[0], "upper": ends[1], **more}  # fmt: skip


# where moves by 0.2, priors by 0.02, model not at all.
ROWS = [
    _cell(w, m, p, 0.1 + 0.2 * (w == "adults") + 0.02 * (p == "wide"))
    for w, m, p in itertools.product(("all", "adults"), ("two", "three"), ("default", "wide"))
]
REFUSED = _cell("adults", "three", "odd", None, status="refused", reason="no [such] thing")


def test_cells_are_counted_with_why_the_others_have_no_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert counted(ROWS) == "8 of 8 cells can be reported."
    print_counts([*ROWS, REFUSED, {**REFUSED, "status": "failed"}, REFUSED])
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        "8 of 11 cells can be reported (2 refused, 1 failed).",
        "  2 cells refused: no [such] thing",
        "  1 cell failed: no [such] thing",
    ]


def test_many_reasons_are_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    print_counts([*ROWS, *({**REFUSED, "reason": f"reason {i}"} for i in range(9))])
    assert "  4 cells for 4 other reasons, each in the table" in capsys.readouterr().out


def test_a_warning_has_a_reason_and_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    print_counts([{**ROWS[0], "status": "warnings", "reason": "E-BFMI"}])
    assert capsys.readouterr().out == "1 of 1 cell can be reported.\n"


def test_shares_are_said_with_the_size_of_what_they_are_of() -> None:
    # Variance: 0.1² between, 0.01² within; 100/101 and 1/101.
    assert variance_sentences(variance_by_decision(ROWS, DECISIONS, ["where"]), ["where"]) == [
        "Over 8 cells the posterior median of the mean has a standard deviation of 0.1; of its "
        "variance 99% goes with where, 1% with priors, model together; 0% are interactions and "
        "the rest.",
        "99% of it lies between questions (combinations of where); answers to one question have a "
        "standard deviation of 0.01; of that variance 100% goes with priors, 0% with model; 0% are "
        "interactions and the rest.",
        "For so few cells small shares mean nothing: answers dealt to them at random would give "
        "all decisions together 33% on average.",
    ]


def test_answers_that_do_not_vary_and_that_are_not_there_are_said_so() -> None:
    rows = [{**row, "tau": 0.1, "upper": None} for row in ROWS]
    same = variance_by_decision(rows, DECISIONS, ["where"], "tau")
    assert variance_sentences(same, []) == [
        "In all 8 cells the posterior median of tau is the same."
    ]
    one = variance_by_decision(rows[:1], DECISIONS, ["where"], "tau")
    assert variance_sentences(one, []) == ["Of one cell the posterior median of tau does not vary."]
    none = variance_by_decision(rows, DECISIONS, ["where"], "upper")
    assert variance_sentences(none, []) == ["No cell has the upper end of the mean's interval."]
    some = variance_by_decision(
        [{**row, "P(rho > 0)": None if i == 0 else i / 10} for i, row in enumerate(ROWS)],
        DECISIONS, ["where"], "P(rho > 0)",
    )  # fmt: skip
    said = variance_sentences(some, ["where"])
    assert said[0].startswith("Over 7 cells P(rho > 0) has") and said[-1] == (
        "1 cell more can be reported and have no such number."
    )
    alike = [{**row, "median": float(row["where"] == "all")} for row in ROWS]
    between = variance_sentences(variance_by_decision(alike, DECISIONS, ["where"]), ["where"])
    assert between[1].endswith("answers to one question are the same.")


def test_the_table_of_shares_marks_what_changes_the_estimand(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = [variance_by_decision(ROWS, DECISIONS, ["where"], name) for name in ("median", "lower")]
    print_variance(found, ["where"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["where", "*", "99%", "99%"] in lines
    assert ["priors", "1%", "1%"] in lines and ["priors", "100%", "100%"] in lines
    assert ["between", "estimands", "99%", "99%"] in lines and ["*", "changes"] in [
        line[:2] for line in lines
    ]


def test_averages_always_say_what_they_are_not() -> None:
    for estimand, weights in (([], {}), (["where"], {"priors": {"default": 1.0, "wide": 3.0}})):
        found = average_cells(ROWS, DECISIONS, estimand, weights, (0.0,))
        assert average_sentences(found)[-1] == SHARED_DATA
    rows = [{**row, "status": "failed"} for row in ROWS]
    assert SHARED_DATA in average_sentences(average_cells(rows, DECISIONS, [], {}, ()))


def test_averages_say_what_they_are_over_and_by_which_weights() -> None:
    apart = average_cells(ROWS, DECISIONS, ["where"], {"priors": {"default": 1.0, "wide": 3.0}}, ())
    assert average_sentences(apart)[:2] == [
        "Weights: priors: default 25%, wide 75%; the values of other decisions weigh the same.",
        "Each line answers another question; they are not averaged together.",
    ]
    pooled = average_cells(ROWS, DECISIONS, [], {}, ())
    assert average_sentences(pooled)[:2] == [
        "Weights: all cells the same.",
        "Averages are pooled over where: the config takes it out of the estimand, and it is for "
        "its author to say that all values ask one question.",
    ]


def test_weights_that_cells_without_answers_take_along_are_said() -> None:
    rows = [row if row["priors"] == "default" or row["model"] == "two" else
            {**row, "status": "refused"} for row in ROWS]  # fmt: skip
    found = average_cells(rows, DECISIONS, ["where"], {}, ())
    assert (
        "Cells that have no answer, or are not in the grid, take their weights along: of model, "
        "two was to have 50% and has 67% (where: all), the largest difference."
    ) in average_sentences(found)


def test_the_table_of_averages_has_a_line_a_question_and_text_is_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [{**row, "where": HOSTILE if row["where"] == "all" else row["where"]} for row in ROWS]
    print_averages(average_cells([*rows, REFUSED], DECISIONS, ["where"], {}, (0.0, 0.1)))
    printed = capsys.readouterr().out
    (line,) = [line for line in printed.splitlines() if line.startswith("adults")]
    assert line.split() == [
        "adults", "4", "1", "0.310", "0.300", "0.300", "to", "0.320", "0.300", "to", "0.320",
        "100%", "100%", "100%",
    ]  # fmt: skip
    assert any(line.startswith("[red]$x$ long") for line in printed.splitlines())
    assert HOSTILE not in printed
    print_averages([])
    print_variance([], [])
    assert capsys.readouterr().out == ""
