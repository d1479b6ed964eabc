"""Networks for tokens: sizes by hand, what they do with the end of a text, and which data they refuse."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from gradskew import Run, models
from gradskew.core.errors import InputError
from gradskew.data import Dataset, Source, Split
from gradskew.federation import SGD, Federation
from gradskew.models import LSTM, MLP, Transformer, UserModel, initial

TEXTS = torch.tensor([[5, 3, 9, 0, 0, 0], [1, 1, 2, 2, 7, 8], [4, 0, 0, 0, 0, 0]], dtype=torch.uint8)
NAMES = ["lstm(vocabulary=10,width=4,hidden=5,layers=2)", "transformer(vocabulary=10,width=4,layers=2)"]
NAMES += ["lstm(vocabulary=10,width=4,hidden=5,last=True)"]


@pytest.mark.parametrize("training", [False, True])
def test_an_lstm_leaves_the_precision_of_products_alone(training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """cuDNN is off in evaluation mode, where it has no gradient."""
    cudnn, seen = torch.backends.cudnn, []
    monkeypatch.setattr(cudnn, "allow_tf32", False)
    module = LSTM(vocabulary=10, width=4, hidden=5).build((6,), 3).train(training)
    module.memory.register_forward_hook(lambda *_: seen.append((cudnn.enabled, cudnn.allow_tf32)))
    before = cudnn.enabled
    module(TEXTS)
    assert seen == [(training, False)]
    assert cudnn.enabled == before


@pytest.mark.parametrize(
    ("name", "d"),
    [
        # Four gates with input and state weights and two biases each.
        ("lstm", 256 * 32 + 4 * (64 * 32 + 64 * 64 + 2 * 64) + 64 * 3 + 3),
        ("lstm(vocabulary=9,width=2,hidden=3,layers=2)", 18 + 4 * (6 + 9 + 6) + 4 * (9 + 9 + 6) + 3 * 3 + 3),
        # Projections in and out, the inner layer of 4 x 32 units and back, two layer norms.
        ("transformer", 256 * 32 + 6 * 32 + 4 * (32 * 32 + 32) + 8 * 32 * 32 + 5 * 32 + 4 * 32 + 32 * 3 + 3),
        ("transformer(layers=0)", None),
        ("tabular_mlp", 6 * 64 + 64 + 64 * 64 + 64 + 64 * 3 + 3),
    ],
)
def test_sizes_by_hand(name: str, d: int | None) -> None:
    if d is None:
        with pytest.raises(InputError, match="transformer: layers must be"):
            models.make(name)
        return
    assert initial(models.make(name), (6,), 3, 0).d == d


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_after_the_end_counts_nothing(name: str) -> None:
    """The embedding of 0 may be anything; that of a token that a text has may not."""
    net = initial(models.make(name), (6,), 3, 0).module.eval()
    before = net(TEXTS)
    with torch.no_grad():
        net.embedding.weight[0] = 100.0
    torch.testing.assert_close(net(TEXTS), before)
    with torch.no_grad():
        net.embedding.weight[4] += 1.0
    changed = (net(TEXTS) - before).abs().max(1).values > 1e-6
    assert changed.tolist() == [False, False, True]


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_text_has_the_scores_of_no_state(name: str) -> None:
    net = initial(models.make(name), (6,), 3, 0).module
    for mode in (net.train(), net.eval()):
        scores = mode(torch.zeros(2, 6))
        torch.testing.assert_close(scores, net.scores.bias.expand(2, 3))
        assert mode(TEXTS.float()).isfinite().all()


def test_the_last_state_is_that_of_the_last_token() -> None:
    """Token by token, without what stands after the end."""
    net = initial(models.make("lstm(vocabulary=10,width=4,hidden=5,last=True)"), (6,), 3, 0).module
    for text, scores in zip(TEXTS, net(TEXTS), strict=True):
        state = None
        for token in text[text != 0].long():
            _, state = net.memory(net.embedding(token)[None], state)
        assert state is not None
        torch.testing.assert_close(scores, net.scores(state[0][0]))


class Words(Source):
    key = "words"
    changes: dict = {}  # noqa: RUF012

    def load(self) -> Dataset:
        generator = torch.Generator().manual_seed(0)
        tokens = torch.randint(10, (60, 6), generator=generator, dtype=torch.uint8)
        labels = (tokens[:, 0] > 4).long()
        return replace(Dataset(Split(tokens[:48], labels[:48]), Split(tokens[48:], labels[48:]), 2), **self.changes)

    read = load


BASE = Run(source=Words(), partition="iid", clients=6, byzantine=1, rounds=3, sgd=SGD(epochs=1, batch=4, lr=0.1))


@pytest.mark.parametrize("name", NAMES)
def test_a_federation_of_texts(name: str) -> None:
    federation = Federation(replace(BASE, model=models.make(name), attack="ipm", aggregator="median"))
    before = federation.params.clone()
    assert federation.round(0)["stepped"]
    assert federation.round(1)["accuracy"] >= 0
    assert not torch.equal(federation.params, before)


class Embeds(nn.Module):
    """Takes whole numbers only."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 2)

    def forward(self, tokens: Tensor) -> Tensor:
        assert tokens.dtype == torch.int64
        return self.embedding(tokens).mean(1)


def embeds(shape: tuple[int, ...], num_classes: int) -> nn.Module:
    return Embeds()


def of_floats(shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Cast by hand what `tokens` casts."""

    class Casts(Embeds):
        def forward(self, tokens: Tensor) -> Tensor:
            return super().forward(tokens.long())

    return Casts()


@pytest.mark.parametrize("vectorised", [False, True])
def test_a_network_of_ones_own_gets_whole_numbers(vectorised: bool) -> None:
    engine = "batched" if vectorised else "loop"
    rows = []
    for model in (UserModel(factory=embeds, tokens=True, vectorised=vectorised), UserModel(factory=of_floats)):
        run = replace(BASE, model=model, engine=engine if model.tokens else "loop")
        federation = Federation(run)
        federation.round(0)
        rows.append(federation.received)
    torch.testing.assert_close(*rows)


def test_a_token_beyond_its_embedding_is_one_line() -> None:
    tokens = torch.full((12, 6), 10, dtype=torch.uint8)
    larger = type("Larger", (Words,), {"changes": {"test": Split(tokens, torch.zeros(12, dtype=torch.int64))}})()
    with pytest.raises(InputError, match=r"embeds\(tokens=True\) fails on the token 10, the largest of the"):
        Federation(replace(BASE, source=larger, model=UserModel(factory=embeds, tokens=True)))


def test_its_name_says_so() -> None:
    assert UserModel(factory=embeds, tokens=True).name.endswith(":embeds(tokens=True)")
    both = UserModel(factory=embeds, tokens=True, vectorised=True)
    assert both.name.endswith(":embeds(vectorised=True,tokens=True)")
    with pytest.raises(InputError, match="tokens must be one of False, True"):
        UserModel(factory=embeds, tokens=3)


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        (LSTM(vocabulary=9), {}, "the model lstm has tokens 0 to 8, and the data 0 to 9: vocabulary=10 takes these"),
        (Transformer(), {"scale": torch.tensor(0.5)}, "the model transformer needs tokens, which are whole numbers"),
        (LSTM(), {"shift": torch.tensor(0.5)}, "standardise=False keeps numbers as they are"),
        (UserModel(factory=embeds, tokens=True), {"scale": torch.tensor(2.0)}, "embeds.* needs tokens"),
        (LSTM(), {"train": Split(torch.full((48, 6), 0.5), torch.zeros(48, dtype=torch.int64))}, "needs tokens"),
        (
            LSTM(),
            {"train": Split(torch.full((48, 6), -1.0), torch.zeros(48, dtype=torch.int64))},
            "whole numbers from 0",
        ),
    ],
)
def test_data_that_are_no_tokens_are_one_line(model: models.Model, changes: dict, message: str) -> None:
    dataset = replace(Words().load(), **changes)
    with pytest.raises(InputError, match=message) as error:
        model.check_data(dataset)
    assert "\n" not in str(error.value)
    MLP().check_data(dataset)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("lstm(vocabulary=1)", "vocabulary must be at least 2"),
        ("lstm(hidden=0)", "hidden must be at least 1"),
        ("lstm(last=3)", "last must be one of False, True"),
        ("lstm(each=True,last=True)", "each and last are both given"),
        ("transformer(width=3)", "width = 3 must be a multiple of heads = 2"),
        ("transformer(heads=0)", "heads must be at least 1"),
    ],
)
def test_wrong_options_are_one_line(wrong: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        models.make(wrong)
