"""From a cell of a plan, or a saved fit, to a predictive prior and the model file that holds it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from metarho.batch.plan import Cell, Plan
from metarho.batch.run import settings_of
from metarho.compare.information import prior_sample_size
from metarho.engines.problem import Problem
from metarho.errors import InputError
from metarho.fitting import fit_many
from metarho.posterior.exact import Exact
from metarho.predict.predictive_prior import PredictivePrior, predictive_prior
from metarho.spec.catalogue import robust as made_robust
from metarho.spec.priors import Prior
from metarho.store.files import yaml_text
from metarho.store.saved import read_saved

REFERENCES = ("10.1111/biom.12242",)


@dataclass(frozen=True)
class Made:
    """A predictive prior, as found and as made robust, and what it was made from."""

    found: PredictivePrior
    prior: Prior
    weight: float
    fitted: str
    likelihood: str
    participants: float | None
    data_overlap: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """The same as plain values."""
        return {
            "prior": str(self.prior),
            "mixture": str(self.found.prior),
            "hellinger": self.found.hellinger,
            "robust": self.weight,
            "participants": self.participants,
            "from": self.fitted,
            "data_overlap": list(self.data_overlap),
        }


def predictive_prior_of(plan: Plan, cell: Cell, weight: float, mean: float | None) -> Made:
    """Fit a cell, through the store, and write its new study as a mixture of normals.

    ``weight`` goes to a vague component about ``mean``, a correlation (default: the mixture's own
    mean). Raises InputError where there is no such component, or the fit would be sampled.
    """
    _check_robust(cell.problem, weight, mean)
    if cell.engine != "exact":
        raise InputError(
            f"the new study of {cell.model} would be known by draws only ({cell.reason}); a "
            "predictive prior is made from a fit of the exact engine"
        )
    settings = replace(settings_of(plan), agreement=False)
    (fit,) = fit_many([cell.problem], settings)
    assert isinstance(fit.posterior, Exact)
    fitted = f"{cell.model} ({cell.prior_set} priors, {_evidence(cell.problem)})"
    return _made(fit.posterior, fitted, weight, mean)


def predictive_prior_of_saved(path: Path, weight: float, mean: float | None) -> Made:
    """The same of a saved fit."""
    fit = read_saved(path).fit
    _check_robust(fit.problem, weight, mean)
    assert isinstance(fit.posterior, Exact)
    fitted = f"{fit.problem.model.name} ({_evidence(fit.problem)})"
    return _made(fit.posterior, fitted, weight, mean)


def _made(posterior: Exact, fitted: str, weight: float, mean: float | None) -> Made:
    found = predictive_prior(posterior)
    centre = None if mean is None else math.atanh(mean)
    prior = made_robust(found.prior, weight, centre) if weight else found.prior
    problem = posterior.problem
    participants = prior_sample_size(prior, 1.0) if problem.scale == "z" else None
    return Made(
        found, prior, weight, fitted, problem.model.likelihood, participants, problem.overlaps
    )


def _evidence(problem: Problem) -> str:
    evidence = problem.evidence
    names = f" of {', '.join(problem.overlaps)}" if problem.overlaps else ""
    return f"{evidence.k} effects from {len(evidence.study_names)} studies{names}"


def _check_robust(problem: Problem, weight: float, mean: float | None) -> None:
    """Raises InputError where there is no vague component of the kind."""
    if weight and problem.scale != "z":
        raise InputError(
            "the information of one participant is known for correlations on Fisher's z; with "
            f"{problem.scale_label} give --robust 0"
        )
    if not 0 <= weight < 1:
        raise InputError(f"--robust is a weight from 0 to below 1, not {weight:g}")
    if mean is not None and (not -1 < mean < 1 or not weight):
        raise InputError(
            f"--robust-mean is a correlation between -1 and 1, for a --robust above 0; not {mean:g}"
        )


def model_text(made: Made) -> str:
    """A model file for one new study, whose true effect has the prior.

    One true effect for all rows: heterogeneity is in the prior already.
    """
    content = {
        "title": "A new study, after what was known before",
        "description": (
            f"Its true effect has what {made.fitted} expects of a new study for a prior: a mixture "
            f"of normals, Hellinger distance {made.found.hellinger:.4f}"
            + (f", made robust with weight {made.weight:g}." if made.weight else ".")
            + " Heterogeneity is in the prior: for rows of one study."
        ),
        "references": list(REFERENCES),
        "data_overlap": list(made.data_overlap),
        "likelihood": made.likelihood,
        "random": "none",
        "priors": {"mu": str(made.prior)},
    }
    return yaml_text(content)
