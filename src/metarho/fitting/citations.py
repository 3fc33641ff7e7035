"""Remarks on priors that were cited from the catalogue: evidence used twice, another scale."""

from __future__ import annotations

from metarho.engines.problem import Problem
from metarho.spec.catalogue import entry, overlaps, shared
from metarho.spec.priors import Prior


def notes_on_citations(problem: Problem) -> tuple[str, ...]:
    """What a reader must know of the cited priors of a problem, each a sentence."""
    cited = {name: one.prior for name, one in problem.priors.items() if one.prior.cited}
    notes = []
    for name, prior in cited.items():
        both = overlaps(prior, problem.overlaps)
        if both:
            notes.append(_used_twice(name, prior, both))
        if entry(prior.cited).scale == "z" and problem.scale != "z":
            notes.append(
                f"{name}: {prior.cited} is a prior on Fisher's z, and the effects here are on "
                f"{problem.scale}"
            )
    held = shared(problem.model.data_overlap, problem.overlaps)
    own = [name for name, one in problem.priors.items() if one.source == "model"]
    if held and own:
        notes.append(
            f"{', '.join(own)}: the priors of the model {problem.model.name} were made from this "
            f"evidence ({', '.join(held)}), which is then used twice"
        )
    return tuple(notes)


def _used_twice(name: str, prior: Prior, both: tuple[str, ...]) -> str:
    said = (
        f"{name}: {prior.cited} must be expected to hold studies of this evidence "
        f"({', '.join(both)}), which are then used twice"
    )
    if prior.discount:
        return f"{said}; it is discounted ({prior.discount})"
    if prior.family == "Normal":
        return (
            f"{said}; discount it ('{prior.cited} power 0.3' or '{prior.cited} robust 0.2'), or "
            "take another prior"
        )
    return f"{said}; take another prior, or say how much that matters"
