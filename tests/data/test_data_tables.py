"""Tables: four formats, one meaning; every cell with its place."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from metarho.data.studies import Studies, load_studies
from metarho.data.tables import Cell, is_blank, is_numeric, number, read_table, text
from metarho.errors import InputError

COLUMNS = {"ri": "r", "ni": "n", "study": "study", "effect": "effect"}
# A blank number, a label of digits, a text with the delimiters in it.
FRAME = pd.DataFrame(
    {
        "study": ["Ås, 2001", "B\t2", "C"],
        "effect": [1, 2, 3],
        "r": [0.25, -0.5, None],
        "n": [40, 51, 62],
        "year": [2001.0, 2002.5, None],
        "trained": [True, False, True],
    }
)


def write(folder: Path, suffix: str) -> Path:
    path = folder / f"table{suffix}"
    match suffix:
        case ".csv":
            FRAME.to_csv(path, index=False)
        case ".tsv":
            FRAME.to_csv(path, index=False, sep="\t", na_rep="NA")
        case ".parquet":
            FRAME.to_parquet(path)
        case ".xlsx":
            FRAME.to_excel(path, index=False)
    return path


def rows(studies: Studies) -> list[tuple[object, ...]]:
    return [
        (row.study, row.sample, row.effect, row.yi, row.vi, row.included, row.reason)
        for row in studies.rows
    ]


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_table(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    return message.removeprefix(str(path))


@pytest.mark.parametrize("suffix", [".tsv", ".parquet", ".xlsx"])
@pytest.mark.parametrize(
    "where", [None, "trained == True", "year > 2001.5", "effect in [1, 2]", "study != 'C'"]
)
def test_every_format_gives_the_studies_of_the_csv(
    tmp_path: Path, suffix: str, where: str | None
) -> None:
    csv, other = write(tmp_path, ".csv"), write(tmp_path, suffix)
    found = load_studies(other, columns=COLUMNS, where=where)
    assert rows(found) == rows(load_studies(csv, columns=COLUMNS, where=where))


def test_the_studies_of_the_formats_are_the_frame_s() -> None:
    assert rows(load_studies("internet-alliance"))[0][:3] == (
        "Bergman Nordgren 2013",
        "BN13-ICBT",
        "BN13-1",
    )


@pytest.mark.parametrize(
    ("suffix", "places"),
    [
        (".csv", [":2", ":3", ":4"]),
        (".tsv", [":2", ":3", ":4"]),
        (".parquet", [": row 1", ": row 2", ": row 3"]),
        (".xlsx", [": row 2", ": row 3", ": row 4"]),
    ],
)
def test_every_row_has_the_place_its_reader_would_look_at(
    tmp_path: Path, suffix: str, places: list[str]
) -> None:
    path = write(tmp_path, suffix)
    assert [place.removeprefix(str(path)) for place in read_table(path).places] == places


def test_blank_lines_and_quoted_line_ends_do_not_shift_the_places(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text('a,b\n\n"x\ny",1\n,\nz,2\n', encoding="utf-8")
    assert [place.rpartition(":")[2] for place in read_table(path).places] == ["4", "6"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_and_a_byte_order_mark_are_no_content(tmp_path: Path, end: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(f"\ufeffa , b{end}1,2{end}".encode())
    assert read_table(path).columns == {"a": ("1",), "b": ("2",)}


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "an empty file": ("", ": is empty"),
    "nothing but line ends": ("\n\n", ": is empty"),
    "a header only": ("a,b\n", ": has a header but no rows"),
    "a header and a blank line": ("a,b\n , \n", ": has a header but no rows"),
    "Latin-1": (b"a,b\ncaf\xe9,1\n", ": is not UTF-8 (byte 7)"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), ": is not UTF-8 (byte 0)"),
    "a row too long": ("a,b\n1,2\n1,2,3\n", ":3: has 3 cells where the header has 2"),
    "a row too short": ("a,b\n1\n", ":2: has 1 cells where the header has 2"),
    "a doubled column": ("a,b,a\n1,2,3\n", ":1: two columns are called 'a'"),
    "columns that differ by spaces": ("a,a \n1,2\n", ":1: two columns are called 'a'"),
    "a column without a name": ("a,,b\n1,2,3\n", ":1: a column has no name"),
    "an open quote": ('a,b\n"1,2\n', ": is not a readable table"),
    "a cell without end": (f"a,b\n1,{'2' * 200_000}\n", ": is not a readable table"),
}


@pytest.mark.parametrize("content, said", REFUSED.values(), ids=REFUSED)
def test_a_text_file_that_is_no_table_is_refused(
    tmp_path: Path, content: str | bytes, said: str
) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    assert refusal(path).startswith(said)


@pytest.mark.parametrize("suffix", [".parquet", ".xlsx"])
def test_a_binary_file_that_is_no_table_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    path.write_bytes(b"a,b\n1,2\n")
    assert refusal(path).startswith(": is not a readable table")


@pytest.mark.parametrize("suffix", [".parquet", ".xlsx"])
def test_a_binary_table_without_rows_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    empty = FRAME.iloc[:0]
    if suffix == ".parquet":
        empty.to_parquet(path)
    else:
        empty.to_excel(path, index=False)
    assert refusal(path) == ": has a header but no rows"


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".xlsx"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, suffix: str) -> None:
    assert refusal(tmp_path / f"absent{suffix}").startswith(": cannot be read")


@pytest.mark.parametrize("name", ["table.txt", "table", "table.csv.gz"])
def test_an_unknown_suffix_lists_the_known_ones(tmp_path: Path, name: str) -> None:
    assert refusal(tmp_path / name).endswith("allowed: .csv .tsv .parquet .xlsx")


def test_a_missing_column_lists_the_columns_with_the_nearest(tmp_path: Path) -> None:
    table = read_table(write(tmp_path, ".csv"))
    with pytest.raises(InputError) as caught:
        table.column("studdy")
    assert str(caught.value) == (
        f"{table.source}: has no column 'studdy'; allowed: effect, n, r, study, trained, year; "
        "did you mean 'study'?"
    )


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("0.25", 0.25),
        (" -.5 ", -0.5),
        ("+3.", 3.0),
        ("1e-3", 0.001),
        (2.0, 2.0),
        ("", None),
        (" NA ", None),
        (None, None),
    ],
)
def test_a_number_is_read_from_a_cell(cell: Cell, value: float | None) -> None:
    assert number(cell) == value
    assert is_blank(cell) is (value is None)


@pytest.mark.parametrize(
    "cell",
    ["x", "0,25", "1_000", "0x10", "inf", "nan", "1e999", "--1", "1 2", "na", ".", True, "20\x00"],
)
def test_anything_else_is_no_number(cell: Cell) -> None:
    with pytest.raises(ValueError, match="number is needed"):
        number(cell)


@pytest.mark.parametrize(
    ("cell", "said"),
    [(3.0, "3"), (2.5, "2.5"), (None, ""), (" a\x1b\u202eb ", "ab"), (True, "True")],
)
def test_a_cell_as_text_is_clean(cell: Cell, said: str) -> None:
    assert text(cell) == said


@pytest.mark.parametrize(
    ("cells", "numeric"),
    [(["1", "", "2"], True), (["1", "x"], False), (["", "NA"], False), ([1.5, None], True)],
)
def test_a_column_is_numeric_when_every_cell_with_a_value_is(
    cells: list[Cell], numeric: bool
) -> None:
    assert is_numeric(cells) is numeric
