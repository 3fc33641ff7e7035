"""The parts of the grammar on r itself (COR) and on any effect sizes (GEN), as one table."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from grammar_cases import PARTS
from metarho.data.studies import Studies, load_studies
from metarho.engines.problem import Problem
from metarho.spec.analysis import Measure

# yi lies where no correlation does, and is a range in one row, which has no r.
ROWS = """\
study sample effect rater     guidance  year timing meanage design controls yi    sei  yi_low yi_high reported tests ri    ni
a     1      1      client    guided    2001 early  31      x      none     0.42  0.21 .      .       exact    .     0.31  60
a     1      2      therapist guided    2001 early  31      x      none     1.31  0.18 .      .       exact    .     0.42  60
a     2      3      client    guided    2001 late   31      x      some     0.63  0.33 .      .       exact    .     0.12  45
b     1      1      client    unguided  2004 late   42      y      some     -0.27 0.25 .      .       exact    .     -0.08 51
b     1      2      client    unguided  2004 late   42      y      some     .     0.24 -0.5   0.5     range    2     .     50
c     1      1      therapist guided    2010 .      55      x      some     0.88  0.15 .      .       exact    .     0.27  120
d     1      1      client    unguided  2013 early  38      y      none     0.09  0.41 .      .       exact    .     0.05  33
e     1      1      therapist guided    2019 early  47      x      none     1.72  0.29 .      .       exact    .     0.56  77
"""  # noqa: E501

ROLES: dict[Measure, tuple[str, ...]] = {
    "GEN": ("yi", "sei", "yi_low", "yi_high", "reported"),
    "COR": ("ri", "ni"),
}

NO_LAW_OF_R = "likelihood: exact-r is the law of a sample correlation on Fisher's z"
REFUSED = {
    "exact law of r": NO_LAW_OF_R,
    "exact law of r, words": NO_LAW_OF_R,
    "exact law of r, study": NO_LAW_OF_R,
    "exact law of r, common effect": NO_LAW_OF_R,
    "true scores, words": "measurement: true-score is for correlations on Fisher's z",
    "true scores, study": "measurement: true-score is for correlations on Fisher's z",
    "selection, two-sided t, weights that never rise": (
        "selection by the t test of a correlation is for Fisher's z"
    ),
}
"""Parts that mean something on Fisher's z only, and what their refusal says."""

CASES = [(measure, name) for measure in ROLES for name in PARTS]
SAMPLED = [(measure, name) for measure, name in CASES if name not in REFUSED]


def studies_of(folder: Path, measure: Measure, name: str) -> Studies:
    """The rows as a part needs them: the tests that a range sums up, or errors that correlate."""
    path = folder / "rows.csv"
    cells = [line.split() for line in ROWS.splitlines()]
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["" if one == "." else one for one in row] for row in cells])
    roles = ["study", "sample", "effect", *ROLES[measure]]
    if "several tests" in name:
        roles.append("tests")
    columns = {role: role for role in roles}
    return load_studies(path, measure=measure, columns=columns)


def problem_of(folder: Path, measure: Measure, name: str) -> Problem:
    """A part on the rows of a measure. Raises InputError where it has no meaning there."""
    studies = studies_of(folder, measure, name)
    if "correlated" in name:
        studies = studies.dropping_intervals().with_errors_correlated(0.6)
    return replace(PARTS[name], studies=lambda: studies).problem()
