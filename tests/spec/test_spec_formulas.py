"""Formulas: an allow-list over parsed syntax; nothing is evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest

from metarho.errors import InputError
from metarho.spec.formulas import LONGEST_FORMULA, TRANSFORMS, columns_of, is_intercept_only

READ: dict[str, set[str]] = {
    "~ 1": set(),
    "~1": set(),
    "~ year": {"year"},
    "~ 1 + year": {"year"},
    "~ guidance + rater": {"guidance", "rater"},
    "~ guidance * rater": {"guidance", "rater"},
    "~ guidance:rater": {"guidance", "rater"},
    "~ guidance / rater": {"guidance", "rater"},
    "~ (a + b)**2": {"a", "b"},
    "~ (a + b + c)^3": {"a", "b", "c"},
    "~ (a + b + c + d) - a:b": {"a", "b", "c", "d"},
    "~ C(year)": {"year"},
    "~ center(year)": {"year"},
    "~ scale(year)": {"year"},
    "~ log(year - 2000)": {"year"},
    "~ poly(year, degree=2)": {"year"},
    "~ bs(year, df=4)": {"year"},
    "~ center(log(year)) + rater": {"year", "rater"},
    "~ `mean age`": {"mean age"},
    "~ `mean age`:rater": {"mean age", "rater"},
    "~ center(`mean age`)": {"mean age"},
    "~ `mean.age`": {"mean.age"},
    "~ `log(n)`": {"log(n)"},
    "~ quoted_column_0 + log(`a b` + quoted_column_1)": {
        "quoted_column_0",
        "quoted_column_1",
        "a b",
    },
}


@pytest.mark.parametrize("formula", READ)
def test_an_allowed_formula_names_its_columns(formula: str) -> None:
    assert columns_of(formula) == READ[formula]


def test_the_allowed_calls_are_those_of_the_design() -> None:
    assert {"C", "center", "scale", "log", "poly", "bs"} == TRANSFORMS


@pytest.mark.parametrize("formula", ["~ 1", "~1", " ~  1 ", "1"])
def test_a_mean_without_moderators_is_known_by_sight(formula: str) -> None:
    assert is_intercept_only(formula)
    assert columns_of(formula) == frozenset()


REFUSED = {
    "braces": ("~ {n + 1}", "the character '{' has no place in one"),
    "a text": ("~ log('n')", "the character"),
    "a subscript": ("~ n[0]", "the character '['"),
    "a bar": ("~ a | b", "the character '|'"),
    "a call outside the list": ("~ exp(n)", "exp() cannot be called"),
    "the identity call": ("~ I(n)", "I() cannot be called"),
    "a builtin": ("~ open(n)", "open() cannot be called"),
    "an import": ("~ __import__(os)", "__import__() cannot be called"),
    "a call inside an allowed call": ("~ log(eval(n))", "eval() cannot be called"),
    "an attribute": ("~ n.real", "'n.real' is not allowed in one"),
    "a method": ("~ np.log(n)", "'np.log(n)' is not allowed in one"),
    "an attribute in a call": ("~ log(n.real)", "'n.real' is not allowed in one"),
    "a method in a call": ("~ log(n.sum())", "'n.sum()' is not allowed in one"),
    "an attribute as an option": ("~ poly(n, degree=n.size)", "'n.size' is not allowed in one"),
    "a lambda": ("~ lambda x: x", "it does not parse"),
    "a lambda in a call": ("~ log(lambda: n)", "it does not parse"),
    "a dunder": ("~ __class__", "__class__ is not a column"),
    "a function as a column": ("~ log", "log is not a column"),
    "contrasts of one's own": ("~ C(n, contr)", "C() takes one column"),
    "an option of C": ("~ C(n, levels=rater)", "C() takes one column"),
    "no intercept": ("~ 0 + n", "mu is the intercept, so it cannot be removed"),
    "minus the intercept": ("~ n - 1", "mu is the intercept, so it cannot be removed"),
    "minus the intercept first": ("~ -1 + n", "mu is the intercept, so it cannot be removed"),
    "nothing but zero": ("~ 0", "mu is the intercept, so it cannot be removed"),
    "a left-hand side": ("y ~ n", "has no left-hand side"),
    "no tilde": ("n", "a formula starts with ~"),
    "nothing": ("", "a formula starts with ~"),
    "a bare tilde": ("~ ", "it does not parse"),
    "two tildes": ("~ a ~ b", "it does not parse"),
    "an intercept twice": ("~ 1 + 1", "it has no moderators; write ~ 1"),
    "a comparison": ("~ a == b", "it does not parse"),
    "half a formula": ("~ a +", "it does not parse"),
    "open brackets": ("~ (((a", "it does not parse"),
    "many open brackets": ("~ " + "(" * 400, "it does not parse"),
    "a high power": ("~ (a + b)**5", "powers go up to 4"),
    "a high power with a caret": ("~ (a + b)^9", "powers go up to 4"),
    "a huge power": ("~ (a + b)**99999", "powers go up to 4"),
    "a power in brackets": ("~ (a + b)**(9)", "powers go up to 4"),
    "a power of a power": (
        "~ ((((a + b + c + d)**4)**4)**4)",
        "its products write out to more than 200 terms",
    ),
    "a product of many": (
        "~ a*b*c*d*e*f*g*h*i*j*k*l*m*n*o*p*q*r*s*t",
        "its products write out to more than 200 terms",
    ),
    "interactions of sums": (
        "~ " + ":".join(f"(a{i} + b{i})" for i in range(20)),
        "its products write out to more than 200 terms",
    ),
    "a product in backticks": (
        "~ " + "*".join(f"`a {i}`" for i in range(20)),
        "its products write out to more than 200 terms",
    ),
}


@pytest.mark.parametrize("formula, why", REFUSED.values(), ids=REFUSED)
def test_anything_outside_the_allow_list_is_refused(formula: str, why: str) -> None:
    with pytest.raises(InputError) as caught:
        columns_of(formula)
    assert why in str(caught.value)
    assert str(caught.value).startswith("formula ")


@pytest.mark.parametrize(
    ("largest", "too_large"),
    [
        ("~ a*b*c*d*e*f*g", "~ a*b*c*d*e*f*g*h"),
        ("~ (a+b+c+d+e+f+g+h)**4", "~ (a+b+c+d+e+f+g+h+i)**4"),
        ("~ (a+b+c+d+e):(f+g+h+i)*(j+k+l+m+n+o+p)", "~ (a+b+c+d+e):(f+g+h+i)*(j+k+l+m+n+o+p+q+r)"),
    ],
)
def test_up_to_200_terms_are_written_out(largest: str, too_large: str) -> None:
    assert len(columns_of(largest)) >= 7
    with pytest.raises(InputError, match="more than 200 terms"):
        columns_of(too_large)


def test_a_long_formula_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(InputError, match=f"{LONGEST_FORMULA} characters, not 5002"):
        columns_of("~ " + "(" * 5000)


@pytest.mark.parametrize(
    "formula",
    [
        "~ {{__import__('os').system('touch {mark}') + n}}",
        "~ {{open('{mark}', 'w')}}",
        "~ __import__('os').system('touch {mark}')",
        "~ log(__import__('os').system('touch {mark}'))",
        "~ C(n, contr=open('{mark}', 'w'))",
        "~ `__import__('os').system('touch {mark}')` + {{n}}",
    ],
)
def test_a_formula_that_calls_python_is_refused_and_runs_nothing(
    tmp_path: Path, formula: str
) -> None:
    mark = tmp_path / "mark"
    with pytest.raises(InputError):
        columns_of(formula.format(mark=mark))
    assert not mark.exists()
