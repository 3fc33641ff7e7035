"""Classical answers as rows of plain values, for files and programs; names are metafor's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from metarho.classical.answers import Answers, Heterogeneity, Regression
from metarho.classical.estimators import Number
from metarho.classical.left_out import influence, leave1out
from metarho.classical.random_effects import rma

type Row = dict[str, Number]


def estimate_rows(answers: Answers) -> list[Row]:
    """The table of estimators: on the model's scale, and from ``r_estimate`` on as correlations."""
    return [row.row for row in answers.estimates]


def heterogeneity_rows(answers: Answers) -> list[Row]:
    """Q; tau², tau, I² and H² of REML with Q-profile intervals; of levels with profile ones."""
    found = answers.heterogeneity
    return [] if found is None else [*_two_level(found), *_levels(found)]


def _two_level(found: Heterogeneity) -> Iterator[Row]:
    yield _row("Q", found.q, None, None, found.q_p, found.df)
    interval = found.interval
    of: Mapping[str, Callable[[float], float]] = {
        "tau2": float,
        "tau": math.sqrt,
        "I2": found.i2,
        "H2": found.h2,
    }
    for name, made in of.items():
        yield _row(name, made(found.tau2), made(interval.lower), made(interval.upper))


def _levels(found: Heterogeneity) -> Iterator[Row]:
    for one in found.levels:
        interval, sigma2 = one.interval, one.sigma2
        p = one.test.pval
        yield _row(f"tau2_{one.level}", sigma2, interval.lower, interval.upper, p, 1)
        lower, upper = math.sqrt(interval.lower), math.sqrt(interval.upper)
        yield _row(f"tau_{one.level}", math.sqrt(sigma2), lower, upper)
        if one.i2 is not None:
            yield _row(f"I2_{one.level}", one.i2)


def _row(
    name: str,
    value: float,
    lower: float | None = None,
    upper: float | None = None,
    pval: float | None = None,
    df: int | None = None,
) -> Row:
    return {
        "quantity": name, "value": value, "ci_lb": lower, "ci_ub": upper, "df": df, "pval": pval
    }  # fmt: skip


def small_study_rows(answers: Answers) -> list[Row]:
    """Tests of small-study effects."""
    return [
        {"test": one.name, "found": one.found, "pval": one.pval} for one in answers.small_studies
    ]


def regression_rows(answers: Answers) -> list[Row]:
    """The coefficients of every meta-regression, on the model's scale."""
    return [row for one in answers.regressions for row in _coefficients(one)]


def _coefficients(one: Regression) -> Iterator[Row]:
    of = one.coefficients
    for place, name in enumerate(of.names):
        yield {
            "fit": one.name,
            "coefficient": name,
            "estimate": float(of.estimate[place]),
            "se": float(of.se[place]),
            "df": None if of.ddf is None else float(of.ddf[place]),
            "pval": float(of.pval[place]),
            "ci_lb": float(of.ci_lb[place]),
            "ci_ub": float(of.ci_ub[place]),
            "QM": None if one.qm is None else one.qm.statistic,
            "QM_df": None if one.qm is None else one.qm.df,
            "QM_pval": None if one.qm is None else one.qm.pval,
            "QE": one.qe,
            "QE_df": one.qe_df,
            "QE_pval": one.qe_p,
            "tau2": one.tau2,
            "R2": one.r2,
        }


def influence_rows(answers: Answers) -> list[Row]:
    """Each effect left out of REML without moderators, and its influence (metafor's names).

    Raises NotEstimableError with fewer than three effects.
    """
    fit = rma(answers.effects, method="REML", test=answers.test, prob=answers.prob)
    without = leave1out(fit)
    found = influence(fit, without)
    return [
        {
            "effect": label,
            "without": float(one.coefficients.estimate[0]),
            "ci_lb": float(one.coefficients.ci_lb[0]),
            "ci_ub": float(one.coefficients.ci_ub[0]),
            "tau2.del": float(found.tau2_del[place]),
            "QE.del": float(found.qe_del[place]),
            "rstudent": float(found.rstudent[place]),
            "dffits": float(found.dffits[place]),
            "cook.d": float(found.cook_d[place]),
            "cov.r": float(found.cov_r[place]),
            "hat": float(found.hat[place]),
            "weight": float(found.weight[place]),
            "dfbs": float(found.dfbs[place, 0]),
        }
        for place, (label, one) in enumerate(zip(answers.effects.labels, without, strict=True))
    ]
