"""The R scripts: their numbers are metafor's, their text is text, refusals name the part.

No R is needed: what R said of the metafor scripts is pinned (``tests/references``).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from cases import CUT, PRIORS, TRANSFORMED, alliance, molloy, problem, reference
from grammar_cases import PARTS
from metarho.data.studies import load_studies
from metarho.engines.problem import Problem
from metarho.errors import InputError
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit
from metarho.report.scripts import TARGETS, Origin, script
from metarho.report.scripts.bayesmeta import tau_prior
from metarho.report.scripts.brms import coefficient_prior, sd_prior
from metarho.report.scripts.quoting import comment, python_text, r_text, remark
from metarho.report.scripts.r_priors import density
from metarho.spec.priors import parse_prior

ORIGIN = Origin("a.yaml", "a model", 'a "set"\nof priors', "drop")

HOSTILE = (
    "plain",
    'it\'s "quoted" \\ back',
    "new\nline\r\x85\u2028",
    '"); quit(status = 7) #',
    "\\u0041 `tick` \\",
    "é 漢 😀",
    "\x07bell",
    "${x} %s {y}",
)


def fitted(one: Problem) -> Fit:
    (fit,) = fit_many([one], Settings(engine="exact"))
    return fit


def closed(text: str) -> str:
    """R or Python code without its strings and comments; fails where a string does not end."""
    kept, place = [], 0
    while place < len(text):
        character = text[place]
        if character == "#":
            place = text.index("\n", place)
        elif character in "\"'":
            end = place + 1
            while text[end] != character:
                assert text[end] != "\n", "a string has a line end in it"
                end += 2 if text[end] == "\\" else 1
            place = end + 1
        else:
            kept.append(character)
            place += 1
    return "".join(kept)


def is_balanced(code: str) -> bool:
    """Whether every bracket is closed by its like."""
    pairs, opened = {")": "(", "]": "[", "}": "{"}, []
    for character in code:
        if character in "([{":
            opened.append(character)
        elif character in pairs and (not opened or opened.pop() != pairs[character]):
            return False
    return not opened


def read_r(text: str) -> str:
    """What R reads from a string literal of ours."""
    codes = re.compile(r"\\(?:u([0-9a-f]{4})|U([0-9a-f]{8})|(.))")
    return codes.sub(lambda m: chr(int(m[1] or m[2], 16)) if m[1] or m[2] else m[3], text[1:-1])


CASES = {
    "random effects": lambda: problem(molloy()),
    "moderators": lambda: problem(molloy(), mods="~ quality + scale(meanage)"),
    "three levels": lambda: problem(alliance("drop"), "three-level"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_metafor_script_holds_what_metafor_finds(name: str) -> None:
    text = script(fitted(CASES[name]()), "metafor", ORIGIN)
    pinned = reference("metafor_scripts")["settings"][name]
    matrices = re.findall(r"metarho <- cbind\(estimate = c\(([^)]*)\), se = c\(([^)]*)\)\)", text)
    assert len(matrices) == 2
    for (estimates, errors), kind in zip(matrices, ("flat", "normal"), strict=True):
        found = [np.array([float(x) for x in one.split(",")]) for one in (estimates, errors)]
        truth = [np.array(pinned[kind][one]) for one in ("estimates", "se")]
        # metafor's own accuracy is 1e-10 where nothing is estimated by iterations.
        for ours, theirs in zip(found, truth, strict=True):
            assert np.abs((ours - theirs) / truth[1]).max() < 1e-8


def hostile_problem(folder: Path, mods: str | None = None) -> Problem:
    path = folder / "rows.csv"
    quoted = ['"' + name.replace('"', '""') + '"' for name in HOSTILE]
    rows = [f"{0.1 * n},{40 + n},{name},{n % 3}" for n, name in enumerate(quoted)]
    path.write_bytes(("\n".join(["r,n,study,x", *rows]) + "\n").encode())
    columns = {"ri": "r", "ni": "n", "study": "study"}
    return problem(load_studies(path, columns=columns), mods=mods)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("mods", [None, "~ x"])
def test_hostile_names_stay_text(tmp_path: Path, target: str, mods: str | None) -> None:
    text = script(fitted(hostile_problem(tmp_path, mods)), target, ORIGIN)
    assert text.isascii()
    code = closed(text)
    assert is_balanced(code)
    assert "status = 7" not in code
    if target == "pymc":
        compile(text, "script.py", "exec")


@pytest.mark.parametrize("text", [*HOSTILE, "nul \x00", "half \ud83d"])
def test_a_string_reads_back_as_itself(text: str) -> None:
    there = re.sub(r"[\x00\ud800-\udfff]", "\ufffd", text)
    assert read_r(r_text(text)) == there
    assert eval(python_text(text)) == text


def test_comments_are_one_line_each() -> None:
    assert comment("a\rb\u2028c\nd") == "# a\\rb\\u2028c\n# d"
    assert "\n" not in remark("a\nb")


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_said_or_refused_by_name(name: str) -> None:
    one = PARTS[name].problem()
    for target in TARGETS.values():
        refusal = target.covers(one)
        assert refusal is None or len(refusal) > 20


def test_a_refusal_says_what_would_work() -> None:
    fit = fitted(problem(alliance("use")))
    with pytest.raises(InputError) as caught:
        script(fit, "metafor", ORIGIN)
    assert str(caught.value) == (
        "--to metafor: no metafor script has interval rows (use intervals: drop); "
        "--to brms or pymc can"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("HalfNormal(sigma=0.5)", "function(t) 2 * dnorm(t, 0, 0.5)"),
        ("HalfCauchy(beta=0.3)", "function(t) 2 * dcauchy(t, 0, 0.3)"),
        ("Flat()", '"uniform"'),
        ("UniformShrinkage()", '"shrinkage"'),
        ("UniformI2()", '"I2"'),
        ("SquareRoot()", '"sqrt"'),
        ("OverallJeffreys()", '"overallJeffreys"'),
    ],
)
def test_bayesmeta_has_its_own_names_of_priors(text: str, said: str) -> None:
    assert tau_prior(parse_prior(text), by_name=True) == said


def test_a_bayesmeta_call_is_that_of_the_pinned_numbers() -> None:
    pinned = reference("bayesmeta")["sets"]["molloy2014_ZCOR"]["tau:hn0.5|mu:flat"]
    fit = fitted(problem(molloy(), mu="Flat()", tau="HalfNormal(sigma=0.5)"))
    text = script(fit, "bayesmeta", ORIGIN)
    for argument in ("mu.prior.mean", "mu.prior.sd"):
        assert f"{argument}=NA" in pinned["call"]
        assert f"{argument} = NA" in text
    # Its summary is what the script compares with; a grid's error (tests/references/README.md).
    sd = pinned["tau"]["sd"]
    assert f'number = "mean", value = {fit.parameters["tau"].mean!r}' in text
    assert fit.parameters["tau"].mean == pytest.approx(pinned["tau"]["mean"], abs=0.01 * sd)


def test_every_prior_of_tau_has_a_density_in_r() -> None:
    for text in (*PRIORS.values(), *TRANSFORMED, *CUT):
        prior = parse_prior(text)
        if not prior.is_point and prior.on != "r":
            assert is_balanced(closed(density(prior) + "\n"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("HalfStudentT(nu=3, sigma=0.5)", "student_t(3.0, 0, 0.5)"),
        ("Lomax(alpha=6, scale=0.5)", "pareto_type_2(0, 0.5, 6.0)"),
        ("InverseGamma(alpha=1, beta=0.15)", "inv_gamma(1.0, 0.15)"),
        ("Truncated(dist=Normal(mu=0.1, sigma=0.2), lower=0)", "normal(0.1, 0.2)"),
        ("Truncated(dist=Normal(mu=0.1, sigma=0.2), lower=0, upper=1)", None),
        ("Jeffreys()", None),
        ("InverseGamma(alpha=1, beta=0.1) on tau2", None),
    ],
)
def test_a_prior_of_tau_is_stan_s_or_refused(text: str, said: str | None) -> None:
    assert sd_prior(parse_prior(text)) == said


def test_a_prior_of_mu_is_stan_s_or_refused() -> None:
    assert coefficient_prior(parse_prior("Cauchy(alpha=0, beta=0.3)")) == "cauchy(0.0, 0.3)"
    assert coefficient_prior(parse_prior("Uniform(lower=-1, upper=1) on r")) is None


def test_intervals_are_censored_rows_in_brms() -> None:
    fit = fitted(problem(alliance("use")))
    text = script(fit, "brms", ORIGIN)
    kinds = re.findall(r'"(none|interval|left|right)"', text.partition("dat$censored")[2])
    evidence = fit.problem.evidence
    one_sided = np.isinf(evidence.lower) | np.isinf(evidence.upper)
    assert len(kinds) == evidence.k
    assert kinds.count("none") == int((~evidence.is_interval).sum())
    assert kinds.count("left") + kinds.count("right") == int(one_sided.sum())
    assert "yi | se(sei) + cens(censored, yi_upper) ~ 0 + constant + (1 | effect_id)" in text
