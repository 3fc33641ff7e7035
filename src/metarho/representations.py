"""How values show themselves at a prompt and in a notebook: small tables of texts.

Below everything, as ``errors.py``; rich is loaded when something is shown with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

# Notebooks draw tables of their own style; only what numbers need is said.
_NUMBERS = ' style="text-align: right; white-space: nowrap"'


@dataclass(frozen=True)
class Shown:
    """A title, a table of texts and notes below it. All texts are text, whatever they hold.

    The first ``names`` columns are texts, the others numbers, which stand to the right.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    names: int = 1

    def rich(self) -> Group:
        """The table for a terminal."""
        from rich.console import Group
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        for index, column in enumerate(self.columns):
            if index < self.names:
                table.add_column(_text(column), overflow="fold")
            else:
                # In a narrow window names give way first, and numbers are broken, never cut.
                widest = max(len(row[index]) for row in (self.columns, *self.rows))
                table.add_column(_text(column), justify="right", overflow="fold", min_width=widest)
        for row in self.rows:
            table.add_row(*map(_text, row))
        return Group(_text(self.title), table, *map(_text, self.notes))

    def html(self) -> str:
        """The table for a notebook, with every text escaped."""
        head = "".join(f"<th>{escape(column)}</th>" for column in self.columns)
        body = "".join(f"<tr>{self._cells(row)}</tr>" for row in self.rows)
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        return (
            f"<div><p><strong>{escape(self.title)}</strong></p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}</div>"
        )

    def _cells(self, row: Sequence[str]) -> str:
        return "".join(
            f"<td{'' if index < self.names else _NUMBERS}>{escape(cell)}</td>"
            for index, cell in enumerate(row)
        )


def _text(said: str) -> Text:
    """A text without what steers a terminal: columns of it are never markup."""
    from rich.text import Text

    return Text("".join(c if c.isprintable() else " " for c in said))
