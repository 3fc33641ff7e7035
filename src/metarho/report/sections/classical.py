"""What classical methods say of the rows that printed a number: a table of their own."""

from __future__ import annotations

from collections.abc import Mapping

from metarho.batch.findings import Findings
from metarho.classical.answers import cells
from metarho.report.classical import heterogeneity_in_words, p_value, regression_of


def values(found: Findings) -> Mapping[str, object] | None:
    """The table of estimators, heterogeneity, small studies and slopes; None if nobody asked."""
    answers = found.classical
    reason = found.absent.get("classical")
    if answers is None:
        return None if reason is None else {"classical": None, "no_classical": reason}
    spread = answers.heterogeneity
    return {
        "classical": answers,
        "no_classical": reason,
        "classical_columns": answers.number_columns,
        "classical_rows": [(row, cells(row)) for row in answers.estimates],
        "classical_spread": () if spread is None else heterogeneity_in_words(spread, answers.prob),
        "classical_tests": [
            (one.name, one.found, "–" if one.pval is None else p_value(one.pval))
            for one in answers.small_studies
        ],
        "regressions": [regression_of(answers, one) for one in answers.regressions],
    }
