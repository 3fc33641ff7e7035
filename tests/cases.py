"""One table of cases for both engines: evidence, model, priors."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metarho.data.studies import Studies, load_studies
from metarho.engines.problem import Problem, encode
from metarho.spec.lookup import shipped_folder
from metarho.spec.model import Model, read_model
from metarho.spec.priors import parse_prior

REFERENCES = Path(__file__).parent / "references"


PRIORS: Mapping[str, str] = {
    "Normal": "Normal(mu=-0.1, sigma=0.5)",
    "StudentT": "StudentT(nu=4, mu=0.2, sigma=0.5)",
    "Cauchy": "Cauchy(alpha=0.1, beta=0.707)",
    "Uniform": "Uniform(lower=-1, upper=2)",
    "Flat": "Flat()",
    "HalfNormal": "HalfNormal(sigma=0.25)",
    "HalfStudentT": "HalfStudentT(nu=3, sigma=0.5)",
    "HalfCauchy": "HalfCauchy(beta=0.3)",
    "Exponential": "Exponential(lam=4)",
    "PenalizedComplexity": "PenalizedComplexity(upper=0.5, alpha=0.05)",
    "Gamma": "Gamma(alpha=2, beta=10)",
    "InverseGamma": "InverseGamma(alpha=1, beta=0.15)",
    "LogNormal": "LogNormal(mu=-2, sigma=0.5)",
    "Lomax": "Lomax(alpha=6, scale=0.5)",
    "Beta": "Beta(alpha=2, beta=3)",
    "StretchedBeta": "StretchedBeta(alpha=1.5, beta=3)",
    "NormalMixture": "NormalMixture(w=[1, 2.5], mu=[0, 0.3], sigma=[0.05, 0.4])",
    "Truncated": "Truncated(dist=Normal(mu=0.1, sigma=0.2), lower=-0.3, upper=0.2)",
    "DiracDelta": "DiracDelta(c=0.1)",
    "DuMouchel": "DuMouchel()",
    "UniformShrinkage": "UniformShrinkage()",
    "UniformI2": "UniformI2()",
    "Conventional": "Conventional()",
    "SquareRoot": "SquareRoot()",
    "Jeffreys": "Jeffreys()",
    "BergerDeely": "BergerDeely()",
    "OverallJeffreys": "OverallJeffreys()",
}
"""Every family of one parameter once, with arguments that differ from each other."""

WEIGHTS: Mapping[str, str] = {"CumulativeDirichlet": "CumulativeDirichlet(alpha=[1, 2, 1])"}
"""Priors of all weights of selection together."""

JOINT: Mapping[str, str] = {
    "RegularizedHorseshoe": "RegularizedHorseshoe(tau0=0.1, slab_df=4, slab_scale=0.5)",
    "R2D2": "R2D2(mean=0.4, precision=2.5, concentration=0.6)",
}
"""Every family of all slopes together."""

TRANSFORMED = (
    "Uniform(lower=-1, upper=1) on r",
    "Uniform(lower=-0.2, upper=0.6) on r",
    "StretchedBeta(alpha=0.5, beta=0.5) on r",
    "StretchedBeta(alpha=2, beta=3.5) on r",
    "Beta(alpha=2, beta=0.7) on r",
    "Truncated(dist=Normal(mu=0.2, sigma=0.3), lower=-1, upper=1) on r",
    "Truncated(dist=StretchedBeta(alpha=0.5, beta=0.5), lower=0.1) on r",
    "InverseGamma(alpha=1, beta=0.1) on tau2",
    "HalfCauchy(beta=0.1) on tau2",
    "Gamma(alpha=0.5, beta=2) on tau2",
    "Uniform(lower=0.01, upper=0.5) on tau2",
    "Truncated(dist=InverseGamma(alpha=1, beta=0.1), upper=1) on tau2",
    "Lomax(alpha=1, scale=0.02) on tau2",
)
"""Priors of r = tanh(mu) and of the square of tau."""

CUT = (
    "Truncated(dist=Normal(mu=0, sigma=1), lower=6)",
    "Truncated(dist=Normal(mu=0, sigma=1), upper=-30)",
    "Truncated(dist=Normal(mu=0, sigma=1), lower=0.1, upper=0.1000001)",
    "Truncated(dist=StudentT(nu=4, mu=0.2, sigma=0.5), lower=0)",
    "Truncated(dist=StudentT(nu=4, mu=0.2, sigma=0.5), upper=-50)",
    "Truncated(dist=Cauchy(alpha=0.1, beta=0.707), lower=-1, upper=1000)",
    "Truncated(dist=Uniform(lower=-1, upper=2), lower=0, upper=5)",
    "Truncated(dist=HalfNormal(sigma=0.25), upper=0.001)",
    "Truncated(dist=HalfStudentT(nu=3, sigma=0.5), lower=20)",
    "Truncated(dist=HalfCauchy(beta=0.3), upper=1)",
    "Truncated(dist=Exponential(lam=4), lower=30)",
    "Truncated(dist=PenalizedComplexity(upper=0.5, alpha=0.05), upper=0.5)",
    "Truncated(dist=Gamma(alpha=2, beta=10), lower=5)",
    "Truncated(dist=Gamma(alpha=0.5, beta=10), upper=0.1)",
    "Truncated(dist=InverseGamma(alpha=1, beta=0.15), upper=1)",
    "Truncated(dist=InverseGamma(alpha=2, beta=0.15), upper=0.005)",
    "Truncated(dist=LogNormal(mu=-2, sigma=0.5), lower=2)",
    "Truncated(dist=Lomax(alpha=6, scale=0.5), lower=20)",
    "Truncated(dist=Beta(alpha=2, beta=3), lower=0.99)",
    "Truncated(dist=StretchedBeta(alpha=1.5, beta=3), upper=-0.99)",
    "Truncated(dist=NormalMixture(w=[1, 2], mu=[0, 9], sigma=[1, 0.01]), lower=5, upper=8.9)",
)
"""Truncations of every family, many of them to a far tail or a narrow stretch."""


def model(name: str, mods: str | None = None) -> Model:
    """A shipped model."""
    return read_model(shipped_folder("models") / f"{name}.yaml", mods=mods)


def alliance(intervals: str = "use", where: str = 'role == "main"') -> Studies:
    """The shipped evidence."""
    studies = load_studies("internet-alliance", where=where)
    return studies.dropping_intervals() if intervals == "drop" else studies


def molloy() -> Studies:
    """16 correlations."""
    return load_studies(REFERENCES / "molloy2014.csv", columns={"ri": "ri", "ni": "ni"})


def attendance(rho_within: float = 0.0) -> Studies:
    """67 correlations of class attendance with grades in 54 studies."""
    return load_studies(
        REFERENCES / "crede2010.csv",
        columns={"ri": "ri", "ni": "ni", "study": "studyid"},
        where='criterion == "grade"',
        rho_within=rho_within,
    )


def written(
    folder: Path,
    rows: Sequence[Mapping[str, object]],
    measure: str = "GEN",
    rho_within: float = 0.0,
) -> Studies:
    """Studies from rows written to a CSV file; GEN rows have yi, vi, yi_low, yi_high, reported."""
    path = folder / "rows.csv"
    columns = list(
        dict.fromkeys([*(["yi"] if measure == "GEN" else []), *(c for r in rows for c in r)])
    )
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return load_studies(
        path,
        measure="GEN" if measure == "GEN" else "ZCOR",
        columns={column: column for column in columns if column != "x"},
        rho_within=rho_within,
    )


def problem(
    studies: Studies, name: str = "random-effects", mods: str | None = None, **priors: str
) -> Problem:
    """A model with priors on studies."""
    parsed = {parameter: parse_prior(text) for parameter, text in priors.items()}
    return encode(model(name, mods), studies, parsed)


def reference(name: str) -> dict[str, Any]:
    """A pinned reference."""
    loaded: dict[str, Any] = json.loads((REFERENCES / f"{name}.json").read_text("utf-8"))
    return loaded


# The codes of the pinned references.
TAU_CODES = {
    "hn0.5": "HalfNormal(sigma={0:.10g})",
    "hc0.3": "HalfCauchy(beta={0:.10g})",
    "hc0.5": "HalfCauchy(beta={0:.10g})",
    "hn1": "HalfNormal(sigma={0:.10g})",
    "exp2": "Exponential(lam={0:.10g})",
    "ht4_0.5": "HalfStudentT(nu=4, sigma={0:.10g})",
    "invgamma1_0.15": "InverseGamma(alpha=1, beta={0:.10g})",
    "uniform": "Flat()",
    "lomax": "Lomax(alpha=6, scale={0:.10g})",
    "sqrt": "SquareRoot()",
    "Jeffreys": "Jeffreys()",
    "shrinkage": "UniformShrinkage()",
    "I2": "UniformI2()",
    "DuMouchel": "DuMouchel()",
    "conventional": "Conventional()",
}
TAU_SCALES = {
    "hn0.5": 0.5,
    "hc0.3": 0.3,
    "hc0.5": 0.5,
    "hn1": 1.0,
    "ht4_0.5": 0.5,
    "invgamma1_0.15": 0.15,
    "lomax": 0.5,
}


def _tau_prior(code: str, unit: float) -> str:
    name = code.removeprefix("tau:")
    scale = 2 / unit if name == "exp2" else TAU_SCALES.get(name, 1.0) * unit
    return TAU_CODES[name].format(scale)


def eight_schools() -> Studies:
    """Effects and standard errors of eight schools."""
    columns = {"yi": "effect", "sei": "stderr"}
    return load_studies(REFERENCES / "eightschools.csv", measure="GEN", columns=columns)


def given_effects(name: str) -> Studies:
    """Effects with variances, ``yi`` and ``vi``, as a pinned table gives them."""
    columns = {"yi": "yi", "vi": "vi"}
    return load_studies(REFERENCES / f"{name}.csv", measure="GEN", columns=columns)


def reference_studies(name: str) -> Studies:
    """The evidence behind a pinned reference."""
    match name:
        case "molloy2014_ZCOR":
            return molloy()
        case "molloy2014_COR":
            columns = {"ri": "ri", "ni": "ni"}
            return load_studies(REFERENCES / "molloy2014.csv", measure="COR", columns=columns)
        case "eightschools":
            return eight_schools()
        case "bcg_RR" | "raudenbush1985_SMD":
            return given_effects(name.partition("_")[0])
    raise ValueError(name)


def reference_problem(name: str, setting: str) -> Problem:
    """The problem of a pinned setting, ``tau:<code>|mu:<code>``, on its data set."""
    unit = 50.0 if name == "eightschools" else 1.0
    tau, mu = setting.split("|")
    sigma = {"mu:n0_1": 1.0, "mu:n0_0.5": 0.5}.get(mu, 0.0) * unit
    mu_prior = "Flat()" if mu == "mu:flat" else f"Normal(mu=0, sigma={sigma})"
    return problem(reference_studies(name), mu=mu_prior, tau=_tau_prior(tau, unit))


def file_order(encoded: Problem) -> list[int]:
    """The place of each row of a problem in its file, 0 first."""
    return [row.index for row in encoded.evidence.rows]


@dataclass(frozen=True)
class Case:
    """A named problem on the shipped evidence."""

    name: str
    intervals: str = "use"
    where: str = 'role == "main"'
    model: str = "random-effects"
    mods: str | None = None
    priors: tuple[tuple[str, str], ...] = ()

    def problem(self) -> Problem:
        return problem(
            alliance(self.intervals, self.where), self.model, self.mods, **dict(self.priors)
        )


CASES = (
    Case("random effects, intervals used"),
    Case("random effects, intervals dropped", "drop"),
    Case("common effect, intervals used", model="common-effect"),
    Case("common effect, intervals dropped", "drop", model="common-effect"),
    Case(
        "heavy tails",
        priors=(("mu", "StudentT(nu=3, mu=0.1, sigma=0.2)"), ("tau", "HalfCauchy(beta=0.2)")),
    ),
    Case(
        "uniform mean, inverse gamma heterogeneity",
        "drop",
        priors=(
            ("mu", "Uniform(lower=-0.5, upper=0.3)"),
            ("tau", "InverseGamma(alpha=1, beta=0.075)"),
        ),
    ),
    Case(
        "half-t, flat mean",
        "drop",
        priors=(("mu", "Flat()"), ("tau", "HalfStudentT(nu=4, sigma=0.3)")),
    ),
    Case(
        "moderators",
        "drop",
        mods="~ guidance + center(year)",
        priors=(("tau", "LogNormal(mu=-2, sigma=0.6)"),),
    ),
    Case("Student-t effects", "drop", model="student-t", priors=(("nu", "DiracDelta(c=4)"),)),
    Case("selection", "drop", model="selection"),
    Case("exact law of r", model="exact-r"),
    Case("three levels, intervals used", model="three-level"),
    Case(
        "total and share", "drop", model="three-level", priors=(("tau", "HalfNormal(sigma=0.2)"),)
    ),
    Case(
        "priors of r and of tau squared",
        "drop",
        priors=(
            ("mu", "StretchedBeta(alpha=2, beta=3) on r"),
            ("tau2", "InverseGamma(alpha=2, beta=0.02)"),
        ),
    ),
    Case(
        "a mixture and a truncation",
        "drop",
        priors=(
            ("mu", "NormalMixture(w=[1, 2], mu=[0, 0.3], sigma=[0.05, 0.4])"),
            ("tau", "Truncated(dist=HalfCauchy(beta=0.2), lower=0.02, upper=1)"),
        ),
    ),
    Case(
        "a mean in units of tau, a reference prior",
        "drop",
        priors=(("mu", "Normal(mu=1, sigma=2) on mu/tau"), ("tau", "UniformShrinkage()")),
    ),
)
"""Problems that both engines cover."""
