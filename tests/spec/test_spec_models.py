"""Models: what a file says, whose prior reaches which parameter."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from metarho.errors import InputError
from metarho.spec.lookup import shipped_folder
from metarho.spec.model import (
    SHARE_PRIOR,
    Model,
    checked_priors,
    names_reached,
    read_model,
    resolve_priors,
    with_mods,
)
from metarho.spec.priors import REFERENCES, parse_prior

SHIPPED = sorted(path.stem for path in shipped_folder("models").glob("*.yaml"))
COEFFICIENTS = {"guidance[T.blended]": "guidance", "guidance[T.unguided]": "guidance", "n": "n"}


def shipped(name: str) -> Model:
    return read_model(shipped_folder("models") / f"{name}.yaml")


def refusal(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_model(path)
    return str(caught.value).removeprefix(str(path))


def said(model: Model, given: dict[str, str], coefficients: dict[str, str]) -> dict[str, str]:
    """Parameter -> prior and source, in words."""
    priors = {name: parse_prior(text) for name, text in given.items()}
    applied = resolve_priors(model, coefficients, priors)
    return {name: f"{prior.prior}, {prior.source}" for name, prior in applied.items()}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_model_gives_all_its_parameters_a_prior(name: str) -> None:
    model = shipped(name)
    applied = resolve_priors(model, {"year": "year"}, {})
    own = ["mu", "beta[year]", *model.level_sds.values(), *model.shapes]
    assert list(applied) == (own if model.custom is None else list(model.priors))
    assert model.title and model.description


@pytest.mark.parametrize(
    ("random", "sds"),
    [
        ("none", {}),
        ("effect", {"effect": "tau"}),
        ("study", {"study": "tau_study"}),
        ("study/effect", {"study": "tau_study", "effect": "tau_effect"}),
        (
            "study/effect + rater",
            {"study": "tau_study", "effect": "tau_effect", "rater": "tau_rater"},
        ),
    ],
)
def test_levels_name_their_sds(random: str, sds: dict[str, str]) -> None:
    assert Model(name="m", random=random).level_sds == sds


def test_a_model_has_the_defaults_of_the_design(tmp_path: Path) -> None:
    path = tmp_path / "plain.yaml"
    path.write_text("title: T\n", encoding="utf-8")
    model = read_model(path)
    assert model == Model(name="plain", title="T")
    assert (model.likelihood, model.mods, model.random) == ("normal", "~ 1", "effect")
    assert (model.effects, model.selection, model.scale) == ("normal", "none", "~ 1")


def test_a_model_is_frozen() -> None:
    field = "mods"
    with pytest.raises(ValidationError, match="frozen"):
        setattr(shipped("random-effects"), field, "~ year")


def test_other_moderators_leave_the_rest_of_a_model_alone() -> None:
    model = shipped("three-level")
    other = with_mods(model, "~ year")
    assert other.model_copy(update={"mods": model.mods}) == model


def test_other_moderators_are_checked_like_the_model_s_own() -> None:
    with pytest.raises(InputError, match="cannot be called"):
        with_mods(shipped("three-level"), "~ eval(n)")


FAULTS = {
    "an unknown key": (
        "titel: x\n",
        ":1: unknown key 'titel'; allowed: custom, data_overlap, description",
    ),
    "a name": ("name: x\n", ":1: unknown key 'name'; a model is named by its file"),
    "a misspelt word": (
        "title: x\nlikelihood: norml\n",
        ":2: likelihood: 'norml' should be 'normal' or 'exact-r'",
    ),
    "a list for random": ("random: [effect]\n", ":1: random: ['effect'] should be a valid string"),
    "a sentence for random": ("random: a b\n", ":1: random: 'a b' is not a random-effects"),
    "a formula that calls": ("title: x\nmods: ~ eval(n)\n", ":2: mods: formula '~ eval(n)':"),
    "a formula with braces": ("mods: '~ {n}'\n", ":1: mods: formula '~ {n}': the character"),
    "a scale formula that calls": ("scale: ~ eval(n)\n", ":1: scale: formula '~ eval(n)':"),
    "a path for custom": ("custom: ../x.py\n", ":1: custom names a file below"),
    "a misspelt family": (
        "priors:\n  mu: Norml(mu=0, sigma=1)\n",
        ":2: priors.mu: prior 'Norml(mu=0, sigma=1)': no family 'Norml'",
    ),
    "a negative scale": (
        "priors:\n  mu: Flat()\n  tau: HalfNormal(sigma=-1)\n",
        ":3: priors.tau: prior 'HalfNormal(sigma=-1)': sigma must be greater than 0, not -1.0",
    ),
    "a number for a prior": ("priors:\n  tau: 3\n", ":2: priors.tau: 3 should be a valid string"),
    "a weight of no band": (
        "selection: {step: {cutpoints: [0.025, 0.5]}}\n"
        "priors: {'omega[0.025-0.05]': 'Uniform(lower=0, upper=1)'}\n",
        "the selection has no omega[0.025-0.05]",
    ),
    "a cutpoint beyond 1": ("selection: {step: {cutpoints: [2]}}\n", "should be less than 1"),
    "tau and tau2": (
        "priors: {tau2: HalfNormal(sigma=1), tau: HalfNormal(sigma=1)}\n",
        "tau and tau2 cannot both have a prior",
    ),
    "tau on r": ("priors: {tau: 'Beta(alpha=1, beta=1) on r'}\n", "only a prior of mu can be on r"),
    "mu on tau2": ("priors: {mu: HalfNormal(sigma=1) on tau2}\n", "only a prior of heterogeneity"),
    "tau2 below 0": (
        "priors: {tau2: 'Normal(mu=0, sigma=1)'}\n",
        "tau2: Normal(mu=0, sigma=1) has mass below 0",
    ),
    "a reference prior of mu": ("priors: {mu: Jeffreys()}\n", "Jeffreys() is a prior for tau only"),
    "a reference prior of a level": (
        "priors: {tau_study: DuMouchel()}\n",
        "DuMouchel() is a prior for tau only",
    ),
    "a misspelt parameter": ("priors: {tua: Flat()}\n", "no parameter 'tua'; allowed: alpha"),
    "an open bracket": ("priors: {'beta[': Flat()}\n", "no parameter 'beta['"),
    "a share outside 0 to 1": ("priors: {share: HalfNormal(sigma=1)}\n", "must lie in 0 to 1"),
}


@pytest.mark.parametrize("text, said", FAULTS.values(), ids=FAULTS)
def test_a_fault_in_a_model_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(tmp_path, text)


def test_the_keys_that_are_allowed_do_not_hold_the_name(tmp_path: Path) -> None:
    assert " name," not in refusal(tmp_path, "titel: x\n")


@pytest.mark.parametrize("parameter", ["tau", "tau_study", "tau_effect"])
@pytest.mark.parametrize(
    "prior",
    ["Normal(mu=1, sigma=0.1)", "Uniform(lower=-0.1, upper=1)", "DiracDelta(c=-0.1)"],
)
def test_a_prior_with_mass_below_zero_is_refused_for_a_standard_deviation(
    parameter: str, prior: str
) -> None:
    with pytest.raises(ValueError, match=f"^{parameter}: .* has mass below 0"):
        checked_priors({parameter: parse_prior(prior)})


@pytest.mark.parametrize(
    "prior", ["HalfNormal(sigma=1)", "Uniform(lower=0, upper=1)", "DiracDelta(c=0)", "Flat()"]
)
def test_a_prior_from_zero_upwards_will_do_for_a_standard_deviation(prior: str) -> None:
    assert checked_priors({"tau": parse_prior(prior)}) == {"tau": parse_prior(prior)}


def test_mass_below_zero_is_fine_for_means_and_slopes() -> None:
    priors = {name: parse_prior("Normal(mu=0, sigma=1)") for name in ("mu", "beta", "beta[x y]")}
    assert checked_priors(priors) == priors


def test_without_a_set_every_prior_is_the_model_s() -> None:
    assert said(shipped("three-level"), {}, {}) == {
        "mu": "Normal(mu=0, sigma=0.5), model",
        "tau_study": "HalfNormal(sigma=0.25), model",
        "tau_effect": "HalfNormal(sigma=0.15), model",
    }


def test_a_slope_takes_the_most_special_entry() -> None:
    given = {
        "beta": "Normal(mu=0, sigma=1)",
        "beta[guidance]": "Normal(mu=0, sigma=2)",
        "beta[guidance[T.unguided]]": "Normal(mu=0, sigma=3)",
    }
    result = said(shipped("common-effect"), given, COEFFICIENTS)
    assert result["beta[guidance[T.blended]]"] == "Normal(mu=0, sigma=2), prior set"
    assert result["beta[guidance[T.unguided]]"] == "Normal(mu=0, sigma=3), prior set"
    assert result["beta[n]"] == "Normal(mu=0, sigma=1), prior set"


def test_a_special_entry_of_the_model_stands_before_a_general_one_of_the_set() -> None:
    own = {name: parse_prior("Normal(mu=0, sigma=9)") for name in ("mu", "beta[guidance]")}
    model = Model(name="m", random="none", priors=own)
    result = said(model, {"beta": "Normal(mu=0, sigma=1)"}, COEFFICIENTS)
    assert result["beta[guidance[T.blended]]"] == "Normal(mu=0, sigma=9), model"
    assert result["beta[n]"] == "Normal(mu=0, sigma=1), prior set"


def test_tau_of_a_set_becomes_the_total_of_a_nested_model_and_adds_the_share() -> None:
    result = said(shipped("three-level"), {"tau": "HalfNormal(sigma=1)"}, {})
    assert result == {
        "mu": "Normal(mu=0, sigma=0.5), model",
        "tau": "HalfNormal(sigma=1), prior set",
        "share": f"{SHARE_PRIOR}, total form",
    }
    assert str(SHARE_PRIOR) == "Beta(alpha=1, beta=1)"


def test_the_share_of_a_set_is_taken_with_its_total() -> None:
    given = {"tau": "HalfNormal(sigma=1)", "share": "Beta(alpha=2, beta=2)"}
    assert said(shipped("three-level"), given, {})["share"] == "Beta(alpha=2, beta=2), prior set"


def test_tau_of_a_set_replaces_the_one_sd_of_a_model_with_one_level() -> None:
    given = {"tau": "HalfNormal(sigma=1)"}
    assert said(shipped("random-effects"), given, {})["tau"] == "HalfNormal(sigma=1), prior set"
    study = shipped("random-effects").model_copy(update={"random": "study"})
    assert said(study, given, {})["tau_study"] == "HalfNormal(sigma=1), prior set"


def test_tau2_of_a_set_replaces_tau_of_the_model_and_the_other_way_round() -> None:
    given = {"tau2": "InverseGamma(alpha=1, beta=0.1)"}
    on_tau2 = "InverseGamma(alpha=1, beta=0.1) on tau2, prior set"
    assert said(shipped("random-effects"), given, {})["tau"] == on_tau2
    own = {"mu": parse_prior("Flat()"), "tau2": parse_prior("Gamma(alpha=1, beta=1)")}
    model = Model(name="m", priors=own)
    assert said(model, {}, {})["tau"] == "Gamma(alpha=1, beta=1) on tau2, model"
    assert said(model, {"tau": "HalfNormal(sigma=1)"}, {})["tau"] == (
        "HalfNormal(sigma=1), prior set"
    )


def test_tau2_of_a_set_is_the_total_of_a_nested_model() -> None:
    result = said(shipped("three-level"), {"tau2": "HalfNormal(sigma=1)"}, {})
    assert result["tau"] == "HalfNormal(sigma=1) on tau2, prior set"
    assert list(result) == ["mu", "tau", "share"]


def test_tau_and_tau2_in_one_set_are_an_error() -> None:
    given = {"tau": "HalfNormal(sigma=1)", "tau2": "HalfNormal(sigma=1)"}
    with pytest.raises(InputError, match="tau and tau2 cannot both have a prior"):
        said(shipped("random-effects"), given, {})


@pytest.mark.parametrize("family", sorted(REFERENCES))
def test_reference_priors_are_for_tau_of_two_level_models(family: str) -> None:
    given = {"tau": f"{family}()"}
    assert said(shipped("random-effects"), given, {})["tau"] == f"{family}(), prior set"
    study = shipped("random-effects").model_copy(update={"random": "study"})
    for model in (shipped("three-level"), study):
        with pytest.raises(InputError, match=r"defined for tau in models with random: effect"):
            said(model, given, {})
    with pytest.raises(InputError, match="defined for tau"):
        said(shipped("random-effects"), {"mu": f"{family}()"}, {})


def test_tau_of_a_set_has_no_use_in_a_common_effect() -> None:
    model = shipped("common-effect")
    assert list(said(model, {"tau": "HalfNormal(sigma=1)"}, {})) == ["mu"]
    assert "tau" not in names_reached(model, {})


@pytest.mark.parametrize("level", ["tau_study", "tau_effect"])
def test_the_total_and_a_level_in_one_set_are_an_error(level: str) -> None:
    given = {"tau": "HalfNormal(sigma=1)", level: "HalfNormal(sigma=1)"}
    with pytest.raises(InputError, match=rf"tau \(the total\) and {level} cannot both"):
        said(shipped("three-level"), given, {})


def test_the_levels_that_clash_with_the_total_are_named_in_order() -> None:
    given = dict.fromkeys(("tau_study", "tau", "tau_effect"), "HalfNormal(sigma=1)")
    with pytest.raises(InputError, match="and tau_effect, tau_study cannot both"):
        said(shipped("three-level"), given, {})


@pytest.mark.parametrize("missing", ["mu", "beta", "tau"])
def test_a_missing_prior_is_named_with_its_model(missing: str) -> None:
    model = shipped("random-effects")
    priors = {name: prior for name, prior in model.priors.items() if name != missing}
    with pytest.raises(InputError, match=f"the model 'random-effects' has no prior for {missing}"):
        resolve_priors(model.model_copy(update={"priors": priors}), {"n": "n"}, {})


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("common-effect", {"mu"}),
        ("random-effects", {"mu", "tau", "tau2"}),
        ("three-level", {"mu", "tau", "tau2", "tau_study", "tau_effect", "share"}),
    ],
)
def test_a_set_can_speak_to_these_names(name: str, names: set[str]) -> None:
    assert names_reached(shipped(name), {}) == names


def test_a_set_can_speak_to_slopes_terms_and_columns() -> None:
    reached = names_reached(shipped("common-effect"), COEFFICIENTS)
    assert reached == {
        "mu",
        "beta",
        "beta[guidance]",
        "beta[guidance[T.blended]]",
        "beta[guidance[T.unguided]]",
        "beta[n]",
    }


def test_a_share_without_a_total_is_refused() -> None:
    nested = read_model(shipped_folder("models") / "three-level.yaml")
    with pytest.raises(InputError, match="names tau too"):
        resolve_priors(nested, {}, {"share": parse_prior("Beta(alpha=2, beta=2)")})


@pytest.mark.parametrize("random", ["study/study", "none + study", "effect + effect"])
def test_a_level_is_named_once(random: str) -> None:
    with pytest.raises(ValueError, match="names a level twice"):
        Model(name="x", random=random)


@pytest.mark.parametrize("random", ["sample/effect", "study/sample", "study/effect + rater"])
def test_a_total_is_split_between_study_and_effect_only(random: str) -> None:
    levels = Model.model_validate({"name": "m", "random": random})
    with pytest.raises(InputError, match="split between study and effect only"):
        resolve_priors(
            levels, {}, {name: parse_prior("HalfNormal(sigma=1)") for name in ("mu", "tau")}
        )


@pytest.mark.parametrize("random", ["effect/study", "outlier + effect"])
def test_levels_that_cannot_be_are_refused(random: str) -> None:
    with pytest.raises(ValidationError):
        Model.model_validate({"name": "m", "random": random})
