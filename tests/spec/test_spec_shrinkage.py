"""Joint priors of slopes: where they may stand, and the ordinary priors that they become."""

from __future__ import annotations

from pathlib import Path

import pytest

from cases import JOINT
from metarho.errors import InputError
from metarho.spec.lookup import shipped_folder
from metarho.spec.model import checked_priors, read_model, resolve_priors
from metarho.spec.priors import parse_prior
from metarho.spec.shrinkage import expanded

COLUMNS = {"guidance[T.blended]": "guidance", "guidance[T.unguided]": "guidance", "n": "n"}
SDS = {"guidance[T.blended]": 0.5, "guidance[T.unguided]": 0.25, "n": 20.0}


def said(
    given: dict[str, str], columns: dict[str, str] = COLUMNS, sds: dict[str, float] = SDS
) -> dict[str, str]:
    """Parameter -> prior and source, in words."""
    model = read_model(shipped_folder("models") / "random-effects.yaml")
    priors = {name: parse_prior(text) for name, text in given.items()}
    applied = resolve_priors(model, columns, priors, None, sds)
    return {name: f"{entry.prior}, {entry.source}" for name, entry in applied.items()}


def test_a_horseshoe_becomes_slopes_in_units_of_their_scale() -> None:
    found = said({"beta": "RegularizedHorseshoe(tau0=0.1, slab_df=4, slab_scale=0.5)"})
    assert found == {
        "mu": "Normal(mu=0, sigma=0.5), model",
        **{
            f"beta[{name}]": "Normal(mu=0, sigma=1) on beta/horseshoe, prior set"
            for name in COLUMNS
        },
        "beta_global": "HalfCauchy(beta=0.1), prior set",
        "beta_slab2": "InverseGamma(alpha=2, beta=0.5), prior set",
        **{f"beta_local[{name}]": "HalfCauchy(beta=1), prior set" for name in COLUMNS},
        "tau": "HalfNormal(sigma=0.25), model",
    }


def test_r2d2_divides_each_slope_by_the_sd_of_its_column() -> None:
    found = said({"beta": "R2D2(mean=0.25, precision=4, concentration=0.6)"})
    assert found == {
        "mu": "Normal(mu=0, sigma=0.5), model",
        "beta[guidance[T.blended]]": "Normal(mu=0, sigma=2) on beta/R2D2, prior set",
        "beta[guidance[T.unguided]]": "Normal(mu=0, sigma=4) on beta/R2D2, prior set",
        "beta[n]": "Normal(mu=0, sigma=0.05) on beta/R2D2, prior set",
        "beta_R2": "Beta(alpha=1, beta=3), prior set",
        **{f"beta_gamma[{name}]": "Gamma(alpha=0.6, beta=1), prior set" for name in COLUMNS},
        "tau": "HalfNormal(sigma=0.25), model",
    }


@pytest.mark.parametrize("text", JOINT.values(), ids=JOINT)
def test_a_slope_with_a_prior_of_its_own_stays_outside(text: str) -> None:
    found = said({"beta": text, "beta[guidance]": "Normal(mu=0, sigma=0.1)"})
    assert found["beta[guidance[T.blended]]"] == "Normal(mu=0, sigma=0.1), prior set"
    of_scale = [name for name in found if name.startswith("beta_") and "[" in name]
    assert [name.partition("[")[2] for name in of_scale] == ["n]"]
    # Slopes stay in the order of the design's columns.
    slopes = [name for name in found if name.startswith("beta[")]
    assert slopes == [f"beta[{name}]" for name in COLUMNS]


@pytest.mark.parametrize("text", JOINT.values(), ids=JOINT)
def test_without_slopes_a_joint_prior_is_not_used(text: str) -> None:
    assert list(said({"beta": text}, {}, {})) == ["mu", "tau"]
    every_slope_has_its_own = {"beta": text, "beta[n]": "Normal(mu=0, sigma=1)"}
    assert list(said(every_slope_has_its_own, {"n": "n"}, {"n": 1.0})) == ["mu", "beta[n]", "tau"]
    assert expanded(parse_prior(text), {}) == {}


@pytest.mark.parametrize("name", ["mu", "beta[n]", "tau", "alpha", "omega", "share", "pet"])
@pytest.mark.parametrize("text", JOINT.values(), ids=JOINT)
def test_a_joint_prior_of_anything_but_all_slopes_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValueError, match="is a prior of all slopes together; name it beta"):
        checked_priors({name: parse_prior(text)})


def test_a_model_file_may_have_one_and_a_wrong_place_has_a_line(tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    text = JOINT["R2D2"]
    path.write_text(f"priors:\n  beta: {text}\n", encoding="utf-8")
    assert read_model(path).priors == {"beta": parse_prior(text)}
    path.write_text(f"priors:\n  mu: {text}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"many\.yaml:1: priors: mu: R2D2\("):
        read_model(path)


@pytest.mark.parametrize("text", JOINT.values(), ids=JOINT)
@pytest.mark.parametrize("scale", ["r", "tau2", "mu/tau"])
def test_a_joint_prior_has_no_other_scale_and_is_not_cut(text: str, scale: str) -> None:
    with pytest.raises(InputError):
        parse_prior(f"{text} on {scale}")
    with pytest.raises(InputError, match="cannot be truncated"):
        parse_prior(f"Truncated(dist={text}, lower=0)")


@pytest.mark.parametrize("scale", ["beta/horseshoe", "beta/R2D2"])
def test_the_units_of_slopes_cannot_be_written(scale: str) -> None:
    with pytest.raises(InputError, match=f"not 'on {scale}'"):
        parse_prior(f"Normal(mu=0, sigma=1) on {scale}")


REFUSED = {
    "R2D2(mean=1, precision=2, concentration=0.5)": "mean must be less than 1",
    "R2D2(mean=0.9, precision=2, concentration=0.5)": "tails heavier than Cauchy's",
    "R2D2(mean=0.5, precision=2, concentration=0.01)": "give at least 0.05",
    "R2D2(mean=0.5, precision=2)": "concentration missing",
    "RegularizedHorseshoe(tau0=0.1)": "slab_df, slab_scale missing",
    "RegularizedHorseshoe(tau0=0, slab_df=4, slab_scale=1)": "tau0 must be greater than 0",
}


@pytest.mark.parametrize("text", REFUSED)
def test_numbers_without_a_meaning_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=REFUSED[text]):
        parse_prior(text)


def test_the_heaviest_tails_that_are_allowed_are_not_lost_to_rounding() -> None:
    assert parse_prior("R2D2(mean=0.9, precision=5, concentration=0.5)").values["mean"] == 0.9


def test_r2d2_needs_moderators_that_vary() -> None:
    with pytest.raises(InputError, match=r"n is the same in all rows; .* beta\[n\]"):
        said({"beta": JOINT["R2D2"]}, sds={**SDS, "n": 0.0})
