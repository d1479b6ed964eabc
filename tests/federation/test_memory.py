"""The estimate of a run's memory against what it takes; no second copy of the updates."""

import gc
import json
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from tiny import Tiny, same, tied
from torch import nn

from gradskew import aggregators, attacks
from gradskew.aggregators import Median
from gradskew.attacks import LIE
from gradskew.cli import main
from gradskew.core import machine
from gradskew.core.errors import InputError
from gradskew.data import Dataset, Split, partition
from gradskew.data.partition import IID, ByWriter, Dirichlet
from gradskew.federation import clients, memory
from gradskew.federation.optimizer import SGD
from gradskew.federation.rounds import Federation
from gradskew.federation.rows_in_place import keep_finite, move_to_front
from gradskew.federation.run import Run
from gradskew.federation.simulation import simulate
from gradskew.models import MLP, Linear, UserModel, num_parameters
from gradskew.runs.sweeps import sweep

BASE = Run(source=Tiny(), partition=IID(), model=Linear(), clients=6, byzantine=2, rounds=2, sgd=SGD(batch=4))
STEPS = SGD(local_steps=2, batch=4, momentum=0.0)

PLAYED = """
import json
from gradskew import IID, MLP, SGD, Run, attacks, aggregators, simulate
from gradskew.core import machine
from gradskew.federation.memory import estimate
run = Run(
    model=MLP(hidden={hidden}), attack=attacks.make("{attack}"), aggregator=aggregators.make("{rule}"),
    worker_momentum={momentum}, clients={clients}, partition=IID(), rounds=2, engine="{engine}", local="{local}",
    sgd=SGD(batch=16, momentum=0, local_steps=2),
)
estimated, last = estimate(run), []

def keep(snapshot):  # as a stored run does
    last[:] = [snapshot]
    snapshot.to_bytes("")

simulate(run, on_snapshot=keep)
print(json.dumps([estimated.rows, estimated.total, machine.peak()]))
"""


@pytest.mark.processes
@pytest.mark.parametrize(
    ("hidden", "clients", "engine", "attack", "rule", "momentum", "local"),
    [
        (6_000, 100, "batched", "lie", "median", 0.0, "fedavg"),
        (10_000, 60, "loop", "bitflip", "mean", 0.0, "fedavg"),
        (10_000, 60, "loop", "none", "foolsgold", 0.0, "fedavg"),
        (10_000, 60, "loop", "none", "mean", 0.9, "fedavg"),
        (10_000, 40, "loop", "none", "mean", 0.0, "scaffold"),
    ],
)
def test_the_estimate_is_right_within_a_fifth(hidden, clients, engine, attack, rule, momentum, local):
    """In a process of its own: d = 75 hidden + 10, so that the rows are 300 and 360 MB."""
    given = {"hidden": hidden, "clients": clients, "engine": engine, "attack": attack, "rule": rule}
    script = PLAYED.format(momentum=momentum, local=local, **given)
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True)
    rows, estimated, measured = json.loads(done.stdout)
    assert rows == 4 * clients * (75 * hidden + 10)
    assert 0.8 <= estimated / measured <= 1.2, (estimated, measured)


def test_the_parts_by_hand():
    """A linear network of 9 inputs and 3 classes: d = 30. Six clients train at once, on batches of 4 images."""
    assert num_parameters(Linear(), (3, 3), 3) == 30
    estimated = memory.estimate(replace(BASE, engine="batched"))
    assert estimated.rows == 6 * 120
    assert estimated.data == 68 * (9 * 4 + 8) + 8 * (48 + 2 * 6)
    assert estimated.distances == 8 * 6 * 6 * 8
    assert estimated.rule == 0
    assert estimated.training == 8 * 120 + 6 * (3 * 120 + 2 * 4 * 4 * 9)
    assert memory.estimate(replace(BASE, engine="loop")).training == 8 * 120 + 3 * 120 + 2 * 4 * 4 * 9
    assert estimated.total == sum(estimated.parts.values()) == sum(vars(estimated).values())
    assert list(estimated.parts.values()) == sorted(estimated.parts.values(), reverse=True)


@dataclass(frozen=True, kw_only=True)
class Smooth(Linear):
    """A dense network that is not written out, so that autograd returns gradients of its own."""

    key: ClassVar[str] = "smooth"

    def build(self, shape: tuple[int, ...], num_classes: int) -> nn.Module:
        return nn.Sequential(*super().build(shape, num_classes), nn.Tanh())


@pytest.mark.parametrize(
    ("model", "vectors"), [(Linear(), 3), (Smooth(), 4), (UserModel(factory=Linear().build, vectorised=True), 3)]
)
def test_the_gradients_of_autograd_count_where_it_is_used(model, vectors):
    estimated = memory.estimate(replace(BASE, model=model, engine="batched"))
    assert estimated.training == 8 * 120 + 6 * (vectors * 120 + 2 * 4 * 4 * 9)
    assert memory.estimate(replace(BASE, model=model, engine="loop")).training == 8 * 120 + 3 * 120 + 2 * 4 * 4 * 9


@pytest.mark.parametrize(
    ("rule", "rows"),
    [
        ("alignins", 4 / 4),
        ("fedseca", 4 / 4),
        ("lasa", 4 / 2),
        ("foolsgold", 4 + 2 * 6),
        ("foolsgold(memory=False)", 0),
        ("nnm+fedseca", 4 + 4 / 4),
        ("bucketing(s=2)+fedseca", 2 + 2 / 4),
        ("nnm+multikrum", 0),
    ],
)
def test_what_a_rule_holds_besides_the_rows(rule, rows):
    """Of 4 sampled clients among 6, in rows of 30 float32 numbers; a mask has one byte for each number."""
    run = replace(BASE, aggregator=aggregators.make(rule), sampled=4, byzantine=1)
    assert memory.estimate(run).rule == rows * 120


@pytest.mark.parametrize(
    ("attack", "rows"),
    [
        ("lie", 0),
        ("mimic", 24),
        ("mimic(variant=index)", 0),
        ("labelflip", 0),
        ("labelflip(scale=2)", 2),
        ("labelflip+mimic", 24),
        ("labelflip(scale=2)+bitflip", 4),
        ("poisonedfl", 9),
        ("bitflip", 2),
        ("bitflip(of=mean)", 0),
        ("replay", 0),
        ("replay(noise=1)", 2),
        ("gaussian", 2),
        ("gaussian(same=True)", 1),
        ("gaussian(around=own)", 4),
        ("byzmean", 10),
        ("rop", 28),
        ("fang(direction=mean)", 12),
        ("fang(target=krum,epsilon=1)", 16),
        ("adaptive", 2 * 4 + 24),
        ("adaptive(effort=full)", 2 * (4 + 2 * 2) + 24 + 2 + 5),
    ],
)
def test_what_an_attack_holds_besides_the_rows(attack, rows):
    """Two Byzantine clients, rows of 30 float32 numbers."""
    assert memory.estimate(replace(BASE, attack=attacks.make(attack))).attack == rows * 120


def test_what_clients_remember_by_hand():
    """Rows of 120 bytes: twice of all six clients once they have taken part, and those that the last round replaced."""
    few = replace(BASE, sampled=2, byzantine=1)
    assert memory.estimate(few).state == 0
    assert memory.estimate(replace(few, worker_momentum=0.9, rounds=1)).state == (4 + 2) * 120
    assert memory.estimate(replace(few, worker_momentum=0.9, rounds=2)).state == (8 + 2) * 120
    assert memory.estimate(replace(few, worker_momentum=0.9, rounds=9)).state == (12 + 2) * 120
    scaffold = memory.estimate(replace(BASE, sgd=STEPS, local="scaffold", engine="batched"))
    assert scaffold.state == (12 + 6 + 6) * 120
    assert scaffold.training == 8 * 120 + 6 * (4 * 120 + 2 * 4 * 4 * 9), "the controls of those that train together"
    assert (
        memory.estimate(replace(BASE, server="fedavgm", engine="loop")).training == 11 * 120 + 3 * 120 + 2 * 4 * 4 * 9
    )


def test_momenta_that_do_not_fit_are_refused_in_one_line(monkeypatch):
    """718 clients remember 2.9 GB, and a checkpoint takes as much again; the ten rows of a round take 40 MB."""
    run = Run(model=MLP(hidden=13_333), clients=718, sampled=10, byzantine=1, rounds=200, partition=IID())
    monkeypatch.setattr(machine, "memory", lambda: machine.Memory(2 * 10**9, 10**9))
    memory.check_fits([run])
    with pytest.raises(InputError, match=r"5\.8 GB for what clients remember.*clients = 359 remember less") as error:
        memory.check_fits([replace(run, worker_momentum=0.9)])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("option", "nothing"),
    [({"worker_momentum": 0.9}, "worker_momentum = 0"), ({"local": "scaffold", "sgd": STEPS}, "local = fedavg")],
)
@pytest.mark.parametrize(("sampled", "clients"), [(None, "clients = 3 "), (5, "clients = 5 "), (6, "")])
def test_what_clients_remember_can_be_made_less(option, nothing, sampled, clients):
    """Of six clients, all or a sample of which play in a round: fewer clients, or none that remember."""
    hints = memory.less_memory(replace(BASE, sampled=sampled, **option))
    assert f"{nothing} remembers nothing" in hints
    assert (f"{clients}remember less" in hints) if clients else ("clients = " not in hints)
    assert "remember" not in memory.less_memory(replace(BASE, sampled=sampled))


@pytest.fixture
def small(monkeypatch):
    """The process of the tests takes 200 MB, whatever was run in it before."""
    monkeypatch.setattr(memory, "_baseline", lambda: (200 << 20, frozenset(sys.modules)))


@pytest.mark.usefixtures("small")
def test_a_run_that_is_larger_than_the_machine_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "memory", lambda: machine.Memory(10**8, 10**8))
    wanted = r"^out of memory on cpu before it starts: about \d\.\d GB of memory; there are 0\.1 GB: .*batch = 2 halves"
    with pytest.raises(InputError, match=wanted):
        simulate(BASE)
    with pytest.raises(InputError, match=r"for each of 2 workers.*workers = 1 halves all$"):
        sweep([BASE, replace(BASE, seed=1)], tmp_path, workers=2)
    assert not list(tmp_path.glob("runs/*/record.json"))


def test_the_command_line_refuses_in_one_line(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(machine, "memory", lambda: machine.Memory(10**8, 10**8))
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--attacks", "none", "--aggregators", "mean", "--out", str(tmp_path), "--workers", "1"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert re.fullmatch(r"gradskew: out of memory on cpu before it starts: .*sampled = 25 halves.*\n", error)


@pytest.mark.usefixtures("small")
def test_memory_that_is_taken_by_others_is_a_warning(monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: machine.Memory(10**13, 10**6))
    assert "only 0.0 GB are free now" in memory.summary([BASE])
    monkeypatch.setattr(machine, "memory", lambda: machine.Memory(10**13, 10**12))
    assert re.fullmatch(r"About 0\.\d GB of memory for each of 3 workers\.", memory.summary([BASE], 3))
    assert re.fullmatch(r"About 0\.\d GB of memory for each run\.", memory.summary([BASE], None))


def test_many_rows_are_named_with_what_is_free(monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: machine.Memory(10**13, 5 * 10**12))
    text = memory.summary([replace(BASE, model=MLP(hidden=10**6), clients=40)])
    assert "GB rows of updates" in text
    assert text.endswith("; 5,000.0 GB are free.")


@pytest.mark.parametrize("model", [Linear(), MLP(hidden=16), UserModel(factory=tied, vectorised=True)], ids=str)
def test_training_in_parts_agrees_with_training_at_once(model, monkeypatch):
    """To float32 accuracy: a product of fewer matrices may round otherwise. Parts cut groups of uneven clients."""
    run = replace(BASE, model=model, engine="batched", partition=Dirichlet(beta=0.3, min_samples=1), attack=LIE())
    everyone = list(range(run.clients))
    whole = Federation(run).updates(everyone, 0)[0].clone()
    assert "together" not in run.content
    d = num_parameters(model, (3, 3), 3)
    monkeypatch.setattr(clients, "WHOLE", d)
    for count in (1, 2, 4):
        monkeypatch.setattr(clients, "PART", count * d)
        part = replace(run)
        assert part.content["together"] == count, "another arithmetic is another run"
        same(Federation(part).updates(everyone, 0)[0], whole)
        assert simulate(part).params_sha256 == simulate(part).params_sha256


def test_the_loop_trains_as_ever_however_many_rows_there_are(monkeypatch):
    monkeypatch.setattr(clients, "WHOLE", 1)
    assert "together" not in replace(BASE, engine="loop").content


@pytest.mark.parametrize("bad", [[], [0], [5], [2, 3], [0, 1, 4], [1, 2, 3, 4, 5], list(range(6))], ids=str)
def test_bad_rows_move_aside_in_place(bad):
    updates, buffers = torch.arange(18.0).view(6, 3), torch.arange(6.0)[:, None]
    updates[bad, 1] = torch.nan
    good = updates.isfinite().all(1)
    wanted = updates[good], buffers[good], [10 + i for i in range(6) if good[i]]
    rows, kept, ids = keep_finite(updates, buffers, list(range(10, 16)))
    assert torch.equal(rows, wanted[0])
    assert torch.equal(kept, wanted[1])
    assert ids == wanted[2]
    assert rows.untyped_storage().data_ptr() == updates.untyped_storage().data_ptr()
    assert rows.storage_offset() + rows.numel() == updates.numel(), "the last rows stay where they are"


@pytest.mark.parametrize("chosen", [[], [0, 1], [4], [1, 2, 4], [0, 3, 4], [0, 1, 2, 3, 4]], ids=str)
def test_chosen_rows_stand_in_front_for_a_while(chosen):
    rows = torch.arange(10.0).view(5, 2)
    before = rows.clone()
    with suppress(KeyError), move_to_front(rows, chosen):
        assert torch.equal(rows[: len(chosen)], before[chosen])
    assert torch.equal(rows, before)


@pytest.mark.parametrize(
    ("deal", "many"), [(IID(), 100_000), (Dirichlet(beta=20.0, min_samples=1), 10_000), (ByWriter(), 100_000)], ids=str
)
def test_many_clients_are_an_index(deal, many):
    images = 4 * many
    labels, writers = torch.arange(images) % 4, torch.arange(images) // 4
    split = Split(torch.zeros(images, 1, dtype=torch.uint8), labels, writers)
    parts = deal(Dataset(split, split, 4), many, 0)
    assert isinstance(parts, partition.Parts)
    assert len(parts) == many
    held = [parts.indices.nbytes, parts.edges.nbytes, parts.sizes.nbytes]
    assert sum(held) <= 8 * (images + 2 * many + 1)
    assert vars(parts).keys() == {"indices", "edges", "sizes"}
    assert torch.equal(parts[-1], parts[many - 1])
    assert [len(part) for part in parts[:3]] == parts.sizes[:3].tolist()
    with pytest.raises(IndexError):
        parts[many]


def test_a_dirichlet_partition_without_hope_is_given_up_soon():
    """Of 400 clients with two images on average each time a hundred have none: 20 draws tell, 1,000 would not."""
    split = Split(torch.zeros(800, 1), torch.arange(800) % 4)
    with pytest.raises(InputError, match="400 clients 1 of 800 inputs in 20 draws"):
        Dirichlet(beta=0.5, min_samples=1)(Dataset(split, split, 4), 400, 0)


def test_the_peak_and_the_estimate_stand_in_timing(tmp_path):
    sweep([replace(BASE, aggregator=Median())], tmp_path)
    (timing,) = (json.loads(path.read_text()) for path in tmp_path.glob("runs/*/timing.json"))
    assert timing["estimated_memory_mb"] > 50
    assert timing["peak_memory_mb"] > 50


@pytest.mark.processes
def test_a_worker_that_has_played_a_large_run_is_not_large_for_the_next(tmp_path):
    """The estimate is right for each; rows of 150 MB, and of 0.3."""
    script = tmp_path / "several.py"
    script.write_text(
        "import json\n"
        "from pathlib import Path\n"
        "import gradskew as gs\n"
        "runs = [gs.Run(rounds=2, seed=s, model=gs.MLP(hidden=h)) for h, s in ((10_000, 0), (32, 0), (32, 1))]\n"
        "gs.sweep(runs, 'out')\n"
        "for run in runs:\n"
        "    timing = json.loads(Path(f'out/runs/{run.digest}/timing.json').read_text())\n"
        "    print(timing['estimated_memory_mb'] / timing['peak_memory_mb'])\n"
    )
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True)
    shares = [float(line) for line in done.stdout.splitlines()]
    assert len(shares) == 3
    assert all(0.8 <= share <= 1.2 for share in shares), shares


@pytest.mark.parametrize(
    ("attack", "rule"),
    [
        *(("strike", rule) for rule in (*aggregators.names(), "nnm+rfa", "bucketing(s=2)+multikrum", "foreign:mean")),
        *((name, "median" if cls.monotone_only else "multikrum") for name, cls in attacks.ATTACKS.classes.items()),
    ],
)
def test_a_run_leaves_no_tensor_to_the_garbage_collector(attack, rule):
    """Which comes when it likes: until then, the rows of rounds that are over would stay in memory."""
    aggregator = aggregators.make(rule)
    root = 4 if aggregator.needs else 0
    run = replace(BASE, attack=attacks.make(attack), aggregator=aggregator, root_examples=root)
    simulate(run)  # what is imported and cached
    gc.disable()
    gc.freeze()  # what was before is no finding, and need not be searched
    try:
        gc.set_debug(gc.DEBUG_SAVEALL)
        simulate(run)
        gc.collect()
        left = [tuple(each.shape) for each in gc.garbage if isinstance(each, torch.Tensor)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()
    assert left == []
