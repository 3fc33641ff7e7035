"""The effects behind metafor's classical references, and how near to it one has to be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cases import REFERENCES, reference, reference_studies
from metarho.classical import Effects, effects_of
from metarho.data.studies import load_studies

METAFOR: Mapping[str, Mapping[str, Any]] = reference("metafor_classical")["sets"]
MORE: Mapping[str, Mapping[str, Any]] = reference("metafor_classical_more")["sets"]
NESTED: Mapping[str, Any] = reference("rmamv_classical")

# What is asked for: closed forms agree to 1e-10. Estimates that iterate do as metafor's last step
# does, which was 1e-10 in tau², times at most some hundred in percent or Q.
NEAR = 1e-6


def near(value: object, absolute: float = NEAR, relative: float = 0.0) -> Any:
    """What equals a reference number, or list of them, within a tolerance."""
    return pytest.approx(value, abs=absolute, rel=relative)


@cache
def effects_in(name: str, mods: str | None = None) -> Effects:
    """The effects of a reference set, sorted by study; ``file_order_of`` says how."""
    if mods == "~ I(pmin(weeks, 3))":
        plain = effects_in(name)
        weeks = [float(cell or "nan") for cell in reference_studies(name).moderator("weeks")]
        return plain.on(np.minimum(weeks, 3), "pmin")
    return effects_of(reference_studies(name), mods)


def file_order_of(name: str) -> list[int]:
    """The place of each row in its file, 0 first."""
    return [row.index for row in reference_studies(name).used]


def in_file_order(name: str, values: Sequence[float] | NDArray[np.float64]) -> list[float]:
    """Values of rows, one each, as metafor lists them."""
    found = np.empty(len(values))
    found[file_order_of(name)] = values
    return found.tolist()


def mods_in(call: str) -> str | None:
    """The moderators of a call of rma or rma.mv."""
    match = re.search(r"mods=(~.*?), (?:method|random)", call)
    return None if match is None else match[1].replace("~", "~ ", 1).replace("class", "`class`")


@cache
def grades(mods: str | None = None, rho: float = 0.0) -> Effects:
    """The correlations of class attendance with grades, nested in studies, in studies' order."""
    studies = load_studies(
        REFERENCES / "crede2010.csv",
        columns={"ri": "ri", "ni": "ni", "study": "studyid"},
        where='criterion == "grade"',
        rho_within=rho,
    )
    if mods is None or "year" not in mods:
        return effects_of(studies, mods)
    years = np.array([float(cell or "nan") for cell in studies.moderator("year")]) - 1990
    return effects_of(studies).on(years, "year")


def one_study_each(effects: Effects) -> Effects:
    """The same effects, each from its own study."""
    return replace(effects, study=np.arange(effects.k, dtype=np.intp))
