"""What a page gets for its sliders: for which fits, and nodes that serve their whole range."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp

from cases import alliance
from metarho import fit, load_model, load_studies
from metarho.engines.exact.panels import Axis
from metarho.engines.exact.priors import log_density
from metarho.report.interactive.slider import slider_data
from metarho.spec.scaling import rescaled
from report_cases import many_table


def _unpacked(data: dict[str, object], name: str, kind: str = "<f8") -> np.ndarray:
    return np.frombuffer(base64.b64decode(str(data[name])), dtype=kind).astype(float)


def _axis(of: dict[str, object]) -> Axis:
    return Axis("sinh", of["centre"], of["scale"], np.array(of["breaks"]), of["order"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "mods", "priors", "said"),
    [
        ("random-effects", "~ guidance", {}, "it has moderators"),
        ("random-effects", None, {"mu": "Flat()"}, "the page cannot widen mu ~ Flat()"),
        ("random-effects", None, {"tau": "Jeffreys()"}, "the page cannot widen tau ~ Jeffreys()"),
        ("random-effects", None, {"mu": "Uniform(lower=-1, upper=1) on r"}, "cannot widen mu"),
        ("random-effects", None, {"tau": "DiracDelta(c=0.1)"}, "cannot widen tau"),
    ],
)  # fmt: skip
def test_a_fit_without_sliders_says_why(
    model: str, mods: str | None, priors: dict[str, str], said: str
) -> None:
    found = slider_data(fit(load_model(model, mods=mods), alliance("drop"), priors=priors), [0.0])
    assert found.data is None and said in found.reason


def test_two_levels_have_no_sliders() -> None:
    two = fit(load_model("three-level"), alliance("drop"))
    assert "more parameters" in slider_data(two, []).reason


def test_the_exact_law_of_r_has_no_sliders() -> None:
    one = fit(load_model("random-effects"), alliance("drop"))
    other = replace(one, problem=replace(one.problem, model=load_model("exact-r")))
    assert "under the exact law of r" in slider_data(other, []).reason


def test_data_are_plain_values_that_fit_into_a_page() -> None:
    found = slider_data(fit(load_model("random-effects"), alliance("use")), [0, 0.1]).data
    assert found is not None
    text = json.dumps(found, allow_nan=False)
    assert len(text) < 400_000
    assert json.loads(text)["thresholds"] == [0.0, 0.1]


def test_the_table_is_the_engines_likelihood_at_both_ends_of_both_sliders() -> None:
    """The evidence by sums over the page's nodes, against the exact engine on its own panels."""
    model, studies = load_model("random-effects"), alliance("use")
    own = fit(model, studies)
    data = dict(slider_data(own, []).data or {})
    axes: dict[str, dict[str, object]] = data["axes"]  # type: ignore[assignment]
    tau, mu = _axis(axes["tau"]), _axis(axes["mu"])
    most = _unpacked(data, "most")
    relative = _unpacked(data, "relative", "<f4").reshape(len(most), len(mu.nodes))
    with np.errstate(divide="ignore"):
        log_likelihood = np.log(relative[:-1]) + most[:-1, None]
    for widths in ((0.1, 0.1), (0.1, 10), (10, 0.1), (10, 10)):
        priors = {
            name: rescaled(own.problem.prior(name), width)
            for name, width in zip(("mu", "tau"), widths, strict=True)
        }
        at = [
            log_density(priors[name], axis.nodes, own.problem.evidence.v) + np.log(axis.weights)
            for name, axis in (("tau", tau), ("mu", mu))
        ]
        total = float(logsumexp(log_likelihood + at[0][:, None] + at[1]))
        # Four bytes a node: 6e-8 of each, less in their sum.
        assert total == pytest.approx(fit(model, studies, priors=priors).log_evidence, abs=6e-8)


def test_the_sums_are_the_engines_likelihood_however_many_rows_there_are(tmp_path: Path) -> None:
    """With 500 rows the posterior of tau is narrower than the panels that all priors share."""
    (tmp_path / "many.csv").write_text(many_table(500), encoding="utf-8")
    columns = {"ri": "r", "ni": "n", "study": "study"}
    model, studies = (
        load_model("random-effects"),
        load_studies(tmp_path / "many.csv", columns=columns),
    )
    own = fit(model, studies)
    data = dict(slider_data(own, []).data or {})
    axes: dict[str, dict[str, object]] = data["axes"]  # type: ignore[assignment]
    tau, origin = _axis(axes["tau"]), float(str(data["origin"]))
    constant, square, right, precision = (
        _unpacked(data, name)[:-1] for name in ("constant", "square", "right", "precision")
    )
    for widths in ((1, 1), (0.1, 0.1), (0.1, 10), (10, 0.1), (10, 10)):
        priors = {
            name: rescaled(own.problem.prior(name), width)
            for name, width in zip(("mu", "tau"), widths, strict=True)
        }
        # The rows' law of the mean at each node, times its prior, integrated by the textbook.
        sd = priors["mu"].values["sigma"]
        shifted, total = right - origin / sd**2, precision + sd**-2
        given = constant - 0.5 * (square + (origin / sd) ** 2 - shifted**2 / total)
        given -= 0.5 * np.log(total) + np.log(sd)
        prior = log_density(priors["tau"], tau.nodes, own.problem.evidence.v)
        log_mass = given + prior + np.log(tau.weights)
        found = float(logsumexp(log_mass)) + float(str(data["jacobian"]))
        expected = fit(model, studies, priors=priors).log_evidence
        assert found == pytest.approx(expected, abs=1e-7), widths
        assert _roughness(tau, np.exp(log_mass - logsumexp(log_mass))) < 1e-6, widths


def _roughness(axis: Axis, mass: np.ndarray) -> float:
    """By what the page asks whether nodes resolve a density: its last two coefficients a panel."""
    t, weights = np.polynomial.legendre.leggauss(axis.order)
    half = np.diff(axis.breaks)[:, None] / 2
    density = mass.reshape(-1, axis.order) / (half * weights)
    last = np.polynomial.legendre.legvander(t, axis.order - 1)[:, -2:]
    scale = np.arange(axis.order)[-2:] + 0.5
    return float(np.abs(2 * half * ((density * weights) @ last) * scale).sum())
