"""Rows of results as tables of Markdown and LaTeX, in which text from users stays text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from metarho.compare.rows import Row, Value
from metarho.posterior import printed
from metarho.posterior.fit import Fit
from metarho.spec.document import without_control

MINUS = "\u2212"
# What a text starts with that is a number, an interval or a dash: such columns go to the right.
_NUMERIC_STARTS = tuple("0123456789.[<>-–" + MINUS)

# Marks that Markdown (CommonMark, GitHub's tables and maths) reads as its own; HTML's are entities.
_OF_MARKDOWN = {mark: f"\\{mark}" for mark in "\\`*_{}[]#|~$!^"} | {
    "<": "&lt;",
    ">": "&gt;",
    "&": "&amp;",
    "@": "&#64;",
}

_OF_LATEX = {
    **{mark: f"\\{mark}" for mark in "{}$&#_%"},
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"''",
    # After \\ a bracket begins an optional argument, and a star its starred form.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    # What metarho writes itself; letters of names beyond Latin need XeLaTeX or LuaLaTeX.
    MINUS: r"\ensuremath{-}",
    "–": "--",
    "…": r"\dots{}",
    "²": r"\textsuperscript{2}",
    "≥": r"\ensuremath{\geq}",
    "ρ": r"\ensuremath{\rho}",
    "τ": r"\ensuremath{\tau}",
    "μ": r"\ensuremath{\mu}",
    "ω": r"\ensuremath{\omega}",
    "ν": r"\ensuremath{\nu}",
    "∞": r"\ensuremath{\infty}",
}


def markdown_table(rows: Sequence[Row], caption: str, note: str = "", *, digits: int = 3) -> str:
    """Rows as a table of GitHub's Markdown, its caption before and its note below.

    Columns are those of all rows, in order; numbers have so many ``digits``, and what does not
    exist is a dash. Pipes, marks and HTML in texts are escaped.
    """
    columns, texts = _texts(rows, digits)
    rules = ["---:" if right else ":---" for right in _to_the_right(texts, len(columns))]
    lines = [f"**{_markdown(caption)}**", ""]
    lines += [_line(list(map(_markdown, columns))), _line(rules)]
    lines += [_line(list(map(_markdown, row))) for row in texts]
    if note:
        lines += ["", f"*Note.* {_markdown(note)}"]
    return "\n".join(lines) + "\n"


def latex_table(rows: Sequence[Row], caption: str, note: str = "", *, digits: int = 3) -> str:
    r"""Rows as a ``table`` of LaTeX with rules of booktabs: the preamble has its package.

    All of LaTeX's special characters in texts are escaped.
    """
    columns, texts = _texts(rows, digits)
    places = "".join("r" if right else "l" for right in _to_the_right(texts, len(columns)))
    body = [f"{' & '.join(map(_latex, row))} \\\\" for row in texts]
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{_latex(caption)}}}",
        f"\\begin{{tabular}}{{{places}}}",
        "\\toprule",
        f"{' & '.join(map(_latex, columns))} \\\\",
        "\\midrule",
        *body,
        "\\bottomrule",
        "\\end{tabular}",
    ]
    if note:
        said = f"\\textit{{Note.}} {_latex(note)}"
        lines += ["", "\\smallskip", f"{{\\footnotesize\\raggedright {said}\\par}}"]
    return "\n".join([*lines, "\\end{table}"]) + "\n"


def fit_markdown(fit: Fit, digits: int = 3) -> str:
    """The quantities of a fit as a table of Markdown."""
    return markdown_table(_fit_rows(fit, digits), _caption(fit), _note(fit))


def fit_latex(fit: Fit, digits: int = 3) -> str:
    """The quantities of a fit as a table of LaTeX."""
    return latex_table(_fit_rows(fit, digits), _caption(fit), _note(fit))


def _fit_rows(fit: Fit, digits: int) -> list[Row]:
    """The quantities of a fit as rows for a written table: numbers as they are printed."""
    found: list[Row] = []
    for row in printed.shown(fit):
        mean, sd, median, lower, upper, above = printed.cells(row, digits)
        known = row.summary.lower is not None
        found.append(
            {
                "quantity": row.name,
                "mean": mean,
                "sd": sd,
                "median": median,
                printed.interval_name(fit): f"[{lower}, {upper}]" if known else None,
                "P(> 0)": above,
                "scale": row.scale,
            }
        )
    return found


def _caption(fit: Fit) -> str:
    """What a table of a fit is of."""
    first = "" if fit.status == "ok" else f"{fit.status.capitalize()}: "
    return f"{first}{printed.title(fit)}"


def _note(fit: Fit) -> str:
    """What stands below a table of a fit: its intervals, priors and engine, and what is what."""
    priors = "; ".join(f"{n} ~ {a.prior.described}" for n, a in fit.problem.priors.items())
    meanings = "; ".join(f"{row.name}: {row.meaning}" for row in printed.shown(fit))
    why = f" {fit.status.capitalize()}: {'; '.join(fit.reasons)}." if fit.reasons else ""
    kind, prob = printed.KINDS[fit.interval.kind], f"{fit.interval.prob * 100:g}%"
    return (
        f"Intervals are {kind} with {prob} probability.{why} Priors: {priors}. "
        f" Engine: {fit.engine}. {meanings}."
    )


def _texts(rows: Sequence[Row], digits: int) -> tuple[list[str], list[list[str]]]:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return columns, [[_text(row.get(column), digits) for column in columns] for row in rows]


def _text(value: Value, digits: int) -> str:
    text = value if isinstance(value, str) else _number(value, digits)
    # A minus is no hyphen; words keep theirs.
    if text.startswith(_NUMERIC_STARTS):
        return re.sub(r"(?<!\w)-(?=[\d.])", MINUS, text)
    return text


def _number(value: float | None, digits: int) -> str:
    return str(value) if isinstance(value, int) else printed.number(value, digits)


def _to_the_right(texts: Sequence[Sequence[str]], count: int) -> list[bool]:
    """Which columns hold numbers, blanks and dashes only."""
    return [
        all(not row[at] or row[at].startswith(_NUMERIC_STARTS) for row in texts)
        for at in range(count)
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown(text: str) -> str:
    return _escaped(text, _OF_MARKDOWN)


def _latex(text: str) -> str:
    return _escaped(text, _OF_LATEX)


def _escaped(text: str, marks: dict[str, str]) -> str:
    """A text on one line, without control characters, its marks escaped."""
    plain = without_control(" ".join(text.split()))
    return "".join(marks.get(character, character) for character in plain)
