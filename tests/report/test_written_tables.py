"""Rows as tables of Markdown and LaTeX."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from metarho.compare.rows import Row
from metarho.report.written_tables import latex_table, markdown_table

HOSTILE = "a|b `c` <script>alert(1)</script> _d_ $x^2$ [e](http://f) #g & 50% \\input{h} ~i"


def test_markdown_has_a_caption_a_head_a_rule_and_a_line_a_row() -> None:
    rows: list[Row] = [
        {"prior": "default", "median": 0.2351, "k": 28, "bf": None},
        {"prior": "sceptical", "median": -0.01, "k": 10, "bf": 1.5},
    ]
    assert markdown_table(rows, "Priors", "Medians.") == (
        "**Priors**\n\n"
        "| prior | median | k | bf |\n"
        "| :--- | ---: | ---: | ---: |\n"
        "| default | 0.235 | 28 | – |\n"
        "| sceptical | −0.010 | 10 | 1.500 |\n\n"
        "*Note.* Medians.\n"
    )


def test_latex_has_rules_of_booktabs_and_a_caption() -> None:
    rows: list[Row] = [{"prior": "a", "median": -0.2, "interval": "[-0.5, 0.1]"}]
    text = latex_table(rows, "Priors", "Medians.", digits=2)
    assert "\\begin{tabular}{lrr}\n\\toprule\nprior & median & interval \\\\\n\\midrule\n" in text
    minus = r"\ensuremath{-}"
    assert f"a & {minus}0.20 & {{[}}{minus}0.5, 0.1{{]}} \\\\\n\\bottomrule" in text
    assert text.count("{") == text.count("}")


def test_text_is_text_in_markdown() -> None:
    text = markdown_table([{"study": HOSTILE, "r": 0.1}], HOSTILE)
    (line,) = [line for line in text.splitlines() if "0.100" in line]
    # Two cells: three pipes that are not escaped.
    assert len(re.findall(r"(?<!\\)\|", line)) == 3
    assert "<script" not in text and "&lt;script&gt;" in text
    assert r"\`c\`" in text and r"\[e\](http" in text and r"\_d\_" in text and r"\$x\^2\$" in text


def test_text_is_text_in_latex() -> None:
    text = latex_table([{"study": HOSTILE, "r": 0.1}], HOSTILE, HOSTILE)
    line = next(line for line in text.splitlines() if "0.100" in line)
    assert r"\textbackslash{}input\{h\}" in line
    assert r"\$x\textasciicircum{}2\$" in line and r"50\%" in line and r"\#g" in line
    assert len(re.findall(r"(?<!\\)&", line)) == 1


@given(st.text(max_size=40))
def test_whatever_a_study_is_called_a_row_stays_one_line_of_as_many_cells(name: str) -> None:
    markdown = markdown_table([{"study": name, "r": 0.5}], "t").splitlines()
    assert len(markdown) == 5
    # Two marks before a pipe are an escaped backslash: it is the pipe that counts.
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", markdown[-1])) == 3
    latex = latex_table([{"study": name, "r": 0.5}], "t").splitlines()
    row = latex[latex.index("\\midrule") + 1]
    assert len(re.findall(r"(?<!\\)&", row)) == 1 and row.endswith(" \\\\")
    assert re.search(r"(?<!\\)[$#%_^~]", row) is None
    assert not any(ord(character) < 32 for character in "".join(markdown + latex))


def test_a_table_without_rows_is_a_head_alone() -> None:
    assert markdown_table([], "Nothing").startswith("**Nothing**")
