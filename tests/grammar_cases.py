"""Every part of the grammar that the PyMC engine samples, as one table of problems."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from cases import JOINT, REFERENCES, alliance, model, molloy
from metarho.data.shipped import shipped_columns
from metarho.data.studies import Studies, load_studies
from metarho.engines.problem import Problem, encode
from metarho.spec.model import Model, Step, StepSelection
from metarho.spec.priors import parse_prior


def samples() -> Studies:
    """The 16 correlations as if from three samples whose errors correlate."""
    columns = {"ri": "ri", "ni": "ni", "study": "quality"}
    return load_studies(REFERENCES / "molloy2014.csv", columns=columns, rho_within=0.6)


def few_words() -> Studies:
    """One study with a number and words, one with two rows in words, the rest numbers or alone."""
    return alliance("use", "year == 2018 or year >= 2021")


def several_tests() -> Studies:
    """The evidence, whose words sum up as many tests as its source says."""
    columns = {**_own_columns(), "tests": "tests"}
    return load_studies("internet-alliance", columns=columns, where='role == "main"')


def _own_columns() -> dict[str, str]:
    own = shipped_columns("internet-alliance")
    assert own is not None
    return own.mapped


def blanks() -> Studies:
    """The evidence, whose source leaves two timings blank, without the year of one of them."""
    studies = alliance()
    studied = studies.table.column("study")
    years = zip(studies.table.column("year"), studied, strict=True)
    year = tuple(None if study == "Johnsson 2011" else cell for cell, study in years)
    columns = {**studies.table.columns, "year": year}
    return replace(studies, table=replace(studies.table, columns=columns))


def measured() -> Studies:
    """The evidence with reliabilities, some of them unknown, and restricted ranges."""
    rng = np.random.default_rng(8)
    rows = tuple(
        replace(
            row,
            rxx=None if row.index % 3 == 0 else float(rng.uniform(0.6, 0.95)),
            ryy=None if row.index % 4 == 0 else float(rng.uniform(0.5, 1.0)),
            ux=None if row.index % 2 else float(rng.uniform(0.6, 1.2)),
        )
        for row in alliance().rows
    )
    return replace(alliance(), rows=rows)


LEVELS = {"tau_study": "HalfNormal(sigma=0.25)", "tau_effect": "HalfNormal(sigma=0.15)"}
MIXTURE = {"weight": "Beta(alpha=2, beta=9)", "tau_outlier": "HalfNormal(sigma=0.5)"}
OMEGA = {"omega": "Uniform(lower=0, upper=1)"}
RELIABILITIES = {"rxx": "Beta(alpha=9, beta=2)", "ryy": "Beta(alpha=8, beta=3)"}
# Four slopes of moderators on one scale, give or take.
MANY = {"mods": "~ scale(year) + scale(meanage) + design + controls"}
STUDENT = {"nu": "Gamma(alpha=2, beta=0.1)"}


def step(*cutpoints: float, weights: tuple[float, ...] | None = None) -> StepSelection:
    """Selection by a step function of p."""
    return StepSelection(step=Step(cutpoints=cutpoints, weights=weights))


@dataclass(frozen=True)
class Part:
    """A random-effects model with something changed, on some evidence."""

    studies: Callable[[], Studies]
    changes: Mapping[str, object] = field(default_factory=dict)
    priors: Mapping[str, str] = field(default_factory=dict)

    def model(self) -> Model:
        """The model."""
        base = model("random-effects")
        priors = {name: parse_prior(text) for name, text in self.priors.items()}
        return base.model_copy(update={**self.changes, "priors": {**base.priors, **priors}})

    def problem(self) -> Problem:
        """The problem."""
        return encode(self.model(), self.studies())


PARTS = {
    "random effects": Part(molloy),
    "random effects, words": Part(alliance),
    "common effect, words": Part(alliance, {"random": "none"}),
    "random effects, several tests": Part(several_tests),
    "study and effect, several tests": Part(several_tests, {"random": "study/effect"}, LEVELS),
    "mixture, several tests": Part(several_tests, {"effects": "mixture"}, MIXTURE),
    "moderators, words": Part(alliance, {"mods": "~ guidance + center(year)"}),
    "moderators, some unknown, words": Part(
        blanks,
        {"random": "study/effect", "mods": "~ timing + center(year)", "missing": "impute"},
        LEVELS,
    ),
    "study": Part(alliance, {"random": "study"}, LEVELS),
    "study and effect": Part(lambda: alliance("drop"), {"random": "study/effect"}, LEVELS),
    "study and effect, words": Part(alliance, {"random": "study/effect"}, LEVELS),
    "correlated errors": Part(samples),
    "study and effect, correlated errors": Part(samples, {"random": "study/effect"}, LEVELS),
    "study, rater and effect": Part(
        alliance,
        {"random": "study/rater/effect"},
        {**LEVELS, "tau_rater": "HalfNormal(sigma=0.2)"},
    ),
    "crossed with raters": Part(
        alliance,
        {"random": "study/effect + rater"},
        {**LEVELS, "tau_rater": "HalfNormal(sigma=0.2)"},
    ),
    "moderators of tau": Part(
        alliance, {"scale": "~ guidance"}, {"alpha": "Normal(mu=0, sigma=0.5)"}
    ),
    "Student-t effects, words": Part(alliance, {"effects": "student-t"}, STUDENT),
    "Student-t effects, study": Part(
        few_words, {"effects": "student-t", "random": "study/effect"}, {**STUDENT, **LEVELS}
    ),
    "mixture, words": Part(alliance, {"effects": "mixture"}, MIXTURE),
    "mixture, study": Part(
        few_words, {"effects": "mixture", "random": "study/effect"}, {**MIXTURE, **LEVELS}
    ),
    "selection": Part(molloy, {"selection": step(0.025)}, OMEGA),
    "selection, three bands, words": Part(alliance, {"selection": step(0.025, 0.5)}, OMEGA),
    "selection, known weights, mixture": Part(
        molloy,
        {"selection": step(0.025, 0.5, weights=(0.6, 0.3)), "effects": "mixture"},
        MIXTURE,
    ),
    "selection, study": Part(
        few_words, {"selection": step(0.025), "random": "study/effect"}, {**OMEGA, **LEVELS}
    ),
    "selection, two-sided t, weights that never rise": Part(
        molloy,
        {"selection": StepSelection(step=Step(cutpoints=(0.05, 0.1), sides="two", test="t"))},
        {"omega": "CumulativeDirichlet(alpha=[1, 1, 2])"},
    ),
    "selection against the wish, words": Part(
        few_words,
        {"selection": StepSelection(step=Step(cutpoints=(0.025, 0.5), favours="negative"))},
        {"omega": "CumulativeDirichlet(alpha=[2, 1, 1])"},
    ),
    "PET, words": Part(alliance, {"selection": "pet"}, {"pet": "HalfCauchy(beta=1)"}),
    "PEESE, correlated errors": Part(
        samples, {"selection": "peese"}, {"peese": "HalfCauchy(beta=5)"}
    ),
    "true scores, words": Part(measured, {"measurement": "true-score"}, RELIABILITIES),
    "true scores, study": Part(
        measured,
        {"measurement": "true-score", "random": "study/effect", "mods": "~ guidance"},
        {**RELIABILITIES, **LEVELS},
    ),
    "horseshoe": Part(molloy, MANY, {"beta": JOINT["RegularizedHorseshoe"]}),
    "R2D2": Part(molloy, MANY, {"beta": JOINT["R2D2"]}),
    "exact law of r": Part(molloy, {"likelihood": "exact-r"}),
    "exact law of r, words": Part(few_words, {"likelihood": "exact-r"}),
    "exact law of r, study": Part(
        few_words, {"likelihood": "exact-r", "random": "study/effect"}, LEVELS
    ),
    "exact law of r, common effect": Part(molloy, {"likelihood": "exact-r", "random": "none"}),
}
