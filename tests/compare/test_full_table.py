"""The whole table on three bodies of evidence: its columns against refits that share nothing."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cases import REFERENCES, alliance, model, molloy
from metarho.compare.rows import Row
from metarho.compare.which_prior import COLUMNS, Candidate, which_prior
from metarho.data.studies import Studies, load_studies
from metarho.engines.exact.quadrature import solve
from metarho.engines.problem import Problem, encode, problem_without
from metarho.fitting import Settings, fit_many
from metarho.posterior.exact import Exact
from metarho.posterior.study_likelihood import log_jacobian
from metarho.spec.analysis import read_analysis
from metarho.spec.priors import Prior

CONFIG = Path(__file__).parents[2] / "configs" / "alliance-priors.yaml"
# What is promised of columns, and of three hard parameters (DESIGN.md).
TOLERANCE, OF_THREE = 1e-8, 1e-6


def _crede() -> Studies:
    columns = {"ri": "ri", "ni": "ni", "study": "studyid", "effect": "sampleid"}
    path = REFERENCES / "crede2010.csv"
    return load_studies(path, measure="ZCOR", columns=columns, where='criterion == "grade"')


EVIDENCE: dict[str, Callable[[], Studies]] = {
    "internet-alliance": lambda: alliance("drop"),
    "molloy2014": molloy,
    "crede2010": _crede,
}


def _held(problem: Problem, names: tuple[str, ...]) -> Problem:
    point = Prior("DiracDelta", (("c", 0.0),))
    priors = {
        name: replace(applied, prior=point) if name in names else applied
        for name, applied in problem.priors.items()
    }
    return replace(problem, priors=priors)


def _times(log_bf: float) -> float | None:
    """None for more than a computer's numbers hold, which the table leaves blank."""
    return None if log_bf > 700 else math.exp(log_bf)


def _expected(problem: Problem) -> dict[str, float | None]:
    """Columns of a problem from quadratures on panels of their own, each row left out in turn."""
    whole = solve(problem)
    posterior = Exact(problem, whole)
    mean = posterior.rho(posterior.mean_of(posterior.head)).summary(0.95, "eti")
    new = posterior.rho(posterior.theta_new(posterior.head)).summary(0.95, "eti")
    found: dict[str, float | None] = {
        "rho_median": mean.median,
        "lower": mean.lower,
        "upper": mean.upper,
        "new_lower": new.lower,
        "new_upper": new.upper,
    }
    if whole.log_evidence is not None:
        found["log_evidence"] = whole.log_evidence + float(log_jacobian(problem).sum())
    if problem.prior("mu").proper:
        found["bf_mu"] = _times(whole.log_integral - solve(_held(problem, ("mu",))).log_integral)
    taus = tuple(name for name in problem.spreads if name != "share")
    if taus:
        without = solve(_held(problem, taus)).log_integral
        found["bf_tau"] = _times(whole.log_integral - without)
    rests = [
        problem_without(problem, problem.evidence.study == study)
        for study in range(len(problem.evidence.study_names))
    ]
    densities = [whole.log_integral - solve(rest).log_integral for rest in rests]
    # Improper constants cancel: the priors here do not depend on the rows.
    found["elpd"] = math.fsum(densities) + float(log_jacobian(problem).sum())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("evidence", list(EVIDENCE))
@pytest.mark.parametrize("name", ["random-effects", "common-effect", "three-level", "exact-r"])
def test_every_row_is_that_of_refits(evidence: str, name: str) -> None:
    analysis, _ = read_analysis(CONFIG)
    studies = EVIDENCE[evidence]()
    sets = dict(analysis.priors)
    if name == "exact-r" or (name, evidence) == ("three-level", "crede2010"):
        # A brute-force posterior takes seconds here, and each study is left out.
        sets = {key: sets[key] for key in ("default", "sceptical", "face-to-face")}
    problems = [encode(model(name), studies, own) for own in sets.values()]
    fits = fit_many(problems, Settings())
    candidates = [Candidate(name, key, "drop", f) for key, f in zip(sets, fits, strict=True)]
    rows: list[Row] = which_prior(candidates, "default", (0.1,), Settings(), lambda _: None)
    worst = 0.0
    for row, problem in zip(rows, problems, strict=True):
        assert tuple(row)[: len(COLUMNS)] == COLUMNS
        three = len([axis for axis in solve(problem).axes.values() if not axis.is_point]) > 2
        for column, value in _expected(problem).items():
            seen = row[column]
            if value is None:
                assert seen is None, (column, row["prior"])
                continue
            assert isinstance(seen, float), (column, row["prior"])
            off = abs(seen - value) / max(1.0, abs(value))
            worst = max(worst, off)
            assert off <= (OF_THREE if three else TOLERANCE), (column, row["prior"])
        assert row["status"] == "ok"
    logging.getLogger(__name__).info("%s, %s: largest difference %.1e", evidence, name, worst)
