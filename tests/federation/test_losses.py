"""Losses other than cross entropy: by hand, in both engines against plain PyTorch, and what a test says under them."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from sklearn.metrics import r2_score
from torch import Tensor, nn

from gradskew import Record, Run, simulate
from gradskew.core.errors import InputError
from gradskew.data import Dataset, Source, Split
from gradskew.data.arrays import from_arrays, to_arrays
from gradskew.federation import SGD, Federation
from gradskew.federation.batches import Shard
from gradskew.federation.clients import ENGINES, Training
from gradskew.federation.evaluation import evaluate
from gradskew.federation.gradient import LossGradient
from gradskew.federation.loss import LOSSES
from gradskew.federation.snapshot import Snapshot
from gradskew.models import LSTM, MLP, UserModel, initial


class Lengths(Source):
    """Numbers that a linear function of four inputs gives; classes are their signs."""

    key = "lengths"

    def load(self) -> Dataset:
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(90, 4, generator=generator)
        targets = inputs @ torch.tensor([1.0, -2.0, 0.5, 0.0]) + 0.1 * torch.randn(90, generator=generator)
        parts = [
            Split(inputs[rows], (targets[rows] > 0).long(), None, targets[rows]) for rows in (range(60), range(60, 90))
        ]
        return Dataset(*parts, 2)

    read = load


class Verses(Source):
    """Texts in which each token follows from the one before: 1 2 3 1 2 3 ..., of which some end early."""

    key = "verses"

    def load(self) -> Dataset:
        first = torch.arange(60) % 3
        tokens = ((first[:, None] + torch.arange(6)) % 3 + 1).to(torch.uint8)
        tokens[::5, 4:] = 0
        parts = [Split(tokens[rows], first[rows]) for rows in (range(45), range(45, 60))]
        return Dataset(*parts, 3, tokens=True)

    read = load


class Letters(nn.Module):
    """Scores for each token, of that token alone."""

    def __init__(self, vocabulary: int):
        super().__init__()
        self.embedding, self.scores = nn.Embedding(vocabulary, 5), nn.Linear(5, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.scores(self.embedding(tokens.long()))


LETTERS = UserModel(factory=lambda shape, num_classes: Letters(num_classes), vectorised=True)
CASES = {"squared": (Lengths(), MLP(hidden=5)), "next_token": (Verses(), LETTERS)}


def by_hand(loss: str, scores: Tensor, split: Split, index: Tensor) -> Tensor:
    """The mean loss, input by input and token by token."""
    total = scores.new_zeros(())
    for row, i in zip(scores, index.tolist(), strict=True):
        if loss == "squared":
            total = total + (row[0] - split.targets[i]) ** 2 / 2
            continue
        tokens = [token for token in split.inputs[i].tolist() if token]
        terms = [row[place].log_softmax(0)[token] for place, token in enumerate(tokens[1:])]
        total = total - sum(terms) / len(terms)
    return total / len(scores)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("loss", CASES)
def test_both_engines_train_as_plain_pytorch(loss: str, engine: str) -> None:
    """Clients of 7, 1 and 12 inputs, in one batch a pass."""
    source, model = CASES[loss]
    dataset, sgd = source.load(), SGD(epochs=3, batch=50, lr=0.1, momentum=0.9, weight_decay=1e-2, clip=0.5)
    outputs = LOSSES[loss].outputs(dataset)
    flat = initial(model, dataset.shape, outputs, 3, scores=LOSSES[loss].shape(dataset))
    net, params = copy.deepcopy(flat.module).double(), flat.read_params()
    parts = torch.arange(20).split([7, 1, 12])
    shards = [Shard(client, part, dataset.train.labels[part]) for client, part in enumerate(parts)]
    updates = torch.empty(3, flat.d)
    ENGINES[engine](Training(flat, dataset, sgd, 0, loss=LOSSES[loss]), params, shards, 0, updates)
    for part, update in zip(parts, updates, strict=True):
        own = copy.deepcopy(net)
        optimizer = torch.optim.SGD(own.parameters(), lr=sgd.lr, momentum=0.9, weight_decay=1e-2)
        for _ in range(3):
            optimizer.zero_grad()
            by_hand(loss, own(dataset.train.inputs[part].double()), dataset.train, part).backward()
            nn.utils.clip_grad_norm_(own.parameters(), 0.5)
            optimizer.step()
        moved = torch.cat([a.flatten() - b.flatten() for a, b in zip(net.parameters(), own.parameters(), strict=True)])
        torch.testing.assert_close(update.double(), moved.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", CASES)
def test_the_gradient_that_an_attacker_gets_is_that_of_the_loss(loss: str) -> None:
    source, model = CASES[loss]
    dataset = source.load()
    flat = initial(model, dataset.shape, LOSSES[loss].outputs(dataset), 3, scores=LOSSES[loss].shape(dataset))
    index = torch.tensor([4, 0, 31])
    found = LossGradient(flat, dataset, {"all": index}, LOSSES[loss])(flat.read_params(), "all")
    net = copy.deepcopy(flat.module).double()
    by_hand(loss, net(dataset.train.inputs[index].double()), dataset.train, index).backward()
    wanted = torch.cat([parameter.grad.flatten() for parameter in net.parameters()])
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-6)


def test_a_regression_is_judged_by_r2() -> None:
    run = Run(source=Lengths(), model=MLP(hidden=5), loss="squared", clients=6, partition="iid", rounds=20)
    federation = Federation(replace(run, sgd=SGD(epochs=2, batch=8, lr=0.1)))
    at_first = evaluate(federation.flat, federation.dataset, federation.loss)
    for number in range(20):
        metrics = federation.round(number)
    test = federation.dataset.test
    federation.flat.module.eval()
    with torch.no_grad():
        predicted = federation.flat.module(test.inputs)[:, 0]
    assert metrics["accuracy"] == pytest.approx(100 * r2_score(test.targets, predicted), abs=1e-3)
    assert at_first.accuracy is not None
    assert at_first.accuracy < 50 < metrics["accuracy"]
    assert metrics["lens"]["classes"] == [None, None]


def test_a_prediction_worse_than_the_mean_counts_as_0() -> None:
    federation = Federation(Run(source=Lengths(), model=MLP(hidden=5), loss="squared", clients=6, partition="iid"))
    for value in (1e3, 1e30, math.nan):
        federation.params.fill_(value)
        assert evaluate(federation.flat, federation.dataset, federation.loss).accuracy == 0


@pytest.mark.parametrize("partition", ["iid", "shards(k=2)"])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("loss", CASES)
def test_a_run_with_inputs_at_the_server_goes_on_to_the_same_bits(loss: str, engine: str, partition: str) -> None:
    source, model = CASES[loss]
    run = Run(source=source, model=model, loss=loss, clients=6, byzantine=1, partition=partition, rounds=3)
    run, kept = replace(run, engine=engine, root_examples=8, aggregator="fltrust", attack="ipm"), []
    whole = simulate(run, on_snapshot=lambda snapshot: kept.append(snapshot.to_bytes(run.digest)))
    again = simulate(run, start=Snapshot.from_bytes(kept[1], run.digest))
    assert Record.of(again).to_json() == Record.of(whole).to_json()
    assert all(0 <= metrics["accuracy"] <= 100 for metrics in whole.rounds)
    assert any(metrics["byzantine_share"] < 0.1 for metrics in whole.rounds)  # rows against the server's own count less


def test_next_tokens_that_follow_are_learned() -> None:
    model = LSTM(each=True, vocabulary=4, width=4, hidden=8)
    run = Run(source=Verses(), model=model, loss="next_token", clients=5, byzantine=1, partition="iid", rounds=12)
    rounds = simulate(replace(run, sgd=SGD(epochs=2, batch=4, lr=0.3), aggregator="median", attack="bitflip")).rounds
    assert rounds[-1]["accuracy"] == 100


def test_right_tokens_are_counted_text_by_text() -> None:
    """Of 1 2 3 and of 2 3 with an end: the scores name 2 always. Half of the first text's two, none of the other's."""
    loss, split = LOSSES["next_token"], Split(torch.tensor([[1, 2, 3], [2, 3, 0]]), torch.tensor([0, 1]))
    scores = torch.zeros(2, 3, 4)
    scores[:, :, 2] = 1
    index = torch.arange(2)
    assert loss.right(scores, loss.targets(split, index, split.labels), split).tolist() == [0.5, 0.0]
    each = loss.each(scores, loss.targets(split, index, split.labels))
    worth = math.log(3 + math.e)
    torch.testing.assert_close(each, torch.tensor([worth - 0.5, worth]))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"loss": "hinge"}, "loss must be one of cross_entropy, next_token, squared, not 'hinge'"),
        ({"loss": "squared", "attack": "labelflip"}, "labelflip changes labels, and loss = squared does not"),
        ({"loss": "squared", "attack": "labelflip+ipm"}, r"labelflip\+ipm changes labels"),
        ({"loss": "squared"}, r"loss = squared needs numbers to predict, such as those of csv:FILE\(label="),
        ({"source": Lengths()}, r"cross_entropy needs classes, and these data have numbers to predict"),
        ({"loss": "next_token", "source": Lengths()}, "loss = next_token needs texts of two tokens or more"),
        ({"loss": "next_token", "model": "lstm"}, r"loss = next_token needs the model lstm\(each=True\)"),
        ({"model": "transformer(each=True)"}, r"loss = cross_entropy needs the model transformer\(each=False\)"),
        ({"loss": "next_token", "model": "mlp"}, "the model mlp takes numbers as measurements, and the inputs are tok"),
    ],
)
def test_what_does_not_go_together_is_one_line(options: dict, line: str) -> None:
    with pytest.raises(InputError, match=line):
        Federation(Run(**{"source": Verses(), "clients": 5, "partition": "iid", **options}))


def test_numbers_that_are_all_the_same_cannot_be_judged() -> None:
    dataset = Lengths().load()
    constant = replace(dataset, test=replace(dataset.test, targets=torch.ones(30)))
    with pytest.raises(InputError, match="all the same in the test part"):
        LOSSES["squared"].check_data(constant)


def test_a_constant_validation_part_cannot_be_judged() -> None:
    class Flat(Lengths):
        key = "flat"

        def load(self) -> Dataset:
            whole = super().load()
            return replace(whole, train=replace(whole.train, targets=torch.ones(60)))

        read = load

    run = Run(source=Flat(), model=MLP(hidden=5), loss="squared", clients=6, partition="iid")
    Federation(run)
    with pytest.raises(InputError, match="all the same in the test part"):
        Federation(replace(run, validation=0.2))


def test_a_text_of_one_token_has_no_next_one() -> None:
    dataset = Verses().load()
    tokens = dataset.test.inputs.clone()
    tokens[3, 1:] = 0
    with pytest.raises(InputError, match="1 test texts have fewer than two tokens"):
        LOSSES["next_token"].check_data(replace(dataset, test=replace(dataset.test, inputs=tokens)))


def test_targets_go_with_their_inputs() -> None:
    """Into files and back, to a selection, and into the digest."""
    dataset = Lengths().load()
    again = from_arrays(*to_arrays(dataset))
    assert torch.equal(again.train.targets, dataset.train.targets)
    chosen = dataset.train.select(torch.tensor([5, 2]))
    assert torch.equal(chosen.targets, dataset.train.targets[[5, 2]])
    other = replace(dataset, test=replace(dataset.test, targets=dataset.test.targets + 1))
    assert other.digest != dataset.digest
    with pytest.raises(InputError, match="one part of the data set has targets"):
        replace(dataset, test=replace(dataset.test, targets=None))
    with pytest.raises(InputError, match="the test targets must be finite float32 of shape"):
        replace(dataset, test=replace(dataset.test, targets=torch.full((30,), torch.nan)))
