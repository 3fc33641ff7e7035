"""JSON Schemas of models, configs and simulations (draft 2020-12), for editors and other tools.

pydantic says what the fields are; ``_SAID_BESIDE`` adds what validators accept and refuse besides,
``descriptions.py`` what each key means. A schema refuses what the reader refuses as far as JSON
Schema can say it: it cannot read a formula or a filter, compare two values, or look at a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from metarho.spec.analysis import Analysis
from metarho.spec.checks import FILE, FUNCTION, STATISTICS
from metarho.spec.claims import NAMES
from metarho.spec.claims import PROBABILITY as PROBABILITY_FORM
from metarho.spec.custom import RESERVED
from metarho.spec.descriptions import DESCRIPTIONS
from metarho.spec.document import Frozen
from metarho.spec.formulas import LONGEST_FORMULA
from metarho.spec.grid import ALWAYS, DECISIONS
from metarho.spec.model import PARAMETERS, PARTS, Model
from metarho.spec.prior_schema import GRAMMAR_NAMES, IDENTIFIER, WORD, Schema, prior_definitions
from metarho.spec.simulation import Simulation

type Kind = Literal["model", "config", "simulation"]

KINDS: Mapping[Kind, type[Frozen]] = {
    "model": Model,
    "config": Analysis,
    "simulation": Simulation,
}
"""What each schema is of: a file in models/, one in configs/, and one there with simulate:."""

_NULL = {"type": "null"}
_ONCE = {"uniqueItems": True}
_SOME = {"minItems": 1, "uniqueItems": True}
_FORMULA = {"pattern": r"^\s*~|^\s*1\s*$", "maxLength": LONGEST_FORMULA}
_DECISION = {"enum": [*DECISIONS]}
_LEVELS = rf"{WORD}(?:\s*/\s*{WORD})*"

# Class and field -> what is laid over pydantic's own.
_SAID_BESIDE: Mapping[tuple[str, str], Schema] = {
    ("Model", "mods"): _FORMULA,
    ("Model", "scale"): _FORMULA,
    ("Model", "random"): {"pattern": rf"^\s*{_LEVELS}(?:\s*\+\s*{_LEVELS})*\s*$"},
    ("Model", "custom"): {"anyOf": [{"type": "string", "pattern": r"^[A-Za-z0-9_-]+\.py$"}, _NULL]},
    ("Model", "priors"): {"$ref": "#/$defs/PriorSet"},
    ("Step", "cutpoints"): _ONCE,
    ("StudiesSpec", "intervals"): {
        "anyOf": [
            {"$ref": "#/$defs/Intervals"},
            {"type": "array", "items": {"$ref": "#/$defs/Intervals"}, **_SOME},
        ]
    },
    ("Analysis", "models"): _ONCE,
    ("Analysis", "new_studies"): _ONCE,
    ("Analysis", "checks"): _ONCE,
    ("Check", "statistic"): {"anyOf": [{"enum": [*STATISTICS]}, _NULL]},
    ("Check", "file"): {"anyOf": [{"type": "string", "pattern": f"^{FILE}$"}, _NULL]},
    ("Check", "function"): {
        "anyOf": [
            {"type": "string", "pattern": f"^{FUNCTION}$", "not": {"enum": [*STATISTICS]}},
            _NULL,
        ]
    },
    **{
        ("Grid", name): _ONCE
        for name in ("measure", "statistic", "rho_within", "likelihood", "measurement")
    },
    ("Grid", "cells"): {
        "items": {
            "type": "object",
            "propertyNames": _DECISION,
            "additionalProperties": {"$ref": "#/$defs/Choice"},
        }
    },
    ("Grid", "estimand"): {"items": _DECISION},
    ("Grid", "weights"): {"propertyNames": _DECISION},
    ("Grid", "quantities"): {
        "items": {
            "anyOf": [
                {"enum": [name for name in NAMES if name not in ALWAYS]},
                {"type": "string", "pattern": rf"^\s*{PROBABILITY_FORM}\s*$"},
            ]
        }
    },
    ("Simulation", "models"): _ONCE,
    **{("Simulate", name): _SOME for name in ("mu", "tau", "k", "ni", "reporting", "selection")},
}

# Class -> what is laid over the object as a whole.
_SAID_OF_ALL: Mapping[str, Schema] = {
    "Profile": {"additionalProperties": {"type": ["string", "number"]}},
    "Check": {
        "oneOf": [
            {
                "required": ["statistic"],
                "properties": {
                    "statistic": {"type": "string"}, "file": _NULL, "function": _NULL,
                },
            },
            {
                "required": ["file", "function"],
                "properties": {
                    "statistic": _NULL,
                    "file": {"type": "string"},
                    "function": {"type": "string"},
                },
            },
        ]
    },
    "Simulation": {"properties": {"interval": {"properties": {"kind": {"const": "eti"}}}}},
}  # fmt: skip


def schema_of(kind: Kind) -> Schema:
    """The schema of a kind of file, as plain values."""
    of = KINDS[kind]
    made = of.model_json_schema()
    definitions: dict[str, Any] = made.pop("$defs", {})
    # A prior is its text; a custom file its name.
    for name in ("Written", "Priors", "PriorSet", "CustomFile"):
        definitions.pop(name, None)
    for name, one in {of.__name__: made, **definitions}.items():
        _complete(name, one)
    if "Check" in definitions:
        definitions["Check"] = {"anyOf": [{"enum": [*STATISTICS]}, definitions["Check"]]}
    if kind == "model":
        made |= _custom_or_grammar()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        # A name, at which nothing is fetched.
        "$id": f"urn:metarho:{kind}",
        "title": f"metarho {kind}",
        **{key: made[key] for key in made if key != "title"},
        "$defs": {**definitions, **prior_definitions()},
    }


def schema_text(kind: Kind) -> str:
    """The schema as a file has it; the same text from the same version."""
    return json.dumps(schema_of(kind), indent=1, ensure_ascii=False) + "\n"


def file_name(kind: Kind) -> str:
    """What the file of a schema is called."""
    return f"{kind}.schema.json"


def _complete(name: str, schema: Schema) -> None:
    """Describe the fields of a class, and say what its validators do."""
    if "properties" not in schema:
        return
    schema.pop("title", None)
    fields: dict[str, Schema] = schema["properties"]
    # A model or config is named by its file.
    if name in ("Model", "Analysis", "Simulation"):
        del fields["name"]
        schema["required"] = [key for key in schema.get("required", []) if key != "name"]
    for key, field in fields.items():
        beside = _SAID_BESIDE.get((name, key), {})
        replaced = {"anyOf", "$ref", "type", "items"} if {"anyOf", "$ref"} & {*beside} else {}
        kept = {word: field[word] for word in field if word not in {"title", *replaced}}
        described = {"description": what} if (what := DESCRIPTIONS.get(name, {}).get(key)) else {}
        fields[key] = {**described, **kept, **beside}
    for key, value in _SAID_OF_ALL.get(name, {}).items():
        if key == "properties":
            for field_name, more in value.items():
                fields[field_name] |= more
        else:
            schema[key] = value


def _custom_or_grammar() -> Schema:
    """A custom model leaves all parts as they are; others know the grammar's parameters only."""
    parts = {part: {"const": Model.model_fields[part].default} for part in PARTS}
    own = {"pattern": f"^{IDENTIFIER}$", "not": {"enum": [*RESERVED]}}
    known = {
        "pattern": f"^(?:{GRAMMAR_NAMES})$",
        "errorMessage": f"No parameter has this name; allowed: {', '.join(PARAMETERS)}.",
    }
    return {
        "if": {"required": ["custom"], "properties": {"custom": {"type": "string"}}},
        "then": {"properties": {**parts, "priors": {"propertyNames": own}}},
        "else": {"properties": {"priors": {"propertyNames": known}}},
    }
