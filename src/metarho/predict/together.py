"""Several new studies asked together: joint draws, in which they share mean and heterogeneity.

Each brings true effects of its own; what makes them alike is that nobody knows mu and tau. So the
probability that three studies all find something is not the product of three probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metarho.data.effect_sizes import critical_r
from metarho.engines import law_of_r
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.problem import Problem
from metarho.errors import InputError
from metarho.posterior import new_effects
from metarho.posterior.fit import Fit
from metarho.posterior.joint import hyperparameters_of_sample, independent_draws
from metarho.predict.new_studies import Law
from metarho.spec.analysis import Profile

type Array = NDArray[np.float64]

# A probability of a half is then known to .005.
DRAWS = 10_000


@dataclass(frozen=True)
class Together:
    """N joint draws for P profiles, (N, P) each, on r (GEN: yi).

    ``observed`` is NaN where a profile has no size. ``sizes`` (P) are in people, NaN where unknown.
    """

    labels: tuple[str, ...]
    mean: Array
    true: Array
    observed: Array
    sizes: Array

    def probability(self, event: NDArray[np.bool_]) -> tuple[float, float]:
        """Of an event (N) its share among the draws, and the Monte Carlo error of that."""
        share = float(event.mean())
        return share, float(np.sqrt(share * (1 - share) / len(event)))

    @property
    def significant(self) -> NDArray[np.bool_]:
        """Which draws are significant at .05, two-sided (N, P)."""
        limits = np.array([np.inf if np.isnan(n) else critical_r(n) for n in self.sizes])
        return np.asarray(np.abs(self.observed) >= limits)

    @property
    def correlation(self) -> Array:
        """The correlations of true effects between profiles (P, P)."""
        return np.atleast_2d(np.corrcoef(self.true, rowvar=False))


def not_together(problem: Problem) -> str | None:
    """Why new studies cannot be drawn together; None where they can."""
    if problem.model.custom is None and problem.model.measurement == "observed":
        return None
    return (
        f"model {problem.model.name}: new studies are drawn together for models of the grammar, of "
        "observed scores; ask them one by one"
    )


def draw_together(
    fit: Fit, profiles: Sequence[Profile], law: Law = "model", count: int = DRAWS
) -> Together:
    """Joint draws of the mean, the true and the observed effect of several new studies.

    ``count`` independent draws of exact fits; of sampled ones the sampler's own. The seed is the
    fit's. Raises InputError for custom models and for models of true scores.
    """
    problem = fit.problem
    if refusal := not_together(problem):
        raise InputError(refusal)
    # A stream of its own, apart from those of the saved fit.
    rng = np.random.default_rng((fit.seed, 7))
    if isinstance(fit.result, Quadrature):
        values = independent_draws(problem, fit.result, count, rng)
        coefficients = np.stack([values[name] for name in problem.coefficients], axis=-1)
    else:
        from metarho.posterior.sampled import Sampled

        assert isinstance(fit.posterior, Sampled)
        values = {name: one.ravel() for name, one in fit.posterior.all_parameters.items()}
        coefficients = hyperparameters_of_sample(fit.posterior).coefficients
    means, trues, observed = [], [], []
    for profile in profiles:
        scale = problem.scale_design.encode(profile.moderators)
        mean = coefficients @ problem.design.encode(profile.moderators)
        true = mean + new_effects.draw_noise(problem, values, scale, 0.0, rng)
        means.append(mean)
        trues.append(true)
        observed.append(_observed(fit, profile, law, true, rng))

    def on_r(columns: list[Array]) -> Array:
        stacked = np.stack(columns, axis=-1)
        return np.tanh(stacked) if problem.scale == "z" else stacked

    sizes = np.array([np.nan if one.ni is None else one.ni for one in profiles])
    labels = tuple(one.label for one in profiles)
    return Together(labels, on_r(means), on_r(trues), on_r(observed), sizes)


def _observed(fit: Fit, profile: Profile, law: Law, true: Array, rng: np.random.Generator) -> Array:
    """What is observed of true effects, on the model's scale; NaN where no size is known."""
    problem = fit.problem
    if problem.scale == "yi" and profile.sei is not None:
        return np.asarray(true + profile.sei * rng.standard_normal(true.shape))
    if problem.scale != "z" or profile.ni is None:
        return np.full(true.shape, np.nan)
    if law == "exact" or problem.model.likelihood == "exact-r":
        return law_of_r.sample(true, profile.ni, rng)
    return np.asarray(true + rng.standard_normal(true.shape) / np.sqrt(profile.ni - 3.0))
