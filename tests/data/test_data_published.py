"""Priors derived from published meta-analyses follow from what the shipped table prints."""

from __future__ import annotations

import math

import pytest

from metarho.data.published import published
from metarho.data.shipped import shipped_table
from metarho.errors import InputError
from metarho.spec.catalogue import Derivation, Entry, catalogue

DERIVED = [one for one in catalogue().values() if one.derived_from is not None]

# r [ci_low, ci_high] as the abstracts print them.
PRINTED = {
    "alliance-f2f-2018": (0.278, 0.256, 0.299),
    "alliance-f2f-2011": (0.275, 0.25, 0.30),
    "alliance-cbt-depression": (0.26, 0.19, 0.32),
    "alliance-internet-2019": (0.252, 0.19, 0.31),
    "alliance-tele-2024": (0.15, 0.07, 0.24),
    "alliance-youth-2018": (0.19, 0.13, 0.25),
    "alliance-family-2018": (0.183, 0.100, 0.265),
}


def test_these_are_derived() -> None:
    assert {one.slug for one in DERIVED} == set(PRINTED)


@pytest.mark.parametrize("one", DERIVED, ids=lambda one: one.slug)
def test_a_derived_prior_is_what_its_row_implies(one: Entry) -> None:
    assert one.derived_from is not None
    row = published(one.derived_from)
    r, low, high = PRINTED[one.slug]
    assert (row.r, row.ci_low, row.ci_high) == (r, low, high)
    # Rounded to four digits.
    assert one.prior.values["mu"] == pytest.approx(math.atanh(r), abs=5.1e-5)
    sd = (math.atanh(high) - math.atanh(low)) / 3.92
    assert one.prior.values["sigma"] == pytest.approx(sd, abs=5.1e-5)
    assert (row.mean, row.sd) == pytest.approx((math.atanh(r), sd), rel=1e-14)


@pytest.mark.parametrize("one", DERIVED, ids=lambda one: one.slug)
def test_a_derived_prior_names_the_publication_as_overlapping(one: Entry) -> None:
    assert one.derived_from is not None
    doi = published(one.derived_from).doi
    assert {doi, one.derived_from.source} & set(one.data_overlap)


def test_a_mean_that_is_a_choice_of_sd_still_is_the_published_mean() -> None:
    table = shipped_table("published-meta-analyses")
    assert (table.column("source")[0], table.column("r")[0]) == ("Fluckiger 2026", "0.21")
    assert catalogue()["alliance-internet-2026"].prior.values["mu"] == pytest.approx(
        math.atanh(0.21), abs=5e-5
    )


def test_a_row_that_is_not_there_or_printed_no_interval_is_refused() -> None:
    with pytest.raises(InputError, match="has no row Nobody 1999"):
        published(Derivation(source="Nobody 1999", setting="internet"))
    with pytest.raises(InputError, match="Kaiser 2021 printed no ci_low"):
        published(Derivation(source="Kaiser 2021", setting="internet"))
