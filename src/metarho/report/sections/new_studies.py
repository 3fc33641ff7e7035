"""What a new study would see."""

from __future__ import annotations

from collections.abc import Mapping

from metarho.batch.findings import Findings
from metarho.predict.new_studies import Prediction


def values(found: Findings) -> Mapping[str, object] | None:
    """The predictions of every cell; None where no new study is asked about."""
    predictions: list[tuple[str, str, str, Prediction]] = [
        (cell.label, cell.prior_set, cell.intervals, prediction)
        for cell, of_cell in zip(found.plan.cells, found.outcome.predictions, strict=True)
        for prediction in of_cell
    ]
    return {"predictions": predictions} if predictions else None
