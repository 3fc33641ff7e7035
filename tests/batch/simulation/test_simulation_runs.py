"""``simulate:`` from config to table: right, kept, extended, the same whoever computes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cases import model
from command_line import CommandLine, rows_in
from metarho.api import fit
from metarho.batch.simulation.chunk import kept
from metarho.batch.simulation.plan import plan_simulation
from metarho.batch.simulation.truth import draw, studies_of
from metarho.errors import InputError
from metarho.spec.simulation import read_simulation
from metarho.store.store import Store
from metarho.store.tables import tables_of

TEXT = """\
simulate:
  mu: [0, 0.2]
  tau: [0.3]
  k: [6]
  ni: [40, [20, 60]]
  replications: 60
  seed: 7
models: [random-effects, common-effect]
"""


def config(folder: Path, text: str = TEXT) -> Path:
    for part in ("models", "configs"):
        (folder / part).mkdir(exist_ok=True)
    path = folder / "configs" / "sim.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def command(command: CommandLine) -> CommandLine:
    config(command.folder)
    return command


def sources(folder: Path) -> list[str]:
    lines = (folder / "run.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["source"] for line in lines]


def files(folder: Path) -> dict[str, bytes]:
    names = ("simulation.csv", "simulation.parquet", "config.resolved.yaml", "run.json")
    return {name: (folder / name).read_bytes() for name in names}


def test_what_is_kept_of_a_data_set_is_its_fit(command: CommandLine) -> None:
    assert command.run("run", "sim")[0] == 0
    plan = plan_simulation(command.folder / "configs" / "sim.yaml")
    tables = tables_of(Store(plan.output / "store"))
    for chunk in plan.chunks[::3]:
        columns = kept(chunk, tables)
        assert columns is not None
        for place in (0, chunk.length - 1):
            z = draw(chunk.truth, chunk.truth.generator(7, chunk.start + place))
            one = fit(model(chunk.model.name), studies_of(chunk.truth, z))
            for name, summary in (("mu", one.parameters["mu"]), ("new", one.new_study["theta"])):
                for what in ("median", "lower", "upper"):
                    value = columns[f"{name}_{what}"][place]
                    # As far as either finds a quantile.
                    assert value == pytest.approx(getattr(summary, what), abs=1e-9)


def test_the_table_says_how_often_intervals_of_either_model_cover(command: CommandLine) -> None:
    command.run("run", "sim")
    rows = rows_in(command.folder / "outputs" / "sim" / "simulation.csv")
    mean = [row for row in rows if row["quantity"] == "rho_median"]
    assert len(mean) == 2 * 2 * 2
    for row in mean:
        assert (row["status"], row["replications"]) == ("ok", "60")
        covered = float(row["coverage"])
        # One true effect for all, where they vary by .3: its intervals cover about .65 (±.06).
        assert covered < 0.85 if row["model"] == "common-effect" else covered > 0.85
    both = [row for row in mean if (row["true_mu"], row["ni"]) == ("0.2", "40")]
    # The same data sets: what the models say of them differs by their priors alone.
    assert abs(float(both[0]["bias"]) - float(both[1]["bias"])) < 0.05


def test_a_second_run_computes_nothing_and_two_processes_find_the_same(
    command: CommandLine,
) -> None:
    command.run("run", "sim")
    folder = command.folder / "outputs" / "sim"
    first = files(folder)
    command.run("run", "sim")
    assert files(folder) == first
    assert set(sources(folder)) == {"store"}
    command.run("run", "sim", "--workers", "2", "--output", "other")
    assert files(command.folder / "other" / "sim") == first


def test_a_damaged_chunk_is_set_aside_and_made_again(command: CommandLine) -> None:
    command.run("run", "sim")
    folder = command.folder / "outputs" / "sim"
    first = files(folder)
    stored = sorted((command.folder / "outputs" / "store" / "simulations").rglob("*.json"))
    stored[0].write_text(stored[0].read_text("utf-8").replace('"ok"', '"ko"', 1), "utf-8")
    stored[1].write_bytes(stored[1].read_bytes()[:100])
    code, _, err = command.run("run", "sim")
    assert code == 0
    assert err.count("set aside") == 2
    assert files(folder) == first
    assert sorted(sources(folder)).count("computed") == 2


def test_a_dry_run_says_what_there_is(command: CommandLine) -> None:
    code, out, _ = command.run("run", "sim", "--dry-run")
    assert code == 0
    assert "4 truths, of each 60 data sets (seed 7)" in out
    assert "0 of 16 chunks are there; 16 are to be made" in out
    assert not (command.folder / "outputs").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("tau: [0.3]", "tau: [-0.3]", "greater than or equal to 0"),
        ("mu: [0, 0.2]", "mu: [0, 0]", "a value is named twice"),
        ("ni: [40", "ni: [3", "4"),
        ("ni: [40", "ni: [{from: nothing}", "nothing"),
        ("replications: 60", "replications: 1", "greater than or equal to 2"),
        ("k: [6]", "k: []", "at least one value"),
        ("models", "studies: {source: internet-alliance}\nmodels", "not both"),
        ("models", "grid: {}\nmodels", "lists of simulate"),
        ("random-effects", "three-level-moderators", "needs moderators"),
        ("random-effects", "true-score", "needs reliabilities"),
    ],
)
def test_what_a_simulation_cannot_be_is_refused_with_its_place(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    with pytest.raises(InputError, match=said) as error:
        plan_simulation(config(tmp_path, TEXT.replace(old, new, 1)))
    assert "sim.yaml:" in str(error.value)


def test_other_commands_say_that_there_is_no_evidence(command: CommandLine) -> None:
    code, out, err = command.run("compare", "sim")
    assert (code, out) == (2, "")
    assert "simulates its data" in err


def test_sizes_may_be_those_of_a_shipped_set(tmp_path: Path) -> None:
    text = TEXT.replace("[40, [20, 60]]", "[{from: internet-alliance}]")
    found = read_simulation(config(tmp_path, text))[0]
    assert found.simulate.ni[0] is not None
    plan = plan_simulation(config(tmp_path, text))
    assert {len(truth.sizes) for truth in plan.truths} == {6}
    assert len(np.unique(plan.truths[0].sizes)) > 1
