"""Reasons in models and configs: what is read, and what is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from metarho.errors import InputError
from metarho.spec.analysis import read_analysis
from metarho.spec.lookup import shipped_folder
from metarho.spec.model import read_model

CONFIG = "studies: {source: internet-alliance}\nmodels: [random-effects]\n"
MODEL = "priors: {mu: 'Normal(mu=0, sigma=1)', tau: 'HalfNormal(sigma=1)'}\n"


def test_reasons_are_read_and_unsaid_ones_are_none(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(CONFIG + "why: {purpose: to know, priors: {default: as ever}}\n")
    why = read_analysis(path)[0].why
    assert (why.purpose, why.sense, why.priors) == ("to know", None, {"default": "as ever"})


@pytest.mark.parametrize(
    ("why", "said"),
    [
        ("{purpos: to know}", "mine.yaml:3: unknown key 'purpos'"),
        ("{purpose: ''}", "mine.yaml:3: why.purpose: '' String should have at least 1 character"),
        (
            "{priors: {defaul: x}}",
            "there is no prior set 'defaul'; allowed: default; did you mean 'default'?",
        ),
        ("{purpose: [a]}", "mine.yaml:3: why.purpose"),
    ],
)
def test_a_reason_for_nothing_is_refused(tmp_path: Path, why: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(CONFIG + f"why: {why}\n")
    with pytest.raises(InputError) as caught:
        read_analysis(path)
    assert said in str(caught.value)


def test_a_model_gives_reasons_for_its_own_priors_only(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(MODEL + "why: {tau: as wide as the field}\n")
    assert read_model(path).why == {"tau": "as wide as the field"}
    path.write_text(MODEL + "why: {nu: many}\n")
    with pytest.raises(InputError, match=r"mine.yaml.*no prior of its own for 'nu'"):
        read_model(path)


@pytest.mark.parametrize("path", sorted(shipped_folder("models").glob("*.yaml")))
def test_every_prior_that_comes_with_metarho_has_a_reason(path: Path) -> None:
    model = read_model(path)
    assert {*model.why} == {*model.priors}
