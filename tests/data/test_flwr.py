"""Partitioners of flwr-datasets: the clients have what the library itself gives them, and what is refused."""

import pickle
import sys

import numpy as np
import pytest
import torch

from gradskew.core.errors import InputError
from gradskew.core.grammar import with_options
from gradskew.core.names import describe
from gradskew.data import Dataset, Digits, Split, partition
from gradskew.federation import Run
from gradskew.report.settings import Settings
from gradskew.runs.product import make_sweep

library = pytest.importorskip("flwr_datasets", reason="needs flwr-datasets: pip install 'gradskew[flwr-datasets]'")
datasets = pytest.importorskip("datasets")

N, CLIENTS, SEED = 240, 4, 3
RNG = np.random.Generator(np.random.PCG64(0))
LABELS, OWNERS = RNG.permutation(np.repeat(range(4), N // 4)), RNG.permutation(np.repeat(range(CLIENTS), N // CLIENTS))
EMPTY = Split(torch.zeros(4, 1), torch.arange(4))
INPUTS = Dataset(Split(torch.zeros(N, 1), torch.from_numpy(LABELS), torch.from_numpy(OWNERS)), EMPTY, 4)
UNOWNED = Dataset(Split(torch.zeros(N, 1), torch.from_numpy(LABELS)), EMPTY, 4)

COUNTED = {"num_partitions": CLIENTS}
BY_CLASS = {**COUNTED, "partition_by": "y", "seed": SEED}
SIZES = [90, 60, 60, 30]
# The name, and the class of the library with what it is given.
CASES = {
    "iid": ("IidPartitioner", COUNTED),
    "linear": ("LinearPartitioner", COUNTED),
    "square": ("SquarePartitioner", COUNTED),
    "exponential": ("ExponentialPartitioner", COUNTED),
    "size(partition_sizes=(90,60,60,30))": ("SizePartitioner", {"partition_sizes": SIZES}),
    "shard(num_shards_per_partition=2)": ("ShardPartitioner", {**BY_CLASS, "num_shards_per_partition": 2}),
    "pathological(num_classes_per_partition=2,seed=7)": (
        "PathologicalPartitioner",
        {**BY_CLASS, "num_classes_per_partition": 2, "seed": 7},
    ),
    "Pathological-Partitioner(num_classes_per_partition=2,class_assignment_mode=first-deterministic,shuffle=False)": (
        "PathologicalPartitioner",
        {
            **BY_CLASS,
            "num_classes_per_partition": 2,
            "class_assignment_mode": "first-deterministic",
            "shuffle": False,
        },
    ),
    "dirichlet(alpha=0.5,self_balancing=True)": (
        "DirichletPartitioner",
        {**BY_CLASS, "alpha": 0.5, "self_balancing": True},
    ),
    "dirichlet(alpha=(1,1,2,3),min_partition_size=1)": (
        "DirichletPartitioner",
        {**BY_CLASS, "alpha": [1, 1, 2, 3], "min_partition_size": 1},
    ),
    "inner-dirichlet(partition_sizes=(90,60,60,30),alpha=1)": (
        "InnerDirichletPartitioner",
        {"partition_sizes": SIZES, "partition_by": "y", "alpha": 1, "seed": SEED},
    ),
    "continuous(strictness=0.5)": ("ContinuousPartitioner", {**BY_CLASS, "strictness": 0.5}),
    "distribution(distribution_array=(1,2,1,3,1,4,1,5),num_unique_labels_per_partition=2,"
    "preassigned_num_samples_per_label=1)": (
        "DistributionPartitioner",
        {
            **BY_CLASS,
            "distribution_array": np.array([[1, 2], [1, 3], [1, 4], [1, 5]]),
            "num_unique_labels_per_partition": 2,
            "preassigned_num_samples_per_label": 1,
        },
    ),
    "natural-id": ("NaturalIdPartitioner", {"partition_by": "site"}),
    "natural_id(partition_by=label)": ("NaturalIdPartitioner", {"partition_by": "y"}),
    "grouped_natural_id(group_size=1,sort_unique_ids=True)": (
        "GroupedNaturalIdPartitioner",
        {"partition_by": "site", "group_size": 1, "sort_unique_ids": True},
    ),
}


@pytest.mark.filterwarnings("ignore:Specifying null_placement")  # of `datasets`
@pytest.mark.parametrize(("name", "of_library"), CASES.items(), ids=CASES)
def test_the_clients_have_what_the_library_gives(name, of_library):
    cls, given = of_library
    wanted = getattr(library.partitioner, cls)(**given)
    wanted.dataset = datasets.Dataset.from_dict({"y": LABELS.tolist(), "site": OWNERS.tolist(), "row": range(N)})
    parts = partition.make(f"flwr:{name}", min_samples=5)(INPUTS, CLIENTS, SEED)
    assert [part.tolist() for part in parts] == [list(wanted.load_partition(i)["row"]) for i in range(CLIENTS)]


def test_a_partition_is_found_again_by_its_name_and_in_other_processes():
    made = partition.make("flwr:Inner-Dirichlet(partition_sizes=(3,4),alpha=1)")
    assert made.name == "flwr:inner_dirichlet(partition_sizes=(3,4),alpha=1.0)"
    assert made == partition.make(made.name) == partition.make(with_options(describe(made)))
    sent = pickle.loads(pickle.dumps(made))
    assert sent == made
    assert hash(sent) == hash(made)
    assert sent(INPUTS, 2, 0)[1].tolist() == made(INPUTS, 2, 0)[1].tolist()


def test_the_seed_is_that_of_the_run_unless_it_is_given():
    parts = {
        (option, seed): partition.make(f"flwr:dirichlet(alpha=1{option})")(INPUTS, CLIENTS, seed)[0].tolist()
        for option in ("", ",seed=8")
        for seed in (8, 9)
    }
    assert parts["", 8] == parts[",seed=8", 8] == parts[",seed=8", 9] != parts["", 9]


def test_the_code_of_the_library_is_in_the_digest():
    run = Run(partition="flwr:pathological(num_classes_per_partition=3)", clients=10)
    assert run.content["partition"] == {"name": "flwr:pathological", "num_classes_per_partition": 3}
    code = "flwr_datasets.partitioner.pathological_partitioner.PathologicalPartitioner"
    assert code in run.content["user_code"]
    assert "user_code" not in Run(partition="classes(k=3)", clients=10).content


def test_inputs_of_no_client_are_said(capsys):
    """60 inputs of each class, and clients 0 and 1 have classes 0 and 1."""
    deal = partition.make("flwr:pathological(num_classes_per_partition=1,class_assignment_mode=deterministic)")
    assert sum(map(len, deal(UNOWNED, 2, 0))) == 120
    assert "deterministic,seed=0) deals 120 of 240 training inputs, the others to nobody" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("flwr", "flwr:NAME(OPTIONS) names a partitioner of flwr-datasets"),
        (
            "flwr:pathologicl(k=2)",
            "unknown partitioner of flwr-datasets 'pathologicl'; did you mean 'pathological'? known",
        ),
        ("flwr:iid(k=2)", "unknown option of flwr:iid 'k'; known: none"),
        ("flwr:dirichlet(alfa=1)", "unknown option of flwr:dirichlet 'alfa'; did you mean 'alpha'?"),
        ("flwr:pathological", "flwr:pathological: it needs num_classes_per_partition=..."),
        ("flwr:natural_id", "flwr:natural_id: this data set has no clients, by which partition_by=client divides"),
        (
            "flwr:continuous(strictness=1,partition_by=age)",
            "flwr:continuous: partition_by is label or client, not 'age'",
        ),
        ("flwr:natural_id(partition_by=label)", "flwr:natural_id(partition_by=label) deals to 4 clients, not to 5"),
        ("flwr:dirichlet(alpha=-1)", "flwr:dirichlet(alpha=-1.0,seed=0): ValueError: Alpha values should be"),
        ("flwr:shard(shard_size=100)", "flwr:shard(shard_size=100,seed=0): ValueError: The specified configuration"),
        ("flwr:inner_dirichlet(partition_sizes=(240,0,0,0,0),alpha=1)", "must deal at least one input to each of 5"),
        ("flwr:vertical_even", "flwr:vertical_even divides the columns of a table among the clients"),
    ],
)
def test_what_cannot_be_dealt_is_one_line(name, says):
    with pytest.raises(InputError) as caught:
        partition.make(name)(UNOWNED, 5, 0)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_more_clients_than_inputs_are_refused_as_ever():
    with pytest.raises(InputError, match=r"^1438 clients cannot share 1437 training inputs: each needs one$"):
        partition.make("flwr:iid")(Digits().load(), 1438, 0)


def test_a_missing_library_is_named_with_its_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "flwr_datasets.partitioner", None)
    with pytest.raises(InputError, match=r"^flwr: needs the package flwr_datasets: .*'gradskew\[flwr-datasets\]'$"):
        partition.make("flwr:iid")


def test_a_sweep_over_an_option_of_the_library():
    names = "flwr:dirichlet(alpha=0.5),flwr:dirichlet(alpha=5)"
    runs = make_sweep({"partition": names, "clients": 5, "attacks": "none", "rules": "mean"})
    (axis,) = Settings([run.content for run in runs]).axes
    assert (axis.name, axis.values, axis.is_numeric) == ("alpha of flwr:dirichlet", [0.5, 5], True)
