"""What is printed of a fit: one list of rows."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from metarho.batch.tables import quantity_rows, to_csv
from metarho.posterior.marginals import NOTHING, Summary
from metarho.posterior.printed import (
    GROUPS,
    Printed,
    cells,
    digits_of,
    number,
    printed,
    share,
    shown,
    title,
)
from metarho.posterior.sampled import Sampled
from printed_cases import CASES, case, of_rows


@pytest.mark.parametrize("name", list(CASES))
def test_every_quantity_of_a_fit_is_printed_once_with_its_meaning(name: str) -> None:
    fit = case(name)
    rows = printed(fit)
    names = [row.name for row in rows]
    assert len(set(names)) == len(names)
    assert set(names) >= {*fit.parameters, *fit.derived, "theta_new", "rho_new"}
    assert all(row.meaning for row in rows)
    assert [row.group for row in rows] == sorted((row.group for row in rows), key=GROUPS.index)
    for one, own in {**fit.parameters, **fit.derived}.items():
        assert rows[names.index(one)].summary == own


@pytest.mark.parametrize("name", ["random effects", "three levels", "a total and its share"])
def test_a_variance_is_the_square_of_its_sd(name: str) -> None:
    rows = {row.name: row.summary for row in printed(case(name))}
    variances = {n: s for n, s in rows.items() if n.startswith("tau2")}
    assert variances
    for one, variance in variances.items():
        sd = rows[one.replace("tau2", "tau")]
        assert None not in (sd.mean, sd.sd, sd.median, sd.lower, sd.upper, variance.mean)
        # E[τ²] = E[τ]² + Var τ; quantiles are squared. As exact as quadrature and roots are.
        assert variance.mean == pytest.approx(sd.mean**2 + sd.sd**2, rel=1e-6)  # type: ignore[operator]
        for end in ("median", "lower", "upper"):
            assert getattr(variance, end) == pytest.approx(getattr(sd, end) ** 2, rel=1e-6)


def test_several_levels_have_a_total_sd() -> None:
    fit = case("imputed")
    assert isinstance(fit.posterior, Sampled)
    draws = fit.posterior.all_parameters
    total = np.hypot(draws["tau_study"], draws["tau_effect"])
    rows = {row.name: row.summary for row in printed(fit)}
    assert rows["tau"].median == pytest.approx(np.median(total), rel=1e-12)
    assert rows["tau2"].mean == pytest.approx(np.mean(total**2), rel=1e-12)


def test_the_probability_to_be_above_0_is_that_of_the_posterior() -> None:
    fit = case("pet")
    assert isinstance(fit.posterior, Sampled)
    rows = {row.name: row.above_zero for row in printed(fit)}
    share_above = float((fit.posterior.all_parameters["mu"] > 0).mean())
    assert rows["mu"] == pytest.approx(share_above, abs=1e-12)
    assert rows["rho_median"] == rows["rho_mean"] == rows["mu"]
    # What cannot be below 0 has none.
    assert rows["tau"] is rows["tau2"] is rows["I2"] is rows["H2"] is None


def test_evidence_that_is_no_correlation_has_no_rho(tmp_path: Path) -> None:
    fit = of_rows(tmp_path, "study,yi,vi\na,0.3,0.02\nb,0.1,0.03\nc,0.2,0.01\n")
    assert {row.name for row in printed(fit)} - {row.name for row in shown(fit)} == {
        "rho_median",
        "rho_mean",
        "rho_new",
    }


def test_one_effect_is_one_effect(tmp_path: Path) -> None:
    fit = of_rows(tmp_path, "study,ri,ni\na,0.3,50\n", "ZCOR")
    assert title(fit) == "Random effects (k = 1 effect, 1 study; measure ZCOR)"


def test_rows_for_programs_are_those_that_are_printed() -> None:
    fit = case("three levels")
    table = list(csv.DictReader(io.StringIO(to_csv(quantity_rows(fit)))))
    assert [row["quantity"] for row in table] == [row.name for row in shown(fit)]
    assert {row["kind"] for row in table} == {"eti"}
    assert "sd between study means" in {row["meaning"] for row in table}


def printed_on(scale: str, sd: float | None) -> Printed:
    return Printed("mu", "Model results", Summary(1.0, sd, 1.0, 0.0, 2.0), scale, None, "x")


def test_digits_follow_the_scale() -> None:
    assert digits_of(printed_on("z", 0.05)) == 4
    assert digits_of(printed_on("percent", 10.0)) == 1
    assert digits_of(printed_on("z squared", 0.01)) == 5
    assert digits_of(printed_on("yi", 3e-6)) == 7
    assert digits_of(printed_on("yi", None)) == 4


def test_numbers_are_written_whole_and_without_a_sign_on_0() -> None:
    assert number(-0.0001) == "0.000"
    assert number(None) == "–"
    assert number(1234567.0, 1) == "1234567.0"
    assert number(1e300) == "1.000e+300"
    assert (share(1.0), share(0.0), share(0.5), share(None)) == (">0.999", "<0.001", "0.500", "–")
    nothing = Printed("I2", "Heterogeneity", NOTHING, "percent", None, "x")
    assert cells(nothing) == ("–",) * 5 + ("",)
