"""Run a plan: fit its cells, write tables and fits, and record what was done."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from metarho.batch.inputs import INPUTS, inputs_text
from metarho.batch.plain_answers import ANSWERS, answers_text
from metarho.batch.plan import Plan, file_names
from metarho.batch.tables import audit_rows, prediction_rows, summary_rows, to_csv
from metarho.engines.problem import Problem
from metarho.fitting import Settings, fit_many, keys_of
from metarho.posterior.fit import Fit
from metarho.predict.new_studies import Prediction, predict
from metarho.spec.analysis import Analysis
from metarho.spec.model import Model
from metarho.store.files import write_text, yaml_text
from metarho.store.save import save_fit
from metarho.store.store import Store

PACKAGES = ("metarho", "numpy", "scipy", "xarray", "arviz", "pymc", "pytensor", "nutpie")
# What a run leaves in its folder; the next run removes what it no longer makes.
MANIFEST = "run.json"


def _ignore(event: str, problem: Problem | None) -> None:
    """Tell nobody."""


def _silent(message: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Outcome:
    """What a run found: fits and predictions in the order of the plan's cells.

    ``members`` are the fits of the members of its ensembles, where its report has some.
    """

    plan: Plan
    fits: tuple[Fit, ...]
    predictions: tuple[tuple[Prediction, ...], ...]
    members: tuple[Fit, ...] = ()


class _Analysed(Protocol):
    """A plan of any kind: its analysis and where its results go."""

    @property
    def analysis(self) -> Analysis: ...

    @property
    def output(self) -> Path: ...


class _Modelled(Protocol):
    """A plan of any kind: its models, and the files they come from."""

    @property
    def models(self) -> Mapping[str, tuple[Model, Path]]: ...


def settings_of(
    plan: _Analysed,
    announce: Callable[[str, Problem | None], None] = _ignore,
    warn: Callable[[str], None] = _silent,
) -> Settings:
    """How the fits of a plan are made: through the store of its output."""
    analysis = plan.analysis
    return Settings(
        engine=analysis.engine,
        agreement=analysis.agreement,
        sampler=analysis.sampler,
        interval=analysis.interval,
        store=Store(plan.output / "store", warn),
        announce=announce,
    )


def execute(
    plan: Plan,
    announce: Callable[[str, Problem | None], None] = _ignore,
    warn: Callable[[str], None] = _silent,
) -> Outcome:
    """Fit every cell (through the store) and predict the new studies. Writes only to the store."""
    analysis = plan.analysis
    settings = settings_of(plan, announce, warn)
    fits = fit_many([cell.problem for cell in plan.cells], settings)
    announce("predicting", None)
    predictions = tuple(
        tuple(
            prediction
            for profile in analysis.new_studies
            for prediction in predict(fit, profile, analysis.thresholds.rho)
        )
        for fit in fits
    )
    return Outcome(plan, tuple(fits), predictions)


def write_results(outcome: Outcome) -> set[str]:
    """Write tables, the resolved config and the fits; returns their paths below the folder."""
    plan = outcome.plan
    folder = plan.folder
    texts = {
        "summary.csv": to_csv(summary_rows(plan, outcome.fits)),
        "audit.csv": to_csv(audit_rows(plan.evidence)),
        "config.resolved.yaml": resolved_config(plan),
        INPUTS: inputs_text(plan.analysis, models_of(plan), plan.evidence),
        ANSWERS: answers_text(plan, outcome.fits),
    }
    if plan.analysis.new_studies:
        texts["predictions.csv"] = to_csv(prediction_rows(plan, outcome.predictions))
    for name, text in texts.items():
        write_text(folder / name, text)
    written = set(texts)
    labels = [f"{cell.model}--{cell.prior_set}--{cell.intervals}" for cell in plan.cells]
    for name, fit in zip(file_names(labels), outcome.fits, strict=True):
        save_fit(fit, folder / "fits" / f"{name}.nc")
        written.add(f"fits/{name}.nc")
    return written


def record(outcome: Outcome, written: set[str]) -> None:
    """Write the run's record, and remove files of an earlier run that this one did not make."""
    folder = outcome.plan.folder
    forget(folder, written)
    content = {
        "files": sorted(written),
        "sha256": digests(folder, written & {INPUTS, ANSWERS}),
        **provenance(outcome.plan, outcome.fits, outcome.members),
    }
    write_text(folder / MANIFEST, json.dumps(content, indent=1) + "\n")


def provenance(plan: Plan, fits: Sequence[Fit], members: Sequence[Fit] = ()) -> dict[str, object]:
    """Versions, platform and the keys of the fits, those of members of ensembles included."""
    return {
        "config": plan.config.name,
        **versions(),
        "models": {name: path.name for name, (_, path) in plan.models.items()},
        "cells": [
            {
                "model": cell.model,
                "priors": cell.prior_set,
                "intervals": cell.intervals,
                "engine": fit.engine,
                "seed": fit.seed,
                "status": fit.status,
            }
            for cell, fit in zip(plan.cells, fits, strict=True)
        ],
        # By these the store knows which of its files a run still uses.
        "keys": sorted({key for fit in (*fits, *members) for key in keys_of(fit)}),
    }


def models_of(plan: _Modelled) -> dict[str, Model]:
    """The models of a plan of any kind."""
    return {name: model for name, (model, _) in plan.models.items()}


def digests(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """SHA-256 of files, by which a later command knows that they are as the run left them."""
    return {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in sorted(names)}


def versions() -> dict[str, object]:
    """Versions of Python and of what computes."""
    return {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def resolved_config(plan: Plan) -> str:
    """Everything that the run resolved, as YAML: defaults filled in, models and priors in full."""
    content = plan.analysis.model_dump(mode="json", exclude={"name"})
    content["new_studies"] = [
        profile.model_dump(mode="json", exclude_none=True) for profile in plan.analysis.new_studies
    ]
    content["resolved"] = {
        "models": {
            name: model.model_dump(mode="json", exclude={"name"})
            for name, (model, _) in plan.models.items()
        },
        "cells": [
            {
                "model": cell.model,
                "priors": cell.prior_set,
                "intervals": cell.intervals,
                "engine": cell.engine,
                "reason": cell.reason,
                "parameters": {
                    name: str(applied.prior) for name, applied in cell.problem.priors.items()
                },
                "levels": {
                    name: list(levels)
                    for design in (cell.problem.design, cell.problem.scale_design)
                    for name, levels in design.levels.items()
                },
            }
            for cell in plan.cells
        ],
        "remarks": list(plan.remarks),
    }
    return yaml_text(content)


def forget(folder: Path, written: set[str]) -> None:
    """Remove files of an earlier run that this one did not make. Other files stay."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return
    try:
        earlier = set(map(str, json.loads(manifest.read_text(encoding="utf-8"))["files"]))
    except (ValueError, KeyError, TypeError):
        return
    for name in earlier - written:
        path = (folder / name).resolve()
        if path.is_relative_to(folder.resolve()) and path.is_file():
            path.unlink()
