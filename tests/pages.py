"""The code blocks of documentation, run as a reader would: in order, in one folder a page.

What a block is stands behind its language:

``sh``                      run by a shell; ``exit=2``: that is its exit code
``sh not-run="why"``        not run (of any language)
``python``                  run in one session a page
``python file=NAME``        written to that file (of any language)
``yaml file=NAME``          written, and read as the model or config that it is
``yaml part=NAME``          laid over the config or model of that name, key by key, and read
(no language)               what the block before it printed; ``…`` is anything
"""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import metarho
from metarho.spec.analysis import read_analysis
from metarho.spec.document import read_document
from metarho.spec.model import read_model
from metarho.spec.simulation import read_simulation

ROOT = Path(__file__).resolve().parent.parent
SOURCES = Path(metarho.__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCE = re.compile(r"^```(?P<info>[^`\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what stands behind it, its text and its line."""

    language: str
    settings: Mapping[str, str]
    text: str
    line: int

    @property
    def not_run(self) -> str:
        """Why it is not run; empty if it is."""
        return self.settings.get("not-run", "")


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page; those of Sphinx (``{toctree}``) are none."""
    found = []
    for match in _FENCE.finditer(page):
        language, *words = shlex.split(match["info"]) or [""]
        settings = dict(word.split("=", 1) for word in words)
        line = page.count("\n", 0, match.start()) + 1
        if not language.startswith("{"):
            found.append(Block(language, settings, match["text"], line))
    return found


@dataclass
class Reader:
    """Somebody who does what a page says, in ``folder``."""

    folder: Path
    printed: str = ""
    session: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})

    def follow(self, page: Path) -> None:
        """Do all that a page says. Raises AssertionError, with its line, where it is wrong."""
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.not_run:
                continue
            try:
                self._act(block)
            except Exception as error:
                raise AssertionError(f"{page.name}:{block.line}: {error}") from error

    def _act(self, block: Block) -> None:
        if "file" in block.settings:
            target = self.folder / block.settings["file"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
            if block.language == "yaml":
                _read(target)
            return
        act: Mapping[str, Callable[[Block], None]] = {
            "sh": self._shell,
            "python": self._python,
            "yaml": self._part,
            "": self._compare,
        }
        if block.language not in act:
            raise AssertionError(f"nobody knows how to run {block.language!r}")
        act[block.language](block)

    def _shell(self, block: Block) -> None:
        wanted = int(block.settings.get("exit", "0"))
        done = subprocess.run(
            ["bash", "-e", "-u", "-o", "pipefail", "-c", block.text],
            cwd=self.folder,
            env=_environment(self.folder),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != wanted:
            raise AssertionError(f"exit code {done.returncode}: {done.stderr[-2000:]}")
        # Of what is refused the message is what a reader sees; else progress is left out.
        self.printed = done.stdout if wanted == 0 else done.stdout + done.stderr

    def _python(self, block: Block) -> None:
        told = io.StringIO()
        with contextlib.redirect_stdout(told), contextlib.chdir(self.folder):
            exec(compile(block.text, "the page", "exec"), self.session)
        self.printed = told.getvalue()

    def _part(self, block: Block) -> None:
        if "part" not in block.settings:
            raise AssertionError("a yaml block says file=NAME, or part=NAME of what it is a part")
        whole = self.folder / block.settings["part"]
        # Beside it, so that its paths are read as its own.
        beside = whole.with_name("part-of-a-page.yaml")
        beside.write_text(_laid_over(whole.read_text(encoding="utf-8"), block.text), "utf-8")
        _read(beside)
        beside.unlink()

    def _compare(self, block: Block) -> None:
        difference = differs(block.text, self.printed)
        if difference:
            raise AssertionError(f"what is printed is not what the page says:\n{difference}")


def differs(said: str, printed: str) -> str:
    """The difference between what a page says and what was printed; empty where there is none.

    A line ``…`` is any lines, ``…`` within a line any text. Spaces at ends of lines do not count.
    """
    said, printed = _trimmed(said), _trimmed(printed)
    lines = [
        r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line).replace("…", ".*?") + r"\n"
        for line in said.splitlines()
    ]
    if re.fullmatch("".join(lines), printed):
        return ""
    return "\n".join(
        difflib.unified_diff(said.splitlines(), printed.splitlines(), "page", "printed", "", "", 1)
    )


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()) + "\n"


def _read(path: Path) -> None:
    """Read a model, config or simulation, as its folder and keys say."""
    if "models" in path.parts:
        read_model(path)
    elif "simulate" in read_document(path).data:
        read_simulation(path)
    else:
        read_analysis(path)


def _laid_over(whole: str, part: str) -> str:
    """A YAML text with the top-level keys of another in place of its own.

    Reasons of priors that are replaced go with them.
    """
    own = {entry[1]: entry[0] for entry in _entries(whole)}
    new = {entry[1]: entry[0] for entry in _entries(part)}
    if "priors" in new:
        own.pop("why", None)
    return "".join({**own, **new}.values())


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Each top-level entry with its key."""
    for entry in re.findall(r"^\w.*\n(?:(?:[ #-].*)?\n)*", text, re.MULTILINE):
        yield entry, entry.split(":", 1)[0]


def _environment(folder: Path) -> dict[str, str]:
    """That of a reader: ``metarho`` is found, and a terminal as wide as its tables."""
    return {
        **os.environ,
        "PATH": f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(SOURCES), os.environ.get("PYTHONPATH", "")]),
        "COLUMNS": "200",
        "OPENBLAS_NUM_THREADS": "1",
    }


def installed(folder: Path) -> None:
    """``.venv/bin`` with the commands that a set-up leaves, those of the Python that runs this."""
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, call in {
        "metarho": 'exec "$PYTHON" -c "from metarho.cli import main; main()" "$@"',
        "python": 'exec "$PYTHON" "$@"',
    }.items():
        program = programs / name
        program.write_text(f"#!/bin/sh\nPYTHON={shlex.quote(sys.executable)}\n{call}\n", "utf-8")
        program.chmod(0o755)


def checkout(folder: Path) -> None:
    """What a reader of the pages has: shipped configs, models and data, and the tests' data."""
    for name in ("configs", "models", "tests/references", "src/metarho/data/shipped"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "outputs").mkdir()
    installed(folder)
