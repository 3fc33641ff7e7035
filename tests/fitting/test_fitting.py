"""Choosing engines, judging results, comparing engines, remarks, keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cases import alliance, model, molloy, problem, written
from grammar_cases import Part
from metarho.engines import exact
from metarho.engines.nuts.draws import Draws
from metarho.engines.problem import encode
from metarho.errors import InputError
from metarho.fitting import Settings, choose, fit_many
from metarho.fitting.agreement import compare, threshold
from metarho.fitting.notes import notes_on
from metarho.fitting.verdict import judge
from metarho.posterior.joint import independent_draws
from metarho.spec.analysis import Sampler
from metarho.store.keys import key_of, seed_of
from metarho.store.store import Store


def _perfect_draws(shift: float = 0.0, chains: int = 4, draws: int = 1000) -> Draws:
    """Independent draws of the exact posterior, dressed as a sampler's."""
    encoded = problem(molloy())
    rng = np.random.default_rng(11)
    flat = independent_draws(encoded, exact.integrate(encoded), chains * draws, rng)
    shape = (chains, draws)
    parameters = {name: values.reshape(shape) for name, values in flat.items()}
    parameters["mu"] = parameters["mu"] + shift
    statistics = {
        "diverging": np.zeros(shape),
        "reached_max_treedepth": np.zeros(shape),
        "energy": rng.standard_normal(shape),
    }
    return Draws(parameters, {}, statistics, 0.95, False)


def test_auto_takes_the_exact_engine_and_says_why() -> None:
    engine, reason = choose(problem(molloy()), "auto")
    assert engine == "exact"
    assert "tau" in reason


def test_auto_falls_to_nuts_and_names_the_part() -> None:
    engine, reason = choose(problem(alliance(), "three-level-moderators"), "auto")
    assert engine == "nuts"
    assert "imputed moderators (missing: impute)" in reason


def test_an_engine_that_was_asked_for_and_cannot_answer_is_an_error() -> None:
    slope = {"beta": "Normal(mu=0, sigma=0.25)"}
    with pytest.raises(InputError, match="interval rows with moderators"):
        choose(problem(alliance(), "three-level", "~ guidance", **slope), "exact")


def test_a_model_that_no_engine_covers_names_both_refusals() -> None:
    base = problem(molloy())
    changes = {"likelihood": "exact-r", "effects": "mixture"}
    beyond = replace(base, model=base.model.model_copy(update=changes))
    with pytest.raises(InputError, match=r"no engine covers.*effects: mixture.*does not join"):
        choose(beyond, "auto")


def test_good_draws_are_ok_and_agree() -> None:
    encoded, draws = problem(molloy()), _perfect_draws()
    agreement = compare(encoded, exact.integrate(encoded), draws, 0.95)
    assert agreement.compared == 10
    assert agreement.holds
    assert judge(encoded, draws, agreement).status == "ok"


def test_a_tenth_of_an_sd_is_noticed_by_the_agreement() -> None:
    encoded = problem(molloy())
    agreement = compare(encoded, exact.integrate(encoded), _perfect_draws(0.0036), 0.95)
    assert not agreement.holds
    assert agreement.quantity.endswith("of mu")
    verdict = judge(encoded, _perfect_draws(), agreement)
    assert verdict.status == "not reportable"


def test_the_threshold_is_four_for_one_comparison_and_grows_with_their_number() -> None:
    assert threshold(1) == pytest.approx(4.0)
    assert 4.0 < threshold(10) < threshold(100) < 6


@pytest.mark.parametrize(
    ("damage", "status", "word"),
    [
        ("divergence", "not reportable", "divergences"),
        ("stuck chain", "not reportable", "R-hat"),
        ("few draws", "not reportable", "ESS"),
        ("tree depth", "warnings", "tree depth"),
        ("slow energy", "warnings", "E-BFMI"),
    ],
)
def test_bad_draws_are_judged(damage: str, status: str, word: str) -> None:
    draws = _perfect_draws(draws=60 if damage == "few draws" else 1000)
    parameters, statistics = dict(draws.parameters), dict(draws.statistics)
    if damage == "divergence":
        statistics["diverging"] = statistics["diverging"].copy()
        statistics["diverging"][0, 0] = 1
    if damage == "stuck chain":
        parameters["mu"] = parameters["mu"].copy()
        parameters["mu"][0] += 0.05
    if damage == "tree depth":
        statistics["reached_max_treedepth"] = np.ones_like(statistics["diverging"])
    if damage == "slow energy":
        statistics["energy"] = np.cumsum(statistics["energy"], axis=1)
    verdict = judge(
        problem(molloy()), replace(draws, parameters=parameters, statistics=statistics), None
    )
    assert verdict.status == status
    assert any(word in reason for reason in verdict.reasons)


@pytest.mark.parametrize("error", [1e-3, float("nan")])
def test_a_quadrature_that_did_not_settle_is_not_reportable(error: float) -> None:
    encoded = problem(molloy())
    bad = replace(exact.integrate(encoded), quad_err=error)
    assert judge(encoded, bad, None).status == "not reportable"


def test_notes_say_what_a_reader_should_know() -> None:
    assert any("28 effects come from 19 studies" in note for note in notes_on(problem(alliance())))
    uncentred = problem(alliance("drop"), mods="~ year")
    assert any("center(year)" in note for note in notes_on(uncentred))
    guided = model("random-effects", "~ guidance").model_copy(
        update={"reference": {"guidance": "guided"}}
    )
    silent = encode(guided, alliance("drop"), {}, all_rows=alliance())
    assert any("prior only" in note for note in notes_on(silent))
    first = encode(model("random-effects", "~ guidance"), alliance("drop"), {}, all_rows=alliance())
    assert any("no row is at guidance blended" in note for note in notes_on(first))


def test_notes_say_it_of_the_moderators_of_heterogeneity_too() -> None:
    every = alliance("use", "year >= 2015")
    some = replace(every, rows=tuple(row for row in every.rows if row.included))
    base = Part(alliance, {"scale": "~ guidance"}, {"alpha": "Normal(mu=0, sigma=0.5)"})
    spec = base.model()
    levels = encode(spec, some).scale_design.levels["guidance"]
    kept = alliance("use", f'year >= 2015 and guidance != "{levels[1]}"')
    notes = notes_on(encode(spec, kept, all_rows=some))
    assert any(f"no row informs alpha[guidance[T.{levels[1]}]]" in note for note in notes)
    kept = alliance("use", f'year >= 2015 and guidance != "{levels[0]}"')
    notes = notes_on(encode(spec, kept, all_rows=some))
    assert any("the data inform tau and the slopes of guidance only together" in n for n in notes)


def test_the_key_does_not_depend_on_file_order_or_names(tmp_path: Path) -> None:
    rows = [{"study": s, "ri": r, "ni": n} for s, r, n in (("a", 0.1, 30), ("b", 0.3, 40))]
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    one = problem(written(tmp_path / "1", rows, "ZCOR"))
    two = problem(written(tmp_path / "2", rows[::-1], "ZCOR"))
    assert key_of(one, "exact", Sampler()) == key_of(two, "exact", Sampler())


def test_the_key_depends_on_priors_rows_engine_and_sampler() -> None:
    base = key_of(problem(molloy()), "exact", Sampler())
    others = {
        key_of(problem(molloy(), mu="Normal(mu=0, sigma=0.4)"), "exact", Sampler()),
        key_of(problem(alliance()), "exact", Sampler()),
        key_of(problem(molloy()), "nuts", Sampler()),
        key_of(problem(molloy()), "exact", Sampler(seed=2)),
        key_of(problem(molloy()), "exact", Sampler(), 4),
    }
    assert len(others | {base}) == 6
    assert 0 <= seed_of(base) < 2**63


def test_a_stored_fit_is_read_and_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(store=Store(tmp_path))
    (first,) = fit_many([problem(alliance())], settings)

    def never(problems: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(exact, "fit_many", never)
    (second,) = fit_many([problem(alliance())], settings)
    assert second.parameters == first.parameters
    assert second.log_evidence == first.log_evidence


def test_a_damaged_entry_is_set_aside_and_computed_again(tmp_path: Path) -> None:
    heard: list[str] = []
    settings = Settings(store=Store(tmp_path, heard.append))
    (first,) = fit_many([problem(molloy())], settings)
    (entry,) = tmp_path.rglob("*.nc")
    entry.write_bytes(entry.read_bytes()[:2000])
    (second,) = fit_many([problem(molloy())], settings)
    assert second.parameters == first.parameters
    assert "damaged" in heard[0]
    assert len(list(tmp_path.rglob("*.set-aside"))) == 1


def test_draws_come_back_from_the_store_as_they_went_in(tmp_path: Path) -> None:
    store = Store(tmp_path)
    draws = replace(_perfect_draws(), deviations={"study": np.ones((4, 1000, 3))})
    store.write({"ab" * 32: draws})
    back = store.read("ab" * 32)
    assert isinstance(back, Draws)
    assert np.array_equal(back.parameters["tau"], draws.parameters["tau"])
    assert back.deviations["study"].shape == (4, 1000, 3)
    assert set(back.statistics) == set(draws.statistics)


def test_two_equal_problems_are_computed_once(tmp_path: Path) -> None:
    fits = fit_many([problem(molloy()), problem(molloy())], Settings(store=Store(tmp_path)))
    assert fits[0].result is fits[1].result
    assert len(list(tmp_path.rglob("*.nc"))) == 1
