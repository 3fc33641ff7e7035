"""What there is to name, and what models say in symbols."""

from __future__ import annotations

from pathlib import Path

import pytest

from metarho.batch.listing import listed_configs, listed_models, refusals
from metarho.batch.symbols import model_in_symbols
from metarho.batch.workspace import make_workspace
from metarho.spec.lookup import shipped_folder
from metarho.spec.model import Model, read_model


def model(**parts: object) -> Model:
    """A model of these parts, without priors."""
    return Model.model_validate({"name": "mine", **parts})


def test_every_shipped_model_is_listed_with_an_engine_that_answers_it(tmp_path: Path) -> None:
    listed = listed_models(tmp_path)
    assert {one.path for one in listed} == {*shipped_folder("models").glob("*.yaml")}
    assert [one.name for one in listed] == sorted(one.name for one in listed)
    assert all(one.title and one.words and one.engines for one in listed)
    assert {one.origin for one in listed} == {"shipped"}


@pytest.mark.parametrize(
    ("name", "engines"),
    [
        ("random-effects", ("exact", "nuts")),
        ("three-level-moderators", ("exact", "nuts")),
        ("mixture", ("nuts",)),
        ("multiplicative", ("nuts",)),
    ],
)
def test_engines_are_those_whose_own_refusals_are_none(
    tmp_path: Path, name: str, engines: tuple[str, ...]
) -> None:
    (one,) = [one for one in listed_models(tmp_path) if one.name == name]
    assert one.engines == engines


@pytest.mark.parametrize(
    "parts",
    [
        {"mods": "~ C(guidance) + log(year)"},
        {"mods": "~ bs(year, df=4) + poly(age, 2)", "reference": {}},
        {"mods": "~ guidance", "reference": {"guidance": "guided"}},
        {"scale": "~ center(year)"},
        {"random": "country/study/effect + rater"},
        {"measurement": "true-score"},
    ],
)
def test_made_up_evidence_has_what_a_model_names(parts: dict[str, object]) -> None:
    priors = {
        **{"mu": "Normal(mu=0, sigma=1)", "beta": "Normal(mu=0, sigma=1)"},
        **{"alpha": "Normal(mu=0, sigma=1)", "tau": "HalfNormal(sigma=1)"},
        **{f"tau_{level}": "HalfNormal(sigma=1)" for level in ("study", "effect", "country")},
        "tau_rater": "HalfNormal(sigma=1)",
    }
    assert refusals(model(**parts, priors=priors))["nuts"] is None


def test_a_model_without_a_prior_says_which_under_every_engine() -> None:
    found = refusals(model(priors={"mu": "Normal(mu=0, sigma=1)"}))
    assert set(found) == {"exact", "nuts"}
    assert all("no prior for tau" in str(reason) for reason in found.values())


def test_a_workspace_s_own_files_hide_shipped_ones_of_their_name(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    own = tmp_path / "models" / "random-effects.yaml"
    own.write_text("title: Mine\npriors: {}\n", encoding="utf-8")
    (one,) = [one for one in listed_models(tmp_path) if one.name == "random-effects"]
    assert (one.title, one.origin, one.path) == ("Mine", "workspace", own)


def test_broken_files_say_where_and_why_and_the_others_are_listed(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    (tmp_path / "models" / "bad.yaml").write_text("likelihod: normal\n", encoding="utf-8")
    (tmp_path / "configs" / "bad.yaml").write_text("models: [", encoding="utf-8")
    (model,) = [one for one in listed_models(tmp_path) if one.broken is not None]
    assert model.name == "bad" and "bad.yaml:1: unknown key 'likelihod'" in str(model.broken)
    (config,) = [one for one in listed_configs(tmp_path) if one.broken is not None]
    assert config.kind is None and "is not valid YAML" in str(config.broken)
    assert {"alliance", "own-studies", "internet-alliance"} <= {
        one.name for one in listed_configs(tmp_path)
    }


def test_configs_are_listed_by_kind(tmp_path: Path) -> None:
    make_workspace(tmp_path)
    simulation = "simulate: {mu: [0], tau: [0], k: [5], ni: [30]}\nmodels: [random-effects]\n"
    (tmp_path / "configs" / "how-often.yaml").write_text(simulation, encoding="utf-8")
    kinds = {one.name: one.kind for one in listed_configs(tmp_path)}
    assert kinds["how-often"] == "simulation"
    assert kinds["alliance-decisions"] == "grid"
    assert kinds["internet-alliance"] == "analysis"


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ({"random": "none"}, "theta[i] = mu"),
        ({"mods": "~ year", "random": "none"}, "theta[i] = mu + x[i]·beta"),
        ({"random": "study"}, "theta[i] = mu + u_study[study of i]"),
        ({"random": "study/effect"}, "u[i] ~ Normal(0, tau_effect²)"),
        ({"effects": "student-t"}, "u[i] ~ StudentT(nu, 0, tau)"),
        ({"scale": "~ year"}, "log tau[i] = log tau + s[i]·alpha, s[i] the row of ~ year"),
        ({"selection": "pet"}, "y[i] ~ Normal(theta[i] + pet √v[i], v[i])"),
        (
            {"selection": {"step": {"cutpoints": (0.025, 0.5), "weights": (0.5, 0.1)}}},
            "w(p) = 1 where p ≤ 0.025, 0.5 p ≤ 0.5, 0.1 beyond",
        ),
    ],
)
def test_a_part_of_a_model_is_a_line_of_symbols(parts: dict[str, object], line: str) -> None:
    assert line in model_in_symbols(model(**parts))


def test_every_shipped_model_names_its_parameters_in_symbols() -> None:
    for path in shipped_folder("models").glob("*.yaml"):
        one = read_model(path)
        text = "\n".join(model_in_symbols(one))
        if one.custom is None:
            assert all(name in text for name in [*one.level_sds.values(), *one.shapes]), path.stem
