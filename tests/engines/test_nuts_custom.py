"""Custom models in the sampled engine: what a file may build, and what it yields."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pymc as pm
import pytest
from numpy.typing import NDArray
from scipy import integrate, stats
from scipy.special import ndtr

import metarho
from cases import alliance, model, molloy
from custom_cases import BARE, HIERARCHICAL, PRIORS, custom, write_custom
from metarho.engines import nuts
from metarho.engines.nuts.custom import build
from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import Problem, encode
from metarho.errors import FitError, InputError
from metarho.posterior.sampled import monte_carlo_errors
from metarho.spec.analysis import Sampler
from metarho.spec.model import read_model
from metarho.spec.priors import parse_prior
from pages import blocks

type Array = NDArray[np.float64]

# Four numbers and the evidence are compared, with a fixed seed.
MCSE = 4.0


def sampled(problem: Problem, draws: int = 1000) -> Draws:
    (found,) = nuts.fit_many([(problem, 20261122)], Sampler(draws=draws))
    return found


@pytest.fixture(scope="module")
def numbers() -> tuple[Problem, Draws]:
    """The shipped model of multiplicative heterogeneity on the 16 correlations."""
    problem = encode(model("multiplicative"), molloy())
    return problem, sampled(problem)


@pytest.fixture(scope="module")
def words() -> tuple[Problem, Draws]:
    """The same on evidence of which most printed no r."""
    problem = encode(model("multiplicative"), alliance())
    return problem, sampled(problem)


def test_multiplicative_heterogeneity_is_what_two_integrals_say(
    numbers: tuple[Problem, Draws],
) -> None:
    problem, draws = numbers
    y, v = problem.evidence.y, problem.evidence.v
    root_v = math.sqrt(math.prod(v))

    def joint(mu: float, phi: float) -> float:
        # Normal(mu; 0, 0.5) LogNormal(phi; 0, 1) ∏ Normal(y; mu, √(phi v)).
        squares = (mu / 0.5) ** 2 + math.log(phi) ** 2 + float(((y - mu) ** 2 / v).sum()) / phi
        sizes = 0.5 * phi * math.sqrt(phi) ** len(y) * root_v * (2 * math.pi) ** (len(y) / 2 + 1)
        return float(math.exp(-0.5 * squares) / sizes)

    def expectation(of: Callable[[float, float], float]) -> float:
        # Both ends lie where less than 1e-9 of the posterior is beyond them.
        value, error = integrate.dblquad(
            lambda mu, phi: of(mu, phi) * joint(mu, phi), 0.2, 40, -0.4, 0.7, epsrel=1e-7
        )
        assert error < 1e-5 * abs(value)
        return float(value)

    evidence = expectation(lambda mu, phi: 1.0)
    powers: dict[str, tuple[Callable[[float, float], float], Callable[[float, float], float]]] = {
        "mu": (lambda mu, phi: mu, lambda mu, phi: mu**2),
        "phi": (lambda mu, phi: phi, lambda mu, phi: phi**2),
    }
    for name, (one, square) in powers.items():
        mean, second = expectation(one) / evidence, expectation(square) / evidence
        values = draws.parameters[name]
        errors = monte_carlo_errors(values, 0.95)
        assert abs(values.mean() - mean) < MCSE * errors["mean"], name
        assert abs(values.std() - math.sqrt(second - mean**2)) < MCSE * errors["sd"], name
    assert draws.log_evidence is not None and draws.log_evidence_mcse is not None
    assert abs(draws.log_evidence - math.log(evidence)) < MCSE * draws.log_evidence_mcse


def test_the_likelihood_of_every_row_is_kept_numbers_and_intervals(
    words: tuple[Problem, Draws],
) -> None:
    problem, draws = words
    evidence = problem.evidence
    mu, phi = (draws.parameters[name][..., None] for name in ("mu", "phi"))
    sd = np.sqrt(phi * evidence.v)
    chance = ndtr((evidence.upper - mu) / sd) - ndtr((evidence.lower - mu) / sd)
    exact = stats.norm.logpdf(evidence.y, mu, sd)
    expected = np.where(evidence.is_interval, np.log(chance), exact)
    # 1e-9: differences of the normal cdf cancel seven of their sixteen digits at most.
    assert np.allclose(draws.latent["log_likelihood"], expected, atol=1e-9)


def test_replicates_of_rows_are_what_the_file_draws(words: tuple[Problem, Draws]) -> None:
    problem, draws = words
    mu, phi = (draws.parameters[name][..., None] for name in ("mu", "phi"))
    standard = (draws.latent["y"] - mu) / np.sqrt(phi * problem.evidence.v)
    # 112,000 standard normal numbers: four standard errors of their mean and sd.
    assert abs(standard.mean()) < 4 / math.sqrt(standard.size)
    assert abs(standard.std() - 1) < 4 / math.sqrt(2 * standard.size)


def test_one_seed_gives_one_set_of_draws(numbers: tuple[Problem, Draws]) -> None:
    problem, _ = numbers
    first, second = nuts.fit_many([(problem, 20261122)] * 2, Sampler(draws=100))
    assert np.array_equal(first.parameters["phi"], second.parameters["phi"])
    assert np.array_equal(first.latent["y"], second.latent["y"])


def failure(folder: Path, source: str, priors: str = PRIORS) -> str:
    """Why a file's model is no fit, without where the file lies."""
    problem = encode(custom(folder, source, priors), molloy())
    with pytest.raises(FitError) as caught:
        build(problem)
    return str(caught.value).removeprefix(str(folder / "models" / "custom" / "mine.py"))


FAULTS = {
    "no build": ("x = 1\n", ": defines no function build(studies, priors)"),
    "a build that is no function": ("build = 3\n", ": defines no function build"),
    "a syntax error": ("x = 1\ndef build(:\n", ":2: SyntaxError: "),
    "an error on import": ("import math\nmath.nothing\n", ":2: AttributeError: "),
    "an import that is not there": ("import no_such_module\n", ":1: ModuleNotFoundError: "),
    "an error in build": (
        "def build(studies, priors):\n    return 1 / 0\n",
        ":2: ZeroDivisionError: division by zero",
    ),
    "an error below build": (
        "import pymc as pm\ndef build(studies, priors):\n    pm.Normal('mu', 0, 1)\n",
        ":3: TypeError: No model on context stack",
    ),
    "a call to leave": ("import sys\nsys.exit(0)\n", ":2: SystemExit: 0"),
    "a build of one argument": (
        "def build(studies):\n    pass\n",
        ": TypeError: build() takes 1 positional argument but 2 were given",
    ),
    "a build that returns nothing": (
        "def build(studies, priors):\n    pass\n",
        ": build returned NoneType, not a pm.Model",
    ),
    "no tau": (
        BARE.replace('metarho.random_variable("tau", priors["tau"])', '1.0'),
        ": the model has no free variable tau for the parameter tau; it has mu",
    ),
    "another prior": (
        BARE.replace('metarho.random_variable("tau", priors["tau"])', 'pm.HalfNormal("tau", 1)'),
        ": tau does not have the prior HalfNormal(sigma=0.25) that the model or a prior set gives",
    ),
    "a vector": (
        BARE.replace('metarho.random_variable("tau", priors["tau"])',
                     'pm.HalfNormal("tau", 0.25, shape=2)[0]'),
        ": tau has shape (2,), and a parameter is one number",
    ),
    "a discrete variable": (
        BARE.replace('pm.Potential', 'pm.Poisson("n", 1)\n        pm.Potential'),
        ": n is discrete, and NUTS samples continuous variables only",
    ),
    "true effects of other rows": (
        BARE.replace('pm.Potential', 'pm.Deterministic("theta", mu * np.ones((16, 1)))\n'
                     '        pm.Potential'),
        ": theta has shape (16, 1), and should have one value a row (16)",
    ),
    "several new effects": (
        HIERARCHICAL.replace('pm.Normal("e_new", 0, 1)', 'pm.Normal("e_new", 0, 1, shape=3)'),
        ": theta_new has shape (3,), and should have one value",
    ),
}  # fmt: skip


@pytest.mark.parametrize("source, said", FAULTS.values(), ids=FAULTS)
def test_a_file_at_fault_is_named_with_its_line(tmp_path: Path, source: str, said: str) -> None:
    assert failure(tmp_path, source).startswith(said)


@pytest.mark.filterwarnings("ignore::pymc.exceptions.ImputationWarning")
def test_an_interval_is_not_imputed_as_a_blank(tmp_path: Path) -> None:
    source = BARE.replace(
        'pm.Potential("rows"',
        'pm.Normal("y", 0, 1, observed=[0.1, np.nan])\n        pm.Potential("rows"',
    )
    said = failure(tmp_path, source)
    assert said.startswith(":12: ImputationWarning: Data in y contains missing values")


def test_what_a_name_of_the_grammar_means_in_a_file_is_not_guessed(tmp_path: Path) -> None:
    priors = PRIORS.replace("tau:", 'share: "Beta(alpha=1, beta=1)", tau:')
    problem = encode(custom(tmp_path, BARE, priors), molloy())
    assert list(problem.priors) == ["mu", "share", "tau"]
    assert (problem.spreads, problem.is_total_form) == ((), False)


def test_a_file_does_not_see_the_namespace_of_another(tmp_path: Path) -> None:
    build(encode(custom(tmp_path, "left = 1\n" + BARE), molloy()))
    assert ":1: NameError: name 'left'" in failure(tmp_path, "left\n" + BARE)


def test_the_text_that_was_read_is_what_runs(tmp_path: Path) -> None:
    problem = encode(custom(tmp_path, BARE), molloy())
    (tmp_path / "models" / "custom" / "mine.py").write_text("raise SystemExit\n", "utf-8")
    assert isinstance(build(problem), pm.Model)


@pytest.mark.parametrize(
    "priors",
    [
        {"mu": "Uniform(lower=-1, upper=1) on r", "tau": "InverseGamma(alpha=1, beta=0.1) on tau2"},
        {"mu": "Flat()", "tau": "Flat()"},
        {"mu": "DiracDelta(c=0.1)", "tau": "Truncated(dist=HalfCauchy(beta=0.2), upper=1)"},
        {
            "mu": "NormalMixture(w=[1, 2], mu=[0, 1], sigma=[1, 2])",
            "tau": "Lomax(alpha=6, scale=1)",
        },
        {"mu": "StretchedBeta(alpha=2, beta=3) on r", "tau": "Uniform(lower=0.1, upper=0.2)"},
    ],
)
def test_a_variable_made_of_a_prior_has_it(tmp_path: Path, priors: dict[str, str]) -> None:
    given = {name: parse_prior(text) for name, text in priors.items()}
    assert isinstance(build(encode(custom(tmp_path, BARE), molloy(), given)), pm.Model)


def test_a_value_that_is_known_is_not_sampled(tmp_path: Path) -> None:
    source = BARE.replace('metarho.random_variable("tau", priors["tau"])', 'pm.HalfNormal("tau")')
    text = failure(tmp_path, source, PRIORS.replace("HalfNormal(sigma=0.25)", "DiracDelta(c=0)"))
    assert text == ": tau is known, DiracDelta(c=0), and the model samples it"


@pytest.mark.parametrize("prior", ["Jeffreys()", "Normal(mu=0, sigma=1) on mu/tau"])
def test_a_prior_that_needs_more_than_its_numbers_makes_no_variable(prior: str) -> None:
    with pytest.raises(InputError, match="made of more than its own numbers"):
        metarho.random_variable("mu", parse_prior(prior))


def test_an_improper_prior_that_only_the_file_knows_leaves_no_evidence(tmp_path: Path) -> None:
    source = BARE.replace("pm.Potential", 'pm.HalfFlat("phi")\n        pm.Potential').replace(
        "v + tau**2", 'v + tau**2 + model["phi"] ** 2'
    )
    draws = sampled(encode(custom(tmp_path, source), molloy()), 100)
    assert draws.log_evidence is None and draws.log_evidence_mcse is None
    assert list(draws.parameters) == ["mu", "tau"]


def test_a_model_that_cannot_be_sampled_is_a_failed_fit(tmp_path: Path) -> None:
    source = BARE.replace("np.sqrt(v + tau**2)", "-tau")
    with pytest.raises(FitError, match=r"sampling mine \(mine\.py\) failed: "):
        sampled(encode(custom(tmp_path, source), molloy()), 100)


def test_custom_models_share_no_compiled_model(tmp_path: Path) -> None:
    one, other = (encode(custom(tmp_path, BARE), molloy()) for _ in range(2))
    assert nuts.structure(one) != nuts.structure(other)


def test_nothing_is_left_to_sample_where_all_is_known(tmp_path: Path) -> None:
    known = dict.fromkeys(("mu", "tau"), parse_prior("DiracDelta(c=0)"))
    refusal = nuts.covers(encode(custom(tmp_path, BARE), molloy(), known))
    assert refusal == "nothing is left to sample: every prior is a point"


def test_the_example_of_the_docs_builds(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "custom-models.md").read_text("utf-8")
    source, text = (block.text for block in blocks(page) if "file" in block.settings)
    path = write_custom(tmp_path, source)
    path.write_text(text, "utf-8")
    assert isinstance(build(encode(read_model(path), molloy())), pm.Model)
