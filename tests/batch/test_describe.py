"""A plan says a model back in words."""

from __future__ import annotations

import pytest

from grammar_cases import PARTS
from metarho.batch.describe import model_in_words


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("study, rater and effect", "true effects vary by effect within rater within study"),
        (
            "crossed with raters",
            "true effects vary by effect within study, and crossed with it by rater",
        ),
        ("moderators of tau", "one true effect a row; how much they vary depends on ~ guidance"),
        (
            "mixture, words",
            "one true effect a row; a share of effects are outliers, which vary more",
        ),
        (
            "selection, three bands, words",
            "one true effect a row; the chance of being reported changes at p = 0.025 and 0.5 "
            "(one-sided p)",
        ),
        (
            "selection, two-sided t, weights that never rise",
            "one true effect a row; the chance of being reported changes at p = "
            "0.05 and 0.1 (two-sided p of r's t test)",
        ),
        (
            "PET, words",
            "one true effect a row; what is reported rises with the standard error (PET)",
        ),
        ("exact law of r, common effect", "one true effect for all rows; r follows its exact law"),
    ],
)
def test_a_model_is_said_in_words(part: str, said: str) -> None:
    assert model_in_words(PARTS[part].model()) == said
