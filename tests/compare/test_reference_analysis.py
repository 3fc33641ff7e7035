"""Which posterior has flat mu and Jeffreys' tau, and where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from cases import alliance, molloy, problem, written
from metarho.compare.reference_analysis import reference_analysis


def test_it_has_flat_mu_and_jeffreys_tau_and_is_otherwise_the_same() -> None:
    own = problem(molloy(), mu="Normal(mu=1, sigma=0.01)", tau="HalfNormal(sigma=0.01)")
    other = problem(molloy(), mu="Flat()", tau="Jeffreys()")
    found = reference_analysis(own)
    assert found is not None
    assert {n: str(a.prior) for n, a in found.priors.items()} == {
        n: str(a.prior) for n, a in other.priors.items()
    }
    assert found.evidence is own.evidence


def test_without_heterogeneity_only_mu_is_flat() -> None:
    found = reference_analysis(problem(molloy(), "common-effect"))
    assert found is not None
    assert [str(applied.prior) for applied in found.priors.values()] == ["Flat()"]


@pytest.mark.parametrize("name", ["three-level", "three-level-moderators"])
def test_several_levels_have_none(name: str) -> None:
    assert reference_analysis(problem(alliance("drop"), name)) is None


def test_what_would_be_improper_has_none(tmp_path: Path) -> None:
    alone = problem(written(tmp_path, [{"yi": 0.1, "vi": 0.01}]))
    assert reference_analysis(alone) is None
