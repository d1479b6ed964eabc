"""Rules and attacks by their path: how they are imported, called, limited, kept and distinguished."""

import contextlib
import copy
import hashlib
import inspect
import re
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import foreign
import numpy as np
import pytest
import torch
from places import without_places
from tiny import Cuts, Tiny

from gradskew import aggregators, attacks
from gradskew.aggregators import Mean, Median, UserRule
from gradskew.attacks import UserAttack
from gradskew.cli.replay import command
from gradskew.core.errors import InputError
from gradskew.core.importing import registered, time_limit
from gradskew.federation.optimizer import SGD
from gradskew.federation.rounds import Federation
from gradskew.federation.run import Run
from gradskew.federation.simulation import simulate
from gradskew.federation.snapshot import Snapshot
from gradskew.runs.record import Record
from gradskew.runs.store import Store
from gradskew.runs.sweeps import sweep

ROWS = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 90.0], [6.0, 40.0], [8.0, 60.0]])
BASE = Run(
    source=Tiny(),
    partition=Cuts(sizes=(8, 10, 9, 7, 8)),
    clients=5,
    byzantine=1,
    rounds=3,
    sgd=SGD(epochs=1, batch=4, lr=0.1),
    attack=attacks.make("ipm"),
)


@pytest.mark.parametrize(
    ("name", "f", "wanted"),
    [
        ("foreign:mean", 1, [4.0, 44.0]),
        ("foreign:median", 1, [3.0, 40.0]),
        ("foreign:trimmed", 1, [11 / 3, 40.0]),
        ("foreign:trimmed(extra=1)", 1, [3.0, 40.0]),
        ("foreign:lower", 1, [2.0, 20.0]),
        ("foreign:make_scaled(factor=0.5)", 1, [2.0, 22.0]),
        ("foreign:as_list", 1, [4.0, 44.0]),
        ("foreign:backwards", 1, [40.0, 3.0]),
        ("foreign:torn(arrays=numpy)", 1, [3.0, 43.0]),
        ("foreign:server.rule", 1, [4.0, 44.0]),
        ("foreign:Trimmed", 2, [4.0, 44.0]),
        ("foreign:Trimmed(f=2)", 1, [3.0, 40.0]),
        ("foreign:ready", 2, [11 / 3, 40.0]),
        ("foreign:first", 1, [4.0, 44.0]),
        ("foreign:Heaviest", 1, [1.0, 10.0]),
        ("foreign:spread(arrays=numpy)", 0, [4 + 6.8**0.5, 44 + 824**0.5]),
        ("foreign:spread", 0, [4 + 8.5**0.5, 44 + 1030**0.5]),
        ("nnm+foreign:lower", 1, [4.25, 32.5]),  # mixed, rows 0, 1 and 3 are this, rows 2 and 4 (4.75, 52.5)
        ("bucketing(s=5)+foreign:median", 1, [4.0, 44.0]),
    ],
)
def test_what_a_rule_returns_by_hand(name, f, wanted):
    rule = aggregators.make(name)
    value = rule(ROWS, f)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, torch.tensor(wanted))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("foreign:against_mean", [[-8.0, -80.0]] * 2),
        ("foreign:one_argument", [[0.0, 0.0]] * 2),
        ("foreign:mirrored", [[-5.0, -6.0], [-7.0, -8.0]]),
        ("foreign:Copycat", [[1.0, 10.0]] * 2),
    ],
)
def test_what_an_attack_sends_by_hand(name, wanted):
    honest = torch.tensor([[1.0, 10.0], [2.0, 20.0], [5.0, 50.0], [8.0, 80.0]])
    own = torch.tensor([[5.0, 6.0], [7.0, 8.0]])
    assert attacks.make(name)(honest, own).tolist() == wanted


@pytest.mark.parametrize(
    "name",
    [
        "foreign:mean",
        "foreign:trimmed(extra=1)",
        "foreign:make_scaled(factor=0.5)",
        "foreign:spread(arrays=numpy)",
        "bucketing(s=3)+nnm+foreign:trimmed(extra=1)",
    ],
)
def test_the_name_makes_it_again(name):
    assert aggregators.make(name).name == name
    assert aggregators.make(aggregators.make(name).name) == aggregators.make(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing_module:rule", "cannot import the rule 'missing_module:rule' (package.module:function): ModuleNotFou"),
        ("foreign:missing", "cannot import the rule 'foreign:missing' (package.module:function): AttributeError: "),
        ("foreign:number", "foreign:number is of type int, and cannot be called"),
        ("foreign:Trimmed(k=2)", "cannot make the rule foreign:Trimmed(k=2): TypeError: "),
        ("foreign:mean(k=2)", "cannot make the rule foreign:mean(k=2): TypeError: "),
        ("foreign:mean(arrays=jax)", "arrays must be one of torch, numpy, not 'jax'"),
        ("foreign:mean(limit=0)", "limit must be above 0"),
        ("foreign:FalseMedian", "foreign:FalseMedian has the key 'median' of a built-in"),
        ("foreign:mean(2)", "are written name=value"),
        ("nnm+foreign:", "cannot read"),
        ("foreign:mean+nnm", "nnm is a mixing and stands before a rule"),
        ("foreign:mean+median", "foreign:mean must be a class that inherits Mixing, or an object of one"),
    ],
)
def test_wrong_paths_are_one_line(name, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        aggregators.make(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("foreign:wrong_shape", "foreign:wrong_shape's aggregate must have the shape (2,), not (5,)"),
        ("foreign:words", "foreign:words returned a value of type str, not a vector of numbers"),
        ("foreign:nothing", "foreign:nothing returned a value of type NoneType, not a vector of numbers"),
        ("foreign:raises", "foreign:raises raised RuntimeError: not today"),
        (
            "foreign:torn",
            "foreign:torn raised TypeError: no tensors (it is given torch tensors; arrays=numpy gives it NumPy arrays)",
        ),
        ("foreign:needy", "foreign:needy raised TypeError: needy() missing 1 required positional argument: 'beta'"),
        (
            "foreign:transposes",
            "foreign:transposes raised TypeError: transpose() missing 2 required positional argument: "
            '"dim0", "dim1" (it is given torch tensors; arrays=numpy gives it NumPy arrays)',
        ),
        ("foreign:quits", "foreign:quits raised SystemExit: 0"),
        ("foreign:sleeps(limit=0.2)", "foreign:sleeps raised TimeoutError: no answer within 0.2 s"),
        ("foreign:spins(limit=0.2)", "foreign:spins raised TimeoutError: no answer within 0.2 s"),
    ],
)
def test_what_goes_wrong_in_a_rule_is_one_line(name, message):
    with pytest.raises(InputError) as caught:
        aggregators.make(name)(ROWS, 1)
    assert without_places(str(caught.value)) == message


def test_an_error_in_a_users_code_says_its_line():
    """The innermost line of her own; what torch or gradskew raise from it is theirs."""
    function = foreign.raises
    line = inspect.getsourcelines(function)[1] + 1
    with pytest.raises(InputError, match=rf"not today \(foreign\.py, line {line}\)$"):
        aggregators.make("foreign:raises")(ROWS, 1)
    lines, first = inspect.getsourcelines(foreign.torn)
    line = first + next(number for number, text in enumerate(lines) if "no tensors" in text)
    with pytest.raises(InputError, match=rf" \(foreign\.py, line {line}\) \(it is given torch tensors"):
        aggregators.make("foreign:torn")(ROWS, 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("foreign:wrong_rows", "foreign:wrong_rows returned the shape (2, 2), not (d,) or (f, d) = (1, 2)"),
        ("foreign:raises", "foreign:raises raised RuntimeError: not today"),
    ],
)
def test_what_goes_wrong_in_an_attack_is_one_line(name, message):
    with pytest.raises(InputError) as caught:
        attacks.make(name)(ROWS[1:], ROWS[:1])
    assert without_places(str(caught.value)) == message


def test_they_get_copies():
    before = ROWS.clone()
    assert torch.equal(aggregators.make("foreign:in_place")(ROWS, 1), torch.tensor([3.0, 43.0]))
    assert attacks.make("foreign:changes_honest")(ROWS[1:], ROWS[:1]).tolist() == [[0.0, 0.0]]
    assert torch.equal(ROWS, before)


def test_a_limit_inside_a_limit_leaves_the_outer_one():
    def outlast() -> None:
        with pytest.raises(TimeoutError, match=r"within 0\.1 s"), time_limit(0.1):
            time.sleep(600)
        time.sleep(600)

    with pytest.raises(TimeoutError, match=r"within 2 s"), time_limit(2):
        outlast()


def test_a_limit_around_a_longer_one_ends_both():
    with pytest.raises(TimeoutError), time_limit(0.1), time_limit(60):
        time.sleep(600)

    def go_on() -> None:
        with time_limit(60):
            pass
        time.sleep(600)

    with pytest.raises(TimeoutError, match=r"within 0\.2 s"), time_limit(0.2):
        go_on()


def test_a_limit_leaves_the_alarm_of_others():
    """A handler and a timer from before are there again afterwards, also where the time ran out meanwhile."""

    def ring(*_: object) -> None:
        raise ZeroDivisionError

    def outlast() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with contextlib.suppress(TimeoutError), time_limit(60):
            time.sleep(600)
        time.sleep(600)

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with pytest.raises(ZeroDivisionError):
            outlast()
        assert signal.getsignal(signal.SIGALRM) is ring
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_rule_behind_a_mixing_draws_numbers_of_its_own():
    rule = aggregators.make("bucketing(s=1)+foreign:draws_an_order")
    equal = 0
    for seed in range(9):
        of_mixing = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
        equal += torch.equal(rule(torch.eye(6), 0, generator=torch.Generator().manual_seed(seed)), of_mixing.float())
    assert equal < 9


def test_torch_draws_depend_on_the_generator_alone():
    rule, state = aggregators.make("foreign:draws_from_torch"), torch.get_rng_state()
    found = [rule(ROWS, 1, generator=torch.Generator().manual_seed(seed)).tolist() for seed in range(9)]
    again = [rule(ROWS, 1, generator=torch.Generator().manual_seed(seed)).tolist() for seed in range(9)]
    assert found == again
    assert len({tuple(row) for row in found}) > 1
    assert torch.equal(torch.get_rng_state(), state)


def test_a_rule_is_not_told_who_is_byzantine_by_the_order():
    """Rows 0 and 1 are the Byzantine ones: over many rounds each row is first as often as any other."""
    rule, rounds = aggregators.make("foreign:by_place"), 500
    rows = torch.eye(5)
    first = sum(rule(rows, 0, generator=torch.Generator().manual_seed(seed)) for seed in range(rounds))
    assert first.sum() == rounds
    assert ((first - rounds / 5).abs() < 5 * (rounds * 0.2 * 0.8) ** 0.5).all()
    again = [rule(ROWS, 1, generator=torch.Generator().manual_seed(7)).tolist() for _ in range(2)]
    assert again[0] == again[1]


@pytest.mark.parametrize("mixings", ["", "nnm+"])
def test_a_rule_gets_every_row_once_and_its_answer_depends_on_no_place(mixings):
    """A rule that throws away who comes first would be perfect, were the Byzantine rows always there."""
    byzantine = torch.full((2, 3), 100.0)
    rows = torch.cat([byzantine, torch.zeros(6, 3)])
    rule = aggregators.make(f"{mixings}foreign:without_the_first")
    found = {float(rule(rows, 2, generator=torch.Generator().manual_seed(seed))[0]) for seed in range(50)}
    assert max(found) > 0
    if not mixings:  # of 6 rows that it keeps, 0, 1 or 2 are Byzantine
        assert found == {0.0, torch.tensor(100 / 6).item(), torch.tensor(200 / 6).item()}


def test_a_rule_that_calls_ours_plays_the_same_run():
    ours = simulate(replace(BASE, aggregator=Mean()))
    theirs = simulate(replace(BASE, aggregator=aggregators.make("foreign:same_mean")))
    assert theirs.params_sha256 == ours.params_sha256


def test_a_median_in_numpy_plays_the_same_run_as_ours():
    """A median selects, or halves one float32 sum: no rounding in which NumPy and we could differ."""
    for byzantine in (0, 1):  # with an odd and, after sampling, an even number of rows
        base = replace(BASE, byzantine=byzantine, sampled=5 - byzantine)
        ours = simulate(replace(base, aggregator=Median()))
        theirs = simulate(replace(base, aggregator=aggregators.make("foreign:median")))
        assert theirs.params_sha256 == ours.params_sha256


def test_a_float32_mean_agrees_with_ours_to_rounding():
    """Ours accumulates in float64; a sum of 5 float32 numbers is off by at most 4 roundings."""
    rows = torch.randn(5, 1000, generator=torch.Generator().manual_seed(0))
    gap = (aggregators.make("foreign:mean")(rows, 0).double() - rows.double().mean(0)).abs()
    assert (gap <= 5 * 2**-24 * rows.abs().double().sum(0)).all()


def test_what_an_object_remembers_is_its_runs_own():
    rule = aggregators.make("foreign:Momentum")
    runs = [simulate(replace(BASE, aggregator=rule)).params_sha256 for _ in range(2)]
    assert runs[0] == runs[1]
    assert runs[0] != simulate(replace(BASE, aggregator=aggregators.make("foreign:mean"))).params_sha256
    assert aggregators.make("foreign:ready").target is not foreign.ready


@pytest.mark.parametrize("name", ["foreign:Momentum(weight=0.25)", "foreign:server.rule", "foreign:trimmed"])
def test_a_run_goes_on_from_what_was_remembered(name):
    run = replace(BASE, aggregator=aggregators.make(name), rounds=4)
    kept: list[Snapshot] = []
    whole = simulate(run, on_snapshot=kept.append)
    stored = Snapshot.from_bytes(kept[1].to_bytes(run.digest), run.digest)
    assert simulate(run, start=stored).params_sha256 == whole.params_sha256
    assert foreign.server.rounds == 0


def test_what_an_object_remembers_comes_back_as_it_was():
    run = replace(BASE, aggregator=aggregators.make("foreign:Momentum(weight=0.25)"))
    kept: list[Snapshot] = []
    simulate(run, on_snapshot=kept.append)
    stored = Snapshot.from_bytes(kept[1].to_bytes(run.digest), run.digest)
    federation = Federation(run)
    federation.restore(stored)
    assert isinstance(federation.rule, UserRule)
    np.testing.assert_array_equal(federation.rule.target.count, [2, 2])
    assert federation.rule.target.weight == 0.25


@pytest.mark.parametrize("kind", [np.longdouble, ">f4", "<U1", complex, object], ids=str)
def test_arrays_that_torch_does_not_know_are_played_and_not_kept(kind):
    run = replace(BASE, aggregator=aggregators.make("foreign:Momentum"))
    made = Federation(run)
    made.rule.target.count = np.zeros(2, dtype=kind)
    (value,) = [value for key, value in made.rule.state_dict().items() if key.endswith("count")]
    assert isinstance(value, np.ndarray)
    with pytest.raises(ValueError, match="the state of the rule has 'count' of type ndarray"):
        Snapshot([], torch.zeros(1), torch.zeros(0), rule=made.rule.state_dict()).to_bytes("abc")


@pytest.mark.parametrize(
    ("rule", "state"),
    [
        ("Momentum", {"__class__": "list"}),
        ("Momentum", {"__call__": 1.0}),
        ("Momentum", {"__dict__": 1.0}),
        ("Momentum", {"weight": "heavy"}),
        ("Momentum", {"no name": 1.0}),
        ("Momentum", {"": 1.0}),
        ("Momentum", {"numpy count": "many"}),
        ("Momentum", {"numpy __dict__": torch.zeros(2)}),
        ("Momentum", {"own weight": 1.0}),
        ("mean", {"last": 1.0}),
    ],
    ids=str,
)
def test_a_checkpoint_of_what_cannot_be_is_set_aside(rule, state, tmp_path, capsys):
    run = replace(BASE, aggregator=aggregators.make(f"foreign:{rule}"))
    kept: list[Snapshot] = []
    whole = simulate(run, on_snapshot=kept.append)
    store = Store(tmp_path)
    store.prepare()
    (tmp_path / "runs" / run.digest).mkdir()
    store.save_checkpoint(run.digest, replace(kept[0], rule=state))
    (record,) = sweep([run], tmp_path)
    assert record.params_sha256 == whole.params_sha256
    assert "it has a state that foreign:" in capsys.readouterr().err


@pytest.mark.parametrize("state", [{"weight": 1}, {"last": None}, {"last": ROWS[0]}, {"later": 2.0}, {}])
def test_what_an_object_may_remember(state):
    assert aggregators.make("foreign:Momentum").is_valid_state(state, 2)


@pytest.mark.processes
def test_a_bench_goes_on_where_a_rule_fails(tmp_path: Path):
    bad = replace(BASE, aggregator=aggregators.make("foreign:raises"))
    slow = replace(BASE, aggregator=aggregators.make("foreign:sleeps(limit=0.2)"))
    good = replace(BASE, aggregator=aggregators.make("foreign:mean"))
    for workers in (1, 2):
        out = tmp_path / str(workers)
        with pytest.raises(InputError, match=r"not today \(foreign.py, line \d+\) \(and 1 more run\); the other runs"):
            sweep([bad, slow, good], out, workers=workers)
        assert (out / "runs" / good.digest / "record.json").is_file()


@pytest.mark.processes
@pytest.mark.parametrize("name", ["foreign:make_scaled(factor=0.5)", "foreign:first", "foreign:Momentum"])
def test_worker_processes_import_what_cannot_be_pickled(name: str, tmp_path: Path):
    runs = [replace(BASE, aggregator=aggregators.make(name), seed=seed) for seed in (0, 1)]
    runs[0].aggregator(ROWS, 1)  # what it remembers from here stays here
    records = sweep(runs, tmp_path, workers=2)
    assert [record.params_sha256 for record in records] == [simulate(run).params_sha256 for run in runs]


def test_a_copy_remembers_apart():
    """An attacker who tries the rule out does not move it."""
    rule = aggregators.make("foreign:Momentum(weight=0.5)")
    rule(ROWS, 1)
    tried = copy.deepcopy(rule)
    assert tried(3 * ROWS, 1).tolist() == [8.0, 88.0]
    assert rule(ROWS, 1).tolist() == [4.0, 44.0]


def test_nan_leaves_the_model_as_it_was():
    rounds = simulate(replace(BASE, aggregator=aggregators.make("foreign:nan"))).rounds
    assert [metrics["stepped"] for metrics in rounds] == [False] * 3


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes the module `own` and forgets that it was imported."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(text: str, name: str = "own") -> None:
        (tmp_path / f"{name}.py").write_text(text)
        sys.modules.pop(name, None)

    yield write
    for name in ("own", "base_of_own"):
        sys.modules.pop(name, None)


FUNCTION = "def rule(updates):\n    return updates.mean(0)\n"
OBJECT = "from base_of_own import Scaled\nrule = Scaled({})\n"
SCALED = """class Scaled:
    def __init__(self, factor): self.factor = factor
    def __call__(self, updates): return self.factor * updates.mean(0)
"""


def digest_of(name: str = "own:rule") -> str:
    return replace(BASE, aggregator=aggregators.make(name)).digest


def test_the_digest_tells_code_apart(module):
    module(FUNCTION)
    first = digest_of()
    assert digest_of() == first
    module(FUNCTION + "# other\n")
    assert digest_of() != first


def test_the_digest_tells_objects_apart(module):
    """By the module that makes them, by the file of their class, and by the options in the name."""
    module(SCALED, "base_of_own")
    module(OBJECT.format(1.0))
    first = digest_of()
    module(OBJECT.format(2.0))
    second = digest_of()
    module(SCALED + "# other\n", "base_of_own")
    module(OBJECT.format(2.0))
    third = digest_of()
    built = {digest_of(f"own:Scaled(factor={factor})") for factor in (1.0, 2.0)}
    assert len({first, second, third, *built}) == 5


def test_what_has_no_file_is_refused(monkeypatch):
    typed = ModuleType("typed")
    typed.rule = len
    monkeypatch.setitem(sys.modules, "typed", typed)
    with pytest.raises(InputError, match="not defined in a file, so the digest of the run cannot include its code"):
        digest_of("typed:rule")


def test_the_content_names_it(module):
    module(FUNCTION)
    content = replace(
        BASE, aggregator=aggregators.make("nnm+own:rule"), attack=attacks.make("foreign:mirrored")
    ).content
    assert content["aggregator_name"] == "nnm+own:rule"
    assert content["aggregator"]["rule"]["path"] == "own:rule"
    assert set(content["user_code"]) >= {"own:rule", "foreign:mirrored"}
    assert all(len(value) == len(hashlib.sha256().hexdigest()) for value in content["user_code"].values())


@pytest.mark.parametrize(
    "name", ["average(a=own:rule,b=mean)", "gas(base=nnm+own:rule)", "arc+average(a=mean,b=own:rule)"]
)
def test_the_content_names_it_wherever_it_is_an_option(name, module):
    module(FUNCTION)
    assert replace(BASE, aggregator=aggregators.make(name)).content["user_code"].keys() >= {"own:rule"}


def test_a_record_says_its_command_without_importing_anything(module, tmp_path):
    names = "nnm(itself=False)+own:rule(limit=5)", "foreign:mirrored"
    module(FUNCTION)
    run = Run(aggregator=aggregators.make(names[0]), attack=attacks.make(names[1]))
    record = Record(run.content, [], "")
    module("raise SystemExit('imported')")
    text = command([record])
    assert text is not None
    assert "--attacks foreign:mirrored --rules 'nnm(itself=False)+own:rule'" in text
    assert "strike-authors" not in text
    assert "own" not in sys.modules


def test_a_record_of_the_time_when_arrays_were_guessed_stays_readable():
    content = Run(aggregator=aggregators.make("nnm+foreign:mean")).content
    stage = {"name": "user", "path": "foreign:mean", "options": "", "arrays": "auto", "called": ""}
    old = {**content, "aggregator": {**content["aggregator"], "rule": stage}}
    assert command([Record(old, [], "")]) == command([Record(content, [], "")]) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"aggregator_name": "own:rule"},
        {"aggregator_name": "own:rule+mean"},
        {"attack_name": "own:rule"},
        {"aggregator_name": "own:rul", "aggregator": {"name": "user", "path": "x:y"}},
    ],
    ids=str,
)
def test_a_hostile_record_has_nothing_imported(module, changes):
    module("raise SystemExit('imported')")
    assert command([Record({**Run().content, **changes}, [], "")]) is None
    assert "own" not in sys.modules


def test_installed_packages_register_names(module, tmp_path: Path):
    module(FUNCTION)
    info = tmp_path / "own-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[gradskew.aggregators]\nown-rule = own:rule\nmedian = own:rule\nheavy = foreign:Heaviest\nlost = own:lost\n"
        "[gradskew.attacks]\nmirrored = foreign:mirrored\n"
    )
    assert registered("attack") == {"mirrored": "foreign:mirrored"}
    rule = aggregators.make("nnm+own_rule")
    assert rule.name == "nnm+own_rule"
    assert aggregators.make(rule.name) == rule
    assert replace(BASE, aggregator=rule).content["user_code"].keys() >= {"own:rule"}
    assert aggregators.make("heavy") == foreign.Heaviest()
    assert aggregators.make("median") == Median()
    assert isinstance(attacks.make("mirrored"), UserAttack)
    with pytest.raises(InputError, match="cannot import the rule 'own:lost'"):
        aggregators.make("lost")
    with pytest.raises(InputError, match=r"unknown rule 'own_rul'; did you mean 'own_rule'\? .*own_rule"):
        aggregators.make("own_rul")
