"""JSON Schemas: they accept what the reader accepts, and refuse what it refuses, where they can."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

import metarho
from metarho.errors import InputError
from metarho.spec.analysis import Analysis, check_name
from metarho.spec.descriptions import DESCRIPTIONS
from metarho.spec.document import Document, Frozen
from metarho.spec.lookup import shipped_folder
from metarho.spec.model import model_from
from metarho.spec.schema import KINDS, Kind, schema_of, schema_text
from metarho.spec.simulation import Simulation

type Plain = dict[str, Any]

VALIDATORS = {kind: Draft202012Validator(schema_of(kind)) for kind in KINDS}
TEMPLATE = Path(metarho.__file__).parent / "template"
FILES = [
    *[("model", path) for path in sorted(shipped_folder("models").glob("*.yaml"))],
    *[("config", path) for path in sorted(shipped_folder("configs").glob("*.yaml"))],
    *[("model", path) for path in sorted((TEMPLATE / "models").glob("*.yaml"))],
    *[("config", path) for path in sorted((TEMPLATE / "configs").glob("*.yaml"))],
]

# Every key of the grammar once, with a value that is not its default.
WHOLE: dict[Kind, Plain] = {
    "model": {
        "title": "T", "description": "D", "references": ["10.1/x"], "data_overlap": ["x"],
        "likelihood": "exact-r", "mods": "~ center(year)", "scale": "~ year",
        "random": "country / study/effect + rater", "effects": "student-t",
        "selection": {"step": {
            "cutpoints": [0.025, 0.5], "weights": [0.5, 0.1], "sides": "one",
            "favours": "negative", "test": "t",
        }},
        "reference": {"guidance": "guided"}, "measurement": "true-score", "missing": "drop",
        "priors": {
            "mu": "Normal(mu=0, sigma=1)", "beta": "Normal(mu=0, sigma=1)",
            "beta[center(year)]": "Cauchy(alpha=0, beta=1)", "tau_country": "HalfNormal(sigma=1)",
            "tau2": "InverseGamma(alpha=1, beta=1)", "nu": "Gamma(alpha=2, beta=0.1)",
        },
        "why": {"nu": "x"},
    },
    "config": {
        "title": "T", "description": "D",
        "studies": {
            "source": "x.csv", "measure": "COR", "columns": {"ri": "r", "ni": "n"},
            "where": 'role == "main"', "intervals": ["drop", "use"], "rho_within": 0.5,
            "covariance": "V.csv", "overlaps": ["x"], "alpha": 0.1, "rho_tests": 0.2,
        },
        "models": ["random-effects", "three-level"],
        "priors": {"default": {}, "mine": {"mu": "robma4-mu-z power 0.3", "phi": "Flat()"}},
        "reference": "mine",
        "why": {
            "purpose": "x", "bayesian": "x", "variables": "x", "model": "x",
            "exchangeability": "x", "priors": {"mine": "x"}, "weights": "x", "sense": "x",
            "decision": "x", "loss": "x", "thresholds": "x", "data": "x", "archive": "x",
        },
        "new_studies": [
            {"label": "a", "ni": 80, "guidance": "guided", "year": 2000},
            {"label": "b", "sei": 0.1, "rxx": 0.9, "ryy": 0.8, "ux": 0.7},
        ],
        "checks": [
            "q", {"statistic": "spread", "by": "guidance"},
            {"file": "mine.py", "function": "kurtosis"},
        ],
        "grid": {
            "where": {"all": None, "main": "x == 1"}, "measure": ["ZCOR"], "statistic": ["all"],
            "rho_within": [0, 0.5], "likelihood": ["normal"], "measurement": ["observed"],
            "unless": ["rho_within > 0"], "cells": [{"model": "x", "rho_within": 0.2}],
            "sample": {"cells": 10, "seed": 1}, "estimand": ["where"],
            "weights": {"where": {"all": 2}}, "quantities": ["bf_mu", "P(rho > 0.1)"],
        },
        "ensemble": {
            "weights": {"random-effects": 12, "three-level": 0.5}, "effect": 0.5,
            "heterogeneity": 1,
        },
        "engine": "nuts", "agreement": True,
        "sampler": {"chains": 2, "draws": 100, "tune": 100, "seed": 1},
        "thresholds": {"rho": [0, 0.5]}, "interval": {"prob": 0.9, "kind": "hdi"},
        "report": "none", "defaults": "2026.1",
    },
    "simulation": {
        "title": "T", "description": "D",
        "simulate": {
            "mu": [0, 0.2], "tau": [0.1], "k": [5], "ni": [30, [20, 40], {"from": "x"}],
            "reporting": ["words"], "selection": [0.5], "replications": 10, "seed": 1,
        },
        "models": ["random-effects"], "priors": {"default": {}},
        "interval": {"prob": 0.9, "kind": "eti"}, "defaults": "2026.1",
    },
}  # fmt: skip

# What stands in the place of every value, key by key.
REPLACEMENTS: tuple[Any, ...] = (
    *(None, True, 7, 0, -1, 0.5, "text", "", [], ["q", "q"], [7], {}, {"text": "text"}),
)

# What no schema can say: the reader's words where it alone refuses.
BEYOND = (
    "filter ",
    "formula ",
    "is no prior set",
    "there is no prior set",
    "no prior of its own",
    "two new studies have one label",
    "weights for .* cutpoints",
    "cutpoints increase",
    "ensemble: weights: ",
)


def read(kind: Kind, data: Plain) -> Frozen:
    """The document as the reader has it, but for what lies in other files."""
    document = Document(shipped_folder("models") / "mine.yaml", data, {})
    if kind == "model":
        return model_from(document)
    check_name(document)
    known: type[Analysis] | type[Simulation] = Analysis if kind == "config" else Simulation
    return document.validate(known, name="mine")


def refusal(kind: Kind, data: Plain) -> str | None:
    """Why the reader refuses a document; None where it does not."""
    try:
        read(kind, data)
    except InputError as error:
        return str(error)
    return None


def changed(data: Plain, path: tuple[str | int, ...], change: Callable[[Any, Any], None]) -> Plain:
    """A copy of a document with a change at a path."""
    made = copy.deepcopy(data)
    at: Any = made
    for part in path[:-1]:
        at = at[part]
    change(at, path[-1])
    return made


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where values stand in a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inside:
        yield (*path, key)
        if isinstance(one, dict | list):
            yield from paths(one, (*path, key))


def variants(data: Plain) -> Iterator[Plain]:
    """A document with each value replaced, left out, or beside one of an unknown key."""
    for path in paths(data):
        for value in REPLACEMENTS:

            def replace(at: Any, key: Any, value: Any = value) -> None:
                at[key] = value

            yield changed(data, path, replace)
        yield changed(data, path, lambda at, key: at.pop(key))
        if isinstance(path[-1], str):
            yield changed(data, path, lambda at, key: at.update({"unknown_key": at[key]}))
    yield {**data, "name": "mine"}


@pytest.mark.parametrize(("kind", "path"), FILES, ids=lambda value: str(value).rpartition("/")[2])
def test_every_shipped_file_and_every_template_is_valid(kind: Kind, path: Path) -> None:
    loaded = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    assert [error.message for error in VALIDATORS[kind].iter_errors(loaded)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_schemas_are_schemas_named_without_an_address_and_always_the_same(kind: Kind) -> None:
    schema = schema_of(kind)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:metarho:{kind}"
    assert "http" not in schema_text(kind).replace(schema["$schema"], "")
    assert json.loads(schema_text(kind)) == schema
    assert schema_text(kind) == schema_text(kind)


def test_every_key_has_a_description_and_no_other_is_described() -> None:
    described: dict[str, set[str]] = {}
    classes: list[type[Frozen]] = [*KINDS.values()]
    for kind in classes:
        fields = {field.alias or name for name, field in kind.model_fields.items()}
        described[kind.__name__] = fields - ({"name"} if kind in KINDS.values() else set())
        for field in kind.model_fields.values():
            classes += [one for one in _classes_in(field.annotation) if one not in classes]
    described.pop("CustomFile")
    assert {name: set(keys) for name, keys in DESCRIPTIONS.items()} == described


def _classes_in(annotation: Any) -> Iterator[type[Frozen]]:
    annotation = getattr(annotation, "__value__", annotation)
    if isinstance(annotation, type) and issubclass(annotation, Frozen):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _classes_in(inner)


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_grammar_is_valid_and_read(kind: Kind) -> None:
    whole = WHOLE[kind]
    assert refusal(kind, whole) is None
    assert [error.message for error in VALIDATORS[kind].iter_errors(whole)] == []


def test_the_whole_grammar_has_every_key_there_is() -> None:
    keys = {key for whole in WHOLE.values() for path in paths(whole) for key in path}
    of_roles = DESCRIPTIONS["Columns"].keys()
    known = {key for name, fields in DESCRIPTIONS.items() for key in fields if name != "Columns"}
    # One role is read as the others are; a custom model has no parts, a grid no scripts.
    assert known - keys == {"custom", "scripts"} and keys & of_roles


@pytest.mark.parametrize("kind", KINDS)
def test_reader_and_schema_agree_on_every_key_with_other_values(kind: Kind) -> None:
    count = 0
    for data in variants(WHOLE[kind]):
        why, valid = refusal(kind, data), VALIDATORS[kind].is_valid(data)
        if why is None:
            assert valid, data
        elif not any(re.search(words, why) for words in BEYOND):
            assert not valid, (why, data)
            count += 1
    assert count > 100


BAD: list[tuple[Kind, Plain]] = [
    ("model", {"likelihod": "normal"}),
    ("model", {"likelihood": "gaussian"}),
    ("model", {"mods": "yi ~ year"}),
    ("model", {"random": "study//effect"}),
    ("model", {"selection": {"step": {"cutpoints": []}}}),
    ("model", {"references": "10.1/x"}),
    ("model", {"priors": {"mu": "Nrmal(mu=0, sigma=1)"}}),
    ("model", {"priors": {"moo": "Normal(mu=0, sigma=1)"}}),
    ("model", {"priors": {"tau": "HalfNormal(sigma=1)", "tau2": "Flat()"}}),
    ("model", {"custom": "../multiplicative.py"}),
    ("model", {"custom": "multiplicative.py", "effects": "student-t"}),
    ("model", {"custom": "multiplicative.py", "priors": {"beta[x]": "Flat()"}}),
    ("model", {"custom": "multiplicative.py", "priors": {"theta": "Flat()"}}),
    ("config", {"studies": {"source": "x"}}),
    ("config", {"studies": {"source": "x"}, "models": []}),
    ("config", {"studies": {"source": "x"}, "models": ["m", "m"]}),
    ("config", {"studies": {"source": "x", "intervals": "both"}, "models": ["m"]}),
    ("config", {"studies": {"source": "x", "columns": {"r": "r"}}, "models": ["m"]}),
    ("config", {"studies": {"source": "x"}, "models": ["m"], "sampler": {"chains": 1}}),
    ("config", {"studies": {"source": "x"}, "models": ["m"], "new_studies": [{"ni": 80}]}),
    ("config", {"studies": {"source": "x"}, "models": ["m"], "checks": ["Q"]}),
    ("config", {"studies": {"source": "x"}, "models": ["m"], "checks": [{"file": "a.py"}]}),
    ("config", {"studies": {"source": "x"}, "models": ["m"], "grid": {"estimand": ["when"]}}),
    ("config", {"studies": {"source": "x"}, "models": ["m"], "ensemble": {"effect": 0}}),
    ("config", {"studies": {"source": "x"}, "models": ["m"], "ensemble": {"weights": {"m": 0}}}),
    ("config", {"studies": {"source": "x"}, "models": ["m"], "ensemble": {"weights": {}}}),
    ("config", {"studies": {"source": "x"}, "models": ["m"], "priors": {"a": {"mu": "N()"}}}),
    ("config", {"studies": {"source": "x"}, "models": ["m"], "priors": {"a": {"y": "Flat()"}}}),
    ("simulation", {"simulate": {"mu": [0], "tau": [0], "k": [5]}, "models": ["m"]}),
    ("simulation", {"simulate": {"mu": 0, "tau": [0], "k": [5], "ni": [30]}, "models": ["m"]}),
]


@pytest.mark.parametrize(("kind", "data"), BAD, ids=str)
def test_bad_documents_are_refused_by_both(kind: Kind, data: Plain) -> None:
    assert refusal(kind, data) is not None
    assert not VALIDATORS[kind].is_valid(data)


def test_a_custom_model_is_read_with_names_of_its_own() -> None:
    data = {"custom": "multiplicative.py", "likelihood": "normal", "priors": {"phi": "Flat()"}}
    assert refusal("model", data) is None
    assert VALIDATORS["model"].is_valid(data)


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        ("mu", "Normal(sigma=0.5, mu=-1)"),
        ("mu", "  Normal( mu = +.5e-1 ,sigma=1_000. , )"),
        ("mu", "StudentT(nu=5, mu=0, sigma=1)"),
        ("mu", "Uniform(lower=-1, upper=1) on r"),
        ("mu", "Normal(mu=0, sigma=1) on mu/tau"),
        ("mu", "NormalMixture(w=[1, 2], mu=[0, 0.5], sigma=[1, 1])"),
        ("mu", "Truncated(dist=Normal(mu=0, sigma=1), lower=-1, upper=1) on r"),
        ("mu", "Truncated(upper=1, dist=StudentT(nu=3, mu=0, sigma=1))"),
        ("mu", "TruncatedNormal(mu=0, sigma=1, lower=0)"),
        ("mu", "robma4-mu-z"),
        ("mu", "robma4-mu-z power 0.3"),
        ("mu", "robma4-mu-z robust 0.2"),
        ("tau", "Jeffreys()"),
        ("tau", "PenalizedComplexity(upper=0.5, alpha=0.05)"),
        ("tau_study", "robma4-tau-z"),
        ("tau2", "InverseGamma(alpha=1, beta=0.15)"),
        ("beta", "R2D2(mean=0.5, precision=2, concentration=1)"),
        ("beta[center(year)]", "Flat()"),
        ("omega", "Uniform(lower=0, upper=1)"),
        ("share", "Beta(alpha=1, beta=1)"),
    ],
)
def test_priors_in_all_their_forms_are_accepted_by_both(parameter: str, text: str) -> None:
    data = {"priors": {parameter: text}}
    assert refusal("model", data) is None
    assert VALIDATORS["model"].is_valid(data)
    in_a_set = {"studies": {"source": "x"}, "models": ["m"], "priors": {"mine": data["priors"]}}
    assert refusal("config", in_a_set) is None
    assert VALIDATORS["config"].is_valid(in_a_set)


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        ("mu", "Normal(0, 1)"),
        ("mu", "Normal(mu=0)"),
        ("mu", "Normal(mu=0, mu=0, sigma=1)"),
        ("mu", "Normal(mu=0, sigma=1, nu=3)"),
        ("mu", "Normal(mu=0 sigma=1)"),
        ("mu", "Normal(mu=0, sigma=-1)"),
        ("mu", "Normal(mu=0, sigma=0.00)"),
        ("mu", "Normal(mu=zero, sigma=1)"),
        ("mu", "Normal(mu=[0], sigma=1)"),
        ("mu", "Normal(mu=0, sigma=1) on z"),
        ("mu", "Normal(mu=0, sigma=1) on r"),
        ("mu", "NormalMixture(w=1, mu=0, sigma=1)"),
        ("mu", "Truncated(dist=Normal(mu=0, sigma=1))"),
        ("mu", "Truncated(dist=Jeffreys(), lower=1)"),
        ("mu", "robma4-tau-z"),
        ("mu", "robma4-mu-z half 0.3"),
        ("mu", "no-such-prior"),
        ("mu", "__import__('os')"),
        ("mu", "Jeffreys()"),
        ("tau", "Normal(mu=0, sigma=1)"),
        ("tau_study", "Jeffreys()"),
        ("beta[x]", "R2D2(mean=0.5, precision=2, concentration=1)"),
        ("share", "HalfNormal(sigma=1)"),
        ("rxx", "Uniform(lower=0, upper=1)"),
        ("nu", "Flat()"),
    ],
)
def test_bad_priors_are_refused_by_both(parameter: str, text: str) -> None:
    data = {"priors": {parameter: text}}
    assert refusal("model", data) is not None
    assert not VALIDATORS["model"].is_valid(data)
