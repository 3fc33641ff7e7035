"""Help in sections, and in whole sentences: commands under the heading they were added with."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

# Longer than any first sentence: it is wrapped, not cut.
_WHOLE = 1000


class Sections(TyperGroup):
    """A group of commands whose help lists them by ``rich_help_panel``, in order of sections."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section a heading; each command with its first sentence."""
        commands: list[Any] = [self.commands[name] for name in self.list_commands(ctx)]
        rows: dict[str, list[tuple[str, str]]] = {}
        for command in commands:
            row = (str(command.name), command.get_short_help_str(_WHOLE))
            rows.setdefault(command.rich_help_panel or "Commands", []).append(row)
        for heading, listed in rows.items():
            with formatter.section(heading):
                formatter.write_dl(listed)
