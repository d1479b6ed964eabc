"""Lists as values of options: the federations of a sweep, and that nothing given before means anything else."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch import nn

import gradskew as gs
from gradskew.core.errors import InputError
from gradskew.federation.options import LISTED
from gradskew.runs.product import federations, make_sweep, values_of
from gradskew.runs.settings import COMMON, make_runs

SMALL: dict[str, Any] = {
    "clients": 6,
    "byzantine": 1,
    "rounds": 1,
    "model": "linear",
    "rules": "mean",
    "attacks": "none",
}


def test_the_grid_is_the_product_of_all_lists() -> None:
    runs = make_sweep({**SMALL, "rules": "mean,median", "seeds": 2, "beta": [0.5, 2.0, "iid"], "byzantine": [1, 2]})
    named = [(run.partition.name, run.byzantine, run.aggregator.name, run.seed) for run in runs]
    dealt = ("dirichlet(min_samples=2)", "dirichlet(beta=2.0,min_samples=2)", "iid")
    assert named == [(d, b, r, s) for b in (1, 2) for d in dealt for r in ("mean", "median") for s in (0, 1)]


def test_each_federation_is_that_of_its_own_command() -> None:
    """A list changes no digest."""
    swept = make_sweep({**SMALL, "beta": [0.5, "iid"], "model": "linear,mlp(hidden=4)", "momentum": [0.0, 0.9]})
    alone = [
        run
        for part in ({"beta": 0.5}, {"partition": "iid"})
        for model in ("linear", "mlp(hidden=4)")
        for momentum in (0.0, 0.9)
        for run in make_runs({**SMALL, **part, "model": model, "momentum": momentum})
    ]
    assert len(swept) == 8
    assert {run.digest for run in swept} == {run.digest for run in alone}


def test_a_federation_that_two_combinations_name_is_run_once() -> None:
    """A sixth of 6 clients, rounded up, is 1."""
    assert len(make_sweep({**SMALL, "byzantine": [1, 0.1]})) == 1
    assert len(make_sweep({**SMALL, "beta": ["iid"], "min_samples": [2, 3]})) == 1


def test_two_networks_of_one_name_are_refused() -> None:
    """Records and tables could not tell them apart."""

    def of_width(width: int) -> Callable[..., nn.Module]:
        def network(shape: tuple[int, ...], num_classes: int) -> nn.Module:
            return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, num_classes))

        return network

    assert len(make_sweep({**SMALL, "model": [of_width(3)]})) == 1
    with pytest.raises(InputError, match="have the same names, and cannot be told apart"):
        make_sweep({**SMALL, "model": [of_width(3), of_width(4)]})


@pytest.mark.parametrize(
    ("key", "given", "values"),
    [
        ("dataset", "digits", ["digits"]),
        ("dataset", "digits,cifar10(train_size=100)", ["digits", "cifar10(train_size=100)"]),
        ("dataset", "csv:a,b.csv(label=y,client=site)", ["csv:a,b.csv(label=y,client=site)"]),
        ("dataset", "csv:'a,b.csv'(label=y),digits", ["csv:'a,b.csv'(label=y)", "digits"]),
        ("dataset", "csv:a.csv(label=y),digits", ["csv:a.csv(label=y)", "digits"]),
        ("dataset", "images:mnist,svhn", ["images:mnist,svhn"]),
        ("dataset", "npz:a.npz,npz:b.npz", ["npz:a.npz", "npz:b.npz"]),
        ("model", "mlp(hidden=8),linear", ["mlp(hidden=8)", "linear"]),
        ("partition", "iid, shards(k=2)", ["iid", "shards(k=2)"]),
        ("attack_rounds", "0:10,20:", ["0:10", "20:"]),
        ("lr", np.array([0.1, 0.2]), [0.1, 0.2]),
        ("rounds", range(1, 4), [1, 2, 3]),
        ("beta", (0.1, "iid"), [0.1, "iid"]),
        ("beta", 0.1, [0.1]),
    ],
)
def test_values_of_an_option(key: str, given: Any, values: list[Any]) -> None:
    assert list(values_of(key, given)) == values


def test_data_in_memory_are_one_data_set() -> None:
    rows, labels = np.zeros((20, 2)), np.arange(20) % 2
    items = list(zip(rows, labels, strict=True))
    for data in ((rows, labels), items):
        assert [part["dataset"] is data for part in federations({"dataset": data})] == [True]


def test_every_option_of_a_run_may_have_a_list() -> None:
    others = {"attacks", "rules", "seeds", "pictures", "lens", "engine"}  # lists of their own, or how it is executed
    others |= {"votes", "probe"}  # without votes the rule that asks is refused; a probe changes no result
    assert set(LISTED) == ({*COMMON} - others) | {"partition", "beta", "min_samples"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"beta": []}, "beta is an empty list"),
        ({"beta": [0.1, 0.5, 0.1]}, "a value is given twice in beta: 0.1"),
        ({"rounds": [1, 1.0]}, "a value is given twice in rounds: 1.0"),
        ({"model": "linear,linear"}, "an entry is given twice in model: 'linear,linear'"),
        ({"model": "linear,"}, "empty entry in model: 'linear,'"),
        ({"lr": [0.1, None]}, "lr has None in its list: name the value"),
        ({"beta": [0.5, "uneven"]}, "beta=uneven: dirichlet: beta must be a number, not 'uneven'"),
        ({"beta": "iid", "partition": "shards(k=2)"}, "beta=iid stands for partition=iid, but partition is shards"),
        ({"beta": [0.5, 2.0], "partition": "shards(k=2)"}, "beta=0.5: the partition shards.* has no beta"),
        ({"byzantine": [1, 3], "rules": "median"}, "byzantine=3: byzantine: median tolerates at most 2 of 6 clients"),
        ({"lens": [True, False]}, "lens"),
        ({"dataset": "digits,nothing"}, "unknown dataset 'nothing'"),
    ],
    ids=str,
)
def test_what_is_wrong_is_one_line(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        make_sweep({**SMALL, **given})
    assert "\n" not in str(error.value)


def test_from_python(tmp_path: Any) -> None:
    swept = gs.bench(**SMALL, beta=["iid", 0.5], out=tmp_path, progress=False)
    assert not isinstance(swept, gs.Table)
    assert [table.records[0].spec["partition"]["name"] for table in swept] == ["dirichlet", "iid"]
    assert [axis.name for axis in swept.axes] == ["beta"]
    assert list(swept.axes[0].values) == [0.5, "iid"]
    assert isinstance(gs.bench(**SMALL, beta=["iid"], out=tmp_path, progress=False), gs.Table)
