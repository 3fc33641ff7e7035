"""New studies asked of a plan's cells or of a saved fit: what each would see, and all together."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metarho.batch.plan import Cell, Plan, cell_of
from metarho.batch.run import settings_of
from metarho.batch.tables import five
from metarho.compare.rows import Row, Value
from metarho.data.tables import text
from metarho.engines import exact
from metarho.engines.problem import Problem, before_data
from metarho.errors import InputError, did_you_mean
from metarho.fitting import choose, fit_many
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Summary
from metarho.predict.new_studies import Law, Prediction, predict
from metarho.predict.together import Together, draw_together, not_together
from metarho.spec.analysis import Interval, Profile, Sampler, Thresholds
from metarho.spec.moderator_settings import parse_moderators
from metarho.store.saved import read_saved

TABLE, TOGETHER = "predict.csv", "predict-together.csv"
SAVED = "saved"
# What of a profile has an option of its own.
_OPTIONS = ("label", "ni", "sei")


@dataclass(frozen=True)
class Candidate:
    """A fit that is asked, and the names of its cell."""

    model: str
    prior_set: str
    intervals: str
    fit: Fit


@dataclass(frozen=True)
class Answer:
    """What a fit says of a profile: by the law asked for, and of what is observed by its own.

    ``stands`` is the full profile in words, ``remarks`` what a reader must know.
    """

    candidate: Candidate
    profile: Profile
    found: tuple[Prediction, ...]
    own: Prediction | None
    stands: str
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Answers:
    """All answers, what is to be said of several new studies at once, and rows of both."""

    answers: tuple[Answer, ...]
    together: tuple[tuple[Candidate, Together], ...]
    thresholds: tuple[float, ...]
    prior_only: bool

    @property
    def rows(self) -> list[Row]:
        """One row a quantity."""
        return [row for answer in self.answers for row in _rows(answer, self.thresholds)]

    @property
    def together_rows(self) -> list[Row]:
        """One row an event about all new studies, or about two."""
        return [
            row
            for candidate, drawn in self.together
            for row in _together_rows(candidate, drawn, self.thresholds)
        ]

    def as_dicts(self) -> list[dict[str, object]]:
        """The answers as plain values."""
        return [_as_dict(answer, self.thresholds) for answer in self.answers]


def cells_asked(
    plan: Plan, model: str | None, prior_set: str | None, intervals: str | None
) -> list[Cell]:
    """The cells of a plan that bear the names given; all where none is.

    Raises InputError for a name that the plan does not have.
    """
    cell_of(plan, model, prior_set, intervals)
    asked = (model, prior_set, intervals)
    return [
        cell
        for cell in plan.cells
        if all(
            name in (None, own)
            for name, own in zip(asked, (cell.model, cell.prior_set, cell.intervals), strict=True)
        )
    ]


def profile_of(
    ni: float | None, sei: float | None, settings: Sequence[str], label: str | None
) -> Profile | None:
    """The profile that options describe; None where they describe none.

    Raises InputError for what is no ``column=value``, and for a size that no study has.
    """
    if ni is None and sei is None and not settings:
        if label is not None:
            raise InputError("--label names a new study; describe it by --ni, --sei or --set")
        return None
    moderators = parse_moderators(settings)
    for name in moderators:
        if name in Profile.model_fields:
            use = f"use --{name}" if name in _OPTIONS else "name it in new_studies: of a config"
            raise InputError(f"--set {name}: no moderator has this name; {use}")
    if ni is not None and not 4 <= ni < math.inf:
        raise InputError(
            f"--ni {ni:g}: a new study has at least 4 people (its variance, 1/(n - 3)), and a "
            "finite number"
        )
    if sei is not None and not 0 < sei < math.inf:
        raise InputError(f"--sei {sei:g}: a standard error is greater than 0 and finite")
    name = text(label) or ", ".join(f"{key} {value}" for key, value in moderators.items())
    return Profile.model_validate(
        {"label": name[:200] or "new study", "ni": ni, "sei": sei, **moderators}
    )


def check_profiles(
    profiles: Sequence[Profile], columns: Collection[str], problems: Sequence[Problem]
) -> None:
    """Raises InputError for a moderator or a level that the evidence does not have."""
    for profile in profiles:
        for name in profile.moderators:
            if name not in columns:
                known = did_you_mean(name, columns) if columns else "its model has no moderators"
                raise InputError(
                    f"new study {profile.label!r}: the evidence has no column {name!r}; {known}"
                )
        for problem in problems:
            try:
                problem.design.encode(profile.moderators)
                problem.scale_design.encode(profile.moderators)
            except InputError as error:
                raise InputError(f"new study {profile.label!r}: {error}") from None


def ask_plan(
    plan: Plan,
    cells: Sequence[Cell],
    profiles: Sequence[Profile],
    law: Law,
    prior_only: bool,
    announce: Callable[[str, Problem | None], None],
    warn: Callable[[str], None],
) -> Answers:
    """Fit cells, through the store, and ask them of new studies. Writes only to the store.

    With ``prior_only`` the rows are taken for unknown: what the priors alone expect. Raises
    InputError where they are improper, or the exact engine cannot integrate them.
    """
    settings = replace(settings_of(plan, announce, warn), agreement=False)
    if prior_only:
        fits = []
        for cell in cells:
            fits.append(_of_priors(cell, settings.interval))
            announce("fitted", cell.problem)
    else:
        fits = fit_many([cell.problem for cell in cells], settings)
    candidates = [
        Candidate(cell.label, cell.prior_set, cell.intervals, fit)
        for cell, fit in zip(cells, fits, strict=True)
    ]
    return _ask(candidates, profiles, plan.analysis.thresholds.rho, law, prior_only)


def ask_saved(path: Path, profile: Profile, law: Law) -> Answers:
    """Ask a saved fit of a new study. Raises InputError for what its model does not have."""
    fit = read_saved(path).fit
    check_profiles([profile], fit.problem.moderators, [fit.problem])
    candidate = Candidate(fit.problem.model.name, SAVED, fit.problem.intervals, fit)
    return _ask([candidate], [profile], Thresholds().rho, law, False)


def _of_priors(cell: Cell, interval: Interval) -> Fit:
    """The posterior of rows that have told nothing."""
    problem = before_data(cell.problem)
    for name, applied in problem.priors.items():
        if not applied.prior.proper:
            raise InputError(
                f"{cell.label}, prior set {cell.prior_set}: {name} ~ {applied.prior} is improper: "
                "before data it gives nothing a probability; choose another --prior-set"
            )
    if refusal := exact.covers(problem):
        raise InputError(f"{cell.label}: priors alone are integrated exactly, and {refusal}")
    engine, _ = choose(problem, "exact")
    quadrature = exact.integrate(problem)
    return Fit(problem, engine, "priors only", quadrature, 0, Sampler(), "ok", interval=interval)


def _ask(
    candidates: Sequence[Candidate],
    profiles: Sequence[Profile],
    thresholds: Sequence[float],
    law: Law,
    prior_only: bool,
) -> Answers:
    of_r = tuple(thresholds) if candidates[0].fit.problem.scale != "yi" else ()
    answers = [
        _answer(candidate, profile, of_r, law) for candidate in candidates for profile in profiles
    ]
    together = []
    if len(profiles) > 1:
        together = [
            (one, draw_together(one.fit, profiles, law))
            for one in candidates
            if not_together(one.fit.problem) is None
        ]
    return Answers(tuple(answers), tuple(together), of_r, prior_only)


def _answer(
    candidate: Candidate, profile: Profile, thresholds: Sequence[float], law: Law
) -> Answer:
    fit = candidate.fit
    problem = fit.problem
    found = predict(fit, profile, thresholds, law)
    own = None
    if law == "exact":
        own = next((p for p in predict(fit, profile, thresholds) if p.quantity == "observed"), None)
    remarks = [*problem.design.beyond(profile.moderators)]
    remarks += problem.scale_design.beyond(profile.moderators)
    unused = sorted(profile.moderators.keys() - problem.moderators)
    if unused:
        remarks.append(f"{', '.join(unused)} has no use in {candidate.model}")
    if all(item.quantity != "observed" for item in found):
        remarks.append(f"what it observes is left out: {_unseen(problem, profile)}")
    return Answer(
        candidate,
        profile,
        tuple(found),
        own,
        problem.design.described(profile.moderators),
        tuple(remarks),
    )


def _unseen(problem: Problem, profile: Profile) -> str:
    """Why the law of what a new study observes is not known."""
    if problem.measure == "COR":
        return "under measure COR its variance depends on the true correlation; use measure ZCOR"
    size = "sei" if problem.measure == "GEN" else "ni"
    if getattr(profile, size) is None:
        return f"it needs the study's {size} (measure {problem.measure})"
    if problem.model.custom is not None:
        return "of a custom model it is known by the exact law only, where it has a theta_new"
    return "of true scores it needs the profile's rxx and ryy"


def _rows(answer: Answer, thresholds: Sequence[float]) -> list[Row]:
    candidate, problem = answer.candidate, answer.candidate.fit.problem
    measured = "yi" if problem.scale == "yi" else "r"
    head: dict[str, Value] = {
        "model": candidate.model,
        "priors": candidate.prior_set,
        "intervals": candidate.intervals,
        "new_study": answer.profile.label,
        "stands_at": answer.stands,
    }
    shown_ones = [*answer.found, *([answer.own] if answer.own is not None else [])]
    return [
        {
            **head,
            "quantity": item.quantity,
            "law": item.law if item.quantity == "observed" else None,
            "scale": measured if item.quantity == "observed" else problem.r_label,
            "ni": item.ni if item.quantity == "observed" else None,
            **five(item.summary),
            **_above(item, thresholds),
            "P(significant)": significant(item),
            **{f"P({word})": p for word, p in item.words.items()},
        }
        for item in shown_ones
    ]


def significant(item: Prediction) -> float | None:
    """P(p < .05), two-sided; None where no words are known."""
    if not item.words:
        return None
    return 1 - item.words["not significant"]


def _above(item: Prediction, thresholds: Sequence[float]) -> dict[str, float]:
    return {
        f"P(> {threshold:g})": probability
        for threshold, probability in zip(thresholds, item.probabilities, strict=True)
    }


def _together_rows(candidate: Candidate, drawn: Together, thresholds: Sequence[float]) -> list[Row]:
    """P(all), P(at least one) of events; the correlation of true effects between studies."""
    head: dict[str, Value] = {
        "model": candidate.model,
        "priors": candidate.prior_set,
        "intervals": candidate.intervals,
        "new_studies": len(drawn.labels),
    }
    events: dict[str, NDArray[np.bool_]] = {f"true > {t:g}": drawn.true > t for t in thresholds}
    if not np.isnan(drawn.observed).any():
        events |= {f"observed > {t:g}": drawn.observed > t for t in thresholds}
        if not np.isnan(drawn.sizes).any():
            events["significant"] = drawn.significant
    rows: list[Row] = []
    for name, event in events.items():
        for which, together in (("all", event.all(axis=1)), ("at least one", event.any(axis=1))):
            share, error = drawn.probability(together)
            apart = float(np.prod(event.mean(axis=0)))
            rows.append(
                {
                    **head,
                    "event": f"{which}: {name}",
                    "probability": share,
                    "mcse": error,
                    # What multiplying them, as if mu and tau were known, would give.
                    "if_independent": apart
                    if which == "all"
                    else 1 - float(np.prod(1 - event.mean(axis=0))),
                }
            )
    pairs = drawn.correlation[np.triu_indices(len(drawn.labels), 1)]
    rows.append(
        {**head, "event": "correlation of true effects", "probability": float(pairs.mean())}
    )
    return rows


def _as_dict(answer: Answer, thresholds: Sequence[float]) -> dict[str, object]:
    found: dict[str, object] = {
        "model": answer.candidate.model,
        "prior": answer.candidate.prior_set,
        "intervals": answer.candidate.intervals,
        "profile": answer.profile.model_dump(exclude_none=True),
        "mean": None,
        "true": None,
        "observed": None,
    }
    for item in answer.found:
        found[item.quantity] = _entry(item, thresholds)
    if answer.own is not None:
        found["observed_by_own_law"] = _entry(answer.own, thresholds)
    if answer.candidate.fit.reason == "priors only":
        found["before_data"] = before(answer.candidate.fit)
    found["remarks"] = list(answer.remarks)
    return found


def _entry(item: Prediction, thresholds: Sequence[float]) -> dict[str, object]:
    entry: dict[str, object] = {**five(item.summary), "probabilities": _above(item, thresholds)}
    if item.quantity == "observed":
        entry |= {"ni": item.ni, "law": item.law, "words": dict(item.words)}
        entry["P(p < .05)"] = significant(item)
    return entry


def before(fit: Fit) -> Mapping[str, object]:
    """What priors say of heterogeneity and of signs: tau, I² and the share of effects below 0."""
    assert isinstance(fit.posterior, Exact)
    prob, kind = fit.interval.prob, fit.interval.kind
    i2 = fit.posterior.i2()
    theta = fit.posterior.theta_new(fit.posterior.head)

    def plain(summary: Summary | None) -> Mapping[str, Value] | None:
        return None if summary is None else five(summary)

    return {
        "tau": plain(fit.posterior.tau.summary(prob, kind)),
        "I2": plain(None if i2 is None else i2.summary(prob, kind)),
        "share_below_0": float(np.atleast_1d(theta.cdf(np.zeros(1)))[0]),
    }


def draw_rows(candidate: Candidate, profiles: Sequence[Profile], law: Law) -> list[Row]:
    """Joint draws of new studies, one row a draw and profile."""
    drawn = draw_together(candidate.fit, profiles, law)
    return [
        {
            "draw": index,
            "new_study": label,
            "mean": float(drawn.mean[index, place]),
            "true": float(drawn.true[index, place]),
            "observed": None if np.isnan(seen := drawn.observed[index, place]) else float(seen),
        }
        for index in range(len(drawn.mean))
        for place, label in enumerate(drawn.labels)
    ]
