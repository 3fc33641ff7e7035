"""The evidence as what was printed, and replicates of it.

Replicates are of new studies: true effects are drawn anew from their law, not given the rows (the
mixed predictive of Gelman, Meng and Stern 1996). With the rows' own effects nearly any spread or
asymmetry would be replicated, and the law of effects never be put to the test.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from metarho.checks.discrepancies import Rows
from metarho.data.effect_sizes import WORDS
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.problem import Problem
from metarho.errors import InputError
from metarho.posterior.effects import replicate
from metarho.posterior.fit import Fit
from metarho.posterior.hyperparameters import Hyperparameters, bias_of_rows
from metarho.posterior.joint import hyperparameters_of_sample, independent_draws
from metarho.posterior.prior_predictive import draw_new_effects, draw_new_rows

type Array = NDArray[np.float64]

WORD_CODES = {"not significant": 0.0, "significant positive": 1.0, "significant negative": -1.0}


def in_checks(problem: Problem) -> NDArray[np.bool_]:
    """Which rows are checked: all but ranges, whose ends no law says how to choose."""
    reported = np.array([row.reported in WORDS for row in problem.evidence.rows], dtype=bool)
    return np.asarray(~problem.evidence.is_interval | reported)


def rows_of(problem: Problem) -> Rows:
    """The rows that are checked, before they print anything."""
    evidence, kept = problem.evidence, in_checks(problem)
    return Rows(
        evidence.v[kept],
        evidence.sizes[kept],
        critical_of(problem)[kept],
        evidence.is_interval[kept],
    )


def critical_of(problem: Problem) -> Array:
    """|y| beyond which each row's test is significant, on the model's scale; NaN without n.

    Of correlations by the t test with n − 2 df, of GEN by the normal one.
    """
    evidence = problem.evidence
    match problem.measure:
        case "GEN":
            alpha = np.array([row.alpha for row in evidence.rows])
            return np.asarray(ndtri(1 - alpha / 2) * np.sqrt(evidence.v))
        case "COR":
            return np.tanh(evidence.critical)
    return evidence.critical


def printed_of(problem: Problem) -> Array:
    """What the rows that are checked did print: (1, k)."""
    evidence, kept = problem.evidence, in_checks(problem)
    words = np.array([WORD_CODES.get(row.reported, np.nan) for row in evidence.rows])
    return np.where(evidence.is_interval, words, evidence.y)[None, kept]


def replicates_of(fit: Fit, rng: np.random.Generator) -> Array:
    """What new studies like those that are checked would print: (draws, k).

    One set a draw of the posterior: the sampler's, or as many independent ones.

    Raises InputError for a custom model, of which it is not known what a new study is.
    """
    problem = fit.problem
    if isinstance(fit.result, Quadrature):
        count = fit.sampler.chains * fit.sampler.draws
        values = independent_draws(problem, fit.result, count, rng)
        coefficients = np.stack([values[name] for name in problem.coefficients], axis=-1)
        others = {name: values[name] for name in problem.shapes}
        given = Hyperparameters(coefficients, problem.level_variances(values), {}, others)
    else:
        from metarho.posterior.sampled import Sampled

        if (refusal := no_replicates(problem)) or not isinstance(fit.posterior, Sampled):
            raise InputError(str(refusal))
        given = hyperparameters_of_sample(fit.posterior)
    return print_rows(problem, given, rng)


def no_replicates(problem: Problem) -> str | None:
    """Why a model cannot be checked; None when it can."""
    if problem.model.custom is None:
        return None
    return (
        f"model {problem.model.name} is built by {problem.model.custom}, and what a new study is "
        "under it is not known; look at posterior_predictive of its saved fit"
    )


def print_rows(problem: Problem, given: Hyperparameters, rng: np.random.Generator) -> Array:
    """What new studies print, by draws of the hyperparameters: (N, k), of rows that are checked."""
    sums_up = problem.evidence.sums_up
    if sums_up.any():
        # Never selected ones: their joint law is not known.
        theta = draw_new_effects(problem, given, rng)
        y = replicate(problem, given, theta, rng)
        seen = theta + bias_of_rows(problem, given)
        for row in np.flatnonzero(sums_up):
            y[:, row] = _deciding_test(problem, int(row), seen[:, row], rng)
    else:
        y = draw_new_rows(problem, given, rng)
    kept = in_checks(problem)
    critical, words = critical_of(problem), problem.evidence.is_interval
    said = np.where(np.abs(y) > critical, np.sign(y), 0.0)
    return np.asarray(np.where(words, said, y)[:, kept])


def _deciding_test(problem: Problem, row: int, centre: Array, rng: np.random.Generator) -> Array:
    """Of several tests that a row sums up, the one that decides the word: (N).

    Where "not significant" says that all were not, the most significant one; else the least, or 0
    where they point both ways.
    """
    evidence = problem.evidence
    known, own = evidence.rows[row], evidence.v_own[row]
    shared = centre + np.sqrt(evidence.v[row] - own) * rng.standard_normal(len(centre))
    tests = shared[:, None] + np.sqrt(own) * rng.standard_normal((len(centre), known.tests))
    size = np.abs(tests)
    if (known.reported == "not significant") == (known.word_means == "all"):
        return np.asarray(np.take_along_axis(tests, size.argmax(axis=1)[:, None], 1)[:, 0])
    least = np.take_along_axis(tests, size.argmin(axis=1)[:, None], 1)[:, 0]
    one_way = np.abs(np.sign(tests).sum(axis=1)) == known.tests
    return np.where(one_way, least, 0.0)
