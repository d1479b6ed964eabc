"""The vote of the clients on two steps: by hand, ties, losses that are not finite, and what a round must have."""

import math

import pytest
import torch
from cases import distances

from gradskew import aggregators as agg
from gradskew.core.errors import InputError
from gradskew.core.round import Round
from gradskew.core.rows import Rows

ROWS = torch.tensor([[0.0], [1.0], [5.0]])  # the mean is 2, the median 1


def explain(name="vote(a=mean,b=median)", *, losses, params=10.0, **changes):
    round = Round(clients=[7, 8, 9], params=torch.tensor([params]), losses=losses, **changes)
    return agg.make(name).explain(Rows.of(ROWS, round), 1)


def at(*targets):
    """Return what clients lose who want the model at these places: its squared distance from them."""
    return lambda models, clients: distances(models, [torch.tensor([float(target)]) for target in targets])


@pytest.mark.parametrize(
    ("targets", "vote", "value"),
    [
        ((0, 0, 0), "a", 2.0),  # 10 -> 8 gains 36, 10 -> 9 gains 19
        ((9, 9, 9), "b", 1.0),  # 10 -> 8 gains 0, 10 -> 9 gains 1
        ((9, 9, 0), "b", 1.0),  # the third gains more from a: one vote
        ((10, 10, 0), "stay", 0.0),  # two lose by each step
        ((10, 10, 10), "stay", 0.0),
    ],
)
def test_the_step_of_the_larger_median_gain_is_taken(targets, vote, value):
    outcome = explain(losses=at(*targets))
    assert (outcome.notes["vote"], outcome.value.item()) == (vote, value)


def test_of_equal_gains_a_is_taken_and_without_stay_the_smaller_loss():
    assert explain("vote(a=mean,b=mean)", losses=at(0, 0, 0)).notes["vote"] == "a"
    outcome = explain("vote(a=mean,b=median,stay=False)", losses=at(10, 10, 10))
    assert (outcome.notes["vote"], outcome.value.item()) == ("b", 1.0)


def test_the_weights_are_those_of_the_step():
    name = "vote(a=mean,b=rfa)"
    assert explain(name, losses=at(0, 0, 0)).weights.tolist() == pytest.approx([1 / 3] * 3)
    assert explain(name, losses=at(10, 10, 10)).weights.tolist() == [0, 0, 0]
    assert explain(losses=at(0, 0, 0)).weights is None  # the median has none


def test_losses_that_are_not_finite_count_as_infinite():
    """At 10, 8 and 9. Two clients lose infinitely at 8; then two cannot say anything at the present model either."""
    losses = torch.tensor([[2.0, 2.0, 2.0], [math.nan, math.inf, 0.0], [1.0, 1.0, 1.0]])
    assert explain(losses=lambda models, clients: losses).notes["vote"] == "b"
    losses = torch.tensor([[math.nan, math.nan, 2.0], [math.nan, math.nan, 0.0], [1.0, math.nan, 1.0]])
    assert explain(losses=lambda models, clients: losses).notes["vote"] == "b"  # gains inf, 0, 1 against 0, 0, 2
    losses = torch.full((3, 3), math.nan)
    assert explain(losses=lambda models, clients: losses).notes["vote"] == "stay"


def test_losses_of_a_wrong_shape_are_one_line():
    with pytest.raises(InputError, match="the losses"):
        explain(losses=lambda models, clients: torch.zeros(3, 2))


def test_clients_are_asked_by_id_at_the_model_after_the_step():
    asked = []

    def losses(models, clients):
        asked.append((models.flatten().tolist(), list(clients)))
        return torch.zeros(3, 3)

    explain(losses=losses, rate=0.5)
    assert asked == [([10.0, 9.0, 9.5], [7, 8, 9])]


def test_what_a_round_must_have():
    rule = agg.make("vote(a=mean,b=fltrust)")
    assert rule.needs == {"clients", "losses", "params", "reference"}
    with pytest.raises(InputError, match="which the simulation asks for with votes = True; there is none here"):
        explain(losses=None)
    with pytest.raises(InputError, match="losses must be a function of models and client ids"):
        explain(losses=3)
    with pytest.raises(InputError, match="stay must be one of False, True, not 'no'"):
        agg.make("vote(stay=no)")
    with pytest.raises(InputError, match="two objects"):
        agg.Vote(a=(mean := agg.Mean()), b=mean)


def test_what_is_proven():
    assert agg.make("vote").kappa_bound(10, 2) == math.inf
    bounds = [agg.make(name).kappa_bound(10, 2) for name in ("median", "rbtm")]
    assert agg.make("vote(a=median,b=rbtm,stay=False)").kappa_bound(10, 2) == max(bounds)
    assert "vote" not in agg.names()
