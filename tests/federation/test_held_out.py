"""The validation part: who has it, and that a run with it is the run on the data without it."""

from dataclasses import replace

import pytest
import torch
from tiny import Tiny
from tiny_runs import BASE

import gradskew as gs
from gradskew.core.errors import InputError
from gradskew.data import Dataset, Split
from gradskew.federation.held_out import deal, for_evaluation, hold_out

RUN = replace(BASE, partition="iid", validation=0.25)


def indices(parts):
    return torch.cat(list(parts)).sort().values


def test_nobody_has_the_validation_part() -> None:
    """48 inputs: 12 are held out, the others are dealt, and of these 5 are the server's."""
    whole = Tiny().load()
    dealt = indices(deal(RUN, whole)[0])
    parts, root = deal(replace(RUN, root_examples=5), whole)
    held = torch.tensor(sorted(set(range(48)) - set(dealt.tolist())))
    assert len(held) == 12
    assert torch.equal(indices([*parts, root]), dealt)
    test = for_evaluation(RUN, whole).test
    assert torch.equal(test.inputs, whole.train.inputs[held])
    assert torch.equal(test.labels, whole.train.labels[held])


def test_it_is_the_same_for_every_seed_and_partition_and_even_over_the_classes() -> None:
    whole = Tiny().load()
    others = [replace(RUN, seed=3), replace(RUN, partition=gs.Dirichlet(min_samples=1))]
    assert all(torch.equal(indices(deal(run, whole)[0]), indices(deal(RUN, whole)[0])) for run in others)
    shares = for_evaluation(RUN, whole).test.labels.bincount(minlength=3) - whole.train.labels.bincount(minlength=3) / 4
    assert shares.abs().max() <= 1


def test_a_run_is_that_on_the_data_without_the_held_out_part() -> None:
    """Made by hand: the same inputs in the same order, the held-out ones as the test part."""
    whole = Tiny().load()
    dealt = indices(deal(RUN, whole)[0])
    train = Split(whole.train.inputs[dealt], whole.train.labels[dealt])
    by_hand = gs.source(Dataset(train, for_evaluation(RUN, whole).test, 3, scale=whole.scale, shift=whole.shift))
    result, same = gs.simulate(RUN), gs.simulate(replace(RUN, source=by_hand, validation=0.0))
    assert result.params_sha256 == same.params_sha256
    assert [each["accuracy"] for each in result.rounds] == [each["accuracy"] for each in same.rounds]
    assert result.test_size == 12
    assert result.params_sha256 != gs.simulate(replace(RUN, validation=0.0)).params_sha256


def test_each_writer_gives_its_share_and_a_single_input_stays() -> None:
    writers = torch.tensor([7, 7, 7, 7, 9, 9, 9, 9, 1_000_000_000_000])
    split = Split(torch.arange(9.0)[:, None], torch.tensor([0, 0, 1, 1, 0, 0, 1, 1, 0]), writers)
    pool, _, rest = hold_out(Dataset(split, split, 2), 0, 0.25)
    assert [int((pool.train.writers == writer).sum()) for writer in writers.unique()] == [3, 3, 1]
    assert torch.equal(pool.train.inputs[:, 0], rest.float())


def test_where_each_writer_has_one_input_nothing_can_be_held_out() -> None:
    split = Split(torch.arange(4.0)[:, None], torch.tensor([0, 1, 0, 1]), torch.arange(4))
    with pytest.raises(InputError, match=r"validation = 0.25 holds out none of 4 training inputs"):
        hold_out(Dataset(split, split, 2), 0, 0.25)


def test_no_more_than_half_is_held_out() -> None:
    with pytest.raises(InputError, match=r"validation must be at least 0 and at most 0.5, not 0.6"):
        replace(RUN, validation=0.6)
