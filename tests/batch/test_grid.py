"""The plan of a grid: which cells there are, which are refused, and what is wrong in a config."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grid_cases import SMALL, write_grid
from metarho.batch.grid import GridPlan, plan_grid
from metarho.data.studies import load_studies
from metarho.engines.problem import encode
from metarho.errors import InputError
from metarho.spec.analysis import Sampler
from metarho.spec.model import read_model
from metarho.spec.priors import parse_prior
from metarho.store.keys import key_of


def planned(folder: Path, text: str = SMALL) -> GridPlan:
    return plan_grid(write_grid(folder, text))


def test_the_cells_are_the_product_without_what_unless_leaves_out(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert plan.size == 3 * 2 * 2 * 2 * 2
    assert len(plan.cells) == plan.size - 12
    assert not any(
        cell.decisions["measure"] == "COR" and cell.decisions["rho_within"] == 0.4
        for cell in plan.cells
    )
    names = ("where", "measure", "intervals", "rho_within", "model", "priors")
    assert all(tuple(cell.decisions) == names for cell in plan.cells)
    assert len({tuple(cell.decisions.values()) for cell in plan.cells}) == len(plan.cells)


def test_a_cell_is_the_fit_that_its_decisions_make_by_hand(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    wanted = {
        "where": "guided",
        "measure": "ZCOR",
        "intervals": "drop",
        "rho_within": 0.4,
        "model": "random-effects",
        "priors": "sceptical",
    }
    (cell,) = [cell for cell in plan.cells if cell.decisions == wanted]
    studies = load_studies(
        "internet-alliance", where='guidance == "guided"', intervals="drop", rho_within=0.4
    )
    everyone = load_studies("internet-alliance", where='guidance == "guided"', rho_within=0.4)
    _, path = plan.models["random-effects"]
    mu = {"mu": parse_prior("Normal(mu=0, sigma=0.15)")}
    problem = encode(read_model(path), studies, mu, all_rows=everyone)
    assert cell.work is not None
    assert cell.work.key == key_of(problem, "exact", Sampler())


def test_equal_evidence_is_one_fit_whatever_it_is_called(tmp_path: Path) -> None:
    text = SMALL.replace("all: null", "all: null, every: null, each: 'n > 0'")
    plan, least = planned(tmp_path, text), planned(tmp_path)
    assert len(plan.cells) == len(least.cells) * 5 // 3
    # A filter that keeps every row keeps the evidence as it is.
    assert {work.key for work in plan.works} == {work.key for work in least.works}


def test_a_rule_is_laid_over_that_of_the_studies(tmp_path: Path) -> None:
    text = SMALL.replace("intervals: drop", "intervals: drop, where: 'role == \"main\"'")
    plan = planned(tmp_path, text)
    by_rule = {
        cell.decisions["where"]: cell.work.problem.evidence.k
        for cell in plan.cells
        if cell.work is not None
    }
    main = load_studies("internet-alliance", where='role == "main"', intervals="drop")
    guided = 'role == "main" and guidance == "guided"'
    assert by_rule == {
        "main": main.k_effects,
        "all": main.k_effects,
        "guided": load_studies("internet-alliance", where=guided, intervals="drop").k_effects,
    }


@pytest.mark.parametrize("statistic", ["all", "zero-order", "printed"])
def test_the_statistic_says_which_rows_count(tmp_path: Path, statistic: str) -> None:
    text = SMALL.replace("intervals: drop", "intervals: use")
    text = text[: text.index("grid:")] + f"grid: {{statistic: [{statistic}]}}\n"
    (rows,) = {
        cell.work.problem.evidence.rows for cell in planned(tmp_path, text).cells if cell.work
    }
    everyone = load_studies("internet-alliance").used
    kept = {
        "all": len(everyone),
        "zero-order": sum(row.is_zero_order for row in everyone),
        "printed": sum(not row.is_interval for row in everyone),
    }
    assert len({*kept.values()}) == 3
    assert len(rows) == kept[statistic]


@pytest.mark.parametrize("rules", ["", "where: {old: 'year < 2004', all: null}"])
def test_a_row_counts_against_a_grid_where_the_studies_count_it(tmp_path: Path, rules: str) -> None:
    rows = "".join(f"{r},{40 if year < 2005 else 'many'},{year}\n" for r, year in
                   ((0.1, 2001), (0.3, 2003), (0.2, 2004), (0.4, 2009)))  # fmt: skip
    source = "source: ./mine.csv, columns: {ri: r, ni: n}"
    text = f"studies: {{{source}}}\nmodels: [common-effect]\ngrid: {{{rules}}}\n"
    path = write_grid(tmp_path, text)
    (path.parent / "mine.csv").write_text(f"r,n,year\n{rows}", encoding="utf-8")
    # One that is wrong is an error as without a grid, and makes no cells that are refused.
    with pytest.raises(InputError, match=r"^\S*mine.csv:5: n is 'many'"):
        plan_grid(path)
    text = text.replace(source, f"{source}, where: 'year < 2009'")
    assert all(cell.work is not None for cell in planned(tmp_path, text).cells)


def test_parts_of_a_model_are_said_anew(tmp_path: Path) -> None:
    text = SMALL[: SMALL.index("grid:")] + "grid: {likelihood: [normal, exact-r]}\n"
    found = {
        (cell.decisions["likelihood"], cell.work.problem.model.likelihood)
        for cell in planned(tmp_path, text).cells
        if cell.work is not None
    }
    assert found == {("normal", "normal"), ("exact-r", "exact-r")}


def test_what_has_no_evidence_or_no_engine_is_a_cell_that_is_refused(tmp_path: Path) -> None:
    text = SMALL.replace("intervals: drop", "intervals: [use, drop]")
    text = text.replace("all: null", "none: 'n > 1e6'")
    plan = planned(tmp_path, text)
    reasons = {
        (cell.decisions["where"], cell.decisions["measure"]): cell.reason
        for cell in plan.cells
        if cell.work is None
    }
    assert "no row is left" in reasons["none", "ZCOR"]
    assert "measure COR cannot use it" in reasons["main", "COR"]
    # Where only printed numbers count there is nothing that it cannot use.
    printed = planned(tmp_path, text + "  statistic: [printed]\n")
    assert {cell.decisions["where"] for cell in printed.cells if cell.work is None} == {"none"}
    assert sum(plan.refusals.values()) == sum(cell.work is None for cell in plan.cells)
    assert any(cell.work is not None for cell in plan.cells)


def test_cells_besides_are_there_though_unless_leaves_them_out(tmp_path: Path) -> None:
    text = SMALL + "  cells: [{measure: COR, rho_within: 0.4, priors: sceptical}]\n"
    plan = planned(tmp_path, text)
    assert len(plan.cells) == len(planned(tmp_path).cells) + 1
    assert plan.cells[-1].decisions == {
        "where": "main",
        "measure": "COR",
        "intervals": "drop",
        "rho_within": 0.4,
        "model": "random-effects",
        "priors": "sceptical",
    }


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(count=st.integers(1, 60), seed=st.integers(0, 2**63 - 1))
def test_a_sample_is_part_of_the_product_and_the_same_each_time(
    tmp_path: Path, count: int, seed: int
) -> None:
    text = f"{SMALL}  sample: {{cells: {count}, seed: {seed}}}\n"
    one, again, whole = planned(tmp_path, text), planned(tmp_path, text), planned(tmp_path)
    drawn = [cell.decisions for cell in one.cells]
    assert drawn == [cell.decisions for cell in again.cells]
    assert len(drawn) == min(count, len(whole.cells))
    every = [cell.decisions for cell in whole.cells]
    assert [decisions for decisions in every if decisions in drawn] == drawn


def test_unless_knows_names_that_would_be_blank_in_a_table(tmp_path: Path) -> None:
    text = SMALL.replace("sceptical:", "NA:").replace("all:", '" all":')
    text = text.replace("rho_within == 0.4", "0.2 < rho_within < 1")
    text = text.replace("unless: [", "unless: ['priors == \"NA\"', 'where not in [\" all\"]', ")
    left = [cell.decisions for cell in planned(tmp_path, text).cells]
    assert {(one["where"], one["priors"]) for one in left} == {(" all", "default")}
    measures = [(one["measure"], one["rho_within"]) for one in left[::2]]
    assert measures == [("ZCOR", 0.0), ("ZCOR", 0.4), ("COR", 0.0)]


def test_weights_are_of_every_value_though_a_sample_has_not_all(tmp_path: Path) -> None:
    weights = "  weights: {priors: {default: 1, sceptical: 2}, rho_within: {'0': 1, '0.4': 2}}\n"
    assert len(planned(tmp_path, f"{SMALL}{weights}  sample: {{cells: 1}}\n").cells) == 1


def test_of_a_product_too_large_to_list_a_sample_is_drawn(tmp_path: Path) -> None:
    rules = ", ".join(f"rule {n}: 'year > {1900 + n}'" for n in range(100))
    rhos = ", ".join(f"{n / 2000}" for n in range(1000))
    head = SMALL[: SMALL.index("  default: {}")]
    sets = "".join(f'  p{n}: {{mu: "Normal(mu=0, sigma={0.1 + n / 100})"}}\n' for n in range(20))
    grid = f"grid:\n  where: {{{rules}}}\n  rho_within: [{rhos}]\n"
    unless = "  unless: ['rho_within > 0.1']\n"
    text = f"{head}{sets}{grid}{unless}  sample: {{cells: 12, seed: 3}}\n"
    plan = planned(tmp_path, text)
    assert plan.size == 100 * 1000 * 2 * 20
    assert len(plan.cells) == 12
    assert all(float(cell.decisions["rho_within"]) <= 0.1 for cell in plan.cells)
    assert not plan.remarks
    # Of what a rule leaves next to nothing of, not all is found, and it is said.
    rare = text.replace("rho_within > 0.1", 'rho_within > 0 or priors not in ["p1", "p2", "p3"]')
    (said,) = planned(tmp_path, rare).remarks
    assert "cells, not 12: unless leaves out nearly all that were drawn" in said
    with pytest.raises(InputError, match="leaves out every cell that was drawn"):
        planned(tmp_path, text.replace("> 0.1", ">= 0").replace("cells: 12", "cells: 1"))
    with pytest.raises(InputError, match="the product has 4,000,000 cells, more than 100,000"):
        planned(tmp_path, text[: text.index("  sample")])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('role == "main"', 'rol == "main"', "where 'main': .*no column 'rol'"),
        ('measure == "COR" and', 'measur == "COR" and', "no decision 'measur'.*'measure'"),
        ('measure == "COR" and', 'measure == "CORR" and', "measure has no value 'CORR'.*'COR'"),
        ("sceptical: {mu:", "sceptical: {beta:", "has a parameter 'beta'"),
        ("random-effects,", "random-effect,", "did you mean 'random-effects'"),
        ("source: internet-alliance", "source: internet-aliance", "yaml:1: there is no shipped"),
        ("  unless", "  cells: [{measure: GEN}]\n  unless", "measure has no value 'GEN'"),
        ("  unless", "  cells: [{statistic: all}]\n  unless", "has no decision 'statistic'"),
        ("unless: ['measure", "unless: ['priors != \"no\"', 'measure", "priors has no value 'no'"),
        (
            "rho_within == 0.4",
            "rho_within in [0.5]",
            "rho_within has no value 0.5; allowed: 0, 0.4",
        ),
        ("rho_within == 0.4", "rho_within == False", "rho_within has no value False"),
        ("rho_within == 0.4", "model == 1", "model has no value 1.0; allowed: common-effect"),
    ],
)
def test_what_is_wrong_in_a_grid_is_an_error_with_its_place(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in SMALL
    with pytest.raises(InputError, match=said) as error:
        planned(tmp_path, SMALL.replace(old, new, 1))
    assert "small.yaml:" in str(error.value)


def test_a_grid_of_nothing_but_refused_cells_is_an_error_that_says_why(tmp_path: Path) -> None:
    text = SMALL[: SMALL.index("grid:")] + "grid: {where: {none: 'n > 1e6'}}\n"
    with pytest.raises(InputError, match=r"none of the 4 cells .* no row is left"):
        planned(tmp_path, text)
    with pytest.raises(InputError, match="unless leaves out every cell"):
        planned(tmp_path, SMALL.replace("and rho_within == 0.4", 'or measure == "ZCOR"'))
