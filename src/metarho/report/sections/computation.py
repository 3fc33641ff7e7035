"""How the numbers were computed: engines, errors, diagnostics, versions, files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from metarho.batch.findings import Findings
from metarho.batch.run import provenance
from metarho.report.sections.results import Headline, headlines


def values(found: Findings) -> Mapping[str, object]:
    """Every fit with its engine and diagnostics, notes each once, versions and seed."""
    rows = headlines(found.outcome)
    notes = dict.fromkeys((h.model, note) for h in rows for note in h.fit.notes)
    return {
        "headlines": rows,
        "notes": list(notes),
        "engines": Counter(h.fit.engine for h in rows),
        "exact_error": max((e for h in rows if (e := h.fit.quad_err) is not None), default=None),
        "sampled": any(h.fit.diagnostics for h in rows),
        "worst_r_hat": max(_all(rows, "r_hat"), default=None),
        "least_ess": min([*_all(rows, "ess_bulk"), *_all(rows, "ess_tail")], default=None),
        "refined": _computed_twice(rows),
        "record": provenance(found.plan, found.outcome.fits),
        "why": found.plan.analysis.why,
    }


def _all(rows: Sequence[Headline], name: str) -> list[float]:
    """A diagnostic of every parameter of every sampled fit."""
    found: list[float] = []
    for headline in rows:
        of_fit = (headline.fit.diagnostics or {}).get(name, {})
        assert isinstance(of_fit, dict)
        found += of_fit.values()
    return found


def _computed_twice(rows: Sequence[Headline]) -> str:
    """By what every fit was computed twice; empty where one was not."""
    by_rules = [h for h in rows if h.fit.quad_err is not None]
    by_engines = [h for h in rows if h.fit.agreement]
    if len(by_rules) == len(rows):
        return "by two rules of integration" + ", and by both engines" * (len(by_engines) > 0)
    if all(h.fit.quad_err is not None or h.fit.agreement for h in rows):
        return "by two rules of integration, or by two engines"
    return ""
