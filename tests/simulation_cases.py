"""Simulations written to a folder."""

from __future__ import annotations

from pathlib import Path

# 4 truths, 2 models, 2 prior sets: 16 rows times 4 quantities, less tau where it is known.
SMALL = """\
simulate:
  mu: [0, 0.2]
  tau: [0.1]
  k: [4]
  ni: [40]
  reporting: [all, drawer]
  replications: 60
  seed: 1
models: [random-effects, common-effect]
priors:
  default: {}
  sceptical: {mu: "Normal(mu=0, sigma=0.15)"}
"""


def write_simulation(folder: Path, text: str = SMALL, name: str = "sim") -> Path:
    """A config that simulates its data in a workspace of its own."""
    for part in ("models", "configs"):
        (folder / part).mkdir(exist_ok=True)
    path = folder / "configs" / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path
