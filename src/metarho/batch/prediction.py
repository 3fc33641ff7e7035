"""New studies asked of a plan's cells or of a saved fit: what each would see, and all together."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from metarho.batch.plan import Cell, Plan, cell_of
from metarho.batch.run import settings_of
from metarho.compare.which_prior import Candidate
from metarho.data.tables import text
from metarho.engines.problem import Problem
from metarho.errors import InputError, did_you_mean
from metarho.fitting import Settings, fit_before_data, fit_many, no_prior_posterior
from metarho.posterior.fit import Fit
from metarho.predict.new_studies import Law, Prediction, predict
from metarho.predict.together import Together, draw_together, not_together
from metarho.spec.analysis import Profile, Thresholds
from metarho.spec.moderator_settings import parse_moderators
from metarho.store.saved import read_saved

TABLE, TOGETHER = "predict.csv", "predict-together.csv"
SAVED = "saved"
# What of a profile has an option of its own.
_OPTIONS = ("label", "ni", "sei")


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

    @property
    def items(self) -> tuple[Prediction, ...]:
        """Mean, true and observed, and what is observed by the model's own law where asked."""
        return self.found if self.own is None else (*self.found, self.own)


@dataclass(frozen=True)
class Answers:
    """What all fits say of all profiles, each of its own and, where several, of them together."""

    candidates: tuple[Candidate, ...]
    answers: tuple[Answer, ...]
    together: tuple[tuple[Candidate, Together], ...]
    thresholds: tuple[float, ...]
    prior_only: bool


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
            fits.append(_of_priors(cell, settings))
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


def _of_priors(cell: Cell, settings: Settings) -> Fit:
    """The posterior of rows that have told nothing."""
    if reason := no_prior_posterior(cell.problem):
        raise InputError(
            f"{cell.label}, prior set {cell.prior_set}: {reason}; priors alone have to be proper, "
            "and integrated exactly: choose another --model or --prior-set"
        )
    return fit_before_data(cell.problem, settings)


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
    return Answers(tuple(candidates), tuple(answers), tuple(together), of_r, prior_only)


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
