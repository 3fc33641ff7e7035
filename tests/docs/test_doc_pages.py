"""Every block of code in the documentation runs, and prints what its page says."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import pytest

from pages import PAGES, Reader, blocks, checkout, differs, installed

# They begin in an empty folder, with nothing but metarho installed.
FROM_NOTHING = frozenset({"tutorial.md", "own-data.md", "three-level-data.md"})

# Pages that sample, or that take more than some seconds.
SLOW = frozenset(
    {
        "assurance.md",
        "check-a-new-study.md",
        "cumulative.md",
        "diff.md",
        "grids.md",
        "many-runs.md",
        "new-studies.md",
        "predictive-checks.md",
        "publication-bias.md",
        "reporting.md",
        "sensitivity.md",
        "tutorial.md",
        "which-prior.md",
    }
)

# A block that cannot run in a test says why. More than these are too many.
MOST_NOT_RUN = 12


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    reasons = [
        block.not_run
        for page in PAGES
        for block in blocks(page.read_text("utf-8"))
        if block.not_run
    ]
    assert all(len(reason.split()) > 2 for reason in reasons)
    assert len(reasons) <= MOST_NOT_RUN


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.name, marks=[pytest.mark.slow] if page.name in SLOW else [])
        for page in PAGES
        if blocks(page.read_text("utf-8"))
    ],
)
def test_a_reader_who_does_what_a_page_says_sees_what_it_says(page: Path, tmp_path: Path) -> None:
    # Figures are made without a screen.
    matplotlib.use("agg")
    if page.name in FROM_NOTHING:
        installed(tmp_path)
    else:
        checkout(tmp_path)
    Reader(tmp_path).follow(page)


def test_an_ellipsis_is_anything_and_nothing_else_is() -> None:
    assert not differs("a … c\n…\nend", "a b c\nmore\nand more\nend")
    assert not differs("…\nend", "end")
    assert differs("rho 0.281", "rho 0.282")
    assert differs("a\n…", "b\na")


def test_a_page_that_says_another_number_is_found_with_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n```python\nprint(1 + 1)\n```\n\n```\n3\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"page\.md:7: what is printed is not"):
        Reader(tmp_path).follow(page)


def test_a_block_of_no_known_kind_or_an_unexpected_exit_code_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```fortran\nx\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="nobody knows how to run 'fortran'"):
        Reader(tmp_path).follow(page)
    page.write_text("```sh exit=2\ntrue\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="exit code 0"):
        Reader(tmp_path).follow(page)
