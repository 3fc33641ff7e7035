"""Ensembles of a plan: which members there are, what is refused, and the tables."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from cases import REFERENCES
from metarho.batch.ensemble import Found, ensembles, question
from metarho.batch.plan import plan
from metarho.errors import InputError
from metarho.fitting import choose
from metarho.spec.lookup import shipped_folder

MOLLOY = f"studies: {{source: {REFERENCES / 'molloy2014.csv'}, columns: {{ri: ri, ni: ni}}}}\n"


def _config(folder: Path, text: str, studies: str = MOLLOY) -> Path:
    path = folder / "mine.yaml"
    path.write_text(studies + text, encoding="utf-8")
    return path


def _found(config: Path, output: Path) -> tuple[Found, ...]:
    made = plan(config, output)
    return ensembles(made, question(made), lambda event, problem: None, lambda message: None)


def test_the_shipped_ensemble_has_robma_s_36_members_and_prior_probabilities() -> None:
    made = plan(shipped_folder("configs") / "publication-bias.yaml")
    asked = question(made)
    groups: dict[tuple[str, str], list[float]] = {}
    for one in asked:
        groups.setdefault((one.cell.prior_set, one.cell.intervals), []).append(one.candidate.prior)
    assert set(groups) == {(s, i) for s in ("default", "RoBMA 3") for i in ("use", "drop")}
    for priors in groups.values():
        assert len(priors) == 36 and math.fsum(priors) == pytest.approx(1)
        # No bias 1/8 each, a weight function 1/96, PET and PEESE 1/32.
        assert sorted({round(p * 96, 9) for p in priors}) == [1, 3, 12]
    for member in (one.candidate for one in asked):
        held = {name for name in ("mu", "tau") if member.problem.prior(name).is_point}
        present = {"mu": member.effect, "tau": member.heterogeneity}
        assert held == {name for name, has in present.items() if not has}


def test_a_probability_of_1_leaves_the_members_without_it_out(tmp_path: Path) -> None:
    text = "models: [random-effects, pet]\nensemble: {effect: 1, heterogeneity: 0.8}\n"
    asked = question(plan(_config(tmp_path, text)))
    assert [(o.cell.model, o.candidate.effect, o.candidate.heterogeneity) for o in asked] == [
        (name, True, varies) for name in ("random-effects", "pet") for varies in (True, False)
    ]
    assert [one.candidate.prior for one in asked] == pytest.approx([0.4, 0.1, 0.4, 0.1])


def test_a_set_s_prior_of_heterogeneity_is_that_of_members_that_have_it(tmp_path: Path) -> None:
    sets = 'priors: {a: {tau2: "InverseGamma(alpha=1, beta=0.1)", mu: "Normal(mu=0, sigma=1)"}}\n'
    asked = question(plan(_config(tmp_path, f"models: [random-effects]\nensemble: {{}}\n{sets}")))
    members = [one.candidate for one in asked]
    said = {(one.effect, one.heterogeneity): one.problem for one in members}
    assert said[True, True].prior("tau").on == "tau2"
    assert said[True, False].prior("tau").is_point
    assert str(said[True, False].prior("mu")) == "Normal(mu=0, sigma=1)"
    assert said[False, True].prior("tau").on == "tau2"


def test_a_nested_model_without_heterogeneity_varies_on_no_level(tmp_path: Path) -> None:
    studies = "studies: {source: internet-alliance, where: role == 'main', intervals: drop}\n"
    sets = 'priors: {default: {}, total: {tau: "HalfNormal(sigma=0.2)"}}\n'
    text = f"models: [three-level]\nensemble: {{}}\n{sets}"
    for asked in question(plan(_config(tmp_path, text, studies))):
        one = asked.candidate
        total = asked.cell.prior_set == "total"
        sds = ("tau", "share") if total else ("tau_study", "tau_effect")
        # Both sds are 0: the levels are gone, and engines that do not nest cover the member.
        assert one.problem.spreads == (sds if one.heterogeneity else ())
        assert one.problem.model.random == ("study/effect" if one.heterogeneity else "none")


def test_members_of_nested_models_are_integrated_where_levels_or_selection_are_absent(
    tmp_path: Path,
) -> None:
    shipped = (shipped_folder("models") / "three-level.yaml").read_text("utf-8")
    folder = tmp_path / "models"
    folder.mkdir()
    for name, selection, prior in (
        ("nested-pet", "pet", "pet: HalfCauchy(beta=1)"),
        ("nested-step", "{step: {cutpoints: [0.05], test: t}}", "omega: Uniform(lower=0, upper=1)"),
    ):
        written = shipped.replace("priors:\n", f"selection: {selection}\npriors:\n  {prior}\n", 1)
        (folder / f"{name}.yaml").write_text(written, encoding="utf-8")
    studies = "studies: {source: internet-alliance, where: role == 'main', intervals: drop}\n"
    text = "models: [three-level, nested-pet, nested-step]\nensemble: {}\n"
    asked = question(plan(_config(tmp_path, text, studies)))
    sampled = {
        (one.cell.model, one.candidate.effect, one.candidate.heterogeneity)
        for one in asked
        if choose(one.candidate.problem, one.candidate.engine)[0] == "nuts"
    }
    assert len(asked) == 12
    assert sampled == {("nested-step", True, True), ("nested-step", False, True)}


REFUSED = {
    "no ensemble": ("models: [random-effects]\n", "has no ensemble; add the key ensemble:"),
    "moderators": (
        "models: [mine]\nensemble: {}\n",
        "asked of one mean, and this model has moderators (quality)",
    ),
    "no heterogeneity": ("models: [common-effect]\nensemble: {}\n", "it has no heterogeneity"),
    "a mean that is held": (
        'models: [random-effects]\nensemble: {}\npriors: {a: {mu: "DiracDelta(c=0)"}}\n',
        "prior set a: mu ~ DiracDelta(c=0) is held at a value",
    ),
    "an improper prior": (
        "models: [random-effects]\nensemble: {}\npriors: {a: {mu: Flat()}}\n",
        "mu ~ Flat() is improper, so that the evidence is not known",
    ),
    "a mean in units of tau": (
        "models: [random-effects]\nensemble: {}\n"
        'priors: {a: {mu: "Normal(mu=0, sigma=1) on mu/tau"}}\n',
        "is in units of tau, which is 0 in some members",
    ),
    "an engine that does not cover it": (
        "models: [mixture]\nensemble: {}\nengine: exact\n",
        "engine exact",
    ),
}


@pytest.mark.parametrize("text, said", REFUSED.values(), ids=REFUSED)
def test_what_is_no_ensemble_is_refused_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "models").mkdir()
    shipped = (shipped_folder("models") / "random-effects.yaml").read_text(encoding="utf-8")
    (tmp_path / "models" / "mine.yaml").write_text(shipped.replace("~ 1", "~ quality"), "utf-8")
    with pytest.raises(InputError) as caught:
        question(plan(_config(tmp_path, text)))
    assert said in str(caught.value)


def test_tables_hold_every_member_component_and_estimate(tmp_path: Path) -> None:
    text = (
        "models: [random-effects, pet]\nensemble: {weights: {random-effects: 2, pet: 1}}\n"
        'priors: {default: {}, wide: {mu: "Normal(mu=0, sigma=5)"}}\n'
    )
    found = _found(_config(tmp_path, text), tmp_path / "out")
    assert [(one.prior_set, one.intervals) for one in found] == [
        ("default", "use"),
        ("wide", "use"),
    ]
    first, wide = found
    assert len(first.members) == 8
    assert math.fsum(float(row["posterior"] or 0) for row in first.members) == pytest.approx(1)
    after = [float(row["posterior"] or 0) for row in first.probable]
    assert after == sorted(after, reverse=True)
    assert {row["component"] for row in first.components} == {
        "effect",
        "heterogeneity",
        "bias",
        "PET",
    }
    assert {row["evidence_by"] for row in first.members} == {"integration"}
    scales = {row["quantity"]: row["scale"] for row in first.estimates}
    assert scales == {"rho": "r", "tau": "z", "pet": "slope", "rho_new": "r"}
    # Ten times as wide a prior of mu speaks against an effect (Lindley's paradox).
    effects = [one.components[0]["log_inclusion_bf"] for one in found]
    assert isinstance(effects[0], float) and isinstance(effects[1], float)
    assert effects[1] < effects[0] - 1.5
    assert wide.sentences[0].startswith("effect: the data speak ")


@pytest.mark.slow
def test_a_member_that_is_sampled_has_its_evidence_by_bridge_sampling(tmp_path: Path) -> None:
    text = (
        "models: [random-effects]\nensemble: {}\nengine: nuts\n"
        "sampler: {chains: 4, draws: 1000, tune: 500, seed: 1}\n"
    )
    (sampled,) = _found(_config(tmp_path, text), tmp_path / "out")
    exact = _config(tmp_path, text.replace("engine: nuts", "engine: exact"))
    (integrated,) = _found(exact, tmp_path / "out")
    # Where neither mu nor tau is free nothing is left to sample.
    by = {(row["effect"], row["heterogeneity"]): row["evidence_by"] for row in sampled.members}
    assert by.pop(("no", "no")) == "integration" and set(by.values()) == {"bridge sampling"}
    for ours, truth in zip(sampled.components, integrated.components, strict=True):
        error, wanted = ours["log_inclusion_bf_mcse"], truth["log_inclusion_bf"]
        assert isinstance(error, float) and 0 < error < 0.1 and isinstance(wanted, float)
        # Four Monte Carlo errors, and what bridge sampling's own estimate of its error misses.
        assert ours["log_inclusion_bf"] == pytest.approx(wanted, abs=4 * error + 0.01)
        assert truth["log_inclusion_bf_mcse"] is None
    for one, other in zip(sampled.averages, integrated.averages, strict=True):
        assert one.spike == pytest.approx(other.spike, abs=0.02)
        assert one.summary.mean == pytest.approx(other.summary.mean, abs=0.01)
