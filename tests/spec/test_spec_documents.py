"""Documents: plain values with their lines; what could run or expand is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from metarho.errors import InputError
from metarho.spec.document import DEEPEST_LEVEL, LARGEST_BYTES, Document, Frozen, read_document


class Inner(Frozen):
    """A nested value."""

    size: Annotated[int, Field(ge=1)] = 1


class Outer(Frozen):
    """A value with one key of each kind."""

    title: str
    inner: Inner = Inner()
    many: tuple[float, ...] = ()


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "document.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(folder: Path, content: str | bytes) -> Document:
    return read_document(write(folder, content))


def refusal(folder: Path, content: str | bytes) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, content)
    message = str(caught.value)
    assert message.startswith(str(folder / "document.yaml"))
    return message.removeprefix(str(folder / "document.yaml"))


def fault(folder: Path, content: str) -> str:
    document = read(folder, content)
    with pytest.raises(InputError) as caught:
        document.validate(Outer)
    return str(caught.value).replace(f"{document.path}", "")


def test_plain_values_are_read_with_the_line_of_each(tmp_path: Path) -> None:
    document = read(tmp_path, "a: 1\nb:\n  c: [x, 2.5]\n  d:\n    - true\n    - null\n")
    assert document.data == {"a": 1, "b": {"c": ["x", 2.5], "d": [True, None]}}
    lines = {("a",): 1, ("b",): 2, ("b", "c"): 3, ("b", "c", 0): 3, ("b", "d", 1): 6}
    assert {where: document.lines[where] for where in lines} == lines


def test_a_place_falls_back_to_the_deepest_part_that_is_there(tmp_path: Path) -> None:
    document = read(tmp_path, "# a comment\na:\n  b: 1\n")
    assert document.place(("a", "b")) == f"{document.path}:3"
    assert document.place(("a", "c", 4)) == f"{document.path}:2"
    assert document.place(("z",)) == f"{document.path}:2"


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeffa: 1\n").data == {"a": 1}


def test_dates_stay_text(tmp_path: Path) -> None:
    assert read(tmp_path, "a: 2001-02-03\n").data == {"a": "2001-02-03"}


def test_control_characters_are_stripped_from_values_and_keys(tmp_path: Path) -> None:
    assert read(tmp_path, '"k\\x1b": "\\x1b[31mred\\u202e"\n').data == {"k": "[31mred"}


def test_keys_that_differ_by_control_characters_only_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, 'a: 1\n"a\\x1b": 2\n').startswith(":2: the key 'a' stands here twice")


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "a tag that runs a command": (
        "a: 1\nb: !!python/object/apply:os.system ['true']\n",
        ":2: tags ('tag:yaml.org,2002:python/object/apply:os.system') are not allowed",
    ),
    "a harmless tag": ("a: !!str 1\n", ":1: tags ("),
    "a local tag": ("a: !mine 1\n", ":1: tags ("),
    "the bare tag": ("a: ! x\n", ":1: tags ("),
    "a tag on the document": ("!!map {a: 1}\n", ":1: tags ("),
    "an alias bomb": (
        "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n",
        ":1: anchors (&name) are not allowed",
    ),
    "a cyclic alias": ("&a [*a]\n", ":1: anchors (&name) are not allowed"),
    "a cyclic alias in a mapping": ("a: 1\nb: &b {c: *b}\n", ":2: anchors"),
    "an alias alone": ("a: 1\nb: *a\n", ":2: aliases (*name) are not allowed"),
    "a merge key": ("a: 1\n<<: {b: 2}\n", ":2: merge keys (<<) are not allowed"),
    "a nested merge key": ("a: {<<: {b: 2}}\n", ":1: merge keys"),
    "5000 opening brackets": ("[" * 5000, f":1: is nested deeper than {DEEPEST_LEVEL} levels"),
    "5000 opening braces": ("{" * 5000, f":1: is nested deeper than {DEEPEST_LEVEL} levels"),
    "5000 opening brackets below a key": ("a:\n " + "[" * 5000, ":2: is nested deeper"),
    "several documents": ("a: 1\n---\nb: 2\n", ":2: one document a file is allowed"),
    "an empty file": ("", ": is empty"),
    "a file of comments": ("# only\n", ": is empty"),
    "a list": ("- a\n", ":1: must be a mapping"),
    "a text": ("hello\n", ":1: must be a mapping"),
    "a key twice": ("a: 1\nb: 2\na: 3\n", ":3: is not valid YAML: found duplicate key"),
    "a key that is a number": ("a: 1\n2: b\n", ":2: the key 2 must be text"),
    "a key that is a list": ("? [a]\n: 1\n", ":1: the key"),
    "infinity": ("a: 1\nb: .inf\n", ":2: inf is not a finite number"),
    "not a number": ("a: 1\nb: .nan\n", ":2: nan is not a finite number"),
    "infinity in a list": ("a:\n - 1\n - -.inf\n", ":3: -inf is not a finite number"),
    "a float beyond range": ("a: 1.0e+999\n", ":1: inf is not a finite number"),
    "an integer beyond 64 bits": ("a: 1\nb: 99999999999999999999\n", ":2: a whole number"),
    "an endless hexadecimal": (f"a: 0x{'f' * 4000}\n", ":1: a whole number"),
    "an endless integer": (f"a: {'9' * 5000}\n", ": is not valid YAML"),
    "an open quote": ("a: 1\nb: 'x\n", ":3: is not valid YAML"),
    "a tab for indentation": ("a:\n\tb: 1\n", ":2: is not valid YAML"),
    "two colons": ("a: 1\nb: c: d\n", ":2: is not valid YAML"),
    "a raw escape character": ("a: \x1b\n", ": is not valid YAML"),
    "Latin-1": (b"title: caf\xe9\n", ": is not UTF-8 (byte 10)"),
    "UTF-16": ("title: x\n".encode("utf-16"), ": is not UTF-8 (byte 0)"),
    "more than a megabyte": ("#" * (LARGEST_BYTES + 1), f": has {LARGEST_BYTES + 1} bytes"),
}


@pytest.mark.parametrize("content, said", REFUSED.values(), ids=REFUSED)
def test_what_no_document_needs_is_refused_with_its_line(
    tmp_path: Path, content: str | bytes, said: str
) -> None:
    message = refusal(tmp_path, content)
    assert message.startswith(said)
    assert "\n" not in message
    assert len(message) < 300


def test_a_tag_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    refusal(tmp_path, f"a: !!python/object/apply:os.system ['touch {mark}']\n")
    assert not mark.exists()


def test_the_deepest_level_is_still_read(tmp_path: Path) -> None:
    brackets = DEEPEST_LEVEL - 1
    assert read(tmp_path, f"a: {'[' * brackets}{']' * brackets}\n").lines[("a",)] == 1
    assert "nested deeper" in refusal(tmp_path, f"a: {'[' * DEEPEST_LEVEL}")


def test_siblings_do_not_add_up_to_depth(tmp_path: Path) -> None:
    document = read(tmp_path, "a:\n" + "  - [1]\n" * (3 * DEEPEST_LEVEL))
    assert document.data == {"a": [[1]] * (3 * DEEPEST_LEVEL)}


def test_the_largest_file_is_still_read(tmp_path: Path) -> None:
    head = "a: 1\n#"
    assert read(tmp_path, head + "#" * (LARGEST_BYTES - len(head))).data == {"a": 1}


@pytest.mark.parametrize("name", ["absent.yaml", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be read") as caught:
        read_document(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


FAULTS = {
    "an unknown key": (
        "title: x\ntitel: y\n",
        ":2: unknown key 'titel'; allowed: inner, many, title; did you mean 'title'?",
    ),
    "an unknown key inside": (
        "title: x\ninner:\n  siz: 1\n",
        ":3: unknown key 'siz'; allowed: size; did you mean 'size'?",
    ),
    "a missing key": ("many: []\n", ":1: the key 'title' is missing"),
    "a number for a text": ("title: 3\n", ":1: title: 3 should be a valid string"),
    "a text for a number": (
        "title: x\ninner:\n  size: '3'\n",
        ":3: inner.size: '3' should be a valid integer",
    ),
    "a value out of range": (
        "title: x\ninner: {size: 0}\n",
        ":2: inner.size: 0 should be greater than or equal to 1",
    ),
    "a text for a mapping": ("title: x\ninner: y\n", ":2: inner: 'y' should be an object"),
    "a bad item": (
        "title: x\nmany:\n  - 1\n  - z\n",
        ":4: many.1: 'z' should be a valid number",
    ),
    "nothing where a value belongs": ("title:\n", ":1: title: None should be a valid string"),
}


@pytest.mark.parametrize("content, said", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_with_line_value_and_what_is_allowed(
    tmp_path: Path, content: str, said: str
) -> None:
    assert fault(tmp_path, content) == said


def test_every_fault_of_a_document_is_named_at_once(tmp_path: Path) -> None:
    assert fault(tmp_path, "titel: x\nmany: [a]\n").count("\n") == 2


def test_a_long_value_is_cut_in_the_message(tmp_path: Path) -> None:
    assert len(fault(tmp_path, f"title: x\nmany: {'y' * 5000}\n")) < 200


def test_a_whole_number_will_do_for_a_real_one(tmp_path: Path) -> None:
    outer = read(tmp_path, "title: x\nmany: [1, 2.5]\n").validate(Outer)
    assert outer.many == (1.0, 2.5)
