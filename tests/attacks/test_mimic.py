"""Mimic by hand: what it learns, whom it copies, and its state."""

from dataclasses import replace

import pytest
import torch
from cases import make_rows, rows_of
from tiny import Tiny

from gradskew import IID, InputError, Run, skew
from gradskew import attacks as att
from gradskew.attacks import Context
from gradskew.core.randomness import generator
from gradskew.federation.rounds import Federation
from gradskew.models import Linear


def mimic(seed, **options):
    """A fresh attack in a run with this seed."""
    attack = att.Mimic(**options)
    attack.begin(seed)
    return attack


def test_mimic_copies_the_row_far_along_the_direction_of_variance():
    """The variance lies along the second axis, so the target is the row at one of its ends, whatever z starts from."""
    honest = rows_of((0, -9), (0.1, 0), (0, 9), (-0.1, 1))
    for seed in range(5):
        attack = mimic(seed)
        attack.observe(honest, clients=[4, 5, 6, 7])
        target = attack.state_dict()["target"]
        assert target in (4, 6)
        context = Context(round=0, params=torch.zeros(2), rule=lambda *_: None, clients=[4, 5, 6, 7], f=2)
        forged = attack(honest, torch.zeros(2, 2), context=context)
        assert forged.tolist() == [honest[target - 4].tolist()] * 2


def test_mimic_keeps_its_target_after_the_warm_up_and_replaces_it_while_absent():
    """One column, so z is +1 or -1: the target is the largest row, or the smallest."""
    attack = att.Mimic(warmup=1)
    attack.observe(rows_of(-5, 0, 5), clients=[3, 4, 5])
    state = attack.state_dict()
    sign = state["z"].item()
    assert abs(sign) == 1
    assert state["target"] == (5 if sign > 0 else 3)
    attack.observe(rows_of(9, 0, -9), clients=[3, 4, 5])  # after the warm-up: nothing is learned
    assert attack.state_dict() == state
    own = torch.zeros(1, 1)

    def context(clients):
        return Context(round=1, params=torch.zeros(1), rule=lambda *_: None, clients=clients, f=1)

    present = attack(rows_of(1, 2, 3), own, context=context([3, 4, 5]))
    assert present.item() == (3 if sign > 0 else 1)
    absent = attack(rows_of(1, 2, 3), own, context=context([0, 1, 2]))
    assert absent.item() == (3 if sign > 0 else 1)
    back = attack(rows_of(7, 8, 9), own, context=context([5, 4, 3]))
    assert back.item() == (7 if sign > 0 else 9)


def test_mimic_streams_its_mean_and_direction():
    """One round: mu = mean = (0, 0); y = sum <x, z> x = (2 z_1, 8 z_2) from rows +-(1, 0), +-(0, 2).

    Second round, t = 1: mu = (mu + mean) / 2 = (0, 0) with the same rows, and z = unit(z + unit(y)).
    """
    honest = rows_of((1, 0), (-1, 0), (0, 2), (0, -2))
    attack = mimic(3)
    z = torch.randn(2, generator=generator(3, "mimic"))
    attack.observe(honest)
    z = torch.nn.functional.normalize(z * torch.tensor([2.0, 8.0]), dim=0)
    torch.testing.assert_close(attack.state_dict()["z"].float(), z)
    attack.observe(honest)
    z = torch.nn.functional.normalize(z + torch.nn.functional.normalize(z * torch.tensor([2.0, 8.0]), dim=0), dim=0)
    torch.testing.assert_close(attack.state_dict()["z"].float(), z)
    attack.observe(honest + torch.tensor([3.0, 0.0]))
    torch.testing.assert_close(attack.state_dict()["mu"].float(), torch.tensor([1.0, 0.0]))  # (2 * 0 + 3) / 3


def test_mimic_breaks_ties_by_the_lowest_id():
    for h in range(2, 12):
        honest = make_rows(1, 33, 0, "gauss", seed=h).expand(h, 33)
        attack = att.Mimic()
        attack.observe(honest, clients=list(range(h, 0, -1)))
        assert attack.state_dict()["target"] == 1


def test_mimic_of_the_strike_authors():
    """Absolute <x, z>: of -9, 1, 5 it takes -9 whatever the sign of z. It never ends its warm-up."""
    for seed in range(4):
        attack = mimic(seed, variant="strike-authors")
        for _ in range(attack.warmup):
            attack.observe(rows_of(-9, 1, 5), clients=[0, 1, 2])
            assert attack.state_dict()["target"] == 0
        attack.observe(rows_of(-1, 1, 50), clients=[0, 1, 2])
        assert attack.state_dict()["target"] == 2
        assert attack.state_dict()["round"] == attack.warmup + 1


def test_mimic_state():
    honest, own = make_rows(6, 4, 0, "gauss", seed=0), torch.zeros(2, 4)
    attack, fresh = att.Mimic(), att.Mimic()
    before = attack(honest, own)
    assert attack.state_dict() == {}  # a call learns nothing
    attack.observe(honest)
    assert torch.equal(attack(honest, own), before)
    assert att.Mimic().state_dict() == {}  # state is not shared between objects
    assert attack == fresh
    assert repr(attack) == repr(fresh)
    fresh.load_state_dict(attack.state_dict())
    for t in (1, 2):
        for one in (attack, fresh):
            one.observe(make_rows(6, 4, 0, "gauss", seed=t))
    assert torch.equal(attack.state_dict()["z"], fresh.state_dict()["z"])
    attack.state_dict()["z"].zero_()  # a copy
    assert attack.state_dict()["z"].any()
    attack.reset()
    assert attack.state_dict() == {}
    assert torch.equal(attack(honest, own), before)


def test_mimic_wants_as_many_clients_as_rows():
    with pytest.raises(InputError, match="2 clients for 3 honest rows"):
        att.Mimic().observe(rows_of(1, 2, 3), clients=[0, 1])


def test_mimic_starts_from_the_seed_of_the_run():
    """What it learns from the same rows depends on the seed alone; a run with another seed starts elsewhere."""
    rows = make_rows(6, 30, 0, "gauss", seed=5)
    run = Run(source=Tiny(), partition=IID(), model=Linear(), clients=8, byzantine=2, attack=att.Mimic())

    def learned(seed):
        attack = Federation(replace(run, seed=seed)).attacker.attack
        attack.observe(rows)
        return attack.state_dict()["z"]

    first, second = learned(0), learned(1)
    assert torch.equal(first, learned(0))
    assert torch.equal(second, learned(1))
    assert (first - second).norm() > 1e-3
    assert run.attack.state_dict() == {}


def test_mimic_called_directly_starts_from_seed_0():
    rows, own = make_rows(6, 30, 0, "gauss", seed=5), torch.zeros(2, 30)
    wanted = mimic(0)(rows, own)
    for attack in (att.Mimic(), att.Mimic(), mimic(0)):
        torch.manual_seed(99)
        assert torch.equal(attack(rows, own), wanted)


def test_mimic_of_an_index_copies_that_honest_row():
    """As ByzFL and ByzPy do. In a round with fewer known rows it is the last; nothing is learned."""
    honest, own = rows_of(5, 7, 9), torch.zeros(2, 1)
    attack = att.make("mimic(variant=index,index=1)")
    attack.observe(honest, clients=[4, 5, 6])
    assert attack.state_dict() == {}
    context = Context(round=0, params=torch.zeros(1), rule=None, clients=[4, 5, 6], f=2)
    forgery = attack.explain(honest, own, context=context)
    assert (forgery.rows.tolist(), forgery.notes) == ([[7], [7]], {"target": 5})
    assert att.make("mimic(variant=index,index=5)")(honest, own).tolist() == [[9], [9]]
    with pytest.raises(InputError, match="index belongs to variant = index"):
        att.make("mimic(index=1)")


@pytest.mark.parametrize(
    ("change", "known"), [({}, 6), ({"knowledge": 0.5}, 3), ({"known": "own"}, 2)], ids=["all", "half", "own"]
)
def test_an_index_beyond_the_known_honest_clients_is_one_line(change, known):
    run = Run(source=Tiny(), partition=IID(), model=Linear(), clients=8, byzantine=2, **change)
    assert replace(run, attack=att.make(f"mimic(variant=index,index={known - 1})")).num_known == known
    with pytest.raises(InputError, match=f"copies the honest row {known}, counted from 0, and knows {known}") as caught:
        replace(run, attack=att.make(f"mimic(variant=index,index={known})"))
    assert "\n" not in str(caught.value)
    idle = replace(run, attack=att.make(f"mimic(variant=index,index={known})"), known="honest", knowledge=0)
    assert idle.num_known == 0  # it is not called
    with pytest.raises(InputError, match="and knows 9"):
        skew.examine(make_rows(9, 4, 0, "gauss", seed=0), ["mimic(variant=index,index=9)"], ["mean"], 2)
