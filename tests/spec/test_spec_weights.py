"""Selection: p-values, bands and the joint prior of their weights."""

from __future__ import annotations

import numpy as np
import pytest

from cases import model, molloy
from metarho.engines.problem import encode
from metarho.errors import InputError
from metarho.posterior.prior_draws import draw_priors
from metarho.spec.model import Model, Step, StepSelection, resolve_priors
from metarho.spec.priors import parse_prior


def stepped(**step: object) -> Model:
    selection = StepSelection(step=Step.model_validate(step))
    return model("random-effects").model_copy(update={"selection": selection})


def test_two_sided_p_are_one_sided_ones_of_either_sign() -> None:
    step = Step(cutpoints=(0.05, 0.1), sides="two")
    assert step.one_sided == pytest.approx((0.025, 0.05, 0.95, 0.975))
    assert step.band_of == (0, 1, 2, 1, 0)


def test_p_of_means_below_0_are_mirrored() -> None:
    step = Step(cutpoints=(0.025, 0.5), favours="negative")
    assert step.one_sided == pytest.approx((0.5, 0.975))
    assert step.band_of == (2, 1, 0)


def test_two_sides_favour_no_sign() -> None:
    with pytest.raises(ValueError, match="favours neither sign"):
        Step(cutpoints=(0.05,), sides="two", favours="negative")


def test_a_cumulative_dirichlet_is_a_sequence_of_breaks() -> None:
    joint = parse_prior("CumulativeDirichlet(alpha=[1, 2, 3])")
    applied = resolve_priors(stepped(cutpoints=(0.025, 0.5)), {}, {"omega": joint})
    texts = {name: str(one.prior) for name, one in applied.items() if name.startswith("omega")}
    assert texts == {
        "omega[0.025-0.5]": "Beta(alpha=5, beta=1)",
        "omega[0.5-1]": "Beta(alpha=3, beta=2) on omega/band before",
    }


def test_draws_of_its_weights_are_sums_of_a_dirichlet_s_parts() -> None:
    priors = {"omega": parse_prior("CumulativeDirichlet(alpha=[1, 2, 3])")}
    problem = encode(stepped(cutpoints=(0.025, 0.5)), molloy(), priors)
    rng = np.random.default_rng(4)
    drawn = draw_priors(problem, rng, 200_000)
    found = np.stack([drawn[name] for name in problem.shapes])
    parts = rng.dirichlet([1, 2, 3], 200_000).T
    truth = np.stack([parts[1] + parts[2], parts[2]])
    # Standard errors of means are 0.0005, of correlations 0.002.
    assert found.mean(axis=1) == pytest.approx(truth.mean(axis=1), abs=0.002)
    assert np.corrcoef(found).ravel() == pytest.approx(np.corrcoef(truth).ravel(), abs=0.01)
    assert (found[1] <= found[0]).all()


@pytest.mark.parametrize(
    ("priors", "said"),
    [
        (
            {"omega": "CumulativeDirichlet(alpha=[1, 1])"},
            "has 2 numbers, and the selection 3 bands",
        ),
        (
            {
                "omega": "CumulativeDirichlet(alpha=[1, 1, 1])",
                "omega[0.5-1]": "Beta(alpha=1, beta=1)",
            },
            r"omega\[0.5-1\] has a prior of its own, and the other weights share one",
        ),
    ],
)
def test_a_joint_prior_that_does_not_fit_is_refused(priors: dict[str, str], said: str) -> None:
    given = {name: parse_prior(text) for name, text in priors.items()}
    with pytest.raises(InputError, match=said):
        resolve_priors(stepped(cutpoints=(0.025, 0.5)), {}, given)
