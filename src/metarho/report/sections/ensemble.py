"""Whether there is an effect, heterogeneity and bias, averaged over the models of an ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metarho.batch.ensemble import Found
from metarho.batch.findings import Findings
from metarho.compare.ensemble import ALL
from metarho.compare.rows import Row
from metarho.report.drawings import ensemble_names
from metarho.report.ensemble import (
    component_cells,
    estimate_cells,
    evidence_cell,
    member_in_words,
)

# Kinds of figures, in the order of the section, and what to see in them.
FIGURES = {
    "z-curve": "What the rows show as z, and what the members expect on average: left of reported "
    "results, right had all been reported, for one that is reported.",
    "funnel": "The mean that the members expect on average at a standard error: of reported "
    "results, selection and small-study bias included, and of all.",
    "spike-and-slab": "The averaged mean before and after the data: the probability that it is "
    "exactly 0, and the density of the rest.",
    "weight-function": "Averaged chances of being reported, by p.",
}


@dataclass(frozen=True)
class Beside:
    """The ensembles on one reading of the evidence: a column or two for every prior set.

    ``components`` and ``estimates`` are rows, each with the texts of every prior set.
    """

    intervals: str
    k: int
    studies: int
    members: int
    sets: tuple[Found, ...]
    components: tuple[tuple[Row, list[tuple[str, ...]]], ...]
    estimates: tuple[tuple[Row, list[tuple[str, ...]]], ...]
    probable: tuple[tuple[str, list[tuple[Row, str]]], ...]
    """By prior set its members, the most probable first, and their log evidence."""
    reasons: tuple[str, ...]
    """Why members are not reportable, or have warnings."""


@dataclass(frozen=True)
class Averaged:
    """The mean that the page begins with: over all members, and over those with an effect."""

    members: int
    every: tuple[str, str, str]
    given: tuple[str, str, str] | None
    bias: str | None
    """The inclusion Bayes factor of bias; None where all members have it, or none."""


def values(found: Findings) -> Mapping[str, object] | None:
    """Components, estimates and members; None where the config has no ensemble."""
    if not found.ensembles:
        reason = found.absent.get("ensemble")
        return None if reason is None else {"ensembles": (), "no_ensemble": reason}
    readings = dict.fromkeys(one.intervals for one in found.ensembles)
    return {
        "no_ensemble": None,
        "ensembles": [
            _beside([one for one in found.ensembles if one.intervals == name]) for name in readings
        ],
        "ensemble_sentences": found.ensembles[0].sentences,
        "ensemble_sampled": any(one.ensemble.is_sampled for one in found.ensembles),
        "ensemble_weighs": any(one.ensemble.stretches for one in found.ensembles),
        "ensemble_captions": FIGURES,
        "ensemble_figures": figures_of(found)[0],
        "ensemble_links": [name for names in figures_of(found)[1:] for name in names.values()],
    }


def figures_of(found: Findings) -> list[dict[str, str]]:
    """The names that each ensemble's figures have where they are drawn, by kind."""
    return [{kind: f"{kind}--{end}" for kind in FIGURES} for end in ensemble_names(found.ensembles)]


def averaged(found: Findings) -> Averaged | None:
    """The averages of the first ensemble; None without one."""
    if not found.ensembles:
        return None
    first = found.ensembles[0]
    mean = first.estimates[0]["quantity"]
    rows = {row["over"]: row for row in first.estimates if row["quantity"] == mean}
    given = [estimate_cells(row) for over, row in rows.items() if over != ALL]
    bias = [component_cells(row)[1] for row in first.components if row["component"] == "bias"]
    return Averaged(
        len(first.members),
        estimate_cells(rows[ALL]),
        given[0] if given else None,
        bias[0] if bias else None,
    )


def _beside(sets: Sequence[Found]) -> Beside:
    first = sets[0]
    evidence = first.ensemble.members[0].fit.problem.evidence
    return Beside(
        first.intervals,
        evidence.k,
        len(evidence.study_names),
        len(first.members),
        tuple(sets),
        tuple(
            (row, [component_cells(one.components[place]) for one in sets])
            for place, row in enumerate(first.components)
        ),
        tuple(
            (row, [estimate_cells(one.estimates[place]) for one in sets])
            for place, row in enumerate(first.estimates)
        ),
        tuple((one.prior_set, [(row, evidence_cell(row)) for row in one.probable]) for one in sets),
        tuple(
            f"{one.prior_set}: {member.fit.status}: {member_in_words(member)}: {reason}"
            for one in sets
            for member in one.ensemble.members
            for reason in member.fit.reasons
        ),
    )
