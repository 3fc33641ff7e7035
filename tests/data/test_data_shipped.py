"""The shipped evidence holds what its page says."""

from __future__ import annotations

import pytest

from metarho.data.shipped import shipped_columns, shipped_table
from metarho.data.studies import load_studies
from metarho.errors import InputError


def test_all_of_the_internet_alliance_evidence() -> None:
    studies = load_studies("internet-alliance")
    assert (studies.k_effects, studies.k_studies) == (34, 21)


def test_the_main_part_of_the_internet_alliance_evidence() -> None:
    studies = load_studies("internet-alliance", where='role == "main"')
    assert (studies.k_effects, studies.k_studies) == (28, 19)
    forms = [row.reported for row in studies.used]
    counts = {form: forms.count(form) for form in sorted(set(forms))}
    assert counts == {"exact": 10, "not significant": 11, "range": 1, "significant positive": 6}
    assert sum(not row.is_interval for row in studies.used) == 10


def test_the_audit_of_the_main_part_keeps_all_34_rows() -> None:
    studies = load_studies("internet-alliance", where='role == "main"')
    assert len(studies.rows) == 34
    assert {row.reason for row in studies.rows if not row.included} == {"removed by the filter"}
    assert studies.dropping_intervals().k_effects == 10


def test_a_mapping_of_one_s_own_replaces_the_shipped_one() -> None:
    studies = load_studies("internet-alliance", columns={"ri": "r", "ni": "n"})
    assert studies.k_effects == studies.k_studies == sum(row.yi is not None for row in studies.rows)


def test_the_published_meta_analyses_are_a_table_without_roles() -> None:
    assert len(shipped_table("published-meta-analyses")) == 15
    assert shipped_columns("published-meta-analyses") is None


@pytest.mark.parametrize("name", ["internet-aliance", "molloy2014", ""])
def test_an_unknown_name_lists_the_shipped_sets(name: str) -> None:
    with pytest.raises(InputError, match="allowed: internet-alliance, published-meta-analyses"):
        load_studies(name)
