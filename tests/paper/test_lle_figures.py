"""Figures 1 and 2: S by hand, and the rows of a run's rounds in the plane."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from keeps import Keeps
from tiny import Cuts, Tiny, hashed

from gradskew.attacks import STRIKE
from gradskew.core.errors import InputError
from gradskew.core.rows import Rows
from gradskew.data.partition import IID
from gradskew.federation.optimizer import SGD
from gradskew.federation.rounds import simulate
from gradskew.federation.run import Run
from gradskew.models import Linear
from gradskew.paper.lle_figures import rounds_of, skewed, trace
from gradskew.skew import embed

RUN = Run(
    source=Tiny(),
    partition=IID(),
    model=Linear(),
    clients=12,
    byzantine=0,
    rounds=4,
    sgd=SGD(epochs=2, batch=5, lr=0.2),
)


def test_skewed_by_hand() -> None:
    """Median 4.5, mean 31.9: the search goes down. |S| = 8 (8 - 4) // (8 - 2) = 5: the five lowest."""
    honest = torch.tensor([[5.0], [1], [2], [3], [4], [100], [60], [80]])
    assert skewed(honest, f=2).tolist() == [True, True, True, True, True, False, False, False]
    assert skewed(honest, f=0).all()


def test_skewed_takes_the_median_of_the_attack() -> None:
    """Mean 4.25; the lower median is 4, so the search goes down; the midpoint is 5: up. |S| = 4 (4 - 2) // (4 - 1)."""
    honest = torch.tensor([[0.0], [4], [6], [7]])
    assert skewed(honest, f=1, attack=STRIKE(middle="lower")).tolist() == [True, True, False, False]
    assert skewed(honest, f=1, attack=STRIKE()).tolist() == [False, False, True, True]


def test_rounds_of() -> None:
    order = torch.randperm(200, generator=torch.Generator().manual_seed(hashed(7, "figure rounds"))).tolist()
    assert rounds_of(7, 200) == sorted(order[:6])
    assert rounds_of(7, 200, count=2) == sorted(order[:2])
    assert rounds_of(7, 6) == list(range(6))
    for rounds, count in ((0, 6), (5, 0), (2.5, 6)):
        with pytest.raises(InputError):
            rounds_of(7, rounds, count)


def points_of(array: np.ndarray) -> tuple[tuple[float, float], ...]:
    return tuple((float(x), float(y)) for x, y in array)


def test_trace_embeds_the_updates_of_its_rounds() -> None:
    rule, played = Keeps(), []
    simulate(replace(RUN, aggregator=rule))
    embeddings = trace(RUN, [2, 0], STRIKE(), on_round=lambda: played.append(1))
    assert len(played) == 3
    assert [embedding.round for embedding in embeddings] == [0, 2]
    for embedding in embeddings:
        rows = rule.kept[embedding.round]
        assert (*embedding.honest, embedding.mean) == points_of(embed(rows))
        assert embedding.skewed == tuple(skewed(rows, 2, STRIKE()).tolist())
        assert sum(embedding.skewed) == 9  # 12 (12 - 2 * 2) // (12 - 2)
        assert embedding.byzantine == ()


def test_what_strike_would_send_is_embedded_but_not_trained_on() -> None:
    rule, attack = Keeps(), STRIKE(nu=0.5, middle="upper")
    simulate(replace(RUN, aggregator=rule))
    embeddings = trace(RUN, {1, 3}, attack, forged=True)
    assert [embedding.round for embedding in embeddings] == [1, 3]
    for embedding in embeddings:
        rows = rule.kept[embedding.round]
        points = np.array([*embedding.honest, embedding.mean, *embedding.byzantine])
        forged = attack.forge(Rows(rows), 2, 12)[0].expand(2, -1)
        np.testing.assert_allclose(points, embed(rows, forged), rtol=0, atol=1e-9)
        assert embedding.skewed == tuple(skewed(rows, 2, attack).tolist())


def test_rows_that_are_not_finite_are_left_out() -> None:
    """Of twelve clients with four images each, training overflows on those of the last three."""
    run = replace(RUN, partition=Cuts(sizes=(4,) * 12), source=Tiny(overflow=36), sgd=replace(RUN.sgd, clip=None))
    result = simulate(run)
    [embedding] = trace(run, [1], forged=True)
    assert result.rounds[1]["rejected"] == 12 - len(embedding.honest) == 3
    assert len(embedding.byzantine) == 1
    with pytest.raises(InputError, match="round 0: honest must have the shape"):
        trace(replace(run, source=Tiny(overflow=0)), [0])


def test_what_cannot_be_traced_is_one_line() -> None:
    with pytest.raises(InputError, match="byzantine must be 0, not 2"):
        trace(replace(RUN, byzantine=2), [0])
    with pytest.raises(InputError, match="no round"):
        trace(RUN, [])
    for round in (4, -1, 1.5):
        with pytest.raises(InputError, match="a round to look at must be"):
            trace(RUN, [0, round])  # type: ignore[list-item]
    with pytest.raises(InputError, match="round 1: only 4 of the updates"):
        trace(replace(RUN, clients=3), [1], forged=True)
