"""Every attack is called, wherever one is taken: in the simulation, on a matrix, in an audit (Flower: test_redteam)."""

from dataclasses import replace

import pytest
import torch
from cases import make_rows
from tiny import Cuts, Tiny

import gradskew as gs
from gradskew.audit.attack_checks import CHECKS, AttackSubject
from gradskew.audit.checks import GOOD, ODD
from gradskew.data.partition import IID
from gradskew.federation import SGD, Federation, Run
from gradskew.models import Linear

MODELS = "needs the models of the rounds, which a matrix has not"
NOT_ON_A_MATRIX = {
    "labelflip": "needs training, which a matrix has not",
    "nonfinite": "sends rows that are taken out before a rule",
    **dict.fromkeys(("mpaf", "poisonedfl", "replay", "rop"), MODELS),
}
EVERY = pytest.mark.parametrize("name", gs.attacks.names())


def run_under(name: str) -> Run:
    return Run(
        source=Tiny(),
        partition=Cuts(sizes=(8, 8, 8, 8, 8, 8)),
        model=Linear(),
        attack=gs.attacks.make(name),
        clients=6,
        byzantine=2,
        sgd=SGD(epochs=1, batch=4),
    )


@EVERY
def test_in_the_simulation(name: str) -> None:
    federation, plain = Federation(run_under(name)), Federation(run_under("none"))
    assert federation.round(0)["attack"]["called"] is True
    plain.round(0)
    same = torch.equal(federation.matrix[:2], plain.matrix[:2])
    assert same is (name == "none"), "what the Byzantine clients send is forged, or trained on other labels"
    assert torch.equal(federation.matrix[2:], plain.matrix[2:])


@pytest.mark.parametrize("change", [{}, {"knowledge": 0.5}, {"known": "own"}], ids=str)
@pytest.mark.parametrize("rule", ["fltrust", "foolsgold", "lasa", "mean(weights=examples)", "bucketing+median"])
def test_a_rule_that_needs_more_than_rows_can_be_tried(rule: str, change: dict[str, object]) -> None:
    """What a try gives for the forged rows is what the server then computes, where all honest rows are known."""
    given = {"aggregator": gs.aggregators.make(rule), "root_examples": 6, "partition": IID(), **change}
    federation = Federation(replace(run_under("opt(tries=10)"), **given))
    metrics = federation.round(0)
    assert metrics["attack"]["called"] is True
    assert metrics["attack"]["objective"] is not None
    if not change and rule not in ("fltrust", "bucketing+median"):  # whose reference and draws are not known
        assert metrics["attack"]["objective"] == pytest.approx(metrics["distance"], rel=1e-4)


@EVERY
def test_on_a_matrix(name: str) -> None:
    rows, mean = make_rows(12, 30, 0, "gauss", seed=4), gs.aggregators.make("mean")
    attack = gs.attacks.make(name)
    if name == "adaptive":
        for aim in ("loss", "undo", "loss+stop"):
            with pytest.raises(gs.InputError, match="which a matrix has not: use aim=stop"):
                gs.skew.examine(rows, [gs.attacks.Adaptive(aim=aim)], [mean], 3, replace=True)
        attack = gs.attacks.make("adaptive(aim=stop)")
        name = attack.name
    if name in NOT_ON_A_MATRIX:
        with pytest.raises(gs.InputError, match=f"{name} {NOT_ON_A_MATRIX[name]}"):
            gs.skew.examine(rows, [attack], [mean], 3, replace=True)
        return
    trials = gs.skew.examine(rows, [attack], [mean], 3, replace=True).trials
    assert [trial.attack for trial in trials] == ["none"] + [name] * (name != "none")
    assert len({trial.distance for trial in trials}) == len(trials)


@EVERY
def test_in_an_audit(name: str) -> None:
    """`none` and `labelflip` send what training gave, which the check says of the latter."""
    subject = AttackSubject(gs.attacks.make(name), 12, 2)
    verdict, sentence = CHECKS["answer"](subject)[:2]
    tried = {"extreme": "median"} | dict.fromkeys(("adaptive", "fang", "opt"), "median and multikrum")
    against = f", tried against {tried[name]}" if name in tried else ""
    trained = " It acts in training, which is not checked here: these are rows as given."
    answer = f"10 honest rows of 64 give 2 rows{against}.{trained if name == 'labelflip' else ''}"
    assert (verdict, sentence) == (GOOD, answer)
    assert subject(subject.rows).shape == (2, 64)


@EVERY
def test_an_audit_asks_for_no_more_honest_rows_than_the_attack_needs(name: str) -> None:
    subject = AttackSubject(gs.attacks.make(name), 12, 2)
    needs = subject.method.needs == "honest"
    said = (GOOD, "A single honest row is enough." if needs else "It needs no honest row.")
    wrong = (ODD, "No honest row gives NaN or Inf.")
    assert CHECKS["one honest row"](subject)[:2] == (wrong if name == "nonfinite" else said)


def test_an_attack_on_training_and_one_on_rows_combine() -> None:
    """Minus the row that training on flipped labels gives."""
    both, flipped, plain = (Federation(run_under(name)) for name in ("labelflip+bitflip", "labelflip", "none"))
    metrics = both.round(0)
    flipped.round(0)
    plain.round(0)
    assert (both.attacker.attack.name, metrics["attack"]["called"]) == ("labelflip+bitflip", True)
    assert torch.equal(both.matrix[:2], -flipped.matrix[:2])
    assert not torch.equal(flipped.matrix[:2], plain.matrix[:2])
    digests = {run_under(name).digest for name in ("labelflip+bitflip", "labelflip", "bitflip", "labelflip+lie(z=1.0)")}
    assert len(digests) == 4


def test_what_a_combined_attack_remembers_is_kept() -> None:
    attack = gs.attacks.make("labelflip+mimic(warmup=2)")
    attack.begin(3)
    attack.observe(make_rows(6, 5, 0, "gauss", seed=1))
    again = gs.attacks.make(attack.name)
    again.load_state_dict(attack.state_dict())
    assert again.is_valid_state(attack.state_dict(), 5)
    assert torch.equal(again.state_dict()["z"], attack.state_dict()["z"])


@pytest.mark.parametrize("name", ["lie+labelflip", "lie+ipm", "labelflip+labelflip", "none+lie"])
def test_attacks_that_do_not_combine_are_one_line(name: str) -> None:
    with pytest.raises(gs.InputError, match="an attack on training, such as labelflip, comes first"):
        gs.attacks.make(name)
    with pytest.raises(gs.InputError, match="an attack is one name, or two joined by"):
        gs.attacks.make(f"{name}+lie")


def test_a_matrix_without_the_attackers_own_rows_refuses_an_attack_that_reads_them() -> None:
    rows = make_rows(12, 30, 0, "gauss", seed=4)
    for name in gs.attacks.names():
        attack = gs.attacks.make(name)
        if attack.needs == "own" and not attack.relabels() and name != "none":
            with pytest.raises(gs.InputError, match=f"{name} needs the attacker's own rows"):
                gs.skew.examine(rows, [attack], [], 3)
