"""A result depends on the run alone, and the digest names everything that it depends on."""

import dataclasses
import hashlib
import importlib.util
import json
import os
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from tiny import DROPOUT, NORM, Cuts, Tiny, hashed, norm
from torch import Tensor, nn

from gradskew import aggregators, attacks, models
from gradskew.core.errors import InputError
from gradskew.core.numerics import deterministic, fixed_threads
from gradskew.core.randomness import derive, drawing, generator, numpy_generator, torch_seed
from gradskew.data import Digits, FashionMNIST
from gradskew.data.partition import IID, Dirichlet
from gradskew.federation.optimizer import SGD
from gradskew.federation.run import Run
from gradskew.federation.server import FedAvg
from gradskew.federation.simulation import simulate
from gradskew.models import CNN, MLP, Linear, UserModel

BASE = Run(source=Tiny(), partition=IID(), model=MLP(hidden=4), clients=8, sampled=6, byzantine=2, rounds=2)
DRAWS = [  # runs in which clients, batches, attacks, rules and modules draw
    replace(BASE, attack=attacks.make("mimic"), aggregator=aggregators.make("bucketing+dnc"), knowledge=0.5),
    replace(BASE, attack=attacks.make("strike"), aggregator=aggregators.make("nnm+rfa"), redraw_knowledge=True),
    replace(BASE, model=DROPOUT, attack=attacks.make("labelflip"), aggregator=aggregators.make("cclip")),
    replace(
        BASE, model=NORM, buffers="aggregated", attack=attacks.make("minmax"), aggregator=aggregators.make("aksel")
    ),
]


def ids(run: Run) -> str:
    return f"{run.attack.name}-{run.aggregator.name}"


@pytest.mark.parametrize("run", DRAWS, ids=ids)
def test_the_same_run_twice(run: Run) -> None:
    """Whatever ran before, and whatever the global generators hold, which stay as they are."""
    first = simulate(run)
    simulate(replace(run, seed=5, model=CNN(width=2), source=Tiny(shape=(4, 4))))
    torch.manual_seed(123)
    np.random.seed(123)  # noqa: NPY002
    random.seed(123)
    before = torch.get_rng_state(), repr(np.random.get_state()), random.getstate()  # noqa: NPY002
    second = simulate(run)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (repr(np.random.get_state()), random.getstate()) == before[1:]  # noqa: NPY002
    assert second.params_sha256 == first.params_sha256
    assert second.rounds == first.rounds
    other = simulate(replace(run, seed=1))
    assert other.params_sha256 != first.params_sha256


SCRIPT = """
from gradskew import CNN, IID, Run, aggregators, attacks, simulate
rule = aggregators.make("bucketing+multikrum")
run = Run(model=CNN(width=8), clients=6, rounds=1, partition=IID(), attack=attacks.make("strike"), aggregator=rule)
result = simulate(run)
print(run.digest, result.params_sha256, [sorted(metrics.items()) for metrics in result.rounds])
"""


@pytest.mark.processes
def test_the_environment_does_not_matter() -> None:
    """This federation's sums differ in the last bits between one and two threads."""
    outputs = set()
    for hash_seed, threads in (("1", "1"), ("2", "2")):
        counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        environment = {**os.environ, **counts, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", SCRIPT]
        outputs.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(outputs) == 1


def test_threads_are_fixed_and_given_back() -> None:
    before = torch.get_num_threads()
    with fixed_threads(3):
        assert torch.get_num_threads() == 3
        with pytest.raises(ValueError, match="x"), fixed_threads(2):
            raise ValueError("x")
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before
    with deterministic("cpu"):
        assert not torch.are_deterministic_algorithms_enabled()


def test_params_sha256_by_hand() -> None:
    result = simulate(replace(BASE, model=NORM))
    numbers = result.params.tolist() + result.buffers.tolist()
    assert len(result.buffers) == 8
    assert result.params_sha256 == hashlib.sha256(struct.pack(f"<{len(numbers)}f", *numbers)).hexdigest()


def test_seeds_are_derived_by_hash() -> None:
    text = hashlib.sha256(b"7/batches/3/11").digest()
    assert derive(7, "batches", 3, 11) == int.from_bytes(text[:16], "big")
    assert torch_seed(7, "batches", 3, 11) == int.from_bytes(text[12:16], "big") == hashed(7, "batches", 3, 11)


def test_seeds_differ_beyond_32_bits() -> None:
    seeds = [7, 7 + 2**32, 7 + 2**64, 7 * 2**32]
    assert len({derive(seed, "x") for seed in seeds}) == len({torch_seed(seed, "x") for seed in seeds}) == 4
    draws = {float(torch.rand(1, generator=generator(seed, "x"))) for seed in seeds}
    assert len(draws) == 4
    assert len({float(numpy_generator(seed, "x").random()) for seed in seeds}) == 4
    assert simulate(BASE).params_sha256 != simulate(replace(BASE, seed=2**32)).params_sha256


def test_fields_of_a_seed_do_not_run_into_each_other() -> None:
    places = [(1, "x", 1, 11), (1, "x", 11, 1), (1, "x", 111), (11, "x", 1, 1), (1, "y", 1, 11), (1, "x", 1, 1, 1)]
    assert len({derive(seed, purpose, *where) for seed, purpose, *where in places}) == len(places)


def test_drawing_forks_and_seeds() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    with drawing(7):
        first = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    with drawing(7):
        assert torch.equal(torch.rand(3), first)
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(2)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Halves(FedAvg):
    """Steps with half of the aggregate."""

    key: ClassVar[str] = "halves"

    def step(self, params: Tensor, aggregate: Tensor) -> None:
        params -= aggregate / 2


CHANGES: dict[str, list[Any]] = {
    "source": [Tiny(seed=1), Tiny(shape=(3, 4)), Digits()],
    "partition": [Dirichlet(min_samples=1), Dirichlet(min_samples=2), Dirichlet(beta=0.1), Cuts(sizes=(6,) * 8)],
    "model": [MLP(hidden=5), MLP(hidden=(4, 4)), Linear(), UserModel(factory=norm)],
    "attack": [
        *map(attacks.make, attacks.ATTACKS.classes.keys() - {"none"}),
        *map(attacks.make, ["lie(z=1.0)", "lie(z=None)", "ipm(epsilon=2.0)", "mimic(warmup=1)", "strike(nu=0.5)"]),
    ],
    "aggregator": [
        *map(aggregators.make, aggregators.RULES.classes.keys() - {"mean", "fltrust", "vote"}),  # two need more
        *map(aggregators.make, ["nnm+mean", "bucketing+mean", "bucketing(s=3)+mean", "nnm+bucketing+mean"]),
        *map(aggregators.make, ["bucketing+nnm+mean", "cclip(tau=1.0)", "rfa(nu=0.1)", "nnm+cclip(tau=1.0)"]),
    ],
    "clients": [9],
    "sampled": [None, 5],
    "byzantine": [0, 1, 3],
    "rounds": [3],
    "sgd": [
        *[replace(BASE.sgd, epochs=1), replace(BASE.sgd, batch=5), replace(BASE.sgd, lr=0.3)],
        *[replace(BASE.sgd, momentum=0.0), replace(BASE.sgd, weight_decay=0.0)],
        *[replace(BASE.sgd, clip=None), replace(BASE.sgd, clip=1.0)],
        *[replace(BASE.sgd, epochs=1, local_steps=1), replace(BASE.sgd, epochs=1, local_steps=2)],
    ],
    "local": ["fedprox", "fedprox(mu=0.5)", "fedprox(mu=0)"],
    "rows": ["fednova"],
    "worker_momentum": [0.5, 0.9],
    "worker_momentum_start": [],  # goes with a momentum: below
    "knowledge": [0.5, 0.0],
    "redraw_knowledge": [True],
    "known": ["own"],
    "attack_rounds": ["1:", ":1", "::2"],
    "told": ["expected", 3],
    "loss": ["squared"],
    "buffers": ["aggregated"],
    "seed": [1, 2**32],
    "engine": ["loop"],
    "device": ["cuda"],
    "threads": [2],
    "precision": ["bf16"],
    "evaluate_every": [3],
    "lens": [False],
    "pictures": [(), (1,)],
    "server": [
        Halves(),
        "fedavgm",
        "fedavgm(beta=0)",
        "fedavgm(lr=2)",
        "fedadam",
        "fedadam(tau=0.1)",
        "fedyogi",
        "fedadagrad",
    ],
    "root_examples": [5],
    "votes": [True],
    "probe": [True],
    "validation": [0.2, 0.5],
}


def test_the_digest_changes_with_every_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert CHANGES.keys() == {field.name for field in dataclasses.fields(Run)}
    base = dataclasses.asdict(BASE.sgd)
    changed = {name for sgd in CHANGES["sgd"] for name, value in dataclasses.asdict(sgd).items() if value != base[name]}
    assert changed == {field.name for field in dataclasses.fields(SGD)}
    runs = [BASE, *(replace(BASE, **{name: value}) for name, values in CHANGES.items() for value in values)]
    runs.append(replace(BASE, worker_momentum=0.5, worker_momentum_start="first"))
    digests: dict[str, Run] = {}
    for run in runs:
        assert run.digest not in digests, f"{run} has the digest of {digests[run.digest]}"
        digests[run.digest] = run


def test_the_digest_changes_with_every_option_of_every_part() -> None:
    """Whatever field of an attack, a rule or a mixing is changed, so is the digest."""
    for make, table, field in (
        (lambda key: attacks.ATTACKS.classes[key], attacks.ATTACKS, "attack"),
        (lambda key: aggregators.RULES.classes[key], aggregators.RULES, "aggregator"),
    ):
        for key in table:
            part = make(key)()
            digest = replace(BASE, **{field: part, "root_examples": 5, "votes": True}).digest
            for option in dataclasses.fields(part):
                if not option.init:
                    continue
                other = make(key)()
                nested = isinstance(getattr(part, option.name), aggregators.Aggregator)
                changed_to = aggregators.RFA() if nested else "another"  # past the checks: only the text counts
                object.__setattr__(other, option.name, changed_to)
                changed = replace(BASE, root_examples=5, votes=True)
                object.__setattr__(changed, field, other)
                assert changed.digest != digest, (key, option.name)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"byzantine": 0.2, "clients": 50, "source": Digits()}, {"byzantine": 10, "clients": 50, "source": Digits()}),
        ({"byzantine": 0.25}, {"byzantine": 2}),
        ({"sampled": None}, {"sampled": 8}),
        ({"engine": "auto"}, {"engine": "batched"}),
        ({"engine": "auto", "model": NORM}, {"engine": "loop", "model": NORM}),
        ({"knowledge": 1}, {"knowledge": 1.0}),
        ({"attack_rounds": None}, {"attack_rounds": "0::1"}),
        ({"attack_rounds": "1:"}, {"attack_rounds": "01::1"}),
        ({"sgd": SGD(lr=1, momentum=0)}, {"sgd": SGD(lr=1.0, momentum=0.0)}),
        ({"sgd": SGD(weight_decay=0, clip=1)}, {"sgd": SGD(weight_decay=0.0, clip=1.0)}),
        ({"aggregator": aggregators.make("bucketing+rfa")}, {"aggregator": aggregators.make("bucketing(s=2)+rfa")}),
        ({"model": models.make("mlp(hidden=4)")}, {"model": MLP(hidden=4)}),
        ({"device": "cuda:0"}, {"device": "cuda:1"}),
        ({"device": "cuda"}, {"device": "cuda:1"}),
    ],
)
def test_two_ways_to_say_one_run(
    first: dict[str, Any], second: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert replace(BASE, **first).digest == replace(BASE, **second).digest


def idx(shape: tuple[int, ...], content: bytes) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + content


def test_the_digest_covers_the_data_not_their_folder(tmp_path: Path) -> None:
    def folder(name: str, first: int) -> FashionMNIST:
        (tmp_path / name).mkdir()
        for part in ("train", "t10k"):
            pixels = bytes([first, *range(1, 40)])
            (tmp_path / name / f"{part}-images-idx3-ubyte").write_bytes(idx((10, 2, 2), pixels))
            (tmp_path / name / f"{part}-labels-idx1-ubyte").write_bytes(idx((10,), bytes(range(10))))
        return FashionMNIST(folder=tmp_path / name)

    one, two, other = (replace(BASE, source=folder(*given)) for given in (("one", 0), ("two", 0), ("other", 9)))
    assert one.digest == two.digest
    assert one.digest != other.digest
    assert str(tmp_path) not in json.dumps(one.content)


def test_the_digest_is_plain_json_and_the_same_every_time() -> None:
    run = replace(BASE, attack=attacks.make("strike"))
    text = json.dumps(run.content, sort_keys=True, separators=(",", ":"))
    assert run.digest == hashlib.sha256(text.encode()).hexdigest() == replace(run).digest
    content = run.content
    assert (content["byzantine"], content["sampled"], content["engine"]) == (2, 6, "batched")
    assert (content["torch"], content["numpy"]) == (torch.__version__, np.__version__)


MINE = """
from dataclasses import dataclass
from gradskew.attacks.none import NoAttack
from gradskew.aggregators import Mean
from torch import Tensor, nn

@dataclass(frozen=True, kw_only=True)
class Mine(NoAttack):
    key = "mine"

@dataclass(frozen=True, kw_only=True)
class MyMean(Mean):
    key = "my_mean"

def net(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(9, classes))

def dropping(share):
    def factory(shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Dropout(share), nn.Linear(9, classes))
    return factory
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Imports a user's module from a file with this text."""
    return lambda text: imported(tmp_path / "mine.py", text, monkeypatch)


def imported(path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("mine", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "mine", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "part",
    [
        lambda mine: {"attack": mine.Mine()},
        lambda mine: {"aggregator": mine.MyMean()},
        lambda mine: {"aggregator": aggregators.Mixed(mixing=aggregators.NNM(), rule=mine.MyMean())},
        lambda mine: {"model": UserModel(factory=mine.net)},
    ],
    ids=["attack", "rule", "behind a mixing", "network"],
)
def test_the_digest_covers_the_source_of_a_users_code(
    part: Callable[[Any], dict[str, Any]], mine: Callable[[str], Any]
) -> None:
    digests = []
    for text in (MINE, MINE, MINE + "\n# changed\n"):
        run = replace(BASE, **part(mine(text)))
        assert hashlib.sha256(text.encode()).hexdigest() in run.content["user_code"].values()
        digests.append(run.digest)
    assert digests[0] == digests[1] != digests[2]
    assert "user_code" not in Run().content


def test_the_digest_tells_networks_of_one_factory_apart(mine: Callable[[str], Any]) -> None:
    dropping = mine(MINE).dropping
    runs = [replace(BASE, model=UserModel(factory=dropping(share))) for share in (0.5, 0.5, 0.1)]
    assert runs[0].digest == runs[1].digest != runs[2].digest

    net = nn.Sequential(nn.Flatten(), nn.Linear(9, 3))

    def factory(shape: tuple[int, ...], classes: int) -> nn.Module:
        return net

    shared = replace(BASE, model=UserModel(factory=factory))
    first = simulate(shared).params_sha256
    assert simulate(shared).params_sha256 == first, "the first run did not train the module that was given"
    before = replace(shared).digest
    nn.init.zeros_(net[1].weight)
    assert replace(shared).digest != before, "its initial parameters count"


def test_code_without_a_file_has_no_digest() -> None:
    space: dict[str, Any] = {"__name__": "typed_in"}
    exec(MINE, space)
    with pytest.raises(InputError, match=r"typed_in\.Mine is not defined in a file"):
        _ = replace(BASE, attack=space["Mine"]()).digest


@pytest.mark.parametrize(
    "wrong",
    [
        {"clients": 0},
        {"sampled": 9},
        {"sampled": 0},
        {"byzantine": 8},
        {"byzantine": 0.95},
        {"byzantine": -1},
        {"byzantine": 1.5},
        {"byzantine": float("nan")},
        {"rounds": 0},
        {"knowledge": 1.1},
        {"redraw_knowledge": 1},
        {"known": "all"},
        {"known": "own", "knowledge": 0.5},
        *({"attack_rounds": wrong} for wrong in ("3", "2:1", "2:2", "::0", "1:2:3:4", "-1:", "a:", "1.5:", 3)),
        {"attack_rounds": "7:"},
        *({"told": wrong} for wrong in ("f", "-1", "1.5", 1.5, "²", None, True, "9" * 5000, 10**6)),
        {"buffers": "median"},
        {"seed": -1},
        {"seed": 1.0},
        {"threads": 0},
        {"precision": "tf32"},
        {"evaluate_every": 0},
        {"evaluate_every": 2.0},
        {"lens": 1},
        {"pictures": (-1,)},
        {"pictures": (0.5,)},
        {"pictures": (0,), "lens": False},
        {"precision": "half"},
        {"device": "gpu"},
        {"device": "meta"},
        {"engine": "fast"},
        {"engine": "batched", "model": NORM},
    ],
    ids=str,
)
def test_wrong_specs_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        replace(BASE, **wrong)
