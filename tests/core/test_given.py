"""What users give: NumPy's numbers are numbers, NumPy's rows are rows, and half precision stays half precision."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from cases import ATTACKS, RULES, ids, known

import gradskew as gs
from gradskew import aggregators
from gradskew.attacks import LIE, Mimic
from gradskew.core.errors import InputError, plain
from gradskew.core.names import canonical, describe
from gradskew.core.round import Round
from gradskew.data import Split
from gradskew.skew import examine

ROWS = np.random.Generator(np.random.PCG64(0)).normal(size=(12, 7))


def test_a_run_of_numpy_numbers_is_the_run_of_pythons() -> None:
    given = gs.Run(
        partition=gs.Dirichlet(beta=np.float64(0.5), min_samples=np.int16(2)),
        model=gs.MLP(hidden=(np.int64(3), 4)),
        attack=LIE(z=np.float16(1.5)),
        aggregator=aggregators.CClip(tau=np.float64(3), steps=np.array(2)),
        sgd=gs.SGD(lr=np.float32(0.1), batch=np.int64(8)),
        clients=np.int64(20),
        byzantine=np.int64(3),
        rounds=np.int32(2),
        seed=np.uint8(4),
        knowledge=np.float32(0.5),
        lens=np.bool_(True),
        told=np.str_("actual"),
        pictures=(np.int64(1),),
    )
    wanted = gs.Run(
        partition=gs.Dirichlet(beta=0.5, min_samples=2),
        model=gs.MLP(hidden=(3, 4)),
        attack=LIE(z=1.5),
        aggregator=aggregators.CClip(tau=3.0, steps=2),
        sgd=gs.SGD(lr=0.1, batch=8),
        clients=20,
        byzantine=3,
        rounds=2,
        seed=4,
        knowledge=0.5,
        pictures=(1,),
    )
    assert given == wanted
    assert repr(given) == repr(wanted)
    assert canonical(given.content) == canonical(wanted.content)
    assert given.digest == wanted.digest
    for part in ("partition", "model", "attack", "aggregator", "sgd"):
        assert getattr(given, part).name == getattr(wanted, part).name
        assert json.dumps(describe(getattr(given, part))) == json.dumps(describe(getattr(wanted, part)))


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_a_number_is_the_decimal_that_was_written(kind: torch.dtype) -> None:
    for text in ("0.1", "0.2", "0.07", "1e-3", "3", "0.5", "-2.5"):
        number = torch.tensor(float(text), dtype=kind)
        assert plain(number) == float(text)
        if kind != torch.bfloat16:
            assert plain(number.numpy()) == plain(number.numpy()[()]) == float(text)
    assert plain((np.float32(0.1), 2)) == (0.1, 2)


def test_a_number_without_a_short_decimal_keeps_its_bits() -> None:
    for number in np.random.default_rng(0).normal(size=1000).astype(np.float32):
        assert np.float32(plain(number)) == number
    assert math.isnan(plain(np.float32("nan")))
    assert plain(np.float32("-inf")) == -math.inf
    assert plain(np.float64(0.1) + np.float64(0.2)) == 0.1 + 0.2


def test_numpy_numbers_out_of_range_are_refused_as_pythons() -> None:
    for wrong in ({"lr": np.float32(-1)}, {"batch": np.float64(8)}, {"epochs": np.int64(0)}, {"lr": np.array([0.1])}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            gs.SGD(**wrong)
    with pytest.raises(InputError, match="must be at least 4, not 3"):
        LIE()(ROWS[:3], ROWS[:1], n=np.int64(3))


@pytest.mark.parametrize("case", RULES, ids=lambda case: case.name)
def test_rows_of_numpy_give_numpy(case: Any) -> None:
    """With the numbers of the same rows in torch, in the same type; a rule may observe what it gave."""
    for kind in (np.float64, np.float32, ">f8"):
        rows = ROWS.astype(kind)
        native = rows.astype(rows.dtype.newbyteorder("="))
        rule, twin = (aggregators.make(case.name) for _ in range(2))
        for _ in range(2):
            everything = known(*rows.shape, torch.from_numpy(native).dtype)
            parts = {name: getattr(everything, name).numpy() for name in ("examples", "params", "reference")}
            found = rule.explain(rows, np.int64(2), round=replace(everything, **parts))
            wanted = twin.explain(torch.from_numpy(native), 2, round=everything)
            assert found.value.dtype == native.dtype
            assert np.array_equal(found.value, wanted.value.numpy())
            assert (found.weights is None) == (wanted.weights is None)
            assert found.weights is None or np.array_equal(found.weights, wanted.weights.numpy())
            assert found.share(2) == pytest.approx(wanted.share(2))
            json.dumps(dict(found.notes))
            rule.observe(found.value)
            twin.observe(wanted.value)


@pytest.mark.parametrize("name", ["mean", "median", "rbtm"])
def test_numpy_knows_these_rules(name: str) -> None:
    trimmed = np.sort(ROWS, axis=0)[2:-2].mean(0)
    wanted = {"mean": ROWS.mean(0), "median": np.median(ROWS, axis=0), "rbtm": trimmed}[name]
    assert np.allclose(aggregators.make(name)(ROWS, f=2), wanted, rtol=1e-13)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["mean", "median", "multikrum", "nnm+rfa", "cclip"])
def test_half_precision_is_computed_in_float32(name: str, kind: torch.dtype) -> None:
    rows = torch.from_numpy(ROWS).to(kind)
    wanted = aggregators.make(name)(rows.float(), 2).to(kind)
    assert aggregators.make(name)(rows, 2).dtype == kind
    assert torch.equal(aggregators.make(name)(rows, 2), wanted)
    if kind == torch.float16:
        found = aggregators.make(name)(rows.numpy(), 2)
        assert found.dtype == np.float16
        assert np.array_equal(found, wanted.numpy())


@pytest.mark.parametrize("case", ATTACKS, ids=ids)
def test_attacks_send_what_they_are_given(case: Any) -> None:
    honest, own = ROWS[2:], ROWS[:2]
    made = case.attack
    wanted = case.attack(torch.from_numpy(honest), torch.from_numpy(own))
    made.observe(honest)
    found = case.attack(honest, own, n=np.int64(12))
    assert found.dtype == np.float64
    assert np.array_equal(found, wanted.numpy())
    assert found.flags.writeable
    halves = case.attack(*(torch.from_numpy(rows).bfloat16() for rows in (honest, own)))
    assert halves.dtype == torch.bfloat16


def test_mimic_observes_rows_of_numpy() -> None:
    found = [Mimic(), Mimic()]
    for attack, rows in zip(found, (ROWS, torch.from_numpy(ROWS)), strict=True):
        attack.observe(rows)
    assert found[0].state_dict()["target"] == found[1].state_dict()["target"]


def test_measures_of_numpy_rows() -> None:
    rows, point = torch.from_numpy(ROWS), ROWS.mean(0) + 1
    assert gs.skew.measure(ROWS, f=np.int64(2)) == gs.skew.measure(rows, f=2)
    spread = ((ROWS - ROWS.mean(0)) ** 2).sum(1).mean()
    assert gs.skew.empirical_kappa(point, ROWS) == pytest.approx(7 / spread)
    assert np.array_equal(gs.skew.embed(ROWS), gs.skew.embed(rows))
    with pytest.raises(InputError, match="the aggregate must be a torch tensor or a NumPy array, not list"):
        gs.skew.empirical_kappa([1.0], ROWS)  # type: ignore[arg-type]


def test_a_masked_array_is_refused_where_entries_are_masked() -> None:
    """Its data have 10^6 behind the mask, which would be averaged as if it were given."""
    rows = np.ma.masked_greater(np.array([[1.0, 2.0], [3.0, 1e6], [5.0, 6.0]]), 1e5)
    for call in (lambda: aggregators.Median()(rows, 1), lambda: LIE()(rows, rows[:1]), lambda: examine(rows)):
        with pytest.raises(InputError, match="has masked entries, whose data would count: fill them"):
            call()
    for field, make in (("reference", lambda: Round(reference=rows[1])), ("labels", lambda: Split(ROWS, rows[:, 1]))):
        with pytest.raises(InputError, match=f"{field} has masked entries"):
            make()
    with pytest.raises(InputError, match="returned masked entries"):
        aggregators.make(lambda updates: rows[1])(ROWS, 1)
    whole = np.ma.masked_array(rows.data)
    assert np.array_equal(aggregators.Median()(whole, 1), np.median(rows.data, axis=0))
