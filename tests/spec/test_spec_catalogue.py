"""The catalogue: what it holds, how it is cited, and that its numbers are those that were read."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from metarho.errors import InputError
from metarho.spec.analysis import read_analysis
from metarho.spec.catalogue import (
    TRANSFERS,
    Entry,
    catalogue,
    entry,
    powered,
    read_catalogue,
    read_prior,
    robust,
)
from metarho.spec.model import checked_priors, read_model
from metarho.spec.priors import Prior, parse_prior

BARE = "studies: {source: internet-alliance}\nmodels: [random-effects]\n"

# SciPy's law of each family, with its own parametrisation.
SCIPY: dict[str, Callable[[dict[str, float]], Any]] = {
    "Normal": lambda a: stats.norm(a["mu"], a["sigma"]),
    "StudentT": lambda a: stats.t(a["nu"], a["mu"], a["sigma"]),
    "Cauchy": lambda a: stats.cauchy(a["alpha"], a["beta"]),
    "HalfNormal": lambda a: stats.halfnorm(scale=a["sigma"]),
    "HalfCauchy": lambda a: stats.halfcauchy(scale=a["beta"]),
    "Gamma": lambda a: stats.gamma(a["alpha"], scale=1 / a["beta"]),
    "InverseGamma": lambda a: stats.invgamma(a["alpha"], scale=a["beta"]),
    "LogNormal": lambda a: stats.lognorm(a["sigma"], scale=math.exp(a["mu"])),
    "Beta": lambda a: stats.beta(a["alpha"], a["beta"]),
}


def quantile(prior: Prior, p: float) -> float:
    """A quantile of the parameter, by SciPy."""
    if prior.dist is not None:
        base = SCIPY[prior.dist.family](prior.dist.values)
        below = float(base.cdf(prior.values["lower"]))
        return float(base.ppf(below + p * (1 - below)))
    found = float(SCIPY[prior.family](prior.values).ppf(p))
    return math.sqrt(found) if prior.on == "tau2" else found


def read(folder: Path, text: str) -> Any:
    path = folder / "mine.yaml"
    path.write_text(BARE + text, encoding="utf-8")
    return read_analysis(path)[0].priors


TRANSFERRED = [one for one in catalogue().values() if one.native is not None]


@pytest.mark.parametrize("one", TRANSFERRED, ids=lambda one: one.slug)
def test_a_transferred_prior_is_the_native_one_in_other_units(one: Entry) -> None:
    assert one.native is not None and one.transfer is not None
    factor = TRANSFERS[one.transfer][0]
    for p in (0.05, 0.25, 0.5, 0.9, 0.975):
        # Parameters are rounded to three or four digits, as published.
        wanted = factor * quantile(one.native, p)
        assert quantile(one.prior, p) == pytest.approx(wanted, rel=2e-3, abs=1e-12)


def test_there_are_transfers_of_each_kind() -> None:
    assert {one.transfer for one in TRANSFERRED} == set(TRANSFERS)


# As read in RoBMA, metaBMA, BayesTools, bayesmeta, MetaStan and the papers: on their own scale.
NATIVE = {
    "robma3-mu-z": "Normal(mu=0, sigma=1)",
    "robma3-tau-z": "InverseGamma(alpha=1, beta=0.15)",
    "robma3-beta-z": "Normal(mu=0, sigma=0.25)",
    "metabma-mu-z": "Cauchy(alpha=0, beta=0.707)",
    "metabma-tau-z": "InverseGamma(alpha=1, beta=0.15)",
    "metabma-old-mu-z": "Normal(mu=0, sigma=0.3)",
    "metastan-tau-z": "HalfNormal(sigma=0.5)",
    "harrer-mu-z": "Normal(mu=0, sigma=1)",
    "harrer-tau-z": "HalfCauchy(beta=0.5)",
    "uisd8-tau-z": "HalfNormal(sigma=0.5)",
    "uisd4-tau-z": "HalfNormal(sigma=1.0)",
    "vanerp-r-hn": "HalfNormal(sigma=0.226)",
    "vanerp-r-ln": "LogNormal(mu=-1.818, sigma=0.602)",
    "vanerp-r-gamma": "Gamma(alpha=2.91, beta=15.67)",
    "vanerp-r-ig": "InverseGamma(alpha=3.21, beta=0.462)",
    "vanerp2017-tau-z": "InverseGamma(alpha=1, beta=0.15)",
    "oosterwijk-mu-z": "Truncated(dist=StudentT(nu=3, mu=0.35, sigma=0.102), lower=0)",
    "cochrane-mu-z": "StudentT(nu=5, mu=0, sigma=0.43)",
    "cochrane-tau-z": "InverseGamma(alpha=1.71, beta=0.40)",
    "cochrane-cmd-mu-z": "StudentT(nu=5, mu=0, sigma=0.55)",
    "cochrane-cmd-tau-z": "InverseGamma(alpha=1.62, beta=0.45)",
    "cochrane-schizophrenia-mu-z": "StudentT(nu=4, mu=0, sigma=0.29)",
    "cochrane-schizophrenia-tau-z": "InverseGamma(alpha=1.6, beta=0.27)",
    "cochrane-developmental-mu-z": "StudentT(nu=5, mu=0, sigma=0.18)",
    "cochrane-developmental-tau-z": "InverseGamma(alpha=1.43, beta=0.12)",
    "cochrane-drugs-alcohol-mu-z": "StudentT(nu=5, mu=0, sigma=0.33)",
    "cochrane-drugs-alcohol-tau-z": "InverseGamma(alpha=1.89, beta=0.28)",
    "turner-tau-z": "LogNormal(mu=-2.56, sigma=1.74) on tau2",
    "turner-mental-np-tau-z": "LogNormal(mu=-2.34, sigma=1.72) on tau2",
    "turner-mental-npnp-tau-z": "LogNormal(mu=-1.67, sigma=1.47) on tau2",
    "turner-mental-npp-tau-z": "LogNormal(mu=-1.09, sigma=1.27) on tau2",
    "turner-mental-pp-tau-z": "LogNormal(mu=-2.35, sigma=1.60) on tau2",
    "turner-mental-pplacebo-tau-z": "LogNormal(mu=-2.12, sigma=1.53) on tau2",
    "rhodes-ig-mental-np-tau-z": "InverseGamma(alpha=0.46, beta=0.01) on tau2",
    "rhodes-ig-logor-tau-z": "InverseGamma(alpha=1.14, beta=0.08) on tau2",
}


def test_native_priors_are_as_they_were_read() -> None:
    assert {one.slug: str(one.native) for one in TRANSFERRED} == {
        slug: str(parse_prior(text)) for slug, text in NATIVE.items()
    }


# What has no other scale than the one it is used on.
PLAIN = {
    "robma4-mu-z": "Normal(mu=0, sigma=0.5)",
    "robma4-tau-z": "HalfNormal(sigma=0.25)",
    "robma4-beta-z": "Normal(mu=0, sigma=0.25)",
    "robma4-alpha": "Normal(mu=0, sigma=0.5)",
    "robma4-share": "Beta(alpha=1, beta=1)",
    "bayesmeta-mu": "Flat()",
    "multinma-mu": "Normal(mu=0, sigma=10)",
    "multinma-tau": "HalfNormal(sigma=5)",
    "bayesma-mu": "Normal(mu=0, sigma=10)",
    "bayesma-tau": "HalfStudentT(nu=3, sigma=2.5)",
    "brms-tau": "HalfStudentT(nu=3, sigma=2.5)",
    "bayesmeta-uniform": "Flat()",
    "bayesmeta-sqrt": "SquareRoot()",
    "bayesmeta-jeffreys": "Jeffreys()",
    "bayesmeta-overall-jeffreys": "OverallJeffreys()",
    "bayesmeta-berger-deely": "BergerDeely()",
    "bayesmeta-conventional": "Conventional()",
    "bayesmeta-dumouchel": "DuMouchel()",
    "bayesmeta-shrinkage": "UniformShrinkage()",
    "bayesmeta-i2": "UniformI2()",
    "polson-scott-tau": "HalfCauchy(beta=1)",
    "halfcauchy-0.25-z": "HalfCauchy(beta=0.25)",
    "halfcauchy-0.3-z": "HalfCauchy(beta=0.3)",
    "bosco-mu-z": "Normal(mu=0, sigma=0.24)",
    "robma-omega": "Beta(alpha=1, beta=1)",
    "robma-pet": "HalfCauchy(beta=1)",
    "robma4-peese-z": "HalfCauchy(beta=7.07)",
    "robma3-peese-z": "HalfCauchy(beta=10)",
    "alliance-f2f-2018-wide": "Normal(mu=0.285, sigma=0.06)",
    "alliance-internet-2026": "Normal(mu=0.2132, sigma=0.03)",
    "alliance-sceptical": "Normal(mu=0, sigma=0.15)",
    "alliance-optimistic-broad": "Normal(mu=0.2, sigma=0.15)",
    "alliance-task-minus-bond": "Normal(mu=0.13, sigma=0.05)",
    "alliance-tau": "HalfNormal(sigma=0.15)",
}


def test_the_other_priors_are_as_they_were_read() -> None:
    others = [one for one in catalogue().values() if one.native is None]
    # Those derived from a published row are recomputed in tests/data.
    found = {one.slug: str(one.prior) for one in others if one.derived_from is None}
    assert found == {slug: str(parse_prior(text)) for slug, text in PLAIN.items()}


@pytest.mark.parametrize("one", catalogue().values(), ids=catalogue())
def test_every_entry_fits_the_parameter_that_it_is_of(one: Entry) -> None:
    assert checked_priors({one.parameter: one.of}) == {one.parameter: one.prior}
    assert one.of.cited == one.slug


@pytest.mark.parametrize("one", catalogue().values(), ids=catalogue())
def test_what_is_not_computed_here_says_where_it_was_read(one: Entry) -> None:
    assert one.references or one.software or one.certainty == ("C",)


def test_the_median_correlation_of_applied_psychology_is_met() -> None:
    # P(|r| < .16) = 1/2 for z normal with sd sigma.
    sigma = entry("bosco-mu-z").prior.values["sigma"]
    assert math.tanh(sigma * stats.norm.ppf(0.75)) == pytest.approx(0.16, abs=1e-3)


@pytest.mark.parametrize(
    ("slug", "quartiles"),
    [
        ("vanerp-r-hn", (0.07, 0.15, 0.26)),
        ("vanerp-r-ln", (0.11, 0.16, 0.24)),
        ("vanerp-r-gamma", (0.11, 0.17, 0.24)),
        ("vanerp-r-ig", (0.11, 0.16, 0.24)),
    ],
)
def test_fits_to_heterogeneity_in_psychology_have_the_quartiles_they_say(
    slug: str, quartiles: tuple[float, ...]
) -> None:
    prior = entry(slug).prior
    found = [quantile(prior, p) for p in (0.25, 0.5, 0.75)]
    # Printed to two digits.
    assert found == pytest.approx(quartiles, abs=0.0051)


def test_half_normal_half_keeps_tau_mostly_reasonable_on_log_odds() -> None:
    # Röver in bayesmeta's paper: about 5% beyond 1.
    native = entry("uisd8-tau-z").native
    assert native is not None
    assert stats.halfnorm(scale=native.values["sigma"]).sf(1) == pytest.approx(0.0455, abs=5e-5)


def test_a_name_stands_for_a_prior_in_a_prior_set(tmp_path: Path) -> None:
    priors = read(tmp_path, "priors: {a: {mu: alliance-f2f-2018-wide, tau: robma4-tau-z}}\n")
    assert priors["a"] == {
        "mu": parse_prior("Normal(mu=0.285, sigma=0.06)"),
        "tau": parse_prior("HalfNormal(sigma=0.25)"),
    }
    assert priors["a"]["mu"].cited == "alliance-f2f-2018-wide"
    assert priors["a"]["mu"].described == "Normal(mu=0.285, sigma=0.06) [alliance-f2f-2018-wide]"


def test_a_name_stands_for_a_prior_in_a_model(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("priors: {mu: bosco-mu-z, tau: cochrane-tau-z}\n", encoding="utf-8")
    assert read_model(path).priors["mu"] == parse_prior("Normal(mu=0, sigma=0.24)")


def test_an_sd_of_one_level_is_heterogeneity_too() -> None:
    prior = read_prior("robma4-tau-z")
    assert checked_priors({"tau_study": prior, "beta[x]": read_prior("robma4-beta-z")})


REFUSED = {
    "unknown": (
        "{mu: alliance-f2f-2081}",
        "mu: 'alliance-f2f-2081' is not a prior: neither a name in the catalogue (did you mean "
        "'alliance-f2f-2018'?) nor a family with its arguments, for instance "
        "HalfNormal(sigma=0.25)",
    ),
    "far from every name": ("{mu: xyz}", "neither a name in the catalogue (see metarho priors"),
    "of another parameter": (
        "{mu: robma4-tau-z}",
        "mu: robma4-tau-z is a prior of tau, not of mu; did you mean 'robma4-mu-z'?",
    ),
    "of tau, where its square is meant": (
        "{tau2: robma4-tau-z}",
        "tau2: robma4-tau-z is a prior of tau, not of tau2; write a prior out",
    ),
    "power of no number": ("{mu: alliance-tele-2024 power x}", "takes a number between 0 and 1"),
    "power above 1": ("{mu: alliance-tele-2024 power 1.5}", "between 0 and 1, not 1.5"),
    "power of next to nothing": (
        "{mu: alliance-tele-2024 power 1e-300}",
        "sizes from 1e-100 to 1e+100 are allowed",
    ),
    "no such discount": ("{mu: alliance-tele-2024 powr 0.3}", "did you mean 'power'?"),
    "power 0": ("{mu: alliance-tele-2024 power 0}", "between 0 and 1, not 0"),
    "robust nan": ("{mu: alliance-tele-2024 robust nan}", "between 0 and 1, not nan"),
    "power of a t": ("{mu: cochrane-mu-z power 0.5}", "available for Normal, not for StudentT"),
    "robust t": ("{mu: cochrane-mu-z robust 0.5}", "available for Normal and NormalMixture"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_citation_that_makes_no_sense_is_refused_with_its_line(tmp_path: Path, case: str) -> None:
    text, said = REFUSED[case]
    with pytest.raises(InputError) as caught:
        read(tmp_path, f"priors: {{a: {text}}}\n")
    assert said in str(caught.value)
    assert "mine.yaml:3: priors.a" in str(caught.value)


def test_a_power_prior_has_its_precision_multiplied() -> None:
    whole, part = (read_prior(f"alliance-internet-2019{end}") for end in ("", " power 0.3"))
    assert part.values["mu"] == whole.values["mu"]
    assert part.values["sigma"] ** -2 == pytest.approx(0.3 * whole.values["sigma"] ** -2, rel=1e-14)
    assert part.described.endswith("[alliance-internet-2019 power 0.3]")
    # p**a is, but for a constant, the density of the power prior.
    logs = [stats.norm(one.values["mu"], one.values["sigma"]).logpdf for one in (whole, part)]
    assert 0.3 * (logs[0](0.4) - logs[0](0.2)) == pytest.approx(logs[1](0.4) - logs[1](0.2))


def test_a_robust_prior_keeps_its_mean_and_adds_one_participant() -> None:
    found = read_prior("alliance-internet-2019 robust 0.2")
    assert dict(found.lists) == {
        "w": (0.8, 0.2),
        "mu": (0.2575, 0.2575),
        "sigma": (0.0327, 1.0),
    }
    assert found.described.endswith("[alliance-internet-2019 robust 0.2]")


def test_a_mixture_is_made_robust_about_its_own_mean() -> None:
    mixture = parse_prior("NormalMixture(w=[3, 1], mu=[0.1, 0.5], sigma=[0.1, 0.2])")
    lists = dict(robust(mixture, 0.1).lists)
    assert lists["w"] == pytest.approx((0.675, 0.225, 0.1))
    assert lists["mu"] == pytest.approx((0.1, 0.5, 0.2))
    assert dict(robust(mixture, 0.1, mean=0.0).lists)["mu"][-1] == 0.0


def test_a_prior_that_was_not_cited_can_be_powered_too() -> None:
    found = powered(parse_prior("Normal(mu=0.1, sigma=0.2)"), 0.25)
    assert found == parse_prior("Normal(mu=0.1, sigma=0.4)")
    assert found.described == "Normal(mu=0.1, sigma=0.4)"


def test_a_fault_in_a_catalogue_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.yaml"
    path.write_text(
        "a:\n  group: g\n  parameter: mu\n  prior: Normal(mu=0)\n  about: x\n  certainty: [S]\n",
        encoding="utf-8",
    )
    with pytest.raises(InputError, match=r"catalogue.yaml:4: .*sigma missing"):
        read_catalogue(path)


def test_the_page_on_priors_has_a_row_for_every_entry() -> None:
    page = Path(__file__).parents[2] / "docs" / "priors.md"
    rows = [
        line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| `")
    ]
    table = [row for row in rows if "power" not in row and "robust" not in row]
    assert table == [
        f"| `{one.slug}` | {one.parameter} | `{one.prior}` | {one.about} | "
        f"{one.sources} | {', '.join(one.certainty)} |"
        for one in catalogue().values()
    ]
