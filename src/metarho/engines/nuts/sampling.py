"""Compile a model once, sample it for many problems."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import nutpie
import pymc as pm
import pytensor
import xarray as xr
from numpy.typing import NDArray

from metarho.engines.nuts.bridge import log_evidence
from metarho.engines.nuts.draws import Draws
from metarho.engines.nuts.layout import is_steep, lay_out, row_data, variables
from metarho.engines.nuts.missing import drawn_rows
from metarho.engines.nuts.model import build, coordinates
from metarho.engines.nuts.priors import prior_data
from metarho.engines.problem import Problem
from metarho.errors import FitError
from metarho.spec.analysis import Sampler
from metarho.spec.model import RELIABILITIES

type Array = NDArray[np.float64]

# Where all effects are integrated out over one sd, the usual steps did not diverge and give more
# effective draws a second; elsewhere sds near 0 make the posterior steep, and smaller steps pay
# (measured; docs/sampling.md).
TARGET_ACCEPT = 0.8
STEEP_TARGET_ACCEPT = 0.95
# A horseshoe is a funnel in every slope, and diverged at .95 in every run.
SHRUNK_TARGET_ACCEPT = 0.99
# What a run that diverged is repeated with.
CAREFUL_TARGET_ACCEPT = 0.995

# nutpie's name -> ArviZ's.
_STATISTICS = {
    "diverging": "diverging",
    "energy": "energy",
    "logp": "lp",
    "depth": "tree_depth",
    "maxdepth_reached": "reached_max_treedepth",
    "n_steps": "n_steps",
    "step_size": "step_size",
    "mean_tree_accept": "acceptance_rate",
}


def first_line(error: BaseException) -> str:
    """What an error says, without where in a library it happened."""
    return (str(error) or type(error).__name__).splitlines()[0]


def sample_many(
    problems: Sequence[tuple[Problem, int]], sampler: Sampler, announce: Callable[[str], None]
) -> Iterator[Draws]:
    """Compile the first problem's model, then sample each with its own numbers and seed."""
    first, _ = problems[0]
    announce("compiling")
    with reproducible():
        model = build(first)
        compiled = nutpie.compile_pymc_model(model)
        for problem, seed in problems:
            announce("sampling")
            numbers = _numbers(problem)
            # Where chains begin is asked of the model, which therefore holds the numbers too.
            pm.set_data(numbers, model=model, coords=coordinates(problem))
            used = {variable.name for variable in compiled.shared_var_keys}
            numbers = {name: value for name, value in numbers.items() if name in used}
            try:
                draws, _ = sample(compiled.with_data(**numbers), problem, sampler, seed)
            except Exception as error:  # whatever kind the sampler has for a failed start
                said = first_line(error)
                raise FitError(f"sampling {problem.model.name} failed: {said}") from error
            yield draws


def _numbers(problem: Problem) -> dict[str, Any]:
    """All data of a problem's model, by name."""
    names = variables(problem)
    numbers: dict[str, Any] = dict(row_data(problem))
    for name, applied in problem.priors.items():
        numbers |= prior_data(names[name], applied.prior, problem.evidence.v)
    return numbers


def sample(
    compiled: Any, problem: Problem, sampler: Sampler, seed: int
) -> tuple[Draws, xr.DataTree]:
    """Draws from a compiled model, and nutpie's tree of all its variables."""
    first = STEEP_TARGET_ACCEPT if is_steep(problem) else TARGET_ACCEPT
    if problem.shrunk_slopes:
        first = SHRUNK_TARGET_ACCEPT
    tree = _run(compiled, problem, sampler, seed, first)
    if not tree.sample_stats["diverging"].any():
        return _draws(compiled, tree, problem, seed, first, False), tree
    tree = _run(compiled, problem, sampler, seed, CAREFUL_TARGET_ACCEPT)
    return _draws(compiled, tree, problem, seed, CAREFUL_TARGET_ACCEPT, True), tree


def _run(compiled: Any, problem: Problem, sampler: Sampler, seed: int, target_accept: float) -> Any:
    # Slopes of moderators that are not centred correlate with mu, which a diagonal metric cannot
    # see: a metric that learns correlations gave seven times the effective draws a second there.
    # Those that share a scale bend around each other, which no metric follows: it gave less there.
    learns = len(problem.coefficients) > 1 and not problem.shrunk_slopes
    adaptation = "low_rank" if learns else "diag"
    return nutpie.sample(
        compiled,
        draws=sampler.draws,
        tune=sampler.tune,
        chains=sampler.chains,
        seed=seed,
        target_accept=target_accept,
        adaptation=adaptation,
        save_warmup=False,
        progress_bar=False,
        store_unconstrained=True,
    )


def _draws(
    compiled: Any, tree: Any, problem: Problem, seed: int, target_accept: float, retried: bool
) -> Draws:
    posterior: Mapping[str, Any] = tree.posterior
    shape = (tree.posterior.sizes["chain"], tree.posterior.sizes["draw"])
    parameters = {
        name: np.full(shape, applied.prior.values["c"])
        if applied.prior.is_point
        else np.asarray(posterior[variable], dtype=float)
        for (name, applied), variable in zip(
            problem.priors.items(), variables(problem).values(), strict=True
        )
    }
    deviations = {
        level: posterior[f"deviation_{level}"].to_numpy()
        for level, kept in lay_out(problem).items()
        if len(kept.groups)
    }
    statistics = {
        name: np.asarray(tree.sample_stats[key])
        for key, name in _STATISTICS.items()
        if key in tree.sample_stats
    }
    evidence: tuple[float | None, float | None] = (None, None)
    if all(applied.prior.proper for applied in problem.priors.values()):
        unconstrained = np.asarray(tree.sample_stats["unconstrained_draw"], dtype=float)
        rng = np.random.default_rng((seed, 2))
        try:
            evidence = log_evidence(_log_density(compiled), unconstrained, rng)
        except (np.linalg.LinAlgError, ArithmeticError):
            # Fewer draws than variables, or draws that do not meet the proposal: no evidence then.
            evidence = (None, None)
    imputed: dict[str, Array] = {}
    if problem.imputation is not None:
        imputed = drawn_rows(problem.imputation, posterior, np.random.default_rng((seed, 3)))
    return Draws(
        parameters,
        deviations,
        statistics,
        target_accept,
        retried,
        *evidence,
        imputed=imputed,
        latent=_latent(problem, posterior, shape),
    )


def _latent(
    problem: Problem, posterior: Mapping[str, Any], shape: tuple[int, int]
) -> dict[str, Array]:
    """Theta and reliabilities of the rows, in models of true scores."""
    if problem.model.measurement != "true-score":
        return {}
    data = row_data(problem)
    found = {"theta": np.asarray(posterior["theta"], dtype=float)}
    for name in RELIABILITIES:
        sampled = posterior.get(f"{name}_of_rows")
        values = data[name] if sampled is None else sampled
        found[name] = np.array(np.broadcast_to(values, (*shape, problem.evidence.k)), dtype=float)
    return found


def _log_density(compiled: Any) -> Callable[[Array], float]:
    """The compiled log density of the posterior on the unconstrained scale, not normalised."""
    function = compiled.logp_func.vm.jit_fn
    data = [
        compiled.shared_data[compiled.shared_var_keys[variable]]
        for variable in compiled.logp_func.get_shared()
    ]
    return lambda point: float(function(point, *data)[0])


@contextmanager
def reproducible() -> Iterator[None]:
    """Same seed, same draws, in any process: fast-math lets a cold and a warm cache differ."""
    log = logging.getLogger("pymc")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with pytensor.config.change_flags(numba__fastmath=False):
            yield
    finally:
        log.setLevel(level)
