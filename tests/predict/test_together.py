"""Several new studies share what is unknown of mean and heterogeneity."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from cases import alliance, molloy, problem
from metarho.engines.nuts.draws import Draws
from metarho.errors import InputError
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit
from metarho.predict.new_studies import predict
from metarho.predict.together import Together, draw_together
from metarho.spec.analysis import Profile

PROFILES = [Profile(label="a", ni=10), Profile(label="b", ni=200), Profile(label="c")]


def fitted(name: str = "random-effects", **priors: str) -> Fit:
    (fit,) = fit_many([problem(molloy(), name, **priors)], Settings())
    return fit


@pytest.fixture(scope="module")
def drawn() -> Together:
    return draw_together(fitted(), PROFILES)


def test_each_study_alone_has_its_own_prediction(drawn: Together) -> None:
    fit = fitted()
    for place, profile in enumerate(PROFILES[:2]):
        for item in predict(fit, profile, []):
            draws = getattr(drawn, item.quantity)[:, place]
            # Kolmogorov–Smirnov against the integrated law: fixed seed, p above 1e-4.
            found = stats.kstest(np.sort(draws), lambda x, m=item.marginal: m.cdf(np.asarray(x)))
            assert found.pvalue > 1e-4, (profile.label, item.quantity)


def test_a_study_without_people_observes_nothing(drawn: Together) -> None:
    assert np.isnan(drawn.observed[:, 2]).all() and not np.isnan(drawn.true).any()
    assert not drawn.significant[:, 2].any()


def test_the_mean_is_one_and_true_effects_are_each_their_own(drawn: Together) -> None:
    assert np.array_equal(drawn.mean[:, 0], drawn.mean[:, 1])
    assert not np.any(drawn.true[:, 0] == drawn.true[:, 1])


def test_true_effects_correlate_by_what_is_unknown_of_the_mean() -> None:
    # With tau known, on z: var(mu)/(var(mu) + tau²).
    fit = fitted(tau="DiracDelta(c=0.1)")
    sd = fit.parameters["mu"].sd or 0.0
    z = np.arctanh(draw_together(fit, PROFILES[:2]).true)
    expected = sd**2 / (sd**2 + 0.01)
    # The standard error of a correlation of so many draws, four times.
    error = 4 * (1 - expected**2) / math.sqrt(len(z))
    assert np.corrcoef(z, rowvar=False)[0, 1] == pytest.approx(expected, abs=error)


def test_together_is_likelier_than_apart(drawn: Together) -> None:
    event = drawn.true[:, :2] > 0.15
    together, error = drawn.probability(event.all(axis=1))
    assert together > np.prod(event.mean(axis=0)) + error
    assert error == pytest.approx(math.sqrt(together * (1 - together) / len(event)))


def test_sampled_fits_draw_as_exact_ones_do(drawn: Together) -> None:
    fit = fitted()
    posterior = fit.tree["posterior"]
    values = {name: posterior[name].to_numpy() for name in ("mu", "tau")}
    # As if a sampler had drawn them.
    sampled = replace(fit, result=Draws(values, {}, {}, 0.8, False))
    found = draw_together(sampled, PROFILES[:2])
    assert len(found.mean) == values["mu"].size
    for share in (0.1, 0.5, 0.9):
        # A quantile of 4,000 independent draws is known to a twentieth of the sd.
        a, b = (np.quantile(one.true[:, 0], share) for one in (found, drawn))
        assert a == pytest.approx(b, abs=0.2 * drawn.true[:, 0].std())


def test_moderators_move_each_study_to_its_place() -> None:
    (fit,) = fit_many([problem(alliance("drop"), mods="~ guidance")], Settings())
    profiles = [Profile(label=x, ni=50, guidance=x) for x in ("guided", "unguided")]
    found = draw_together(fit, profiles)
    difference = np.arctanh(found.mean[:, 1]) - np.arctanh(found.mean[:, 0])
    slope = fit.parameters["beta[guidance[T.unguided]]"]
    assert slope.mean is not None and slope.sd is not None
    assert difference.mean() == pytest.approx(slope.mean, abs=4 * slope.sd / 100)


def test_models_of_true_scores_are_refused() -> None:
    fit = fitted()
    model = fit.problem.model.model_copy(update={"measurement": "true-score"})
    with pytest.raises(InputError, match="of observed scores; ask them one by one"):
        draw_together(replace(fit, problem=replace(fit.problem, model=model)), PROFILES)
