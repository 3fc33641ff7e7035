"""Whether the model fits what was printed, and what hangs on a single study."""

from __future__ import annotations

from collections.abc import Mapping

from metarho.batch.findings import Findings


def values(found: Findings) -> Mapping[str, object]:
    """Posterior predictive checks and surprises of the answer; the reason where there are none."""
    return {"checked": found.checked, "absent": found.absent.get("checks")}
