"""A fit: the result of a problem, with its verdict, whichever engine made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import Problem
from metarho.posterior.exact import Exact
from metarho.posterior.leave_out import LeaveOut, leave_out
from metarho.posterior.marginals import NOTHING, Kind, Marginal, Summary
from metarho.posterior.study_likelihood import log_jacobian
from metarho.representations import Shown
from metarho.spec.analysis import Interval, Sampler
from metarho.spec.document import without_control

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import RenderableType

    from metarho.posterior.custom import Custom
    from metarho.posterior.sampled import Sampled

type Array = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """The two engines compared: the largest difference in MCSE and the threshold for it."""

    largest: float
    quantity: str
    compared: int
    threshold: float
    reran: bool

    @property
    def holds(self) -> bool:
        """Whether the engines agree."""
        return self.largest <= self.threshold


@dataclass(frozen=True)
class Fit:
    """The posterior of a problem.

    ``status`` (ok, warnings, not reportable) is about computation only, with ``reasons``;
    ``notes`` are remarks about data or model.
    """

    problem: Problem
    engine: str
    reason: str
    result: Quadrature | Draws
    seed: int
    sampler: Sampler
    status: str
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    agreement: Agreement | None = None
    interval: Interval = field(default_factory=Interval)

    @cached_property
    def posterior(self) -> Exact | Sampled | Custom:
        """The result read as marginals."""
        if isinstance(self.result, Quadrature):
            return Exact(self.problem, self.result)
        if self.problem.model.custom is not None:
            from metarho.posterior.custom import Custom

            return Custom(self.problem, self.result, self.seed)
        # Loaded here: ArviZ's statistics load scipy.stats, which exact fits do without.
        from metarho.posterior.sampled import Sampled

        return Sampled(self.problem, self.result, self.seed)

    @property
    def log_evidence(self) -> float | None:
        """Log marginal likelihood, a density of z for correlations (GEN: of yi).

        Of draws by bridge sampling, with error ``log_evidence_mcse``. None with improper priors.
        """
        if self.result.log_evidence is None:
            return None
        return self.result.log_evidence + float(log_jacobian(self.problem).sum())

    @property
    def log_evidence_mcse(self) -> float | None:
        """Monte Carlo standard error of the log evidence; None where it is integrated."""
        return self.result.log_evidence_mcse if isinstance(self.result, Draws) else None

    @property
    def quad_err(self) -> float | None:
        """Largest error of the quadrature; None where sampled."""
        return self.result.quad_err if isinstance(self.result, Quadrature) else None

    @cached_property
    def parameters(self) -> Mapping[str, Summary]:
        """The five numbers of every parameter, on the model's scale."""
        return {
            name: marginal.summary(self.interval.prob, self._kind)
            for name, marginal in self.posterior.parameters.items()
        }

    @cached_property
    def derived(self) -> Mapping[str, Summary]:
        """rho_median and rho_mean on r at the headline row, I² in percent, H²."""
        return self.posterior.derived(self.interval.prob, self._kind)

    @cached_property
    def pooled(self) -> Summary:
        """The headline: rho_median, or for GEN the mean at the average row."""
        if self.problem.scale != "yi":
            return self.derived["rho_median"]
        return self._summary(self.posterior.mean_of(self.posterior.head))

    @property
    def pooled_new(self) -> Summary:
        """A new study on the scale of the headline."""
        return self.new_study["theta" if self.problem.scale == "yi" else "rho"]

    @cached_property
    def new_study(self) -> Mapping[str, Summary]:
        """A new study at the headline row: theta on the model's scale, rho on r."""
        theta = self.posterior.theta_new(self.posterior.head)
        return {"theta": self._summary(theta), "rho": self._rho(theta)}

    @cached_property
    def diagnostics(self) -> Mapping[str, object] | None:
        """R-hat, ESS, divergences; None for exact fits."""
        if isinstance(self.result, Quadrature):
            return None
        from metarho.posterior.sampled import diagnostics

        return diagnostics(self.problem, self.result)

    @cached_property
    def outliers(self) -> Mapping[str, float] | None:
        """Effect -> P(it is of the wide part of a mixture); None where effects are no mixture."""
        if self.problem.model.effects != "mixture":
            return None
        from metarho.posterior.effects import outlier_probabilities
        from metarho.posterior.joint import hyperparameters_of_sample
        from metarho.posterior.sampled import Sampled

        assert isinstance(self.posterior, Sampled)
        given = hyperparameters_of_sample(self.posterior)
        chances = outlier_probabilities(self.problem, given).mean(axis=0)
        return dict(zip(self.problem.evidence.effect_names, chances.tolist(), strict=True))

    @cached_property
    def leave_out(self) -> LeaveOut | None:
        """How each study and effect is predicted by the others; None where sampled."""
        if not isinstance(self.result, Quadrature):
            return None
        return leave_out(self.problem, self.result)

    @cached_property
    def tree(self) -> xr.DataTree:
        """Everything as a DataTree that ArviZ's functions accept; exact fits with fresh draws."""
        from metarho.posterior.tree import tree_of

        return tree_of(self)

    def __repr__(self) -> str:
        """Model, number of effects, headline and status."""
        pooled = self.pooled
        # Here, not above: rows of what is printed are made from fits.
        from metarho.posterior.printed import interval, interval_name, number

        mean = "mean" if self.problem.scale == "yi" else "rho"
        name = without_control(self.problem.model.name)
        return (
            f"<Fit {name}: k = {self.problem.evidence.k}, {mean} = {number(pooled.median)} "
            f"{interval(pooled)} ({interval_name(self)}), {self.engine}, {self.status}>"
        )

    def __rich__(self) -> RenderableType:
        """What a terminal shows of it: the table of ``metarho show``."""
        return self._shown.rich()

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        return self._shown.html()

    @property
    def _shown(self) -> Shown:
        from metarho.posterior.printed import shown_fit

        return shown_fit(self)

    @property
    def _kind(self) -> Kind:
        return self.interval.kind

    def _summary(self, marginal: Marginal) -> Summary:
        return marginal.summary(self.interval.prob, self._kind)

    def _rho(self, theta: Marginal) -> Summary:
        if self.problem.scale == "yi":
            return NOTHING
        return self._summary(self.posterior.rho(theta))


def as_dict(fit: Fit) -> dict[str, object]:
    """A fit as plain values: what ``metarho fit --json`` prints.

    ``quantities`` has by name all that is printed of it, which includes tau² and P(> 0).
    """
    # Loaded here: it is made of fits.
    from metarho.posterior.printed import shown

    evidence = fit.problem.evidence

    def five(summaries: Mapping[str, Summary]) -> dict[str, dict[str, float | None]]:
        return {name: _finite(summary) for name, summary in summaries.items()}

    return {
        "status": fit.status,
        "reasons": list(fit.reasons),
        "engine": fit.engine,
        "reason": fit.reason,
        "notes": list(fit.notes),
        "k_effects": evidence.k,
        "k_studies": len(evidence.study_names),
        "measure": fit.problem.measure,
        "scale": fit.problem.scale,
        "interval": {"prob": fit.interval.prob, "kind": fit.interval.kind},
        "priors": {name: str(applied.prior) for name, applied in fit.problem.priors.items()},
        "parameters": five(fit.parameters),
        "derived": five(fit.derived),
        "new_study": five(fit.new_study),
        "quantities": {
            row.name: {**_finite(row.summary), "above_zero": row.above_zero, "scale": row.scale}
            for row in shown(fit)
        },
        "outliers": dict(fit.outliers) if fit.outliers is not None else None,
        "log_evidence": fit.log_evidence,
        "log_evidence_mcse": fit.log_evidence_mcse,
        "quad_err": fit.quad_err,
        "agreement": fit.agreement.largest if fit.agreement else None,
        "diagnostics": dict(fit.diagnostics) if fit.diagnostics is not None else None,
    }


def _finite(summary: Summary) -> dict[str, float | None]:
    return {
        name: None if value is None or not np.isfinite(value) else float(value)
        for name, value in (
            ("mean", summary.mean),
            ("sd", summary.sd),
            ("median", summary.median),
            ("lower", summary.lower),
            ("upper", summary.upper),
        )
    }
