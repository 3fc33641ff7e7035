"""What is asked, and what the author says it is for."""

from __future__ import annotations

from collections.abc import Mapping

from metarho.batch.findings import Findings


def values(found: Findings) -> Mapping[str, object] | None:
    """What the author says of purpose, variables and decisions; None where nothing is said."""
    why = found.plan.analysis.why
    said = {
        "purpose": ("Purpose", why.purpose),
        "bayesian": ("Why Bayesian", why.bayesian),
        "variables": ("Variables", why.variables),
        "decision": ("Decision", why.decision),
        "loss": ("Loss", why.loss),
        "thresholds": ("Thresholds", why.thresholds),
    }
    said = {key: (title, text) for key, (title, text) in said.items() if text is not None}
    return {"said": said} if said else None
