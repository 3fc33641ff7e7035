"""What is public, and that importing, helping and exact fitting load nothing heavy."""

from __future__ import annotations

import inspect
import json
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest

import metarho
import metarho.api

MOLLOY = Path(__file__).parent / "references" / "molloy2014.csv"
FIT = ["fit", str(MOLLOY), "--columns", "ri=ri,ni=ni", "--json"]

HEAVY = {"pymc", "pytensor", "nutpie", "arviz", "arviz_stats", "matplotlib", "scipy.stats"}
# What help does without besides.
NUMERICAL = {"numpy", "scipy", "pandas", "formulaic", "xarray"}

# Runs the command line as the console script does, then prints what is loaded.
SCRIPT = """
import json, sys
import metarho
if sys.argv[1:]:
    from metarho.cli import main
    try:
        main()
    except SystemExit as stop:
        assert stop.code == 0, stop.code
print()
print(json.dumps(list(sys.modules)))
"""


def loaded(*arguments: str) -> tuple[str, set[str]]:
    """What a fresh process printed, and the modules it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=True
    )
    printed, _, modules = done.stdout.rstrip("\n").rpartition("\n")
    return printed, set(json.loads(modules))


def test_importing_metarho_loads_nothing_but_itself() -> None:
    _, modules = loaded()
    assert "metarho" in modules
    assert modules & (HEAVY | NUMERICAL | {"metarho.api", "typer"}) == set()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["fit", "--help"], ["run", "--help"], ["priors", "--help"]]
)
def test_help_loads_nothing_numerical(arguments: list[str]) -> None:
    printed, modules = loaded(*arguments)
    assert "Usage: " in printed
    assert modules & (HEAVY | NUMERICAL) == set()


def test_an_exact_fit_loads_nothing_heavy() -> None:
    printed, modules = loaded(*FIT)
    result = json.loads(printed)
    assert (result["engine"], result["status"]) == ("exact", "ok")
    assert "numpy" in modules
    # Formulas and Parquet are not asked for either.
    assert modules & (HEAVY | {"formulaic", "pandas", "numba"}) == set()


def test_checks_of_an_exact_fit_load_nothing_heavy(tmp_path: Path) -> None:
    config = tmp_path / "small.yaml"
    studies = 'studies: {source: internet-alliance, where: role == "main", intervals: drop}'
    config.write_text(f"{studies}\nmodels: [random-effects]\nreport: none\n", encoding="utf-8")
    options = ("--simulations", "100", "--csv", "--output", str(tmp_path))
    printed, modules = loaded("ppc", str(config), *options)
    assert printed.startswith("model,prior,intervals,check")
    assert modules & (HEAVY | {"formulaic", "numba"}) == set()


def test_classical_answers_load_nothing_heavy() -> None:
    table = ("classical", *FIT[1:-1], "--mods", "~ meanage", "--influence", "--csv")
    printed, modules = loaded(*table)
    assert printed.startswith("effect,without,ci_lb")
    assert modules & HEAVY == set()


def test_a_list_of_priors_needs_no_engine() -> None:
    printed, modules = loaded("priors", "list")
    assert "robma4-mu-z" in printed
    assert modules & (HEAVY | {"scipy", "pandas", "formulaic", "xarray"}) == set()


def test_an_exact_fit_with_moderators_loads_nothing_heavy() -> None:
    _, modules = loaded(*FIT, "--mods", "~ design + center(meanage)")
    assert "formulaic" in modules
    assert modules & HEAVY == set()


def test_the_console_script_is_the_command_line() -> None:
    script = Path(sys.executable).parent / "metarho"
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    assert "Usage: metarho" in done.stdout


def test_the_public_names_are_these() -> None:
    assert metarho.__all__ == [
        "Ensembles",
        "Fit",
        "FitError",
        "InputError",
        "Model",
        "Prior",
        "Result",
        "Studies",
        "Summary",
        "classical_answers",
        "ensemble",
        "fit",
        "load_model",
        "load_studies",
        "random_variable",
        "run",
    ]


@pytest.mark.parametrize("name", metarho.__all__)
def test_every_public_name_resolves_to_something_with_a_docstring(name: str) -> None:
    value = getattr(metarho, name)
    assert inspect.getdoc(value)
    assert value.__module__.startswith("metarho.")
    assert name in dir(metarho)


def test_what_the_python_side_defines_is_public() -> None:
    functions = {
        name for name in metarho.api.__all__ if inspect.isfunction(vars(metarho.api)[name])
    }
    assert functions == {name for name in metarho.__all__ if name.islower()}


def test_help_of_the_package_has_every_public_name_with_its_first_sentence() -> None:
    # A terminal prints a bold letter as the letter, back, and the letter again.
    said = re.sub(".\b", "", pydoc.render_doc(metarho))
    for name in metarho.__all__:
        first = (inspect.getdoc(getattr(metarho, name)) or "").split("\n")[0]
        assert name in said and first in said, name


def test_names_that_a_session_completes_are_the_public_ones() -> None:
    assert [name for name in dir(metarho) if not name.startswith("_")] == metarho.__all__


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    assert not hasattr(metarho, "fit_everything")
