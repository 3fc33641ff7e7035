"""From problems to fits: look in the store, choose the engine, check, judge.

Everything that needs a posterior gets it here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from metarho.engines import exact, nuts
from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import Problem, before_data
from metarho.errors import FitError, InputError
from metarho.fitting.agreement import compare
from metarho.fitting.notes import notes_on
from metarho.fitting.verdict import Verdict, judge
from metarho.posterior.fit import Agreement, Fit
from metarho.spec.analysis import Engine, Interval, Sampler
from metarho.store.keys import key_of, seed_of

if TYPE_CHECKING:
    from metarho.store.store import Store

# What decides when the engines differ by more than the threshold.
RERUN_FACTOR = 4

# Fits that share a file of the store. Exact ones take milliseconds, less than a file does; a
# sampled one takes seconds, and is in the store before the next begins.
BLOCK = {"exact": 256, "nuts": 1}


def _ignore(event: str, problem: Problem) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Settings:
    """How problems are fitted. ``announce`` hears ``compiling``, ``sampling``, ``fitted``."""

    engine: Engine = "auto"
    agreement: bool = False
    sampler: Sampler = field(default_factory=Sampler)
    interval: Interval = field(default_factory=Interval)
    store: Store | None = None
    announce: Callable[[str, Problem], None] = _ignore


def choose(problem: Problem, engine: Engine) -> tuple[str, str]:
    """The engine that will answer, and why. Raises InputError when none can."""
    refusals = {"exact": exact.covers(problem), "nuts": nuts.covers(problem)}
    if engine != "auto":
        refusal = refusals[engine]
        if refusal:
            raise InputError(f"engine {engine}: {refusal}")
        return engine, "asked for"
    if refusals["exact"] is None:
        hard = exact.hard_dimensions(problem)
        over = f"integrates over {' and '.join(hard)}" if hard else "closed form"
        return "exact", f"auto: the exact engine covers it ({over})"
    if refusals["nuts"] is None:
        return "nuts", f"auto: {refusals['exact'].removesuffix('; engine: nuts')}"
    exactly = refusals["exact"].removesuffix("; engine: nuts")
    raise InputError(f"no engine covers the model: {exactly}; {refusals['nuts']}")


def fit_many(problems: Sequence[Problem], settings: Settings) -> list[Fit]:
    """Fit problems, in order. Those of one structure are compiled once."""
    chosen = [choose(problem, settings.engine) for problem in problems]
    wanted: list[tuple[int, str]] = []
    for index, (problem, (engine, _)) in enumerate(zip(problems, chosen, strict=True)):
        wanted.append((index, engine))
        if settings.agreement and both_cover(problem):
            wanted.append((index, "nuts" if engine == "exact" else "exact"))
    results = _solve([(problems[index], engine) for index, engine in wanted], settings)
    by_engine = dict(zip(wanted, results, strict=True))
    return [
        _finish(problem, engine, reason, by_engine, index, settings)
        for index, (problem, (engine, reason)) in enumerate(zip(problems, chosen, strict=True))
    ]


def no_prior_posterior(problem: Problem) -> str | None:
    """Why a problem expects nothing before its data; None where its priors are a posterior."""
    for name, applied in problem.priors.items():
        if not applied.prior.proper:
            return f"{name} ~ {applied.prior} is improper"
    return exact.covers(before_data(problem))


def keys_of(fit: Fit) -> tuple[str, ...]:
    """The keys of all results in the store that a fit was made from."""
    keys = [key_of(fit.problem, fit.engine, fit.sampler)]
    if fit.agreement is not None:
        second = "nuts" if fit.engine == "exact" else "exact"
        keys.append(key_of(fit.problem, second, fit.sampler))
        if fit.agreement.reran:
            keys.append(key_of(fit.problem, "nuts", fit.sampler, RERUN_FACTOR))
    return tuple(keys)


def fit_before_data(problem: Problem, settings: Settings) -> Fit:
    """The problem before its rows are known: a fit whose posterior is the prior, integrated.

    Not through the store, where the problem and itself before data have one key. Raises InputError
    where ``no_prior_posterior`` says why.
    """
    if reason := no_prior_posterior(problem):
        raise InputError(reason)
    silent = before_data(problem)
    quadrature = exact.integrate(silent)
    verdict = judge(silent, quadrature, None)
    return Fit(
        silent,
        "exact",
        "priors only",
        quadrature,
        settings.sampler.seed,
        settings.sampler,
        verdict.status,
        verdict.reasons,
        interval=settings.interval,
    )


def both_cover(problem: Problem) -> bool:
    """Whether both engines can answer."""
    return exact.covers(problem) is None and nuts.covers(problem) is None


def _finish(
    problem: Problem,
    engine: str,
    reason: str,
    results: dict[tuple[int, str], Quadrature | Draws],
    index: int,
    settings: Settings,
) -> Fit:
    result = results[index, engine]
    agreement: Agreement | None = None
    quadrature, draws = results.get((index, "exact")), results.get((index, "nuts"))
    if isinstance(quadrature, Quadrature) and isinstance(draws, Draws):
        agreement = compare(problem, quadrature, draws, settings.interval.prob)
        if not agreement.holds:
            # One rerun with more draws decides between bad luck and a fault.
            (longer,) = _solve([(problem, "nuts")], settings, RERUN_FACTOR)
            assert isinstance(longer, Draws)
            agreement = compare(problem, quadrature, longer, settings.interval.prob, reran=True)
    return finished(problem, engine, reason, result, settings, agreement)


def finished(
    problem: Problem,
    engine: str,
    reason: str,
    result: Quadrature | Draws,
    settings: Settings,
    agreement: Agreement | None = None,
) -> Fit:
    """A result as a fit, with its verdict and notes."""
    verdict: Verdict = judge(problem, result, agreement)
    return Fit(
        problem,
        engine,
        reason,
        result,
        seed_of(key_of(problem, engine, settings.sampler)),
        settings.sampler,
        verdict.status,
        verdict.reasons,
        notes_on(problem),
        agreement,
        settings.interval,
    )


def _solve(
    wanted: Sequence[tuple[Problem, str]], settings: Settings, draws_factor: int = 1
) -> list[Quadrature | Draws]:
    """Results from the store or the engines, in order.

    Raises FitError, which names all that failed, after the others are in the store.
    """
    keys = [key_of(problem, engine, settings.sampler, draws_factor) for problem, engine in wanted]
    found = dict(settings.store.read_many(keys)) if settings.store else {}
    todo: dict[tuple[object, ...], list[tuple[str, Problem]]] = {}
    asked: set[str] = set()
    for key, (problem, engine) in zip(keys, wanted, strict=True):
        if key in asked:
            # One problem under two names is fitted once, and counts twice.
            settings.announce("fitted", problem)
            continue
        asked.add(key)
        if key in found:
            settings.announce("fitted", problem)
        else:
            structure = (exact if engine == "exact" else nuts).structure(problem)
            todo.setdefault(structure, []).append((key, problem))
    failures: list[FitError] = []
    for structure, group in todo.items():
        engine = str(structure[0])
        results = solve_group(engine, group, settings, draws_factor)
        try:
            found |= _stored(results, settings.store, BLOCK[engine])
        except FitError as error:
            # The other groups are fitted, and kept in the store, before it is told.
            failures.append(error)
    if failures:
        raise FitError("\n".join(dict.fromkeys(map(str, failures)))) from failures[0]
    return [found[key] for key in keys]


def _stored(
    results: Iterator[tuple[str, Quadrature | Draws]], store: Store | None, size: int
) -> dict[str, Quadrature | Draws]:
    """All results, once they are in the store, in blocks of a size."""
    found: dict[str, Quadrature | Draws] = {}
    block: dict[str, Quadrature | Draws] = {}

    def write() -> None:
        written = dict(block)
        block.clear()
        if store:
            store.write(written)

    try:
        for key, result in results:
            found[key] = block[key] = result
            if len(block) == size:
                write()
    finally:
        # What is there is kept, also when a later fit fails or the user interrupts.
        write()
    return found


def solve_group(
    engine: str, group: list[tuple[str, Problem]], settings: Settings, draws_factor: int = 1
) -> Iterator[tuple[str, Quadrature | Draws]]:
    """Results of problems of one structure by their keys, each as soon as it is there.

    Neither reads nor writes the store. Raises FitError where a fit ends without a result.
    """
    stream = _stream(engine, group, settings, draws_factor)
    for (key, problem), result in zip(group, stream, strict=True):
        yield key, result
        settings.announce("fitted", problem)


def _stream(
    engine: str, group: list[tuple[str, Problem]], settings: Settings, draws_factor: int
) -> Iterator[Quadrature | Draws]:
    problems = [problem for _, problem in group]
    if engine == "exact":
        return exact.fit_many(problems)
    position = iter(problems)
    current = problems[0]

    def announce(stage: str) -> None:
        nonlocal current
        if stage == "sampling":
            current = next(position)
        settings.announce(stage, current)

    sampler = settings.sampler.model_copy(update={"draws": settings.sampler.draws * draws_factor})
    seeds = [seed_of(key) for key, _ in group]
    return nuts.fit_many(list(zip(problems, seeds, strict=True)), sampler, announce)
