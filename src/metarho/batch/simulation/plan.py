"""The plan of a simulation: truths × models × prior sets in chunks, checked, nothing computed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np

from metarho.batch.plan import check_output, check_reached, default_output, read_models
from metarho.batch.simulation.chunk import Chunk, key_of_chunk
from metarho.batch.simulation.readings import null_of_mean
from metarho.batch.simulation.truth import Truth, sizes_at, studies_of
from metarho.compare.quantities import way
from metarho.compare.rows import Row, Value
from metarho.data.studies import load_studies
from metarho.engines import exact
from metarho.engines.problem import Encoding, Problem, encoding
from metarho.errors import InputError
from metarho.fitting import Settings
from metarho.spec.analysis import Sampler
from metarho.spec.document import Document
from metarho.spec.formulas import is_intercept_only
from metarho.spec.model import Model
from metarho.spec.simulation import Simulation, SizesOf, read_simulation
from metarho.store.keys import key_of

# Data sets of a chunk by what one costs: a chunk is a file, and what is lost when its process is
# killed.
LENGTH = {"at once": 50, "one by one": 10, "slow": 2}
# Seconds a data set takes, with its model without an effect, on two cores of 2026.
SECONDS = {"at once": 0.005, "one by one": 0.3, "slow": 4.0}
# More are no table that a person reads.
MOST_METHODS = 20_000
# More take half a minute to name, and days to weeks to compute.
MOST_CHUNKS = 200_000


@dataclass(frozen=True)
class Method:
    """A model with a prior set on data of one truth. ``decisions`` are columns of the table.

    ``problem`` is of a data set as large, for what it is like; ``cost`` a key of ``LENGTH``.
    ``reason`` says why there is nothing to compute, and empties ``chunks``.
    """

    decisions: Row
    truth: Truth
    problem: Problem | None
    cost: str
    chunks: tuple[Chunk, ...]
    reason: str = ""

    @property
    def has_tau(self) -> bool:
        """Whether true effects vary, and how much is unknown."""
        problem = self.problem
        return problem is not None and any(
            name != "share" and not problem.prior(name).is_point for name in problem.spreads
        )

    @property
    def has_bayes_factor(self) -> bool:
        """Whether there is a Bayes factor against mu = 0."""
        return self.problem is not None and null_of_mean(self.problem) is not None


@dataclass(frozen=True)
class SimulationPlan:
    """What a run of a simulation will do."""

    config: Path
    simulation: Simulation
    models: Mapping[str, tuple[Model, Path]]
    methods: tuple[Method, ...]
    output: Path

    @property
    def folder(self) -> Path:
        """Where the results of this config go."""
        return self.output / self.config.stem

    @cached_property
    def chunks(self) -> tuple[Chunk, ...]:
        """What there is to compute, equal ones once."""
        found = {chunk.key: chunk for method in self.methods for chunk in method.chunks}
        return tuple(found.values())

    @property
    def truths(self) -> tuple[Truth, ...]:
        """What data are drawn from."""
        return tuple(dict.fromkeys(method.truth for method in self.methods))

    @property
    def refusals(self) -> Counter[str]:
        """Why truths have no answer by a model and prior set, and how many for each reason."""
        return Counter(method.reason for method in self.methods if method.reason)


def plan_simulation(config: Path, output: Path | None = None) -> SimulationPlan:
    """Resolve and check a config that simulates its data.

    A truth for which a model with a prior set has no meaning is refused in the table. Raises
    InputError with file, line, value and what is allowed: for whatever else is wrong, and for a
    model with a prior set that is refused for every truth.
    """
    check_output(output)
    simulation, document = read_simulation(config)
    here = config.resolve().parent
    models = read_models(simulation, document, here)
    for index, (name, (model, _)) in enumerate(models.items()):
        if reason := _has_no_place(model):
            raise InputError(f"model {name}: {reason}", place=document.place(("models", index)))
    truths = _truths(simulation, document)
    count = len(truths) * len(models) * len(simulation.priors)
    if count > MOST_METHODS:
        raise InputError(
            f"{count:,} combinations of truths, models and prior sets are more than "
            f"{MOST_METHODS:,}; name fewer values",
            place=document.place(("simulate",)),
        )
    encoded: dict[tuple[object, ...], Encoding] = {}
    reached: set[str] = set()
    methods = []
    for (labels, truth), name, prior_set in product(truths, models, simulation.priors):
        decisions = {**labels, "model": name, "priors": prior_set}
        model, priors = models[name][0], simulation.priors[prior_set]
        try:
            problem, mixed = (
                _encoded(encoded, model, truth, words).under(priors) for words in (False, True)
            )
            reached |= problem.names_reached
            cost = _cost(problem, mixed, truth)
        except InputError as error:
            methods.append(Method(decisions, truth, None, "", (), str(error)))
            continue
        methods.append(Method(decisions, truth, problem, cost, ()))
    _check_answered(methods, document)
    check_reached(simulation, document, reached)
    replications = simulation.simulate.replications
    wanted = sum(math.ceil(replications / LENGTH[m.cost]) for m in methods if not m.reason)
    if wanted > MOST_CHUNKS:
        raise InputError(
            f"{count:,} combinations of truths, models and prior sets with {replications:,} data "
            f"sets each are {wanted:,} chunks, and more than {MOST_CHUNKS:,} are not computed; "
            "name fewer values, or fewer replications",
            place=document.place(("simulate",)),
        )
    found = [replace(one, chunks=_chunks(one, simulation, models)) for one in methods]
    root = output or default_output(config)
    return SimulationPlan(config, simulation, models, tuple(found), root)


def _chunks(
    method: Method, simulation: Simulation, models: Mapping[str, tuple[Model, Path]]
) -> tuple[Chunk, ...]:
    """What there is to compute of a method; nothing where it is refused."""
    if method.problem is None:
        return ()
    key = key_of(method.problem, "exact", Sampler())
    model, _ = models[str(method.decisions["model"])]
    priors = simulation.priors[str(method.decisions["priors"])]
    truth, seed, prob = method.truth, simulation.simulate.seed, simulation.interval.prob
    return tuple(
        Chunk(
            key_of_chunk(truth, seed, start, stop, prob, key),
            truth, seed, start, stop, model, priors, prob,
        )
        for start, stop in _parts(simulation.simulate.replications, LENGTH[method.cost])
    )  # fmt: skip


def _has_no_place(model: Model) -> str | None:
    """Why a model has no meaning on simulated studies; None when it has."""
    if model.custom is not None:
        return "a custom model is sampled, and simulated data are fitted by the exact engine"
    for what, formula in (("mods", model.mods), ("scale", model.scale)):
        if not is_intercept_only(formula):
            return f"{what}: {formula} needs moderators, and simulated studies have none"
    if model.measurement == "true-score":
        return "measurement: true-score needs reliabilities, and simulated studies have none"
    return None


def _truths(simulation: Simulation, document: Document) -> list[tuple[Row, Truth]]:
    """Every truth with its columns in the table, the last list moving fastest."""
    simulate = simulation.simulate
    listed: list[tuple[Value, tuple[int, ...]]] = []
    for index, sizes in enumerate(simulate.ni):
        if isinstance(sizes, SizesOf):
            place = document.place(("simulate", "ni", index))
            listed.append((sizes.source, _sizes_of(sizes.source, place)))
        elif isinstance(sizes, tuple):
            listed.append((", ".join(map(str, sizes)), sizes))
        else:
            listed.append((sizes, (sizes,)))
    lists = (simulate.mu, simulate.tau, simulate.k, listed, simulate.reporting, simulate.selection)
    found = []
    for mu, tau, k, (label, sizes), reporting, selection in product(*lists):
        labels: Row = {
            "true_mu": mu, "true_tau": tau, "k": k, "ni": label,
            "reporting": reporting, "selection": selection,
        }  # fmt: skip
        # An integer in YAML is the float that it stands for.
        truth = Truth(float(mu), float(tau), sizes_at(sizes, k), reporting, float(selection))
        found.append((labels, truth))
    return found


def _sizes_of(name: str, place: str) -> tuple[int, ...]:
    """The people of every row of a shipped set."""
    if "/" in name or Path(name).suffix:
        raise InputError(f"simulate.ni: from names a shipped set, not the path {name}", place=place)
    try:
        rows = load_studies(name).used
    except InputError as error:
        raise InputError(f"simulate.ni: {error}", place=place) from None
    return tuple(int(row.ni) for row in rows if row.ni is not None)


def _encoded(
    known: dict[tuple[object, ...], Encoding], model: Model, truth: Truth, words: bool
) -> Encoding:
    """A model on a data set as large, of 0s: numbers, or with words the first of them a number."""
    has_words = words and truth.reporting == "words"
    what = (model.name, truth.sizes, has_words)
    if what not in known:
        like = Truth(0.0, 0.0, truth.sizes, "words" if has_words else "all")
        z = np.zeros(len(truth.sizes))
        z[0] = 2 * like.critical[0]
        known[what] = encoding(model, studies_of(like, z))
    return known[what]


def _cost(problem: Problem, mixed: Problem, truth: Truth) -> str:
    """What a data set costs. Raises InputError where the exact engine does not cover it."""
    for one in (problem, mixed):
        if refusal := exact.covers(one):
            raise InputError(refusal.removesuffix("; engine: nuts"))
    costs = (way(one, Settings(engine="exact")) for one in (problem, mixed))
    return max(costs, key=list(LENGTH).index)


def _parts(replications: int, length: int) -> list[tuple[int, int]]:
    return [(start, min(start + length, replications)) for start in range(0, replications, length)]


def _check_answered(methods: list[Method], document: Document) -> None:
    """Raise InputError for a model with a prior set that is refused for every truth."""
    by_method: dict[tuple[str, str], list[Method]] = {}
    for method in methods:
        names = str(method.decisions["model"]), str(method.decisions["priors"])
        by_method.setdefault(names, []).append(method)
    for (model, prior_set), found in by_method.items():
        if all(method.reason for method in found):
            place = document.place(("priors", prior_set))
            raise InputError(f"model {model}: {found[0].reason}", place=place)
