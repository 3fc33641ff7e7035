"""Scripts that check a result without metarho: in R with metafor, bayesmeta or brms, or in PyMC.

A target is a module with ``covers(problem)`` (None, or a refusal that names the part),
``script(fit, origin)``, and what its file ends in and needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from metarho.batch.plan import file_names
from metarho.batch.run import Outcome
from metarho.engines.problem import Problem
from metarho.errors import InputError
from metarho.posterior.fit import Fit
from metarho.report.scripts import bayesmeta, brms, metafor, pymc
from metarho.report.scripts.findings import Origin
from metarho.report.scripts.quoting import markdown_text
from metarho.store.files import write_text

__all__ = ["TARGETS", "Origin", "check_covered", "script", "write_scripts"]

FOLDER = "scripts"


class Target(Protocol):
    """What writes scripts for one program."""

    SUFFIX: str
    NEEDS: str

    def covers(self, problem: Problem) -> str | None:
        """None when a script can say a problem, else the part that it cannot."""

    def script(self, fit: Fit, origin: Origin) -> str:
        """The script of a fit, whose problem is covered."""


TARGETS: Mapping[str, Target] = {
    "metafor": metafor,
    "bayesmeta": bayesmeta,
    "brms": brms,
    "pymc": pymc,
}


def check_covered(problem: Problem, target: str) -> None:
    """Raise InputError where a problem cannot be said to a target, with the part and a way out."""
    if refusal := TARGETS[target].covers(problem):
        others = [name for name, one in TARGETS.items() if one.covers(problem) is None]
        instead = f"; --to {' or '.join(others)} can" if others else ""
        raise InputError(f"--to {target}: {refusal}{instead}")


def script(fit: Fit, target: str, origin: Origin) -> str:
    """The script that checks a fit with a target. Raises InputError where it cannot say it."""
    check_covered(fit.problem, target)
    return TARGETS[target].script(fit, origin)


def write_scripts(outcome: Outcome) -> set[str]:
    """Write the scripts that an analysis asks for, and what each is; returns their paths.

    What a target cannot say is a line of the page, with the reason.
    """
    plan = outcome.plan
    asked: Sequence[str] = plan.analysis.scripts
    labels = [f"{cell.model}--{cell.prior_set}--{cell.intervals}" for cell in plan.cells]
    written: dict[str, str] = {}
    lines = []
    for cell, fit, name in zip(plan.cells, outcome.fits, file_names(labels), strict=True):
        origin = Origin(plan.config.name, cell.model, cell.prior_set, cell.intervals)
        said = ", ".join(map(markdown_text, (cell.model, cell.prior_set, cell.intervals)))
        lines += ["", f"## {said}", ""]
        for target in asked:
            refusal = TARGETS[target].covers(fit.problem)
            if refusal is None:
                file = f"{name}-{target}.{TARGETS[target].SUFFIX}"
                written[f"{FOLDER}/{file}"] = TARGETS[target].script(fit, origin)
                lines.append(f"- {target}: [{file}]({file})")
            else:
                lines.append(f"- {target}: none. {markdown_text(_sentence(refusal))}")
    written[f"{FOLDER}/README.md"] = "\n".join([*_page_head(plan.config, asked), *lines]) + "\n"
    for path, text in written.items():
        write_text(plan.folder / path, text)
    return {*written}


def _page_head(config: Path, asked: Sequence[str]) -> list[str]:
    return [
        "# Check scripts",
        "",
        f"Each checks one result of {markdown_text(config.name)} without metarho: it holds the",
        "data, the model, the priors and the numbers that metarho found, and says whether they",
        "agree. Its first lines say what should agree with what, and how closely.",
        "",
        "| script | needs | run |",
        "|---|---|---|",
        *(
            f"| {name} | {TARGETS[name].NEEDS} | "
            f"`{'python' if TARGETS[name].SUFFIX == 'py' else 'Rscript'} FILE` |"
            for name in asked
        ),
    ]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
