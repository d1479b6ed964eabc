"""Local training: both engines against plain PyTorch, each client as if it trained alone."""

import copy
import random
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import DROPOUT, NORM, Tiny, buffers_of, cumulative_norm, frozen, masked, reference, same, tied
from torch import Tensor

from gradskew.attacks import LabelFlip
from gradskew.core.errors import InputError
from gradskew.data import Dataset
from gradskew.federation.batches import groups
from gradskew.federation.clients import ENGINES, Shard, Training, resolve
from gradskew.federation.optimizer import SGD
from gradskew.models import CNN, MLP, Flat, Linear, Model, UserModel, initial

SIZES = (5, 1, 12, 7, 3, 9)
PLAIN = SGD(epochs=2, batch=4, lr=0.1, momentum=0.9, weight_decay=1e-2, clip=0.5)


@dataclass
class Bench:
    """A dataset, a network, and clients of uneven sizes."""

    model: Model
    sizes: tuple[int, ...] = SIZES
    source: Tiny = field(default_factory=Tiny)

    def __post_init__(self) -> None:
        self.dataset = self.source.load()
        self.flat = initial(self.model, self.dataset.shape, self.dataset.num_classes, 3)
        self.net = copy.deepcopy(self.flat.module)
        self.params = self.flat.read_params()
        self.flat.bind(self.params)
        self.shards = []
        for client, index in enumerate(torch.arange(sum(self.sizes)).split(self.sizes)):
            self.shards.append(Shard(client, index, self.dataset.train.labels[index]))

    def train(
        self, engine: str, sgd: SGD, shards: list[Shard] | None = None, dataset: Dataset | None = None
    ) -> tuple[Tensor, Tensor]:
        shards = self.shards if shards is None else shards
        before = self.params.clone()
        updates = torch.full((len(shards), self.flat.d), torch.nan)
        buffers = ENGINES[engine](Training(self.flat, dataset or self.dataset, sgd, 0), self.params, shards, 0, updates)
        assert torch.equal(self.params, before), "training must not change the server's model"
        return updates, buffers

    def alone(self, sgd: SGD, shards: list[Shard] | None = None) -> Tensor:
        """What plain PyTorch makes of each client."""
        shards = self.shards if shards is None else shards
        return torch.stack([reference(self.net, self.dataset, shard, sgd)[0] for shard in shards])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "model",
    [
        Linear(),
        MLP(hidden=(6, 5)),
        CNN(width=2),
        UserModel(factory=frozen, vectorised=True),
        UserModel(factory=tied, vectorised=True),
        UserModel(factory=masked, vectorised=True),
    ],
    ids=["linear", "mlp", "cnn", "frozen", "tied", "masked"],
)
def test_plain_pytorch(engine: str, model: Model) -> None:
    bench = Bench(model, source=Tiny(shape=(4, 4)))
    updates, buffers = bench.train(engine, PLAIN)
    same(updates, bench.alone(PLAIN))
    assert torch.equal(buffers, buffers_of(bench.net).repeat(len(SIZES), 1))  # constant here


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5).map(tuple),
    sgd=st.builds(
        SGD,
        epochs=st.integers(1, 3),
        batch=st.integers(1, 10),
        lr=st.sampled_from([0.01, 0.3]),
        momentum=st.sampled_from([0.0, 0.5, 0.9]),
        weight_decay=st.sampled_from([0.0, 1e-4, 0.1]),
        clip=st.sampled_from([None, 0.2, 2.0, 1e6]),
    ),
    engine=st.sampled_from(sorted(ENGINES)),
)
def test_plain_pytorch_for_any_setting(sizes: tuple[int, ...], sgd: SGD, engine: str) -> None:
    bench = Bench(MLP(hidden=4), sizes=sizes)
    same(bench.train(engine, sgd)[0], bench.alone(sgd))


@pytest.mark.parametrize("batch", [1, 4, 12, 100])
@pytest.mark.parametrize("clip", [None, 0.1])
def test_engines_agree(batch: int, clip: float | None) -> None:
    bench, sgd = Bench(MLP(hidden=4)), SGD(epochs=3, batch=batch, clip=clip)
    same(bench.train("batched", sgd)[0], bench.train("loop", sgd)[0])


def test_clip_bounds_the_gradient_before_weight_decay() -> None:
    """One full-batch step: g clipped to norm 1/4, then g + decay w, times lr."""
    bench = Bench(Linear(), sizes=(6,))
    gradient = bench.alone(SGD(batch=6, lr=1, momentum=0, weight_decay=0, clip=None))[0]
    assert gradient.norm() > 0.25
    wanted = 0.5 * (0.25 * gradient / gradient.norm() + 0.1 * bench.params)
    for engine in ENGINES:
        got = bench.train(engine, SGD(batch=6, lr=0.5, momentum=0.9, weight_decay=0.1, clip=0.25))[0][0]
        same(got, wanted)


@pytest.mark.parametrize("engine", ENGINES)
def test_labelflip_trains_on_the_flipped_labels(engine: str) -> None:
    bench = Bench(MLP(hidden=4))
    flipped = [Shard(s.client, s.index, LabelFlip().relabel(s.labels, 3)) for s in bench.shards[:2]]
    mixed = flipped + bench.shards[2:]
    assert [shard.labels.tolist() for shard in flipped] == [(2 - shard.labels).tolist() for shard in bench.shards[:2]]
    updates = bench.train(engine, PLAIN, mixed)[0]
    same(updates, bench.alone(PLAIN, mixed))
    assert (updates[:2] - bench.train(engine, PLAIN)[0][:2]).norm(dim=1).min() > 1e-2


@pytest.mark.parametrize("engine", ENGINES)
def test_company_does_not_matter(engine: str) -> None:
    bench = Bench(MLP(hidden=4))
    together = bench.train(engine, PLAIN)[0]
    for shard, row in zip(bench.shards, together, strict=True):
        same(bench.train(engine, PLAIN, [shard])[0][0], row)
    shuffled = random.Random(0).sample(bench.shards, len(bench.shards))
    same(bench.train(engine, PLAIN, shuffled)[0], together[[shard.client for shard in shuffled]])


def test_a_client_that_diverges_spoils_no_other() -> None:
    bench = Bench(MLP(hidden=4), source=Tiny(overflow=40), sizes=(5, 35, 8))
    updates = bench.train("batched", PLAIN)[0]
    assert updates.isfinite().all(1).tolist() == [True, True, False]
    same(updates[:2], bench.alone(PLAIN, bench.shards[:2]))


@pytest.mark.parametrize("falling", [True, False])
@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=60))
def test_padding_never_costs_more_than_the_work(falling: bool, sizes: list[int]) -> None:
    counts = sorted(sizes, reverse=True) if falling else sizes
    slices = list(groups(counts))
    assert [k for part in slices for k in range(len(counts))[part]] == list(range(len(counts)))
    for part in slices:
        work = sum(counts[part])
        assert work > 0
        assert max(counts[part]) * (part.stop - part.start) - work <= work


def test_groups_by_hand() -> None:
    assert list(groups([8, 2, 2])) == [slice(0, 3)]  # 24 is twice 12
    assert list(groups([8, 1, 1])) == [slice(0, 2), slice(2, 3)]  # 24 would be more than twice 10
    assert list(groups([9, 1, 1, 1])) == [slice(0, 2), slice(2, 4)]
    assert list(groups([5, 5, 5])) == [slice(0, 3)]
    assert list(groups([1, 1, 9])) == [slice(0, 2), slice(2, 3)]  # 27 would be more than twice 11
    assert list(groups([2, 8, 2])) == [slice(0, 3)]


@dataclass(frozen=True)
class Counting(Dataset):
    """Counts the images that training looks at."""

    seen: list[int] = field(default_factory=list)

    def inputs(self, images: Tensor) -> Tensor:
        self.seen.append(images.shape[:-2].numel())
        return super().inputs(images)


def test_one_large_client_does_not_pad_the_small_ones() -> None:
    bench = Bench(Linear(), sizes=(1, 2, 1, 36, 1, 2))
    data = bench.dataset
    counting = Counting(data.train, data.test, data.num_classes, data.scale, data.shift)
    bench.train("batched", SGD(epochs=1, batch=40), dataset=counting)
    assert 43 <= sum(counting.seen) <= 2 * 43  # 6 * 36 = 216 if all were padded


def test_batch_norm_skips_batches_of_one_sample_and_keeps_each_clients_statistics() -> None:
    bench = Bench(NORM)  # sizes 5, 1 and 9 leave one sample over from batches of 4
    updates, buffers = bench.train("loop", PLAIN)
    for shard, row, after in zip(bench.shards, updates, buffers, strict=True):
        wanted, net = reference(bench.net, bench.dataset, shard, PLAIN)
        same(row, wanted)
        same(after, buffers_of(net))
    assert not updates[1].any(), "its only batch has one sample"
    assert torch.equal(bench.flat.read_buffers(), buffers_of(bench.net)), "the server's statistics stay"


def test_counters_start_afresh_for_each_client() -> None:
    """Without a momentum, batch norm averages over all batches that its integer counter has counted."""
    bench = Bench(UserModel(factory=cumulative_norm))
    buffers = bench.train("loop", PLAIN)[1]
    for shard, after in zip(bench.shards, buffers, strict=True):
        same(after, buffers_of(reference(bench.net, bench.dataset, shard, PLAIN)[1]))
    assert bench.flat.module[1].num_batches_tracked == 0


def test_dropout_draws_from_its_own_generator() -> None:
    bench = Bench(DROPOUT)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = bench.train("loop", PLAIN)[0]
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    bench.flat.module(torch.zeros(4, 3, 3))
    assert torch.equal(bench.train("loop", PLAIN)[0], first)
    same(bench.train("loop", PLAIN, bench.shards[::-1])[0], first.flip(0))
    same(first, bench.alone(PLAIN))  # the reference draws dropout from the same seed
    twin = Shard(9, bench.shards[2].index, bench.shards[2].labels)
    one_step = SGD(epochs=1, batch=100)
    pair = bench.train("loop", one_step, [bench.shards[2], twin])[0]
    assert not torch.allclose(pair[0], pair[1]), "each client draws its own"


def test_rows_and_gradients_are_views() -> None:
    flat = initial(MLP(hidden=4), (3, 3), 3, 0)
    params, grads = torch.arange(float(flat.d)), torch.zeros(flat.d)
    flat.bind(params, grads)
    offset = 0
    for parameter in flat.module.parameters():
        assert parameter.data_ptr() == params[offset:].data_ptr()
        assert parameter.grad is not None
        assert parameter.grad.data_ptr() == grads[offset:].data_ptr()
        offset += parameter.numel()
    assert offset == flat.d
    flat.module(torch.ones(2, 3, 3)).sum().backward()
    assert grads.any(), "backward adds to the flat gradient"
    params.zero_()
    assert not any(parameter.any() for parameter in flat.module.parameters())
    assert torch.equal(flat.read_params(), params)
    stacked = flat.views(torch.arange(2.0 * flat.d).view(2, flat.d))
    assert [tuple(view.shape) for view in stacked] == [(2, 4, 9), (2, 4), (2, 3, 4), (2, 3)]
    assert stacked[1][1, 0] == flat.d + 36


def test_the_loop_trains_in_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, bound = Bench(Linear()), []
    bind = Flat.bind

    def watch(flat: Flat, params: Tensor, grads: Tensor | None = None) -> None:
        bound.append(params.data_ptr())
        bind(flat, params, grads)

    monkeypatch.setattr(Flat, "bind", watch)
    updates = torch.empty(len(SIZES), bench.flat.d)
    ENGINES["loop"](Training(bench.flat, bench.dataset, PLAIN, 0), bench.params, bench.shards, 0, updates)
    assert bound == [*(row.data_ptr() for row in updates), bench.params.data_ptr()]


def test_auto_is_a_table() -> None:
    assert [resolve("auto", model, "cpu") for model in (Linear(), MLP(), CNN(), NORM)] == [
        "batched",
        "batched",
        "loop",
        "loop",
    ]
    assert [resolve("auto", model, "cuda:1") for model in (MLP(), CNN(), NORM)] == ["batched", "batched", "loop"]


def test_engine_forced_and_refused() -> None:
    assert resolve("loop", MLP(), "cpu") == "loop"
    assert resolve("batched", CNN(), "cpu") == "batched"
    assert resolve("batched", UserModel(factory=tied, vectorised=True), "cpu") == "batched"
    with pytest.raises(InputError, match=r"tiny:tied does not declare .* use engine = loop"):
        resolve("batched", UserModel(factory=tied), "cpu")
    with pytest.raises(InputError, match="engine must be one of auto, batched, loop"):
        resolve("fast", MLP(), "cpu")


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"epochs": 1.5},
        {"batch": 0},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"momentum": 1.0},
        {"momentum": -0.1},
        {"weight_decay": -1e-4},
        {"clip": 0.0},
        {"clip": float("inf")},
        {"batch": True},
    ],
    ids=str,
)
def test_wrong_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        SGD(**wrong)
