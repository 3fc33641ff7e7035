r"""Priors as JSON Schema: what each parameter may have, as patterns of text.

Which families fit a parameter, and on which scales, is asked of the reader itself: it is handed
one prior of each. A pattern is wider than the reader in what a pattern cannot count (lengths of
lists, lower below upper, sums). It keeps to what Python's and JavaScript's expressions share:
classes of ASCII, no ``\d`` and no ``\w``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from metarho.errors import InputError
from metarho.spec.catalogue import catalogue, read_prior
from metarho.spec.custom import RESERVED
from metarho.spec.descriptions import PARAMETERS
from metarho.spec.model import checked_priors
from metarho.spec.priors import (
    FAMILIES,
    LONGEST_PRIOR,
    SCALES,
    SHORT_FORMS,
    TRUNCATABLE,
    call_form,
)

type Schema = dict[str, Any]

_UNSIGNED = r"(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?"
_REAL = rf"[+-]?\s*{_UNSIGNED}"
_POSITIVE = rf"\+?\s*(?=[0-9._]*[1-9]){_UNSIGNED}"
_NUMBERS = {"real": _REAL, "end": _REAL, "positive": _POSITIVE, "share": _POSITIVE}

# A name of a column or level: no blank, and of ASCII's signs only the underscore.
WORD = r"[^\s!-/:-@\[-^`{-~]+"
IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"

# Where names of a kind have one entry: how they look, and one of them to ask the reader with.
_KINDS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "beta[TERM]": ((r"beta\[.+\]",), "beta[x]"),
    "alpha[TERM]": ((r"alpha\[.+\]",), "alpha[x]"),
    "omega[BAND]": ((r"omega\[.+\]",), "omega[x]"),
    # Of the grammar, and what custom models call theirs.
    "tau_LEVEL": ((rf"tau_(?!outlier$){WORD}", "tau(?!2$)[A-Za-z0-9][A-Za-z0-9_]*"), "tau_study"),
}
_NAMES = tuple(name for name in PARAMETERS if name not in (*_KINDS, "OWN"))

GRAMMAR_NAMES = "|".join([*_NAMES, *(p[0] for p, _ in _KINDS.values())])
"""A pattern of the names that parameters of the grammar have; others are custom models'."""

# What editors show in place of a pattern (a keyword of theirs, which validators pass over).
_MESSAGE = (
    "No prior that this parameter may have: write a family with its arguments by name, for "
    "instance Normal(mu=0, sigma=0.5) or HalfNormal(sigma=0.25), or a name that metarho priors "
    "list prints."
)

# Numbers that fit every constraint, in priors that lie where shares and sds do.
_FITTING = {"real": "0.5", "end": "0.5", "positive": "2", "share": "0.5"}


def prior_definitions() -> dict[str, Schema]:
    """The definitions that schemas of models and configs share: a prior set, and each family."""
    own = f"(?!tau)(?!(?:{'|'.join([*_NAMES, *RESERVED])})$){IDENTIFIER}"
    names = {
        f"^{look}$": _prior_of(name, sample)
        for name, (looks, sample) in _KINDS.items()
        for look in looks
    }
    return {
        "PriorSet": {
            "description": "Parameter -> prior: a family with its arguments, or a cited name.",
            "type": "object",
            "properties": {name: _prior_of(name, name) for name in _NAMES},
            "patternProperties": {**names, f"^{own}$": _prior_of("OWN", "phi")},
            "additionalProperties": False,
            # One parameter, said in two ways.
            "not": {"required": ["tau", "tau2"]},
        },
        **_families(),
    }


def _prior_of(parameter: str, sample: str) -> Schema:
    """The prior of a parameter: what the reader accepts under the name of a sample."""
    what, example = PARAMETERS[parameter]
    cited = [name for name in catalogue() if _reads(sample, name)]
    forms = [{"$ref": f"#/$defs/{name}"} for name, text in _texts() if _reads(sample, text)]
    citations: list[Schema] = []
    if cited:
        # Names are offered by editors; the pattern has them with a discount behind.
        citations.append({"enum": cited, "errorMessage": _MESSAGE})
    for discount in ("power", "robust"):
        able = [name for name in cited if _reads(sample, f"{name} {discount} 0.5")]
        if able:
            citations.append(
                {"pattern": rf"^\s*(?:{'|'.join(able)})\s+{discount}\s+{_POSITIVE}\s*$"}
            )
    return {
        "description": f"{what} A prior, as {example}, or the name of one (metarho priors list).",
        "type": "string",
        "maxLength": LONGEST_PRIOR,
        "examples": [example],
        "anyOf": [*citations, *forms],
    }


@cache
def _reads(parameter: str, text: str) -> bool:
    """Whether the reader accepts a prior of a parameter."""
    try:
        checked_priors({parameter: read_prior(text)})
    except (InputError, ValueError):
        return False
    return True


def _families() -> dict[str, Schema]:
    """Every family, on every scale that it can be on."""
    samples = [*_NAMES, *(sample for _, sample in _KINDS.values()), "phi"]
    found = {}
    for name, text in _texts():
        if any(_reads(sample, text) for sample in samples):
            family, _, scale = text.partition(") on ")
            word = family.partition("(")[0]
            on = rf"\s*on\s+{scale}" if scale else ""
            form = call_form(word) + (f" on {scale}" if scale else "")
            pattern = rf"^\s*{_call(word)}{on}\s*$"
            found[name] = {"title": form, "pattern": pattern, "errorMessage": _MESSAGE}
    return found


@cache
def _texts() -> tuple[tuple[str, str], ...]:
    """A prior of every family on every scale, under the name of its definition."""
    found = []
    for word in (*FAMILIES, *SHORT_FORMS):
        text = _sample(word)
        found.append((word, text))
        found += [(f"{word}-on-{s.replace('/', '-per-')}", f"{text} on {s}") for s in SCALES]
    return tuple(found)


def _sample(word: str) -> str:
    """A prior of a family, in 0 to 0.5 where it has ends."""
    base = SHORT_FORMS.get(word, word)
    family = FAMILIES[base]
    given = {name: _FITTING[constraint] for name, constraint in family.arguments.items()}
    if word in SHORT_FORMS or family.nests:
        given |= {"lower": "0", "upper": "0.5"}
    if "lower" in given:
        given["lower"] = "0"
    inside = [f"dist={_sample('Normal')}"] if family.nests else []
    inside += [f"{name}=[{_FITTING[constraint]}]" for name, constraint in family.lists.items()]
    return f"{word}({', '.join([*inside, *(f'{n}={v}' for n, v in given.items())])})"


def _call(word: str) -> str:
    """The pattern of a family's call: its arguments by name, in any order, each once."""
    base = SHORT_FORMS.get(word, word)
    family = FAMILIES[base]
    looks = {name: _NUMBERS[constraint] for name, constraint in family.arguments.items()}
    looks |= {name: _list(_NUMBERS[constraint]) for name, constraint in family.lists.items()}
    ends = dict.fromkeys(FAMILIES["Truncated"].arguments, _REAL)
    if family.nests:
        looks["dist"] = f"(?:{'|'.join(_call(one) for one in FAMILIES if one in TRUNCATABLE)})"
        # Of what is nested the lookahead would see arguments too.
        needs = [r"(?=.*\bdist\s*=)", r"(?=.*\b(?:lower|upper)\s*=)"]
    elif word in SHORT_FORMS:
        needs = [_once(name) for name in looks] + [r"(?=[^)]*\b(?:lower|upper)\s*=)"]
        looks |= ends
    else:
        needs = [_once(name) for name in looks]
    return rf"{word}\s*\(\s*{''.join(needs)}{_arguments(looks)}\)"


def _once(name: str) -> str:
    return rf"(?=[^)]*\b{name}\s*=)(?![^)]*\b{name}\s*=[^)]*\b{name}\s*=)"


def _arguments(looks: Mapping[str, str]) -> str:
    if not looks:
        return ""
    one = "|".join(rf"{name}\s*=\s*{look}" for name, look in looks.items())
    return rf"(?:(?:{one})\s*(?:,\s*|(?=\))))+"


def _list(number: str) -> str:
    return rf"\[\s*(?:{number}\s*(?:,\s*|(?=\])))+\]"
