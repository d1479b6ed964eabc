"""Label flipping: its maps, which images, and what the clients then train on."""

from collections import Counter
from dataclasses import replace

import oracle_attacks
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_records import record
from tiny import Cuts, Tiny

import gradskew as gs
from gradskew import InputError, Run
from gradskew import attacks as att
from gradskew.federation import SGD, Federation, simulate
from gradskew.models import Linear
from gradskew.report.successes import successes
from gradskew.report.table import Table
from gradskew.report.verdict import remarks

BASE = Run(
    source=Tiny(),
    partition=Cuts(sizes=(6,) * 6),
    model=Linear(),
    clients=6,
    byzantine=2,
    rounds=3,
    sgd=SGD(epochs=1, batch=2),
)


def flip(name, labels, classes=10, seed=0, scores=None):
    rng = torch.Generator().manual_seed(seed)
    return att.make(name).relabel(torch.tensor(labels), classes, generator=rng, scores=scores)


def test_maps_by_hand():
    labels = [0, 2, 7, 9]
    assert flip("labelflip", labels).tolist() == [9, 7, 2, 0]
    assert flip("labelflip(map=shift)", labels).tolist() == [1, 3, 8, 0]
    assert flip("labelflip(map=pair)", labels).tolist() == [0, 7, 7, 9]
    assert flip("labelflip(map=pair,of=9,target=0)", labels).tolist() == [0, 2, 7, 0]
    assert flip("labelflip(map=all,target=3)", labels).tolist() == [3] * 4


@given(
    labels=st.lists(st.integers(0, 9), min_size=1, max_size=40),
    map=st.sampled_from(["reverse", "shift", "pair", "all"]),
)
def test_fixed_maps_agree_with_the_oracle(labels, map):
    assert flip(f"labelflip(map={map})", labels).tolist() == oracle_attacks.flip_labels(labels, 10, map).tolist()


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=30), share=st.sampled_from([0.0, 0.01, 0.29, 0.5, 1.0]))
def test_a_share_of_the_images_is_flipped_the_same_ones_for_the_same_draws(labels, share):
    """Rounded down, but at least one image; `shift` changes every label."""
    flipped = flip(f"labelflip(map=shift,share={share})", labels, classes=5)
    wanted = 0 if share == 0 else max(1, int(round(100 * share) * len(labels) // 100))
    assert int((flipped != torch.tensor(labels)).sum()) == wanted
    assert torch.equal(flipped, flip(f"labelflip(map=shift,share={share})", labels, classes=5))


def test_random_labels_are_wrong_and_uniform():
    flipped = flip("labelflip(map=random)", [3] * 8000, classes=5)
    counts = Counter(flipped.tolist())
    assert counts.keys() == {0, 1, 2, 4}
    assert all(count == pytest.approx(2000, abs=200) for count in counts.values())


def test_the_likely_class_is_the_wrong_one_of_the_largest_score():
    scores = torch.tensor([[0.1, 5.0, 3.0], [9.0, 1.0, 2.0], [0.0, 0.0, 1.0]])
    assert flip("labelflip(map=likely)", [1, 1, 2], classes=3, scores=lambda: scores).tolist() == [2, 0, 0]
    with pytest.raises(InputError, match="needs the model and the inputs, which training has"):
        flip("labelflip(map=likely)", [1], classes=3)


def test_the_scale_multiplies_the_own_row():
    own = torch.tensor([[1.0, -2.0]])
    assert att.make("labelflip(scale=3)")(own, own).tolist() == [[3, -6]]
    both = att.make("labelflip(scale=3)+bitflip")(own, own)
    assert both.tolist() == [[-3, 6]]
    rows = gs.core.rows.Rows(own)
    assert att.make("labelflip(scale=3)+lie")(rows, rows).tolist() == [[3, -6]]  # own rows stand in for the honest


@pytest.mark.parametrize("map", ["reverse", "shift", "random", "likely"])
def test_a_share_of_zero_changes_no_bit_of_a_run(map):
    plain, flipped = (
        simulate(replace(BASE, attack=att.make(name))) for name in ("none", f"labelflip(map={map},share=0)")
    )
    assert torch.equal(plain.params, flipped.params)


def test_the_labels_of_a_client_stay_the_same_and_differ_between_clients_and_seeds():
    federation = Federation(replace(BASE, attack=att.make("labelflip(map=random)")))
    true = [federation.labels[part] for part in federation.parts]
    first, other = federation.shard(0, 0).labels, federation.shard(1, 0).labels
    assert (first != true[0]).all()
    assert torch.equal(first, federation.shard(0, 2).labels)
    classes = federation.dataset.num_classes
    steps = [((labels - truth) % classes).tolist() for labels, truth in zip((first, other), true, strict=False)]
    seeds = [
        Federation(replace(BASE, attack=att.make("labelflip(map=random)"), seed=seed)).shard(0, 0).labels.tolist()
        for seed in range(6)
    ]
    assert classes == 2 or steps[0] != steps[1]
    assert classes == 2 or len({tuple(labels) for labels in seeds}) > 1
    for client in range(2, 6):
        assert torch.equal(federation.shard(client, 0).labels, true[client])


def test_likely_labels_follow_the_model_of_the_round():
    federation = Federation(replace(BASE, attack=att.make("labelflip(map=likely)")))
    for number in range(3):
        index = federation.parts[0]
        with torch.no_grad():
            scores = federation.flat.module(federation.dataset.inputs(federation.dataset.train.inputs[index]))
        scores[torch.arange(len(index)), federation.labels[index]] = -torch.inf
        assert torch.equal(federation.shard(0, number).labels, scores.argmax(1))
        federation.round(number)


@pytest.mark.parametrize("name", ["labelflip(map=pair,of=2,target=70)", "labelflip(map=all,target=70)"])
def test_a_class_that_there_is_not_is_one_line_before_anything_runs(name):
    run = replace(BASE, attack=att.make(name))
    for act in (lambda: run.digest, lambda: Federation(run), lambda: simulate(run)):
        with pytest.raises(InputError, match=r"needs the class 70, and the data have \d+ classes") as caught:
            act()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("labelflip(map=mirror)", "map must be one of"),
        ("labelflip(share=1.5)", "share must be at least 0 and at most 1"),
        ("labelflip(map=pair,of=7)", "of and target are the same class, 7"),
        ("labelflip(target=-1)", "target must be at least 0"),
    ],
)
def test_options_that_are_wrong(name, message):
    with pytest.raises(InputError, match=message):
        att.make(name)


def test_an_attack_that_takes_any_arguments_gets_all():
    class Any(att.Attack):
        key = "any"

        def relabel(self, labels, num_classes, **others):
            assert others.keys() == {"generator", "scores"}
            return labels

        def observe(self, honest, **others):
            self._state["others"] = sorted(others)

        def forge(self, view):
            return att.Forgery(view.own.updates)

    attack = Any()
    attack.relabel(torch.zeros(2, dtype=torch.int64), 2, generator=None, scores=None)
    attack.observe(torch.zeros(2, 1), clients=(0, 1), round=None)
    assert attack._state["others"] == ["clients", "round"]


def test_an_attack_of_an_earlier_version_gets_two_arguments():
    class Earlier(att.Attack):
        key = "earlier"
        needs = "own"

        def relabel(self, labels, num_classes):
            return num_classes - 1 - labels

        def forge(self, view):
            return att.Forgery(view.own.updates)

    flipped, known = Federation(replace(BASE, attack=att.make("labelflip"))), Federation(BASE)
    known.attacker.attack = Earlier()
    assert torch.equal(known.shard(0, 0).labels, flipped.shard(0, 0).labels)


@pytest.mark.parametrize("name", ["labelflip(map=pair,of=1,target=2)", "labelflip(map=pair,of=1,target=2)+lie"])
def test_the_record_has_the_share_of_one_class_that_is_taken_for_the_other(name):
    federation = Federation(replace(BASE, attack=name, byzantine=5))
    for number in range(3):
        found = federation.round(number)["attack"]["pair_success"]
        test = federation.dataset.test
        predicted = federation.flat.module(federation.dataset.inputs(test.inputs)).argmax(1)
        of = test.labels == 1
        assert found == pytest.approx(100 * int((predicted[of] == 2).sum()) / int(of.sum()), rel=1e-5)


def test_a_class_without_a_test_input_has_no_success():
    federation = Federation(replace(BASE, attack="labelflip(map=pair,of=1,target=2)"))
    test = federation.tested.test
    federation.tested = replace(federation.tested, test=test.select(torch.nonzero(test.labels != 1)[:, 0]))
    assert "pair_success" not in federation.round(0)["attack"]


@pytest.mark.parametrize("name", ["labelflip", "labelflip(map=all,target=1)", "lie", "none"])
def test_attacks_that_aim_at_no_pair_have_no_success(name):
    assert all("pair_success" not in metrics["attack"] for metrics in simulate(replace(BASE, attack=name)).rounds)


def test_the_success_is_said_by_rule_over_seeds():
    """The last five rounds count: 10, 20, 30, 40 and 50 % are 30, and with 50 % in another seed 40 +- 14.1."""
    name = "labelflip(map=pair)"
    rising, constant = (record(name, "rfa", [90.0] * 6, seed=seed) for seed in (0, 1))
    for number, (early, late) in enumerate(zip(rising.rounds, constant.rounds, strict=True)):
        early["attack"]["pair_success"], late["attack"]["pair_success"] = 10.0 * number, 50.0
    other = record(name, "median", [90.0] * 6)
    for each in (rising, constant, other):
        each.spec["attack"] |= {"name": "labelflip", "map": "pair"}
    (sentence,) = successes(Table([rising, constant, other]))
    assert sentence == f"{name}: test inputs of class 2 taken for class 7 at the end, in %: rfa 40.0 ±14.1."
    assert sentence in remarks(Table([rising, constant, other]))
    assert not list(successes(Table([other])))


@pytest.mark.parametrize("wrong", [3, (1, 99), (1, 2, 3)])
def test_a_target_pair_that_is_no_pair_of_classes_is_one_line(wrong):
    class Aims(att.Attack):
        key = "aims"
        needs = "own"
        target_pair = wrong

        def forge(self, view):
            return att.Forgery(view.own.updates)

    with pytest.raises(InputError, match="target_pair of aims is two classes below"):
        simulate(replace(BASE, attack=Aims()))
