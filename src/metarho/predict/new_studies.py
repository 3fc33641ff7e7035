"""New studies: the mean, the true effect and the observed effect of a profile, told apart.

- ``mean``: the mean of true effects at the profile's moderators;
- ``true``: the true effect of one new study there (adds all heterogeneity);
- ``observed``: what a new study of ``ni`` people would report (adds sampling error).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metarho.data.effect_sizes import critical_r
from metarho.engines.measurement import observed_z
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import ABSENT, Marginal, Summary
from metarho.predict.words import ORDERED_WORDS, word_probabilities
from metarho.spec.analysis import Profile

type Law = Literal["model", "exact"]
QUANTITIES = ("mean", "true", "observed")


@dataclass(frozen=True)
class Prediction:
    """One quantity of one profile: a marginal on r (GEN: on yi), its numbers, P(> threshold).

    What is observed follows the ``law``; ``words`` has the probability of each word that a study of
    ``ni`` people could print of its two-sided test at .05.
    """

    profile: str
    quantity: str
    ni: float | None
    marginal: Marginal
    summary: Summary
    probabilities: tuple[float, ...]
    law: Law = "model"
    words: Mapping[str, float] = field(default_factory=dict)

    @property
    def significant(self) -> float | None:
        """P(p < .05), two-sided; None where no words are known."""
        return 1 - self.words["not significant"] if self.words else None


def predict(
    fit: Fit, profile: Profile, thresholds: Sequence[float], law: Law = "model"
) -> list[Prediction]:
    """The predictions of a fit for a profile.

    ``observed`` needs the profile's ``ni`` (GEN: ``sei``) and is left out without it. It follows
    the model's own sampling law, or with ``law="exact"`` the exact law of r given the true
    correlation, under any model on Fisher's z. With COR, whose variance depends on the true
    correlation, it is left out under both; GEN has only its own. For models of true scores, mean
    and true are of true scores, and ``observed`` needs the profile's reliabilities too. Custom
    models have ``true`` only with a ``theta_new``, and ``observed`` only by the exact law.
    """
    row = fit.problem.design.encode(profile.moderators)
    found = {
        "mean": fit.posterior.mean_of(row),
        "true": _true(fit, profile, 0.0),
        "observed": observed(fit, profile, law),
    }
    return [
        _prediction(fit, profile, quantity, marginal, thresholds, law)
        for quantity, marginal in found.items()
        if marginal is not None and marginal is not ABSENT
    ]


def observed(fit: Fit, profile: Profile, law: Law = "model") -> Marginal | None:
    """What a new study of the profile's size reports, on the model's scale.

    None where the profile has no size, or the law of what is observed is not known.
    """
    row = fit.problem.design.encode(profile.moderators)
    if fit.problem.model.measurement == "true-score":
        return _observed_scores(fit, profile)
    if fit.problem.model.custom is not None and law == "model":
        return None
    exactly = law == "exact" or fit.problem.model.likelihood == "exact-r"
    if exactly and fit.problem.scale == "z":
        if profile.ni is None:
            return None
        if isinstance(fit.posterior, Exact):
            return fit.posterior.observed_z(row, profile.ni)
        scale = fit.problem.scale_design.encode(profile.moderators)
        return fit.posterior.observed_z(row, profile.ni, scale)
    variance = _sampling_variance(fit, profile)
    return None if variance is None else _true(fit, profile, variance)


def _observed_scores(fit: Fit, profile: Profile) -> Marginal | None:
    """What a new study measures of true scores with the reliabilities that the profile names."""
    variance = _sampling_variance(fit, profile)
    if variance is None or profile.rxx is None or profile.ryy is None:
        return None
    # Loaded here: exact fits do without it.
    from metarho.posterior.sampled import Sample

    theta = _true(fit, profile, 0.0)
    assert isinstance(theta, Sample)
    ux = 1.0 if profile.ux is None else profile.ux
    artefacts = [np.array(value) for value in (profile.rxx, profile.ryy, ux)]
    z = observed_z(theta.draws, *artefacts)
    # A stream of its own, apart from that of new effects.
    noise = np.random.default_rng((fit.seed, 4)).standard_normal(z.shape)
    return Sample(z + np.sqrt(variance) * noise)


def _true(fit: Fit, profile: Profile, extra_variance: float) -> Marginal:
    """The true effect of a new study, plus noise. Only sampled models have moderators of tau."""
    row = fit.problem.design.encode(profile.moderators)
    if isinstance(fit.posterior, Exact):
        return fit.posterior.theta_new(row, extra_variance)
    scale = fit.problem.scale_design.encode(profile.moderators)
    return fit.posterior.theta_new(row, extra_variance, scale)


def marginal_means(fit: Fit) -> list[tuple[str, str, Summary]]:
    """The mean at each level of each factor, other moderators at their average: on r."""
    design = fit.problem.design
    found = []
    for name, levels in design.levels.items():
        for level in levels:
            marginal = fit.posterior.mean_of(design.encode({name: level}))
            found.append((name, level, _on_r(fit, marginal)[1]))
    return found


def _sampling_variance(fit: Fit, profile: Profile) -> float | None:
    if fit.problem.measure == "ZCOR" and profile.ni is not None:
        return 1.0 / (profile.ni - 3.0)
    if fit.problem.measure == "GEN" and profile.sei is not None:
        return profile.sei**2
    return None


def _on_r(fit: Fit, base: Marginal) -> tuple[Marginal, Summary]:
    marginal: Marginal = fit.posterior.rho(base)
    return marginal, marginal.summary(fit.interval.prob, fit.interval.kind)


def words_of(law: Marginal, ni: float) -> dict[str, float]:
    """P(word) for the words that a study of ``ni`` people prints of its two-sided test at .05.

    ``law`` is that of the observed r, on Fisher's z.
    """
    critical = math.atanh(critical_r(ni))
    return dict(zip(ORDERED_WORDS, word_probabilities(law, critical), strict=True))


def _prediction(
    fit: Fit,
    profile: Profile,
    quantity: str,
    base: Marginal,
    thresholds: Sequence[float],
    law: Law,
) -> Prediction:
    marginal, summary = _on_r(fit, base)
    at: NDArray[np.float64] = np.asarray(thresholds, dtype=float)
    above = tuple(float(p) for p in np.atleast_1d(1 - marginal.cdf(at))) if len(at) else ()
    words: dict[str, float] = {}
    if quantity == "observed" and profile.ni is not None and fit.problem.scale == "z":
        words = words_of(base, profile.ni)
    return Prediction(profile.label, quantity, profile.ni, marginal, summary, above, law, words)
