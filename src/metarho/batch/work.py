"""What a batch has to compute: single fits, and blocks of them that are computed together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from metarho.compare.quantities import way
from metarho.engines import exact, nuts
from metarho.engines.problem import Problem
from metarho.fitting import Settings

# Fits of a block by what one costs: a block is what is lost when its process is killed, and what
# an interrupt waits for; large ones share more. Sampled fits are kept one by one, and share what
# was compiled.
MOST = {"at once": 256, "one by one": 16, "slow": 1, "sampled": 50}
# Seconds a fit and a compiled model take, measured on two cores of 2026: for the plan's estimate.
SECONDS = {"at once": 0.003, "one by one": 0.4, "slow": 10.0, "sampled": 1.5}
COMPILING = 10.0


@dataclass(frozen=True)
class Work:
    """One fit that is wanted: the key of its result, its problem, engine, and why this engine."""

    key: str
    problem: Problem
    engine: str
    reason: str


@dataclass(frozen=True)
class Block:
    """Fits of one structure, computed by one process one after another."""

    works: tuple[Work, ...]

    @property
    def engine(self) -> str:
        """The engine of all."""
        return self.works[0].engine

    def of(self, keys: Collection[str]) -> Block:
        """The block of some of the fits."""
        return Block(tuple(work for work in self.works if work.key in keys))


def structure_of(work: Work) -> tuple[object, ...]:
    """What works must share to share what is computed or compiled once."""
    engine = exact if work.engine == "exact" else nuts
    return tuple(engine.structure(work.problem))


def cost(work: Work, settings: Settings) -> str:
    """What kind of cost a fit is, a key of ``MOST`` and ``SECONDS``."""
    return "sampled" if work.engine == "nuts" else way(work.problem, settings)


def blocks(works: Iterable[Work], settings: Settings) -> Iterator[Block]:
    """Works in blocks: those of one structure together, in the order of their first."""
    groups: dict[tuple[object, ...], list[Work]] = {}
    for work in works:
        groups.setdefault((cost(work, settings), *structure_of(work)), []).append(work)
    for (kind, *_), group in groups.items():
        most = MOST[str(kind)]
        for start in range(0, len(group), most):
            yield Block(tuple(group[start : start + most]))


def seconds(found: Sequence[Block], settings: Settings) -> float:
    """About how long blocks take, one process at work."""
    total = 0.0
    for block in found:
        kind = cost(block.works[0], settings)
        total += len(block.works) * SECONDS[kind] + (COMPILING if kind == "sampled" else 0.0)
    return total
