"""Analyses: defaults, what is refused, and that nothing can change them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from metarho.errors import InputError
from metarho.spec.analysis import Analysis, Interval, Sampler, read_analysis
from metarho.spec.lookup import shipped_folder
from metarho.spec.priors import parse_prior

BARE = "studies: {source: internet-alliance}\nmodels: [random-effects]\n"


def read(folder: Path, text: str, name: str = "mine.yaml") -> Analysis:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_analysis(path)[0]


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, text)
    return str(caught.value).removeprefix(str(folder / "mine.yaml"))


def test_a_bare_analysis_has_the_defaults_of_the_design(tmp_path: Path) -> None:
    analysis = read(tmp_path, BARE)
    assert (analysis.name, analysis.studies.measure) == ("mine", "ZCOR")
    assert analysis.studies.intervals == ("use",)
    assert analysis.studies.columns is None
    assert analysis.priors == {"default": {}}
    assert (analysis.engine, analysis.agreement) == ("auto", False)
    assert analysis.sampler == Sampler(chains=4, draws=1000, tune=1000, seed=20261122)
    assert analysis.interval == Interval(prob=0.95, kind="eti")
    assert analysis.thresholds.rho == (0.0, 0.1, 0.3)
    assert (analysis.report, analysis.defaults) == ("html", "2026.1")
    assert analysis.scripts == ()
    assert analysis.new_studies == ()


def test_the_shipped_analysis_says_what_it_is_meant_to() -> None:
    analysis, _ = read_analysis(shipped_folder("configs") / "internet-alliance.yaml")
    assert analysis.models == ("random-effects", "three-level", "three-level-moderators")
    assert analysis.studies.intervals == ("use", "drop")
    assert analysis.priors["sceptical"] == {"mu": parse_prior("Normal(mu=0, sigma=0.15)")}
    assert analysis.new_studies[0].moderators == {"guidance": "guided", "rater": "client"}
    assert analysis.new_studies[0].ni == 80


@pytest.mark.parametrize(
    ("text", "intervals"),
    [("use", ("use",)), ("drop", ("drop",)), ("[drop, use]", ("drop", "use"))],
)
def test_intervals_are_one_word_or_a_list(
    tmp_path: Path, text: str, intervals: tuple[str, ...]
) -> None:
    source = f"studies: {{source: x, intervals: {text}}}\nmodels: [a]\n"
    assert read(tmp_path, source).studies.intervals == intervals


def test_only_mapped_columns_have_a_role(tmp_path: Path) -> None:
    text = "studies:\n  source: a.csv\n  columns: {ri: r, ni: N}\nmodels: [a]\n"
    columns = read(tmp_path, text).studies.columns
    assert columns is not None
    assert columns.mapped == {"ri": "r", "ni": "N"}


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("", "engine", "nuts"),
        ("studies", "where", "year > 3"),
        ("sampler", "seed", 3),
        ("interval", "prob", 0.5),
    ],
)
def test_an_analysis_and_its_parts_are_frozen(
    tmp_path: Path, part: str, field: str, value: object
) -> None:
    analysis = read(tmp_path, BARE)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(getattr(analysis, part) if part else analysis, field, value)


FAULTS = {
    "an unknown key": (
        "new_studys: []\n",
        ":3: unknown key 'new_studys'; allowed: agreement, checks, defaults, description, engine, "
        "ensemble, grid, interval, models, new_studies, priors, reference, report, sampler, "
        "scripts, studies, thresholds, title, why; did you mean 'new_studies'?",
    ),
    "an unknown key inside": (
        "sampler:\n  chians: 4\n",
        ":4: unknown key 'chians'; allowed: chains, draws, seed, tune; did you mean 'chains'?",
    ),
    "a name": ("name: x\n", ":3: unknown key 'name'; an analysis is named by its file"),
    "a misspelt engine": (
        "engine: exakt\n",
        ":3: engine: 'exakt' should be 'auto', 'exact' or 'nuts'",
    ),
    "a word for a truth value": (
        "agreement: 'yes'\n",
        ":3: agreement: 'yes' should be a valid boolean",
    ),
    "one chain": (
        "sampler: {chains: 1}\n",
        ":3: sampler.chains: 1 should be greater than or equal to 2",
    ),
    "half a draw": (
        "sampler: {draws: 500.5}\n",
        ":3: sampler.draws: 500.5 should be a valid integer",
    ),
    "a certain interval": ("interval: {prob: 1}\n", ":3: interval.prob: 1 should be less than 1"),
    "a threshold of 1": (
        "thresholds: {rho: [0, 1]}\n",
        ":3: thresholds.rho.1: 1 should be less than 1",
    ),
    "a threshold of -1": (
        "thresholds: {rho: [-1]}\n",
        ":3: thresholds.rho.0: -1 should be greater than -1",
    ),
    "a number for the defaults": (
        "defaults: 2026.1\n",
        ":3: defaults: 2026.1 should be '2026.1'",
    ),
    "no prior set": ("priors: {}\n", ":3: priors: {} Dictionary should have at least 1 item"),
    "a misspelt family": (
        "priors:\n  a: {}\n  b:\n    mu: Norml(mu=0, sigma=1)\n",
        ":6: priors.b.mu: prior 'Norml(mu=0, sigma=1)': no family 'Norml'",
    ),
    "a negative scale": (
        "priors:\n  a:\n    tau: HalfNormal(sigma=-1)\n",
        ":5: priors.a.tau: prior 'HalfNormal(sigma=-1)': sigma must be greater than 0",
    ),
    "mass below 0": (
        'priors:\n  a: {}\n  b: {tau: "Normal(mu=0, sigma=1)"}\n',
        ":5: priors.b: tau: Normal(mu=0, sigma=1) has mass below 0",
    ),
    "a misspelt parameter": (
        "priors: {a: {'tua[x]': Flat()}}\n",
        ":3: priors.a.tua[x]: no parameter 'tua[x]'; allowed: alpha",
    ),
    "a parameter with a name that results have": (
        "priors: {a: {theta_new: Flat()}}\n",
        ":3: priors.a.theta_new: theta_new means something else in results",
    ),
    "a new study of three": (
        "new_studies:\n  - {label: a, ni: 80}\n  - {label: b, ni: 3}\n",
        ":5: new_studies.1.ni: 3 should be greater than or equal to 4",
    ),
    "a new study without a label": (
        "new_studies: [{ni: 80}]\n",
        ":3: the key 'label' is missing",
    ),
    "two new studies of one label": (
        "new_studies: [{label: a}, {label: a}]\n",
        ":3: new_studies: two new studies have one label",
    ),
    "a list for a moderator": (
        "new_studies: [{label: a, guidance: [b]}]\n",
        ":3: new_studies.0: guidance: ['b'] must be a text or a number",
    ),
    "a truth value for a moderator": (
        "new_studies: [{label: a, guidance: true}]\n",
        ":3: new_studies.0: guidance: True must be a text or a number",
    ),
}


@pytest.mark.parametrize("text, said", FAULTS.values(), ids=FAULTS)
def test_a_fault_in_an_analysis_is_named_with_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    assert refusal(tmp_path, BARE + text).startswith(said)


STUDIES = {
    "no source": ("{}", "the key 'source' is missing"),
    "a number for the source": ("{source: 3}", "studies.source: 3 should be a valid string"),
    "an unknown measure": ("{source: a, measure: SMD}", "should be 'ZCOR', 'COR' or 'GEN'"),
    "a misspelt role": (
        "{source: a, columns: {reportd: r}}",
        "unknown key 'reportd'; allowed: alpha, effect, ni, reported",
    ),
    "a filter that calls": ("{source: a, where: f(x) == 1}", "studies.where: filter 'f(x) == 1'"),
    "intervals twice": ("{source: a, intervals: [use, use]}", "names each at most once"),
    "no intervals": ("{source: a, intervals: []}", "names each at most once"),
    "unknown intervals": ("{source: a, intervals: keep}", "'keep' should be 'use' or 'drop'"),
    "a text for the studies": ("internet-alliance", "'internet-alliance' should be an object"),
}


@pytest.mark.parametrize("studies, said", STUDIES.values(), ids=STUDIES)
def test_a_fault_in_the_studies_is_named_with_its_line(
    tmp_path: Path, studies: str, said: str
) -> None:
    message = refusal(tmp_path, f"models: [a]\nstudies: {studies}\n")
    assert message.startswith(":2: ")
    assert said in message


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ("[]", ":1: models: [] "),
        ("[a, b, a]", ":1: models: a model is named twice"),
        ("random-effects", ":1: models: 'random-effects' should be a valid array"),
    ],
)
def test_models_are_a_list_without_repeats(tmp_path: Path, models: str, said: str) -> None:
    text = f"models: {models}\nstudies: {{source: a}}\n"
    assert refusal(tmp_path, text).startswith(said)


@pytest.mark.parametrize("key", ["studies", "models"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    text = "".join(line for line in BARE.splitlines(keepends=True) if not line.startswith(key))
    assert refusal(tmp_path, text) == f":1: the key '{key}' is missing"


def test_an_analysis_may_not_be_called_store(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="may not be called store"):
        read(tmp_path, BARE, "store.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scripts: [stata]", "stata"),
        ("scripts: [pymc, pymc]", "a script is asked for twice"),
        ("scripts: [pymc]\ngrid: {measure: [ZCOR, COR]}", "a run without grid"),
    ],
)
def test_scripts_are_of_known_programs_and_of_runs_without_a_grid(
    tmp_path: Path, text: str, said: str
) -> None:
    assert said in refusal(tmp_path, f"{BARE}{text}\n")


def test_an_ensemble_weighs_models_equally_unless_it_says_otherwise(tmp_path: Path) -> None:
    models = "studies: {source: internet-alliance}\nmodels: [a, b]\n"
    plain = read(tmp_path, f"{models}ensemble: {{}}\n")
    assert plain.ensemble is not None
    assert (plain.ensemble.effect, plain.ensemble.heterogeneity) == (0.5, 0.5)
    assert plain.ensemble.of_models(plain.models) == {"a": 0.5, "b": 0.5}
    weighed = read(tmp_path, f"{models}ensemble: {{weights: {{b: 3, a: 1}}, effect: 1}}\n").ensemble
    assert weighed is not None and weighed.of_models(("a", "b")) == {"a": 0.25, "b": 0.75}
    assert read(tmp_path, models).ensemble is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{weights: {a: 1, c: 1, b: 1}}", "the analysis has no model 'c'; allowed: a, b"),
        ("{weights: {a: 1}}", "the model 'b' has none; every model has a weight above 0"),
        ("{weights: {a: 0, b: 1}}", "ensemble.weights.a: 0 should be greater than 0"),
        ("{weights: {}}", "should have at least 1 item"),
        ("{effect: 0}", "ensemble.effect: 0 should be greater than 0"),
        ("{heterogeneity: 1.5}", "should be less than or equal to 1"),
        ("{bias: 0.5}", "unknown key 'bias'; allowed: effect, heterogeneity, weights"),
    ],
)
def test_an_ensemble_that_is_none_is_refused(tmp_path: Path, text: str, said: str) -> None:
    models = "studies: {source: internet-alliance}\nmodels: [a, b]\n"
    message = refusal(tmp_path, f"{models}ensemble: {text}\n")
    assert message.startswith(":") and said in message
