"""What a run would do, and how long it would take: what ``metarho run --dry-run`` prints."""

from __future__ import annotations

from metarho.batch.cell_table import known_answers
from metarho.batch.describe import describe, describe_grid
from metarho.batch.grid import GridPlan
from metarho.batch.running import AnyPlan, task_of, works_of
from metarho.batch.simulation.describe import forecast_simulation
from metarho.batch.simulation.plan import SimulationPlan
from metarho.batch.times import in_words
from metarho.batch.work import blocks, seconds
from metarho.store.store import Store


def forecast(plan: AnyPlan, workers: int) -> list[str]:
    """The lines of a plan, how many of its fits are there already, and the time of the others."""
    if isinstance(plan, SimulationPlan):
        return forecast_simulation(plan, workers)
    lines = describe_grid(plan) if isinstance(plan, GridPlan) else describe(plan)
    works, settings = works_of(plan), task_of(plan, None).settings
    known = known_answers(plan) if isinstance(plan, GridPlan) else {}
    held = Store(plan.output / "store").holds([work.key for work in works])
    left = [work for work in works if work.key not in held and work.key not in known]
    todo = list(blocks(left, settings))
    # A block is one process's, so that fewer blocks than processes take as long as one by one.
    share = seconds(todo, settings) / max(1, min(workers, len(todo)))
    lines.append(
        f"{len(works) - len(left)} of {len(works)} fits are there; {len(left)} are to be made, in "
        f"{len(todo)} blocks: about {in_words(share)}"
    )
    return lines
