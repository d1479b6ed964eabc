"""Partitions by the partitioners of the library flwr-datasets."""

from __future__ import annotations

import dataclasses
import inspect
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar, Self

import numpy as np

from ..core.errors import InputError, check, unknown, warn
from ..core.importing import import_extra, one_line
from ..core.names import options
from .base import Array, Dataset, Split
from .partition import Partition, Parts

LABEL, CLIENT, PLACE = "label", "client", "place"  # columns of what a partitioner gets
ARRAY = "distribution_array"  # the option that is a matrix


@dataclass(frozen=True, kw_only=True)
class FlowerPartition(Partition):
    """A partitioner of flwr-datasets by its name, flwr:pathological(num_classes_per_partition=2).

    Its options are those of the class in the library, `PathologicalPartitioner`, and the clients have the inputs that
    it gives them. num_partitions is the number of clients. partition_by: `label`, or `client`, the client of each input
    in the data; this is the default of those by natural ids. seed: None is that of the run. A tuple is a list in the
    library; distribution_array is written row by row.
    """

    key: ClassVar[str] = "flwr"
    source: ClassVar[str] = "Beutel et al., 2020"
    required: ClassVar[Sequence[str]] = ()  # options without a default

    @classmethod
    def of_rest(cls, rest: str) -> tuple[type[Self], Mapping[str, Any]]:
        """Return the class of the partitioner with this name, whose fields are the options."""
        known = {_letters(name): name for name in partitioners()}
        name = known.get(_letters(rest).removesuffix("partitioner"))
        if name is None:
            rows = [each for each in known.values() if not each.startswith("vertical")]  # those divide columns
            raise unknown("partitioner of flwr-datasets", rest, rows)
        return _class_of(name), {}

    def __post_init__(self) -> None:
        such = "flwr:NAME(OPTIONS) names a partitioner of flwr-datasets, such as flwr:shard(num_shards_per_partition=2)"
        check(self.partitioner is not None, such)
        missing = [name for name in self.required if getattr(self, name) is None]
        check(not missing, f"it needs {', '.join(f'{name}=...' for name in missing)}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _of, (self.key, {field.name: getattr(self, field.name) for field in options(type(self))})

    def __call__(self, dataset: Dataset, clients: int, seed: int) -> Parts:
        if getattr(self, "seed", seed) is None:
            own: dict[str, Any] = {"seed": seed}
            return replace(self, **own)(dataset, clients, seed)
        return super().__call__(dataset, clients, seed)

    def deal(self, split: Split, num_classes: int, clients: int, generator: np.random.Generator) -> Parts:
        columns = {LABEL: split.labels.cpu().numpy(), PLACE: np.arange(len(split))}
        columns |= {} if split.writers is None else {CLIENT: split.writers.cpu().numpy()}
        by = getattr(self, "partition_by", LABEL)
        check(by in (LABEL, CLIENT), f"{self.key}: partition_by is {LABEL} or {CLIENT}, not {by!r}")
        check(by in columns, f"{self.key}: this data set has no clients, by which partition_by={by} divides")
        try:
            with warnings.catch_warnings(action="ignore"), redirect_stderr(io.StringIO()):  # of a progress bar
                parts = self._divided(columns, clients)
        except InputError:
            raise
        except Exception as error:  # whatever the library raises
            raise InputError(f"{self.name}: {one_line(error)}") from None
        dealt = sum(map(len, parts))
        if dealt < len(split):
            _say_once(f"gradskew: {self.name} deals {dealt:,} of {len(split):,} training inputs, the others to nobody")
        return Parts.of(parts)

    def _divided(self, columns: Mapping[str, Array], clients: int) -> list[Array]:
        """Return the places of each client's inputs, as the library gives them."""
        given = {field.name: getattr(self, field.name) for field in options(type(self))}
        given = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
        if ARRAY in given:
            given[ARRAY] = np.array(given[ARRAY]).reshape(len(np.unique(columns[LABEL])), -1)
        assert self.partitioner is not None
        if "num_partitions" in inspect.signature(self.partitioner).parameters:
            given["num_partitions"] = clients
        made: Any = self.partitioner(**given)
        made.dataset = import_extra("datasets", "flwr-datasets", "flwr:").Dataset.from_dict(columns)
        count = made.num_partitions
        check(count == clients, f"{self.name} deals to {count} clients, not to {clients}")
        tables = [made.load_partition(client).with_format("arrow")[:] for client in range(clients)]
        whole = all(PLACE in table.column_names for table in tables)
        places = [table.column(PLACE).to_numpy() for table in tables] if whole else []
        once = whole and len(np.unique(np.concatenate(places))) == sum(map(len, places))
        check(once, f"{self.key} divides the columns of a table among the clients, and here they share its rows")
        return places


def partitioners() -> dict[str, type]:
    """Return the partitioners of the library by name; InputError with the command that installs it."""
    library = import_extra("flwr_datasets.partitioner", "flwr-datasets", "flwr:")
    classes = [getattr(library, name) for name in library.__all__ if name != "Partitioner"]
    return {_name(cls): cls for cls in classes}


def _name(partitioner: type) -> str:
    """Return the name of a partitioner: `inner_dirichlet` for the class InnerDirichletPartitioner."""
    return re.sub(r"(?<=.)(?=[A-Z])", "_", partitioner.__name__.removesuffix("Partitioner")).lower()


@cache
def _class_of(name: str) -> type[Any]:
    """Return the class of partitions by the partitioner with this name, a field for each option."""
    partitioner = partitioners()[name]
    parameters = [each for each in inspect.signature(partitioner).parameters.values() if each.name != "num_partitions"]
    required = [each.name for each in parameters if each.default is each.empty]
    defaults: dict[str, Any] = {each.name: each.default for each in parameters} | dict.fromkeys(required)
    defaults |= {"seed": None, "partition_by": CLIENT if "natural_id" in name else LABEL}
    namespace = {"__module__": __name__, "__doc__": partitioner.__doc__, "key": f"{FlowerPartition.key}:{name}"}
    return dataclasses.make_dataclass(
        "FlowerPartition",
        [(each.name, each.annotation, defaults[each.name]) for each in parameters],
        bases=(FlowerPartition,),
        namespace={**namespace, "partitioner": partitioner, "required": tuple(required)},
        frozen=True,
        kw_only=True,
    )


def _of(key: str, given: Mapping[str, Any]) -> Any:
    """Return the partition of a key with these options, in another process."""
    return _class_of(key.partition(":")[2])(**given)


def _letters(name: str) -> str:
    return re.sub(r"[-_\s]", "", name.lower())


@cache
def _say_once(line: str) -> None:
    warn(line)
