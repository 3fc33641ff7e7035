"""Assurance: how probable it is that further studies will settle a claim, before they are run.

The probability, over what the studies may find by the model's own predictive law, that tomorrow's
posterior fulfils a claim or has an interval narrower than a width (O'Hagan, Stevens and Campbell
2005, 10.1002/pst.175). Findings of one study lie on a line, and all expectations are sums over it
without Monte Carlo error; those of several are drawn, with the same noise at every size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from metarho.compare.bayes_factors import held
from metarho.compare.quantities import null_of, refusal
from metarho.engines import exact
from metarho.engines.problem import Problem, improper
from metarho.errors import InputError
from metarho.fitting import Settings, choose
from metarho.fitting.verdict import judge
from metarho.posterior.curves import Curves
from metarho.posterior.normal_mixtures import NormalMixtures
from metarho.predict.futures import (
    Further,
    Futures,
    Noise,
    Today,
    Tomorrow,
    draw,
    grid,
    log_predictive,
    resolved,
    today,
    tomorrow,
    without_news,
)
from metarho.spec.claims import Claim, Quantity

type Array = NDArray[np.float64]

# So many people a study that sampling error is nothing beside any heterogeneity: the limit of a
# curve. On panels of the mean it is a tenth of a percent of a variance tau² = .01, which they
# still resolve.
ENDLESS, ENDLESS_ON_PANELS = 1e9, 1e5
# Beyond so many people nobody looks for the smallest study.
MOST_PEOPLE = 10_000_000
FEWEST_PEOPLE = 4
# Bayes factors that count as moderate evidence either way (Jeffreys 1961: 3 and 1/3).
MODERATE = 3.0
# Of tomorrow's medians, what is printed.
SHARES = (0.05, 0.5, 0.95)
# Nodes of mu and of one more parameter are some thousands; of two more, millions.
_MOST_HARD = 2
_ABSENT = ("rho_mean", "tau", "log_evidence")


@dataclass(frozen=True)
class Goal:
    """What tomorrow's posterior is to reach: a claim, or an interval of rho_median below a width.

    The width is on r.
    """

    claim: Claim | None = None
    width: float | None = None

    def __str__(self) -> str:
        return str(self.claim) if self.claim is not None else f"width < {self.width:g}"


@dataclass(frozen=True)
class Prospect:
    """A model's posterior today, and how tomorrow's is to be seen.

    ``nulls`` has by Bayes factor (bf_mu, bf_tau) its logarithm today and the posterior of the model
    without the parameter, where the model has one. ``prob`` is that of the interval. ``count`` is
    the number of points on the grid of one study's findings; those of several studies come from
    ``noise``. ``status`` says whether today's posterior can be reported.
    """

    now: Today
    nulls: Mapping[str, tuple[float, Today]]
    prob: float
    count: int
    noise: Noise
    status: str

    @property
    def endless(self) -> float:
        """So many people a study that more would teach nothing."""
        return ENDLESS if self.now.axis is None else ENDLESS_ON_PANELS


@dataclass(frozen=True)
class Chance:
    """A probability, with its Monte Carlo standard error where futures were drawn."""

    probability: float
    error: float | None


@dataclass(frozen=True)
class Outlook:
    """What tomorrow may bring after studies of one size.

    ``chances`` are those of the goals, in order. ``width`` is the expected width of the interval of
    rho_median (r), ``sd`` the expected posterior sd of the mean and ``mean`` the expected posterior
    mean (z). ``medians`` are the 5%, 50% and 95% points of tomorrow's rho_median (r). ``bf_mu`` is
    tomorrow's median Bayes factor with P(bf_mu > 3) and P(bf_mu < 1/3), None where there is none.
    """

    further: Further
    chances: tuple[Chance, ...]
    width: float
    sd: float
    mean: float
    medians: tuple[float, ...]
    bf_mu: tuple[float, float, float] | None


@dataclass(frozen=True)
class Smallest:
    """The fewest people with which a goal is reached with a probability, None where none do.

    ``at`` is the chance with them; without them that of endless studies. ``is_first`` says that
    already the smallest studies that there can be reach it.
    """

    studies: int
    ni: int | None
    at: Chance
    is_first: bool = False


def check_assurance(problem: Problem, goals: tuple[Goal, ...], settings: Settings) -> None:
    """Raises InputError for a model or claim whose tomorrow has no closed form, by name."""
    if reason := _refused_model(problem, settings):
        raise InputError(f"model {problem.model.name} has no assurance yet: {reason}")
    for goal in goals:
        if goal.claim is None:
            continue
        quantity = goal.claim.quantity
        if quantity.name in _ABSENT:
            raise InputError(
                f"{goal}: tomorrow's {quantity} is not computed; allowed: rho_median, lower, "
                "upper, new_lower, new_upper, P(rho > t), P(rho_new > t), bf_mu, bf_tau"
            )
        if not exact.is_conjugate(problem) and "new" in quantity.name:
            raise InputError(
                f"{goal}: tomorrow's {quantity} needs a Normal, NormalMixture or Flat prior on mu "
                "and no interval rows (--intervals drop)"
            )
        if reason := refusal(problem, quantity) or _refused_null(problem, quantity):
            raise InputError(f"{goal}: {reason}")


def check_studies(ni: float, studies: int) -> None:
    """Raises InputError where people do not make so many studies."""
    if not FEWEST_PEOPLE * studies <= ni <= MOST_PEOPLE:
        what = "a further study" if studies == 1 else f"{studies} further studies"
        raise InputError(
            f"{what} need {FEWEST_PEOPLE * studies:,} to {MOST_PEOPLE:,} people, at least "
            f"{FEWEST_PEOPLE} each, not {ni:,g}"
        )


def prospect(
    problem: Problem,
    row: Array,
    about: Array,
    goals: tuple[Goal, ...],
    settings: Settings,
    count: int,
    most_studies: int,
) -> Prospect:
    """Today's posterior, for studies at one row of the design, about the mean at one.

    ``count`` futures of up to ``most_studies`` studies are drawn from the analysis' seed.
    """
    solved = resolved(problem)
    nulls = {}
    asked = {goal.claim.quantity.name for goal in goals if goal.claim is not None}
    for name in ("bf_mu", "bf_tau"):
        quantity = Quantity(name)
        absent = refusal(problem, quantity) or _refused_null(problem, quantity)
        if absent or (name == "bf_tau" and name not in asked):
            continue
        without = _without(problem, quantity)
        refit = resolved(without)
        log_bf = solved.log_integral - refit.log_integral
        nulls[name] = log_bf, today(without, refit, row, about)
    rng = np.random.default_rng((settings.sampler.seed, 5))
    noise = Noise.drawn(rng, count, most_studies)
    return Prospect(
        today(problem, solved, row, about),
        nulls,
        settings.interval.prob,
        count,
        noise,
        judge(problem, solved, None).status,
    )


def outlook(seen: Prospect, further: Further, goals: tuple[Goal, ...]) -> Outlook:
    """What tomorrow may bring after further studies, and how probable the goals are."""
    view = _view(seen, further)
    futures = view.futures
    mean, sd = view.after.moments()
    medians = view.values(Quantity("rho_median"))
    bf_mu = None
    if "bf_mu" in seen.nulls:
        logs, limit = view.values(Quantity("bf_mu")), math.log(MODERATE)
        bf_mu = (
            math.exp(min(futures.quantile(logs, 0.5), 700.0)),
            futures.probability(logs - limit),
            futures.probability(-logs - limit),
        )
    return Outlook(
        further,
        tuple(view.chance(goal) for goal in goals),
        futures.expectation(view.width()),
        futures.expectation(sd),
        futures.expectation(mean),
        tuple(futures.quantile(medians, share) for share in SHARES),
        bf_mu,
    )


def own_value(seen: Prospect, goal: Goal) -> float:
    """The claim's quantity, or the interval's width, today."""
    nothing = np.zeros(1)
    log_bf = {name: np.array([today_is]) for name, (today_is, _) in seen.nulls.items()}
    futures = Futures(nothing, nothing, np.ones(1), drawn=True)
    view = _View(seen, futures, without_news(seen.now), log_bf)
    if goal.claim is None:
        return float(view.width()[0])
    quantity = goal.claim.quantity
    value = float(view.values(quantity)[0])
    return math.exp(min(value, 700.0)) if quantity.is_bayes_factor else value


def smallest(
    seen: Prospect, goals: tuple[Goal, ...], studies: int, probability: float
) -> tuple[Smallest, ...]:
    """The fewest people, in equal studies, with which each goal is reached with a probability.

    Sizes are doubled from the smallest until the goal is reached, then halved to single people:
    the first place where the chance rises above the probability, if it turns back further on.
    """

    @cache
    def chances(each: float) -> tuple[Chance, ...]:
        view = _view(seen, Further(each * studies, studies))
        return tuple(view.chance(goal) for goal in goals)

    def fewest(place: int) -> Smallest:
        def reached(each: int) -> bool:
            return chances(each)[place].probability >= probability

        low = high = FEWEST_PEOPLE
        while not reached(high):
            if 2 * high * studies > MOST_PEOPLE or 2 * high > seen.endless:
                return Smallest(studies, None, chances(seen.endless)[place])
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if reached(middle) else (middle, high)
        return Smallest(studies, high * studies, chances(high)[place], high == FEWEST_PEOPLE)

    return tuple(fewest(place) for place in range(len(goals)))


@dataclass(frozen=True)
class _View:
    """Tomorrow's posteriors after further studies of one size, read once.

    ``log_bf`` has by Bayes factor its logarithm in each future.
    """

    seen: Prospect
    futures: Futures
    after: Tomorrow
    log_bf: Mapping[str, Array]

    def chance(self, goal: Goal) -> Chance:
        """How probable a goal is."""
        if goal.claim is None:
            assert goal.width is not None
            margins = goal.width - self.width()
        else:
            margins = _margins(goal.claim, self.values(goal.claim.quantity))
        probability = self.futures.probability(margins)
        return Chance(probability, self.futures.error(probability))

    def width(self) -> Array:
        """The width of the interval of rho_median, on r."""
        return self.values(Quantity("upper")) - self.values(Quantity("lower"))

    def values(self, quantity: Quantity) -> Array:
        """A quantity in each future (F); of Bayes factors the logarithm."""
        if quantity.is_bayes_factor:
            return self.log_bf[quantity.name]
        if quantity.name in ("rho_median", "lower", "upper"):
            return self._mean_quantiles[quantity.name]
        if quantity.name in ("new_lower", "new_upper"):
            return np.tanh(self._new.quantile(self._shares[quantity.name.removeprefix("new_")]))
        assert quantity.threshold is not None
        laws = self._means if quantity.name == "rho" else self._new
        return 1 - laws.cdf(np.array(math.atanh(quantity.threshold)))

    @property
    def _shares(self) -> dict[str, float]:
        tail = (1 - self.seen.prob) / 2
        return {"rho_median": 0.5, "lower": tail, "upper": 1 - tail}

    @cached_property
    def _mean_quantiles(self) -> dict[str, Array]:
        return {name: np.tanh(self._means.quantile(p)) for name, p in self._shares.items()}

    @cached_property
    def _means(self) -> NormalMixtures | Curves:
        return self.after.means

    @cached_property
    def _new(self) -> NormalMixtures:
        return self.after.new


def _view(seen: Prospect, further: Further) -> _View:
    futures = (
        grid(seen.now, further, seen.count)
        if further.studies == 1
        else draw(seen.now, further, seen.noise)
    )
    after = tomorrow(seen.now, further, futures)
    log_bf = {
        name: today_is + after.log_density - log_predictive(null, further, futures)
        for name, (today_is, null) in seen.nulls.items()
    }
    return _View(seen, futures, after, log_bf)


def _margins(claim: Claim, values: Array) -> Array:
    """How far values lie on the claim's side (``Claim.margin``); Bayes factors as logarithms."""
    number = math.log(claim.value) if claim.quantity.is_bayes_factor else claim.value
    apart = values - number
    return apart if claim.asks_for_more else -apart


def _refused_model(problem: Problem, settings: Settings) -> str | None:
    """Why tomorrow's posterior has no closed form; None when it has."""
    engine, reason = choose(problem, settings.engine)
    if engine != "exact":
        return f"it is sampled here ({reason}), and assurance needs the exact engine"
    if problem.measure != "ZCOR":
        return (
            f"the sampling variance of measure {problem.measure} does not follow from the number "
            "of people alone; use ZCOR"
        )
    if settings.interval.kind != "eti":
        return "tomorrow's intervals are equal-tailed, and the config has interval: kind: hdi"
    for name, applied in problem.priors.items():
        if applied.prior.is_reference:
            return (
                f"the prior of {name}, {applied.prior}, depends on the rows' standard errors, so "
                "that a further study changes it; use another prior"
            )
    if problem.reporting is not None or not problem.is_gaussian:
        return "it needs normal rows and effects without selection"
    if not exact.is_conjugate(problem) and len(exact.hard_dimensions(problem)) > _MOST_HARD:
        return (
            f"its posterior is over {', '.join(exact.hard_dimensions(problem))}, and with interval "
            "rows, or a prior of mu that is not normal, one parameter of heterogeneity is the most"
        )
    if all(problem.prior(name).is_point for name in problem.coefficients):
        return "its mean is held at a value, and no study teaches anything about it"
    return None


def _refused_null(problem: Problem, quantity: Quantity) -> str | None:
    """Why the model without a parameter has no posterior here; None when it has."""
    if not quantity.is_bayes_factor:
        return None
    without = _without(problem, quantity)
    return improper(without) or exact.covers(without)


def _without(problem: Problem, quantity: Quantity) -> Problem:
    null = null_of(problem, quantity)
    assert null is not None
    return held(problem, null)
