"""Grids written to a folder: exact fits of milliseconds, and custom models that go wrong."""

from __future__ import annotations

from pathlib import Path

# 36 cells, 28 different fits: with one study a sample rho_within changes nothing there.
SMALL = """\
studies: {source: internet-alliance, intervals: drop}
models: [random-effects, common-effect]
priors:
  default: {}
  sceptical: {mu: "Normal(mu=0, sigma=0.15)"}
grid:
  where: {main: 'role == "main"', guided: 'guidance == "guided"', all: null}
  measure: [ZCOR, COR]
  rho_within: [0, 0.4]
  unless: ['measure == "COR" and rho_within == 0.4']
"""


def write_grid(folder: Path, text: str = SMALL, name: str = "small") -> Path:
    """A config with a grid in a workspace of its own."""
    for part in ("models", "configs"):
        (folder / part).mkdir(exist_ok=True)
    path = folder / "configs" / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def processes_of(parent: int) -> list[int]:
    """The spawned processes below one, by /proc."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text("utf-8")
            command = (entry / "cmdline").read_text("utf-8")
        except OSError:
            continue
        if int(stat.rpartition(")")[2].split()[1]) == parent and "spawn_main" in command:
            found.append(int(entry.name))
    return found
