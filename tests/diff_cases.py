"""Small runs to compare: studies in a table of their own, exact fits of milliseconds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from metarho.batch.grid import GridPlan
from metarho.batch.plan import Plan
from metarho.batch.run_folder import RunFolder, read_run
from metarho.batch.runners import runner_of
from metarho.batch.running import Watch, fill_all, plan_each
from metarho.report.publish import publish
from metarho.report.publish_grid import publish_grid

STUDIES = """\
study,effect,r,n,year,setting
Adam,1,0.32,40,2001,clinic
Berta,1,0.11,90,2005,online
Berta,2,0.20,85,2005,online
Carl,1,0.45,30,2009,clinic
Dora,1,0.05,120,2012,online
Emil,1,0.28,60,2015,clinic
"""

CONFIG = """\
studies: {source: studies.csv, columns: {ri: r, ni: n, study: study, effect: effect}}
models: [random-effects]
priors:
  default: {}
  sceptical: {mu: "Normal(mu=0, sigma=0.15)"}
report: none
"""

GRID = (
    CONFIG.replace("report: none\n", "")
    + """\
grid:
  where: {all: null, late: year > 2004}
  measure: [ZCOR, COR]
  rho_within: [0, 0.5]
"""
)


def run_of(folder: Path, name: str, config: str = CONFIG, studies: str = STUDIES) -> RunFolder:
    """A config run in a folder of its own, and read back."""
    here = folder / name
    here.mkdir(parents=True)
    (here / "studies.csv").write_text(studies, encoding="utf-8")
    path = here / "analysis.yaml"
    path.write_text(config, encoding="utf-8")
    (one,) = plan_each([path], here / "out")
    if isinstance(one, GridPlan):
        watch = Watch(lambda done, source: None, lambda message: None, lambda: False)
        (filled,) = fill_all([one], runner_of(1), None, watch)
        publish_grid(one, filled)
    else:
        assert isinstance(one, Plan)
        publish(one)
    return read_run(one.folder)


def edited(folder: Path, name: str, edit: Callable[[str], str]) -> None:
    """A file of a run changed, and the run's record with it: what a forger would do."""
    path = folder / name
    path.write_text(edit(path.read_text("utf-8")), encoding="utf-8")
    record = json.loads((folder / "run.json").read_text("utf-8"))
    record["sha256"][name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
