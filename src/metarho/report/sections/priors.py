"""Every prior with its reason, and what the priors of the answer's model imply before data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from metarho.batch.findings import Findings
from metarho.batch.plan import Cell
from metarho.posterior.fit import Fit

# Of ``spec.model.SHARE_PRIOR``, which splits a total that a prior set speaks of.
_SHARE = "Nothing is known of the split: every share of the variance is as likely as any other."


@dataclass(frozen=True)
class Prior:
    """A prior as the report shows it; ``why`` is empty where nobody says."""

    prior_set: str
    parameter: str
    prior: str
    source: str
    why: str


@dataclass(frozen=True)
class Implied:
    """What a prior set expects before data: a fit of no evidence."""

    prior_set: str
    fit: Fit


def values(found: Findings) -> Mapping[str, object]:
    """Priors by model, and of the answer's model what they imply."""
    plan = found.plan
    first = plan.analysis.studies.intervals[0]
    priors = {
        name: _without_repeats(
            prior
            for cell in plan.cells
            if cell.model == name and cell.intervals == first
            for prior in _priors(found, cell)
        )
        for name in plan.models
    }
    return {
        "priors": priors,
        "implied": [Implied(prior_set, fit) for prior_set, fit in found.before.items()],
        "not_implied": {
            name.removeprefix("implied by "): reason
            for name, reason in found.absent.items()
            if name.startswith("implied by ")
        },
        "all_reasoned": all(prior.why for one in priors.values() for prior in one),
    }


def _without_repeats(priors: Iterable[Prior]) -> list[Prior]:
    """The model's own priors once, under the first prior set that leaves them as they are."""
    kept: dict[object, Prior] = {}
    for prior in priors:
        own = prior.source == "model"
        kept.setdefault((prior.parameter, prior.prior) if own else prior, prior)
    return list(kept.values())


def _priors(found: Findings, cell: Cell) -> Iterator[Prior]:
    of_set = found.plan.analysis.why.priors.get(cell.prior_set, "")
    of_model = cell.problem.model.why
    for parameter, applied in cell.problem.priors.items():
        if applied.source == "model":
            # A slope's reason may be that of all of them.
            why = of_model.get(parameter) or of_model.get(parameter.partition("[")[0], "")
        elif applied.source == "total form":
            why = _SHARE
        else:
            why = applied.prior.citation or of_set
        yield Prior(cell.prior_set, parameter, applied.prior.described, applied.source, why)
