"""What local training computes in, and what it never does; memory that runs out."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from tiny import Cuts, Tiny, reference, same
from torch import Tensor, nn

from gradskew.core.errors import InputError
from gradskew.core.numerics import deterministic, float32_products
from gradskew.data import Dataset, Source, Split
from gradskew.federation.clients import ENGINES, Shard
from gradskew.federation.evaluation import evaluate
from gradskew.federation.optimizer import SGD
from gradskew.federation.rounds import Federation
from gradskew.federation.run import Run, check_device
from gradskew.federation.simulation import simulate
from gradskew.models import CNN, MLP, Linear, Model, ResNet18, UserModel

BASE = Run(
    source=Tiny(shape=(8, 8)),
    partition=Cuts(sizes=(16, 7, 9)),
    model=MLP(hidden=6),
    clients=3,
    byzantine=0,
    rounds=2,
    sgd=SGD(epochs=2, batch=4, lr=0.05),
)
NETS = [  # and how far bfloat16 with its 8 bits takes a gradient: farther the deeper the network
    (MLP(hidden=6), 8, 0.05),
    (CNN(width=4), 8, 0.05),
    (ResNet18(norm="group", width=4, stem="cifar"), 16, 0.4),
]


class Half(nn.Module):
    """A network whose forward pass, and so its backward pass, runs in bfloat16."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.net(x).float()


def first_updates(run: Run) -> Tensor:
    """The rows of the first round: (n, d)."""
    return Federation(run).updates([0, 1, 2], 0)[0].clone()


def far(got: Tensor, wanted: Tensor) -> float:
    """The distance between two rows of updates, of the wanted one's norm; the largest of all rows."""
    return float(((got - wanted).norm(dim=-1) / wanted.norm(dim=-1)).max())


@pytest.mark.parametrize("model", [MLP(hidden=6), CNN(width=4)], ids=lambda model: model.key)
def test_bf16_is_torch_autocast(model: Model) -> None:
    run = replace(BASE, model=model, precision="bf16", engine="loop")
    federation = Federation(run)
    data, net = federation.dataset, Half(federation.flat.module)
    shards = [Shard(i, part, data.train.labels[part]) for i, part in enumerate(federation.parts)]
    wanted = torch.stack([reference(net, data, shard, run.sgd)[0] for shard in shards])
    same(federation.updates([0, 1, 2], 0)[0], wanted)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("model", "pixels", "bound"), NETS, ids=lambda value: getattr(value, "key", ""))
def test_bf16_is_near_float32_and_repeats_itself(engine: str, model: Model, pixels: int, bound: float) -> None:
    run = replace(BASE, source=Tiny(shape=(pixels, pixels)), model=model, engine=engine, sgd=SGD(batch=100, lr=0.05))
    half, full = first_updates(replace(run, precision="bf16")), first_updates(run)
    assert half.dtype == torch.float32
    assert 2**-10 < far(half, full) < bound
    assert torch.equal(first_updates(replace(run, precision="bf16")), half)


@pytest.mark.parametrize("model", [MLP(hidden=6), CNN(width=4)], ids=lambda model: model.key)
def test_both_engines_train_in_bf16(model: Model) -> None:
    run = replace(BASE, model=model, precision="bf16", sgd=SGD(batch=100, lr=0.05))
    loop, batched = (first_updates(replace(run, engine=engine)) for engine in ("loop", "batched"))
    assert far(batched, loop) < 0.02
    assert far(loop, first_updates(replace(run, precision="float32"))) > 2**-10


def test_precision_is_part_of_the_digest() -> None:
    half = replace(BASE, precision="bf16")
    assert half.content["precision"] == "bf16"
    assert half.digest != BASE.digest
    assert simulate(half).params_sha256 != simulate(BASE).params_sha256


def test_the_evaluation_stays_float32() -> None:
    full, half = Federation(BASE), Federation(replace(BASE, precision="bf16"))
    seen: list[torch.dtype] = []
    half.flat.module.register_forward_hook(lambda module, given, output: seen.append(output.dtype))
    assert evaluate(half.flat, half.dataset, half.loss) == evaluate(full.flat, full.dataset, full.loss)
    assert seen == [torch.float32]


@contextmanager
def matmul_precision(value: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(value)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("engine", ENGINES)
def test_the_callers_own_settings_do_not_matter(precision: str, engine: str) -> None:
    run = replace(BASE, precision=precision, engine=engine)
    wanted = simulate(run).params_sha256
    with torch.autocast("cpu", torch.bfloat16):
        assert simulate(run).params_sha256 == wanted
        assert torch.is_autocast_enabled("cpu")
    with matmul_precision("medium"):
        assert simulate(run).params_sha256 == wanted
        assert torch.get_float32_matmul_precision() == "medium"


@pytest.mark.parametrize("tf32", [False, True])
def test_tf32_only_where_asked_for(tf32: bool) -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    with float32_products("cpu", tf32=tf32):
        assert torch.backends.cuda.matmul.allow_tf32 is tf32
        assert torch.backends.cudnn.allow_tf32 is tf32
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


def test_no_algorithm_is_chosen_by_a_timing_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with deterministic("cuda"):
            assert not torch.backends.cudnn.benchmark
            assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.backends.cudnn.benchmark
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for device in ("cuda", "cuda:0", "cuda:1"):
        check_device(device)
    with pytest.raises(InputError, match="no device 'cuda:2' here: CUDA devices are counted from 0, and there are 2"):
        check_device("cuda:2")


def test_switches_that_torch_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def mixed() -> str:
        raise RuntimeError("you have used mix of the legacy and new APIs")

    monkeypatch.setattr(torch, "get_float32_matmul_precision", mixed)
    with pytest.raises(InputError, match=r"reset torch\.backends' fp32_precision"):
        simulate(BASE)


@pytest.mark.parametrize(
    ("precision", "message"),
    [("tf32", "precision = tf32 needs a CUDA device"), ("fp16", "precision must be one of float32, tf32, bf16")],
)
def test_wrong_precision(precision: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(BASE, precision=precision)


class Greedy(nn.Linear):
    """Asks for more memory than there is when it trains."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1)) + (torch.empty(2**50).sum() if self.training else 0)


def greedy(shape: tuple[int, ...], classes: int) -> nn.Module:
    return Greedy(shape[0] * shape[1], classes)


def test_memory_that_runs_out_is_one_line() -> None:
    message = "out of memory on cpu: batch = 2 halves the activations, sampled = 1 halves the rows of updates"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        simulate(replace(BASE, model=UserModel(factory=greedy)))


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            "adaptive_pool_cuda does not have a deterministic implementation, but you set ...",
            "not the same each time on cpu: adaptive_pool_cuda does not have a deterministic implementation",
        ),
        (
            "Deterministic behavior was enabled ... set a variable: CUBLAS_WORKSPACE_CONFIG=:4096:8 or ...",
            "set CUBLAS_WORKSPACE_CONFIG=:4096:8 before this process uses cpu",
        ),
    ],
    ids=["operation", "products"],
)
def test_what_a_gpu_does_not_do_the_same_each_time_is_one_line(
    error: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any) -> None:
        raise RuntimeError(error)

    monkeypatch.setattr(Federation, "round", fail)
    with pytest.raises(InputError, match=f"^{re.escape(line)}$"):
        simulate(BASE)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of ..."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: not enough memory: you tried ..."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    ],
    ids=["cuda", "cpu", "cublas", "another"],
)
@pytest.mark.parametrize(
    ("run", "hints"),
    [
        (
            replace(BASE, engine="batched"),
            ["engine = loop trains one client at a time", "batch = 2 halves", "sampled = 1 halves the rows"],
        ),
        (replace(BASE, engine="loop", sgd=SGD(batch=1)), ["sampled = 1 halves the rows of updates"]),
        (
            replace(BASE, model=Linear(), engine="loop", sgd=SGD(batch=1), sampled=1),
            ["take a smaller model or data set"],
        ),
    ],
    ids=["batched", "loop", "least"],
)
def test_which_options_need_less(
    run: Run, hints: list[str], error: Exception, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    def fail(*given: Any) -> None:
        raise error

    monkeypatch.setattr(Federation, "round", fail)
    if "shapes" in str(error):
        with pytest.raises(RuntimeError, match="shapes"):
            simulate(run)
        return
    with pytest.raises(InputError) as caught:
        simulate(run)
    assert str(caught.value).startswith("out of memory on cpu: ")
    assert [hint for hint in hints if hint not in str(caught.value)] == []
    assert str(caught.value).count(",") == len(hints) - 1


@dataclass(frozen=True, kw_only=True)
class Words(Source):
    """48 texts of two tokens from 0 to 4095, of which bfloat16 has few; as whole numbers, or as 1 + token / 4096."""

    key: ClassVar[str] = "words"
    whole: bool = True

    def read(self) -> Dataset:
        tokens = torch.randint(4096, (60, 2), generator=torch.Generator().manual_seed(0))
        inputs = tokens if self.whole else 1 + tokens / 4096
        labels = tokens.sum(1) % 3
        return Dataset(Split(inputs[:48], labels[:48]), Split(inputs[48:], labels[48:]), 3)


class Bag(nn.Module):
    """The mean of the embeddings of a text's tokens, and a linear layer."""

    def __init__(self, whole: bool):
        super().__init__()
        self.whole, self.embedding, self.linear = whole, nn.Embedding(4096, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.embedding((x if self.whole else (x - 1) * 4096).long() % 4096).mean(1))


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "fractions"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("engine", ENGINES)
def test_every_setting_trains_the_same_tokens(engine: str, precision: str, whole: bool) -> None:
    """The embeddings that a client's update changes are those of its tokens."""
    source = Words(whole=whole)
    model = UserModel(factory=lambda shape, num_classes: Bag(whole), vectorised=True)
    run = replace(BASE, source=source, model=model, engine=engine, precision=precision, sgd=SGD(weight_decay=0))
    tokens = Words().load().train.inputs
    for row, part in zip(first_updates(run), Federation(run).parts, strict=True):
        changed = row[: 4 * 4096].view(4096, 4).any(1).nonzero()[:, 0]
        assert changed.tolist() == tokens[part].unique().tolist()


def convolution_after_norm(shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """A network whose convolution gets float32 under autocast, and which starts with what takes one type only."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 8)), nn.PReLU(), nn.GroupNorm(1, 1), nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3)
    )


def test_both_engines_round_in_the_same_places() -> None:
    model = UserModel(factory=convolution_after_norm, vectorised=True)
    run = replace(BASE, model=model, precision="bf16", sgd=SGD(batch=100, lr=0.05))
    loop, batched = (first_updates(replace(run, engine=engine)) for engine in ("loop", "batched"))
    assert far(batched, loop) < 0.02
    assert far(loop, first_updates(replace(run, precision="float32"))) > 2**-10
