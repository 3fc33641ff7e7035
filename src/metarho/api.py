"""The Python side of the door: the same words as in YAML and on the command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from metarho.classical.answers import classical_answers
from metarho.compare.rows import Row
from metarho.data.studies import Studies, load_studies
from metarho.engines.problem import Problem, encode
from metarho.errors import InputError, did_you_mean
from metarho.fitting import Settings, fit_many
from metarho.posterior.fit import Fit
from metarho.representations import Shown
from metarho.spec.analysis import Engine, Interval, Sampler
from metarho.spec.catalogue import read_prior
from metarho.spec.document import without_control
from metarho.spec.lookup import find
from metarho.spec.model import Model, checked_priors, read_model
from metarho.spec.priors import PER_TAU, Prior

if TYPE_CHECKING:
    import pytensor.tensor as pt
    from rich.console import RenderableType

    from metarho.batch.ensemble import Found
    from metarho.batch.grid import GridPlan
    from metarho.batch.simulation.plan import SimulationPlan

__all__ = [
    "Ensembles",
    "Result",
    "classical_answers",
    "ensemble",
    "fit",
    "load_model",
    "load_studies",
    "random_variable",
    "run",
]


@dataclass(frozen=True)
class Result:
    """What a run left behind: its folder and its fits by (model, prior set, intervals).

    Tables, figures and the report lie in the folder. A grid has no fits here but ``cells``, one row
    each: their decisions and their answers; of a simulation these are the rows of its table.
    """

    folder: Path
    fits: Mapping[tuple[str, str, str], Fit]
    cells: tuple[Row, ...] = ()

    def __repr__(self) -> str:
        """Its folder, and how many fits or cells it has."""
        from metarho.posterior.printed import counted

        fits, rows = counted(len(self.fits), "fit", "fits"), counted(len(self.cells), "row", "rows")
        count = fits if self.fits else rows
        return f"<Result {without_control(str(self.folder))}: {count}>"

    def __rich__(self) -> RenderableType:
        """What a terminal shows of it: the headline of every fit."""
        return self._shown.rich()

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        return self._shown.html()

    @property
    def _shown(self) -> Shown:
        from metarho.posterior.printed import interval, number

        rows = tuple(
            (
                *(model, priors, intervals, str(one.problem.evidence.k)),
                *(number(one.pooled.median), interval(one.pooled)),
                *(number(one.pooled_new.median), interval(one.pooled_new), one.status),
            )
            for (model, priors, intervals), one in self.fits.items()
        )
        columns = ("model", "priors", "intervals", "k", "mean", "", "new study", "", "status")
        return Shown(repr(self)[1:-1], columns, rows, names=3)


@dataclass(frozen=True)
class Ensembles:
    """The ensembles of a config by (prior set, intervals), and the folder that has their tables.

    Of each ``components`` are rows of how probable an effect, heterogeneity and bias are,
    ``estimates`` of averages with their spikes, ``probable`` of members; ``averages`` are the
    estimates as summaries, ``sentences`` what it says.
    """

    folder: Path
    ensembles: Mapping[tuple[str, str], Found]

    def __repr__(self) -> str:
        """Its folder, and how many ensembles there are."""
        from metarho.posterior.printed import counted

        count = counted(len(self.ensembles), "ensemble", "ensembles")
        return f"<Ensembles {without_control(str(self.folder))}: {count}>"

    def __rich__(self) -> RenderableType:
        """What a terminal shows of it: the averages, and what they say."""
        return self._shown.rich()

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        return self._shown.html()

    @property
    def _shown(self) -> Shown:
        from metarho.posterior.printed import interval, number, share

        rows = tuple(
            (
                *(priors, intervals, one.quantity, one.over, number(one.summary.median)),
                *(interval(one.summary), f"{share(one.spike)} at {one.at:g}" if one.spike else ""),
            )
            for (priors, intervals), found in self.ensembles.items()
            for one in found.averages
        )
        notes = tuple(
            f"{priors}, intervals {intervals}: {sentence}"
            for (priors, intervals), found in self.ensembles.items()
            for sentence in found.sentences
        )
        columns = ("priors", "intervals", "quantity", "members", "median", "", "spike")
        return Shown(repr(self)[1:-1], columns, rows, notes, names=4)


def load_model(name: str | Path, *, mods: str | None = None) -> Model:
    """A model by name (workspace, then shipped) or path; ``mods`` replaces its moderators.

    Raises InputError when it is not there or not valid.

    >>> load_model("three-level").random
    'study/effect'
    >>> load_model("random-effects", mods="~ guidance + center(year)").columns
    ('guidance', 'year')
    """
    path = name if isinstance(name, Path) else find(name, "models", Path.cwd())
    return read_model(path, mods=mods)


def fit(
    model: Model,
    studies: Studies,
    *,
    priors: Mapping[str, str | Prior] | None = None,
    engine: Engine = "auto",
    agreement: bool = False,
    seed: int = 20261122,
    announce: Callable[[str, Problem], None] | None = None,
) -> Fit:
    """Fit one model to studies. ``priors`` replaces the model's own, parameter by parameter.

    Raises InputError for a prior that is not valid or whose parameter the model lacks, and for
    an engine that does not cover the model.

    >>> studies = load_studies("internet-alliance", where='role == "main"')
    >>> found = fit(load_model("random-effects"), studies, priors={"mu": "Normal(mu=0, sigma=1)"})
    >>> found.engine, found.status
    ('exact', 'ok')
    >>> print(f"{found.derived['rho_median'].median:.3f}")
    0.236
    """
    given = _priors(priors or {})
    problem = encode(model, studies, given)
    reached = problem.names_reached
    for name in given:
        if name not in reached:
            raise InputError(
                f"the model {model.name!r} has no parameter {name!r}; {did_you_mean(name, reached)}"
            )
    if not 0 <= seed < 2**63:
        raise InputError(f"seed is a whole number from 0 to 2**63 - 1, not {seed!r}")
    settings = Settings(
        engine=engine, agreement=agreement, sampler=Sampler(seed=seed), interval=Interval()
    )
    if announce is not None:
        settings = Settings(engine, agreement, settings.sampler, settings.interval, None, announce)
    (result,) = fit_many([problem], settings)
    out = Counter(row.reason for row in studies.rows if not row.included)
    rows_out = [f"{count} of {len(studies.rows)} rows out: {why}" for why, count in out.items()]
    return replace(result, notes=(*result.notes, *rows_out))


def ensemble(config: str | Path, *, output: str | Path | None = None) -> Ensembles:
    """Average a config's models: the same as ``metarho ensemble CONFIG``, without the terminal.

    Raises InputError for a config without ``ensemble:``, for models that are none with and without
    an effect and heterogeneity, and for anything else wrong in the config, before writing.

    For instance::

        found = ensemble("publication-bias").ensembles["default", "use"]
        found.components[0]["inclusion_bf"]
        found.averages[0].summary.median, found.averages[0].spike
    """
    from metarho.batch.ensemble import ensembles, question
    from metarho.batch.plan import plan
    from metarho.report.ensemble import publish_ensembles

    path = config if isinstance(config, Path) else find(config, "configs", Path.cwd())
    planned = plan(path, None if output is None else Path(output))
    found = ensembles(planned, question(planned), lambda event, problem: None, lambda message: None)
    publish_ensembles(planned, found)
    return Ensembles(planned.folder, {(one.prior_set, one.intervals): one for one in found})


def random_variable(name: str, prior: Prior, *, positive: bool = False) -> pt.TensorVariable:
    """A parameter of the current PyMC model with a prior: for the files of custom models.

    A prior on another scale is that of a variable of its own, from which the parameter follows; a
    ``DiracDelta`` is a known value and no variable. ``positive`` restricts ``Flat()`` to values
    above 0, as it is for sds (``tau``, ``tau_...``). Raises InputError for a prior that needs more
    than its own numbers: a reference prior, or one on mu/tau.

    In a file of ``models/custom``::

        def build(studies, priors):
            with pm.Model() as model:
                mu = random_variable("mu", priors["mu"])
                ...
            return model
    """
    if prior.is_reference or prior.on == PER_TAU:
        raise InputError(f"{name}: {prior} is made of more than its own numbers")
    # Loaded here: PyMC is for models that are sampled.
    import numpy as np

    from metarho.engines.nuts.priors import add_prior

    positive = positive or name.startswith("tau")
    return add_prior(name, prior, np.empty(0), None, positive=positive)


def run(config: str | Path, *, output: str | Path | None = None, workers: int = 1) -> Result:
    """Run an analysis: the same as ``metarho run CONFIG``, without the terminal.

    The cells of a grid are computed by so many processes; a script that asks for more than one
    guards what it runs by ``if __name__ == "__main__":``, for these processes import it.
    Raises InputError for anything wrong in what the config names, before writing.

    For instance::

        result = run("internet-alliance")
        result.fits["random-effects", "sceptical", "use"].derived["rho_median"]
        run("alliance-decisions").cells[0]["rho_median"]
    """
    from metarho.batch.grid import GridPlan
    from metarho.batch.running import plan_each
    from metarho.batch.simulation.plan import SimulationPlan
    from metarho.report.publish import publish

    path = config if isinstance(config, Path) else find(config, "configs", Path.cwd())
    (planned,) = plan_each([path], None if output is None else Path(output))
    if isinstance(planned, GridPlan | SimulationPlan):
        return Result(planned.folder, {}, _cells(planned, workers))
    outcome = publish(planned)
    return Result(
        planned.folder,
        {
            (cell.model, cell.prior_set, cell.intervals): fitted
            for cell, fitted in zip(planned.cells, outcome.fits, strict=True)
        },
    )


def _cells(planned: GridPlan | SimulationPlan, workers: int) -> tuple[Row, ...]:
    """The table of a grid or a simulation, which is left in its folder too."""
    from metarho.batch.runners import runner_of
    from metarho.batch.running import Watch, fill_all
    from metarho.batch.simulation.plan import SimulationPlan
    from metarho.batch.simulation.results import publish_simulation
    from metarho.report.publish_grid import publish_grid

    watch = Watch(lambda done, source: None, lambda message: None, lambda: False)
    (filled,) = fill_all([planned], runner_of(workers), None, watch)
    if isinstance(planned, SimulationPlan):
        return tuple(publish_simulation(planned, filled))
    return publish_grid(planned, filled).rows


def _priors(priors: Mapping[str, str | Prior]) -> dict[str, Prior]:
    parsed = {
        name: prior if isinstance(prior, Prior) else read_prior(prior)
        for name, prior in priors.items()
    }
    try:
        return checked_priors(parsed)
    except ValueError as error:
        raise InputError(str(error)) from None
