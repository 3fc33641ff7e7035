"""A block computed: one fit that goes wrong harms no other, and none takes longer than it may."""

from __future__ import annotations

import importlib
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cases import molloy, problem
from custom_cases import BARE, custom
from metarho.batch.answers import Asked
from metarho.batch.compute import Done, OutOfTime, Task, compute, time_limit
from metarho.batch.work import Block, Work, blocks
from metarho.engines.problem import encode
from metarho.fitting import Settings, fit_many
from metarho.spec.analysis import Sampler
from metarho.store.keys import key_of
from metarho.store.store import Store

SAMPLER = Sampler(chains=2, draws=100, tune=100)
SETTINGS = Settings(sampler=SAMPLER)
TASK = Task(SETTINGS, Asked((0.0,)))


def exact_works(count: int) -> list[Work]:
    found = []
    for index in range(count):
        one = problem(molloy(), "random-effects", tau=f"HalfNormal(sigma={0.1 + index / 10})")
        found.append(Work(key_of(one, "exact", SAMPLER), one, "exact", "asked for"))
    return found


def sampled(folder: Path, source: str) -> Work:
    one = encode(custom(folder, source), molloy())
    return Work(key_of(one, "nuts", SAMPLER), one, "nuts", "asked for")


def first_doing(what: str) -> str:
    """A custom model that does something before it is built."""
    return BARE.replace("    with pm.Model", f"    {what}\n    with pm.Model")


def run(block: Block, task: Task, store: Store | None) -> list[Done]:
    return list(compute(block, task, store, lambda: False))


def test_each_fit_of_a_block_is_in_the_store_when_it_is_told(tmp_path: Path) -> None:
    store, works = Store(tmp_path), exact_works(3)
    for done in compute(Block(tuple(works)), TASK, store, lambda: False):
        assert store.read(done.key) is not None
        assert done.result is None
        assert done.answer is not None
        assert done.status == "ok"


def test_without_a_store_the_results_are_handed_on() -> None:
    works = exact_works(2)
    for work, done in zip(works, run(Block(tuple(works)), TASK, None), strict=True):
        assert done.result is not None
        (fit,) = fit_many([work.problem], SETTINGS)
        assert done.result.log_evidence == fit.result.log_evidence


def test_a_fit_that_raises_is_told_with_its_reason_and_the_others_go_on(tmp_path: Path) -> None:
    first, broken, last = exact_works(3)
    # No engine has such a prior: what reads it raises.
    prior = replace(broken.problem.prior("tau"), family="Nonsense")
    applied = replace(broken.problem.priors["tau"], prior=prior)
    wrong = replace(broken.problem, priors={**broken.problem.priors, "tau": applied})
    block = Block((first, replace(broken, problem=wrong), last))
    found = run(block, TASK, Store(tmp_path))
    assert [(done.key, done.failure is None) for done in found] == [
        (first.key, True),
        (broken.key, False),
        (last.key, True),
    ]
    assert found[1].failure == "KeyError: 'Nonsense'"
    alone = run(Block((last,)), TASK, None)
    assert found[2].answer == alone[0].answer


def test_a_custom_model_that_raises_says_what_it_raised(tmp_path: Path) -> None:
    wrong = BARE.replace(
        "    with pm.Model", "    raise RuntimeError('not today')\n    with pm.Model"
    )
    (done,) = run(Block((sampled(tmp_path, wrong),)), TASK, Store(tmp_path))
    assert done.failure is not None
    assert "not today" in done.failure
    assert done.status == "failed"


def test_a_fit_that_takes_longer_than_the_limit_is_ended(tmp_path: Path) -> None:
    slow = BARE.replace(
        "    with pm.Model", "    import time\n    time.sleep(60)\n    with pm.Model"
    )
    task = replace(TASK, limit=0.5)
    (done,) = run(Block((sampled(tmp_path, slow),)), task, Store(tmp_path))
    assert done.failure == "took longer than the limit of 0.5 s"


def test_an_import_is_not_cut_short_by_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "import time\ntime.sleep(0.2)\nwhole = True\n"
    (tmp_path / "slow_to_load.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(OutOfTime), time_limit(0.05):
        importlib.import_module("slow_to_load")
        time.sleep(60)
    assert sys.modules.pop("slow_to_load").whole


@pytest.mark.slow
def test_sampling_that_takes_longer_than_the_limit_is_ended(tmp_path: Path) -> None:
    sampler = Sampler(chains=2, draws=1_000_000, tune=1_000_000)
    task = Task(Settings(sampler=sampler), None, limit=25)
    done = run(Block((sampled(tmp_path, BARE),)), task, Store(tmp_path))[0]
    assert done.failure == "took longer than the limit of 25 s"
    assert done.seconds < 60


def test_between_fits_a_request_to_stop_is_heard(tmp_path: Path) -> None:
    store, works, told = Store(tmp_path), exact_works(5), []
    for done in compute(Block(tuple(works)), TASK, store, lambda: True):
        told.append(done)
    assert told == []
    answers = iter([False, False, True])
    told = list(compute(Block(tuple(works)), TASK, store, lambda: next(answers, True)))
    assert 0 < len(told) < 5
    assert all(store.read(done.key) is not None for done in told)


def test_blocks_share_a_structure_and_keep_every_work_once() -> None:
    here = exact_works(300)
    other = problem(molloy(), "common-effect")
    there = Work(key_of(other, "exact", SAMPLER), other, "exact", "asked for")
    found = list(blocks([*here[:10], there, *here[10:]], SETTINGS))
    assert [len(block.works) for block in found] == [256, 44, 1]
    assert [w.key for block in found for w in block.works] == [*(w.key for w in here), there.key]


@pytest.mark.parametrize("limit", [None, 5.0])
def test_a_limit_that_is_not_reached_changes_nothing(limit: float | None) -> None:
    block = Block(tuple(exact_works(2)))
    plain = [done.answer for done in run(block, TASK, None)]
    assert [done.answer for done in run(block, replace(TASK, limit=limit), None)] == plain
