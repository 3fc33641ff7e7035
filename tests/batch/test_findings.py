"""What a report asks of its answer: once, with reasons where there is nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from metarho.batch import findings
from metarho.batch.findings import Findings, find
from metarho.batch.plan import plan
from metarho.batch.run import Outcome, execute
from metarho.compare.surface import Surface
from metarho.fitting import Settings, fit_many

CONFIG = """\
studies: {source: internet-alliance, where: role == "main", intervals: drop}
models: [random-effects]
priors: {default: {}, flat: {mu: Flat()}}
"""


def _run(folder: Path, config: str) -> Outcome:
    (folder / "mine.yaml").write_text(config, encoding="utf-8")
    return execute(plan(folder / "mine.yaml", folder / "out"))


def _find(outcome: Outcome) -> Findings:
    return find(outcome, lambda event, problem: None, lambda message: None)


def test_a_second_report_of_the_same_fits_computes_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = _run(tmp_path, CONFIG)
    first = _find(outcome)

    def refuse(*_: object, **__: object) -> object:
        raise AssertionError("computed again")

    monkeypatch.setattr(findings, "compare", refuse)
    monkeypatch.setattr(findings, "sensitivity", refuse)
    second = _find(outcome)
    assert second.compared == first.compared and first.compared is not None
    assert second.sensitivity is not None and first.sensitivity is not None
    assert second.sensitivity.rows == first.sensitivity.rows
    # Another interval is another comparison.
    changed = _run(tmp_path, CONFIG + "interval: {prob: 0.9}\n")
    with pytest.raises(AssertionError, match="computed again"):
        _find(changed)


def test_the_surface_holds_what_fits_say(tmp_path: Path) -> None:
    outcome = _run(tmp_path, CONFIG)
    found = _find(outcome).sensitivity
    assert found is not None and isinstance(found.found, Surface)
    surface = found.found
    from metarho.compare.surface import varied

    at = {one.argument: float(one.values[i]) for one, i in zip(surface.over, (3, 30), strict=True)}
    (fit,) = fit_many([varied(outcome.plan.cells[0].problem, at)], Settings())
    numbers = dict(zip(map(str, surface.quantities), surface.numbers[3, 30], strict=True))
    # Two roots of one cdf, each found to 1e-12.
    assert numbers["rho_median"] == pytest.approx(fit.pooled.median, abs=1e-9)
    assert numbers["lower"] == pytest.approx(fit.pooled.lower, abs=1e-9)
    assert np.isfinite(surface.numbers).all()


def test_what_is_not_there_has_its_reason(tmp_path: Path) -> None:
    found = _find(_run(tmp_path, CONFIG))
    assert list(found.before) == ["default"]
    assert found.absent == {"implied by flat": "mu ~ Flat() is improper"}


def test_one_study_is_reported(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("r,n\n0.3,40\n")
    config = (
        "studies: {source: ./one.csv, columns: {ri: r, ni: n}}\n"
        "models: [random-effects]\npriors: {default: {}}\n"
    )
    found = _find(_run(tmp_path, config))
    assert found.compared is not None and len(found.compared.rows) == 1
    assert found.sensitivity is not None


def test_a_model_that_takes_long_is_left_to_its_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = _run(tmp_path, CONFIG)
    # No kind of fit is quick any more.
    monkeypatch.setattr(findings, "POINTS", {})
    found = _find(outcome)
    assert (found.compared, found.sensitivity) == (None, None)
    assert "metarho compare does" in found.absent["which-prior"]
    assert "metarho sensitivity does" in found.absent["sensitivity"]
    assert found.checked is not None
