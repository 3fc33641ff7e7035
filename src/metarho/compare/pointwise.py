"""Which studies make one candidate predict better than another: the scores of each, one by one."""

from __future__ import annotations

from collections.abc import Sequence

from metarho.compare.rows import Row
from metarho.compare.scores import incomparable
from metarho.compare.which_prior import Candidate, reference_of

COLUMNS = ("model", "prior", "intervals", "study", "elpd", "elpd_diff", "crps", "pit")
"""The columns of the table of studies, in order."""


def pointwise(candidates: Sequence[Candidate], reference: str) -> list[Row]:
    """One row a candidate and study, every study predicted by all others: COLUMNS.

    ``elpd`` is log p(the study's rows | the rest), ``elpd_diff`` that less what the prior set
    ``reference`` has for the same study, ``crps`` the mean over the study's exact rows, ``pit``
    P(y_new <= y) of its first. None where one does not exist; sampled fits have no rows.
    """
    rows: list[Row] = []
    for candidate in candidates:
        left_out = candidate.fit.leave_out
        if left_out is None:
            continue
        other = reference_of(candidate, candidates, reference)
        scores = None if other is None else other.fit.leave_out
        if other is None or incomparable(candidate.fit, other.fit) is not None:
            scores = None
        for index, one in enumerate(left_out.studies):
            against = None if scores is None else scores.studies[index].log_density
            found = one.log_density
            rows.append(
                {
                    "model": candidate.model,
                    "prior": candidate.prior_set,
                    "intervals": candidate.intervals,
                    "study": one.name,
                    "elpd": found,
                    "elpd_diff": None if found is None or against is None else found - against,
                    "crps": one.crps,
                    "pit": one.pit[0] if one.pit else None,
                }
            )
    return rows
