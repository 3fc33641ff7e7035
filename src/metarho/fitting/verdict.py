"""Whether a computation can be reported. About computation only, not about data or model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from metarho.engines.exact.quadrature import Quadrature
from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import Problem
from metarho.posterior.fit import Agreement

# Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), 10.1214/20-BA1221.
HIGHEST_R_HAT = 1.01
LEAST_ESS = 400
# Betancourt (2016), arXiv 1604.00695: below, the energy is explored slowly.
LEAST_E_BFMI = 0.3
# An error that a third printed digit could show.
LARGEST_QUAD_ERR = 1e-6


@dataclass(frozen=True)
class Verdict:
    """``status`` (ok, warnings, not reportable) and why."""

    status: str
    reasons: tuple[str, ...]


def judge(problem: Problem, result: Quadrature | Draws, agreement: Agreement | None) -> Verdict:
    """The verdict on a result."""
    failures: list[str] = []
    warnings: list[str] = []
    if isinstance(result, Quadrature):
        # Not `>`: an error that is not a number is a failure too.
        if not result.quad_err <= LARGEST_QUAD_ERR:
            failures.append(f"the quadrature error is {result.quad_err:.1e}")
    else:
        _judge_draws(problem, result, failures, warnings)
    if agreement is not None and not agreement.holds:
        failures.append(
            f"the engines differ by {agreement.largest:.1f} MCSE in the {agreement.quantity} "
            f"(threshold {agreement.threshold:.1f}), after a rerun with four times the draws"
        )
    status = "not reportable" if failures else "warnings" if warnings else "ok"
    return Verdict(status, tuple(failures + warnings))


def _judge_draws(problem: Problem, draws: Draws, failures: list[str], warnings: list[str]) -> None:
    from metarho.posterior.sampled import diagnostics

    found = diagnostics(problem, draws)
    limits = (
        ("r_hat", "R-hat", -math.inf, HIGHEST_R_HAT),
        ("ess_bulk", "bulk ESS", LEAST_ESS, math.inf),
        ("ess_tail", "tail ESS", LEAST_ESS, math.inf),
    )
    for name, label, least, most in limits:
        by_parameter = found[name]
        assert isinstance(by_parameter, dict)
        for parameter, value in by_parameter.items():
            # Not `or`: a diagnostic that is not a number is a failure too.
            if not least <= value <= most:
                failures.append(f"{label} of {parameter} is {value:.4g}; run more draws")
    divergences = found["divergences"]
    if divergences:
        failures.append(
            f"{divergences} divergences left after raising target_accept to "
            f"{draws.target_accept}; try a prior that keeps heterogeneity away from 0"
        )
    if found["max_treedepth"]:
        warnings.append(f"{found['max_treedepth']} draws reached the largest tree depth")
    e_bfmi = found["e_bfmi"]
    assert isinstance(e_bfmi, float)
    if e_bfmi < LEAST_E_BFMI:
        warnings.append(f"E-BFMI is {e_bfmi:.2f}")
