"""The key of a fit: a hash of everything that its numbers depend on, and of nothing else."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cache
from importlib.metadata import version

from metarho.data.design import Design
from metarho.data.effect_sizes import ALPHA
from metarho.data.missing import Factor, Imputation, Number
from metarho.data.studies import Row
from metarho.engines.problem import Problem
from metarho.spec.analysis import Sampler

# Raised when what is stored, or how it is computed, changes its meaning.
FORMAT = 5

# Packages whose versions decide about numbers, by engine.
COMPUTES = {
    "exact": ("numpy", "scipy"),
    "nuts": ("numpy", "scipy", "pymc", "pytensor", "nutpie"),
}


# Read from files, and the same as long as the process lives.
_version = cache(version)


def key_of(problem: Problem, engine: str, sampler: Sampler, draws_factor: int = 1) -> str:
    """SHA-256 of canonical JSON of a problem, its engine and sampler.

    In: the resolved model and priors; the rows used, sorted by study and effect, with labels;
    moderators; intervals; engine and the versions of what computes; sampler and the run's seed.
    Not in: file names, titles, row or column order, unused columns, interval, thresholds,
    profiles. ``draws_factor`` sets apart the longer run that decides a disagreement.
    """
    model = problem.model
    evidence = problem.evidence
    content = {
        "format": FORMAT,
        "model": {
            "likelihood": model.likelihood,
            "mods": model.mods,
            "scale": model.scale,
            "random": model.random,
            "effects": model.effects,
            "selection": model.model_dump(mode="json")["selection"],
            "reference": dict(model.reference),
            "custom": _custom(problem),
        },
        "priors": {name: str(applied.prior) for name, applied in problem.priors.items()},
        "measure": problem.measure,
        "correlated": [
            [group.rows.tolist(), group.covariance.tolist()]
            for group in problem.evidence.correlated
        ],
        "intervals": problem.intervals,
        "rows": [
            [row.study, row.sample, row.effect, row.ni, row.yi, row.vi, row.lower, row.upper]
            + ([row.tests, row.word_means, row.rho_tests] if several else [])
            for row, several in zip(evidence.rows, evidence.sums_up, strict=True)
        ],
        "labels": {level: list(labels) for level, labels in evidence.labels.items()},
        "design": _content(problem.design),
        "measurement": _measurement(problem),
        "imputation": _unknown(problem.imputation),
        "scale_design": _content(problem.scale_design),
        "engine": engine,
        "versions": {name: _version(name) for name in COMPUTES[engine]},
        "sampler": sampler.model_dump(),
        "draws_factor": draws_factor,
    }
    if problem.reporting is not None:
        # Which results are significant is then part of the likelihood, of numbers too.
        content["reporting"] = asdict(problem.reporting) | {
            "critical": evidence.critical.tolist(),
            "not_significant": evidence.is_not_significant.tolist(),
        }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _content(design: Design) -> dict[str, object]:
    return {
        "names": list(design.names),
        "levels": {name: list(levels) for name, levels in design.levels.items()},
        "matrix": design.matrix.tolist(),
    }


def _custom(problem: Problem) -> object:
    """The text of a custom model's file, and all that it may read: the rows, and their columns."""
    custom, studies = problem.model.custom, problem.studies
    if custom is None or studies is None:
        return None
    rows = [_read_by_custom(row) for row in studies.used]
    columns = {name: list(studies.moderator(name)) for name in studies.table.columns}
    return [custom.source, rows, columns, studies.rho_within]


def _read_by_custom(row: Row) -> dict[str, object]:
    """A row without what cannot matter: its place, and what stands in its ends or its columns."""
    found = {**asdict(row), "place": None, "index": None}
    del found["statistic"]
    if row.tests == 1:
        del found["tests"], found["word_means"], found["rho_tests"]
    if row.alpha == ALPHA:
        del found["alpha"]
    return found


def _measurement(problem: Problem) -> object:
    if problem.model.measurement != "true-score":
        return None
    artefacts = [[row.rxx, row.ryy, row.ux] for row in problem.evidence.rows]
    return [artefacts, {n: str(one.prior) for n, one in problem.reliabilities.items()}]


def _unknown(imputation: Imputation | None) -> object:
    if imputation is None:
        return None
    known: list[Factor | Number] = [*imputation.factors.values(), *imputation.numbers.values()]
    blocks = [
        [block.rows.tolist(), block.levels.tolist(), block.constant.tolist(), block.slopes.tolist()]
        for block in imputation.blocks
    ]
    return [[asdict(one) for one in known], blocks]


def seed_of(key: str) -> int:
    """The seed of a fit, from its key: it does not depend on what else runs."""
    return int(key[:15], 16)
