"""How values show themselves at a prompt and in a notebook."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

import metarho
from metarho.api import Result
from metarho.representations import Shown
from printed_cases import HOSTILE, case, of_rows

TABLE = Shown("A <title>", ("name", "mean"), ((HOSTILE, "0.123456"), ("b\x1b[31m", "1")), ("[i]",))


def in_terminal(what: RenderableType, width: int = 120) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(what)
    return stream.getvalue()


def test_texts_are_texts_in_a_terminal() -> None:
    text = in_terminal(TABLE.rich())
    assert HOSTILE in text and "A <title>" in text and "[i]" in text
    assert "\x1b" not in text


def test_texts_are_texts_in_a_notebook() -> None:
    html = TABLE.html()
    assert "<img" not in html and "&lt;img src=x" in html
    assert "<title>" not in html


@pytest.mark.parametrize("width", [6, 20, 40, 200])
def test_a_number_is_not_cut_in_a_narrow_window(width: int) -> None:
    text = in_terminal(TABLE.rich(), width)
    assert "…" not in text
    # Names give way first; where there is no room for a number it goes on below.
    assert "0.123456" in text or width == 6


def test_a_fit_is_short_at_a_prompt_and_a_table_where_there_is_room() -> None:
    fit = case("random effects")
    assert repr(fit) == (
        "<Fit random-effects: k = 16, rho = 0.147 [0.082, 0.217] (95% eti), exact, ok>"
    )
    text = in_terminal(fit)
    assert "Random effects (k = 16 effects" in text and "tau2" in text
    assert "mu ~ Normal(mu=0, sigma=0.5)" in text and "engine: exact; status: ok" in text
    assert "<td>tau2</td>" in fit._repr_html_()


def test_a_fit_that_failed_says_so() -> None:
    fit = case("failed")
    assert repr(fit).endswith(", nuts, not reportable>")
    assert "R-hat of mu is 1.2" in fit._repr_html_()


def test_studies_show_their_first_rows(tmp_path: Path) -> None:
    studies = metarho.load_studies("internet-alliance", where='role == "main"')
    assert "internet-alliance.csv: 28 effects from 19 studies (measure ZCOR; 34 rows" in repr(
        studies
    )
    text = in_terminal(studies)
    assert "not significant" in text and "and 18 more" in text
    of_rows(tmp_path, f'study,ri,ni\n"{HOSTILE}",0.3,50\n', "ZCOR")
    hostile = metarho.load_studies(
        tmp_path / "data.csv", columns={"ri": "ri", "ni": "ni", "study": "study"}
    )
    assert "<img" not in hostile._repr_html_() and "&lt;img" in hostile._repr_html_()
    assert "and 0 more" not in hostile._repr_html_()


def test_a_model_says_what_it_says_in_its_file() -> None:
    model = metarho.load_model("three-level-moderators")
    assert repr(model).splitlines()[0] == "# model three-level-moderators"
    assert "mods: ~ guidance + rater + timing" in repr(model)
    assert "priors[tau_study]: HalfNormal(sigma=0.25)" in repr(model)
    assert "likelihood" not in repr(model)
    titled = model.model_copy(update={"title": HOSTILE})
    assert "<img" not in titled._repr_html_() and HOSTILE in in_terminal(titled)
    assert "custom: multiplicative.py" in repr(metarho.load_model("multiplicative"))


def test_a_result_shows_the_headline_of_every_fit() -> None:
    result = Result(Path("outputs/a"), {("m", "default", "use"): case("random effects")})
    assert repr(result) == "<Result outputs/a: 1 fit>"
    assert "[0.082, 0.217]" in in_terminal(result)
    assert "<td>default</td>" in result._repr_html_()
    assert repr(Result(Path("a"), {}, ({}, {}))) == "<Result a: 2 rows>"
