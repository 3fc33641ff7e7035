"""The evidence: every row and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from metarho.batch.findings import Findings


def values(found: Findings) -> Mapping[str, object]:
    """Rows in and out with their reasons, forms of printing, what statistics rows are."""
    evidence = found.plan.evidence
    return {
        "outside": Counter(row.reason for row in evidence.rows if not row.included),
        "kinds": Counter(row.reported for row in evidence.rows if row.included),
        "statistics": _statistics(found),
        "why": found.plan.analysis.why,
    }


def _statistics(found: Findings) -> Mapping[str, int]:
    """How many rows used are about what, where the evidence has a column ``statistic``."""
    evidence = found.plan.evidence
    if "statistic" not in evidence.table.columns:
        return {}
    return Counter(str(cell) for cell in evidence.moderator("statistic"))
