"""What was said of new studies as rows and as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from metarho.batch.prediction import Answer, Answers
from metarho.batch.tables import above, five, prediction_row
from metarho.compare.rows import Row, Value
from metarho.compare.which_prior import Candidate
from metarho.posterior.exact import Exact
from metarho.posterior.fit import Fit
from metarho.posterior.marginals import Summary
from metarho.predict.new_studies import Law, Prediction
from metarho.predict.together import Together, draw_together
from metarho.spec.analysis import Profile


def rows_of(answers: Answers) -> list[Row]:
    """One row a quantity."""
    return [row for answer in answers.answers for row in _rows(answer, answers.thresholds)]


def together_rows(answers: Answers) -> list[Row]:
    """One row an event about all new studies, or about two."""
    return [
        row
        for candidate, drawn in answers.together
        for row in _together_rows(candidate, drawn, answers.thresholds)
    ]


def as_dicts(answers: Answers) -> list[dict[str, object]]:
    """The answers as plain values."""
    return [_as_dict(answer, answers) for answer in answers.answers]


def _rows(answer: Answer, thresholds: Sequence[float]) -> list[Row]:
    candidate = answer.candidate
    head: dict[str, Value] = {
        "model": candidate.model,
        "priors": candidate.prior_set,
        "intervals": candidate.intervals,
        "new_study": answer.profile.label,
        "stands_at": answer.stands,
    }
    problem = candidate.fit.problem
    return [{**head, **prediction_row(problem, item, thresholds)} for item in answer.items]


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
        each = event.mean(axis=0)
        # Beside what multiplying, as if mu and tau were known, would give.
        for which, together, apart in (
            ("all", event.all(axis=1), np.prod(each)),
            ("at least one", event.any(axis=1), 1 - np.prod(1 - each)),
        ):
            share, error = drawn.probability(together)
            numbers = {"probability": share, "mcse": error, "if_independent": float(apart)}
            rows.append({**head, "event": f"{which}: {name}", **numbers})
    pairs = drawn.correlation[np.triu_indices(len(drawn.labels), 1)]
    rows.append(
        {**head, "event": "correlation of true effects", "probability": float(pairs.mean())}
    )
    return rows


def _as_dict(answer: Answer, answers: Answers) -> dict[str, object]:
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
        found[item.quantity] = _entry(item, answers.thresholds)
    if answer.own is not None:
        found["observed_by_own_law"] = _entry(answer.own, answers.thresholds)
    if answers.prior_only:
        found["before_data"] = expected_of_priors(answer.candidate.fit)
    found["remarks"] = list(answer.remarks)
    return found


def _entry(item: Prediction, thresholds: Sequence[float]) -> dict[str, object]:
    entry: dict[str, object] = {**five(item.summary), "probabilities": above(item, thresholds)}
    if item.quantity == "observed":
        entry |= {"ni": item.ni, "law": item.law, "words": dict(item.words)}
        entry["P(p < .05)"] = item.significant
    return entry


def expected_of_priors(fit: Fit) -> Mapping[str, object]:
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
