"""The table of estimators: one line each, and what it answers.

What cannot be estimated says why in its row; the others stand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from metarho.classical.cluster_robust import robust
from metarho.classical.effects import NotEstimableError
from metarho.classical.fits import Fits
from metarho.classical.heterogeneity import Method
from metarho.classical.multilevel import Multilevel
from metarho.classical.random_effects import TESTS, Prediction, RandomEffects, Test
from metarho.classical.small_studies import SmallStudies
from metarho.classical.wald import Coefficients

type Number = str | float | int | bool | None


@dataclass(frozen=True)
class Answer:
    """The mean (the first coefficient), and what is beside it: tau², I² in percent, a new study."""

    coefficients: Coefficients
    tau2: float | None = None
    i2: float | None = None
    prediction: Prediction | None = None
    as_well: str = ""
    """What the row's name says besides."""


@dataclass(frozen=True)
class Estimator:
    """A row of the table: its code, name, test and meaning, and how fits answer it."""

    code: str
    name: str
    test: Callable[[Fits], str]
    what: str
    answer: Callable[[Fits], Answer]


def _two_level(fits: Fits, method: Method, test: Test | None = None) -> Answer:
    fit = fits.two_level(method, test)
    return Answer(fit.coefficients, fit.tau2, fit.i2, fit.predict(fits.predtype))


def _common(fit: RandomEffects) -> Answer:
    """Tau is 0 by assumption; I² is (Q − df)/Q."""
    return Answer(fit.coefficients, None, fit.i2)


def _three_level(fit: Multilevel, coefficients: Coefficients) -> Answer:
    return Answer(coefficients, fit.tau2, fit.i2, fit.prediction)


def _line(fit: SmallStudies, as_well: str = "") -> Answer:
    return Answer(fit.coefficients, as_well=as_well)


def _z(fits: Fits) -> str:
    return "z"


def _t(fits: Fits) -> str:
    return "t"


def _named(fits: Fits) -> str:
    return TESTS[fits.test]


ESTIMATORS = (
    Estimator(
        "EE", "Common effect", _named,
        "One true effect; studies differ by sampling error alone.",
        lambda fits: _common(fits.two_level("EE")),
    ),
    Estimator(
        "DL", "DerSimonian–Laird", _named,
        "True effects vary; tau² from the excess of Q over its degrees of freedom.",
        lambda fits: _two_level(fits, "DL"),
    ),
    Estimator(
        "HE", "Hedges", _named,
        "True effects vary; tau² from the unweighted variance of the effects.",
        lambda fits: _two_level(fits, "HE"),
    ),
    Estimator(
        "HS", "Hunter–Schmidt", _named,
        "True effects vary; tau² from Q against k, which is biased downwards.",
        lambda fits: _two_level(fits, "HS"),
    ),
    Estimator(
        "SJ", "Sidik–Jonkman", _named,
        "True effects vary; tau² in one step from the variance of the effects: above 0.",
        lambda fits: _two_level(fits, "SJ"),
    ),
    Estimator(
        "ML", "Maximum likelihood", _named,
        "True effects vary; the tau² that makes the effects most likely, biased downwards.",
        lambda fits: _two_level(fits, "ML"),
    ),
    Estimator(
        "REML", "Restricted ML", _named,
        "True effects vary; ML of what is left when the mean is taken out.",
        lambda fits: _two_level(fits, "REML"),
    ),
    Estimator(
        "EB", "Empirical Bayes", _named,
        "True effects vary; the same equation as Paule–Mandel, and no prior.",
        lambda fits: _two_level(fits, "EB"),
    ),
    Estimator(
        "PM", "Paule–Mandel", _named,
        "True effects vary; the tau² at which the generalised Q equals its expectation.",
        lambda fits: _two_level(fits, "PM"),
    ),
    Estimator(
        "REML-KH", "Restricted ML", lambda fits: "Knapp–Hartung",
        "REML with a t interval whose width is rescaled by the residual variance.",
        lambda fits: _two_level(fits, "REML", "knha"),
    ),
    Estimator(
        "3L-REML", "Three-level REML", lambda fits: "z" if fits.test == "z" else "t",
        "True effects vary between studies and within them; those of one study are alike.",
        lambda fits: _three_level(fits.three_level, fits.three_level.coefficients),
    ),
    Estimator(
        "3L-CR2", "Three-level REML", lambda fits: "CR2",
        "The same, with an interval that holds if the model within studies is wrong.",
        lambda fits: _three_level(fits.three_level, robust(fits.three_level)),
    ),
    Estimator(
        "PET", "PET", _t,
        "The mean where the standard error is 0, by a line through the effects.",
        lambda fits: _line(fits.pet_peese.pet),
    ),
    Estimator(
        "PEESE", "PEESE", _t,
        "The mean where the sampling variance is 0, by a line through the effects.",
        lambda fits: _line(fits.pet_peese.peese),
    ),
    Estimator(
        "PET-PEESE", "PET-PEESE", _t,
        "PEESE where PET finds an effect in the common direction (one-sided .05), else PET.",
        lambda fits: _line(fits.pet_peese.estimate, f"here {fits.pet_peese.chosen}"),
    ),
    Estimator(
        "PET-3L", "PET, three levels", lambda fits: "CR2",
        "PET where studies have several effects: true effects vary on both levels around the line.",
        lambda fits: _line(fits.pet_mv),
    ),
    Estimator(
        "PEESE-3L", "PEESE, three levels", lambda fits: "CR2",
        "PEESE where studies have several effects.",
        lambda fits: _line(fits.peese_mv),
    ),
    Estimator(
        "TF-L0", "Trim and fill, L0", _z,
        "REML with the effects filled in that a symmetric funnel lacks.",
        lambda fits: _filled(fits.l0.fit, fits.l0.k0),
    ),
    Estimator(
        "TF-R0", "Trim and fill, R0", _z,
        "The same, counting those that are missing by the estimator R0.",
        lambda fits: _filled(fits.r0.fit, fits.r0.k0),
    ),
    Estimator(
        "3PSM", "Three-parameter selection", _z,
        "ML where results with a one-sided p above .025 have another chance to appear.",
        lambda fits: Answer(fits.selection.coefficients, fits.selection.tau2),
    ),
)  # fmt: skip


def _filled(fit: RandomEffects, k0: int) -> Answer:
    """Tau and a prediction of effects of which some are made up are not given."""
    return Answer(fit.coefficients, as_well=f"{k0} filled in")


@dataclass(frozen=True)
class Estimate:
    """An estimator's answer: numbers on the model's scale, ``on_r`` of them on r.

    ``reason`` says why there is none; all numbers are then None. ``tau`` is the sd of true effects,
    on all levels together; ``i2`` in percent; pi_lb and pi_ub a new study's true effect.
    """

    code: str
    name: str
    test: str
    what: str
    scale: str
    estimate: float | None = None
    se: float | None = None
    pval: float | None = None
    ci_lb: float | None = None
    ci_ub: float | None = None
    tau: float | None = None
    i2: float | None = None
    pi_lb: float | None = None
    pi_ub: float | None = None
    reason: str = ""

    def on_r(self, value: float | None) -> float | None:
        """A value of this row as a correlation: tanh of z, r itself; None of what is none."""
        if value is None or self.scale == "yi":
            return None
        return math.tanh(value) if self.scale == "z" else value

    @property
    def row(self) -> dict[str, Number]:
        """The row of a table for programs: first on the model's scale, then on r."""
        numbers = {
            name: getattr(self, name) for name in ("estimate", "ci_lb", "ci_ub", "pi_lb", "pi_ub")
        }
        return {
            "code": self.code,
            "name": self.name,
            "test": self.test,
            "scale": self.scale,
            **numbers,
            "se": self.se,
            "pval": self.pval,
            "tau": self.tau,
            "I2": self.i2,
            **{f"r_{name}": self.on_r(value) for name, value in numbers.items()},
            "reason": self.reason,
        }


def estimates(fits: Fits) -> tuple[Estimate, ...]:
    """Every row of the table; Knapp and Hartung's REML once, where it is that of all rows."""
    asked = [one for one in ESTIMATORS if not (one.code == "REML-KH" and fits.test == "knha")]
    return tuple(_estimate(one, fits) for one in asked)


def _estimate(estimator: Estimator, fits: Fits) -> Estimate:
    empty = Estimate(
        estimator.code, estimator.name, estimator.test(fits), estimator.what, fits.effects.scale
    )
    try:
        answer = estimator.answer(fits)
        mean = answer.coefficients
    except NotEstimableError as error:
        return replace(empty, reason=error.message)
    ahead = answer.prediction
    name = f"{estimator.name} ({answer.as_well})" if answer.as_well else estimator.name
    return replace(
        empty,
        name=name,
        estimate=float(mean.estimate[0]),
        se=_finite(mean.se[0]),
        pval=_finite(mean.pval[0]),
        ci_lb=_finite(mean.ci_lb[0]),
        ci_ub=_finite(mean.ci_ub[0]),
        tau=None if answer.tau2 is None else math.sqrt(answer.tau2),
        i2=answer.i2,
        pi_lb=None if ahead is None else ahead.pi_lb,
        pi_ub=None if ahead is None else ahead.pi_ub,
    )


def _finite(value: float | None) -> float | None:
    """None for what is no number: where a standard error is 0 or unknown."""
    return float(value) if value is not None and math.isfinite(value) else None
