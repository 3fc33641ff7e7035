"""The plan of a simulation in words, and how much of it there is and how long the rest takes."""

from __future__ import annotations

from metarho.batch.describe import model_in_words
from metarho.batch.simulation.fill import todo
from metarho.batch.simulation.plan import SECONDS, SimulationPlan
from metarho.batch.times import in_words
from metarho.compare.rows import Value
from metarho.store.store import Store

_NAMES = ("true_mu", "true_tau", "k", "ni", "reporting", "selection")


def describe_simulation(plan: SimulationPlan) -> list[str]:
    """The lines of the plan."""
    simulate = plan.simulation.simulate
    lines = [f"{plan.config}: {plan.simulation.title or plan.config.stem}"]
    lines.append(
        f"{len(plan.truths)} truths, of each {simulate.replications} data sets (seed "
        f"{simulate.seed}); mu and tau are on Fisher's z:"
    )
    for name in _NAMES:
        values: dict[Value, None] = dict.fromkeys(method.decisions[name] for method in plan.methods)
        lines.append(f"  {name.removeprefix('true_')}: {'; '.join(map(str, values))}")
    for name, (model, path) in plan.models.items():
        lines.append(f"model {name} ({path}): {model_in_words(model)}")
        seen = set()
        for method in plan.methods:
            priors = str(method.decisions["priors"])
            if method.decisions["model"] != name or priors in seen or method.problem is None:
                continue
            seen.add(priors)
            said = "; ".join(
                f"{parameter} ~ {applied.prior.described}"
                + (" *" if applied.source != "model" else "")
                for parameter, applied in method.problem.priors.items()
            )
            lines.append(f"  {priors}: {said}")
    lines.append("  * from the prior set; the others are the model's own")
    for reason, count in plan.refusals.most_common():
        lines.append(f"  {count} truths with a model and prior set refused: {reason}")
    answered = len(plan.methods) - sum(plan.refusals.values())
    lines.append(
        f"{answered} times {simulate.replications} fits, in {len(plan.chunks)} chunks; results go "
        f"to {plan.folder}"
    )
    return lines


def forecast_simulation(plan: SimulationPlan, workers: int) -> list[str]:
    """The same, how many chunks are there already, and about how long the others take."""
    left = {chunk.key for chunk in todo(plan.chunks, Store(plan.output / "store"))}
    costs = {
        chunk.key: chunk.length * SECONDS[method.cost]
        for method in plan.methods
        for chunk in method.chunks
        if chunk.key in left
    }
    # A chunk is one process's, so that fewer chunks than processes take as long as one by one.
    share = sum(costs.values()) / max(1, min(workers, len(left)))
    there = len(plan.chunks) - len(left)
    return [
        *describe_simulation(plan),
        f"{there} of {len(plan.chunks)} chunks are there; {len(left)} are to be made: about "
        f"{in_words(share)}",
    ]
