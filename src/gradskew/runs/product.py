"""Lists as values of a run's options: one federation for each combination, and the runs of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from .. import data
from ..core.errors import InputError, check, warn
from ..core.grammar import parse_one, split_list, split_outside, split_prefix
from ..data.partition import ByWriter
from ..federation.held_out import hold_out
from ..federation.options import LISTED
from ..federation.run import Run
from .settings import COMMON, by_name, make_runs
from .versions import federation_key

WORDS = {"beta": ("iid",)}  # values beside numbers


def make_sweep(given: Mapping[str, Any]) -> list[Run]:
    """Return the runs of every federation of these options, each run once: see `federations` and `make_runs`."""
    parts, sources = federations(given), dict[Any, data.Source]()
    if len(parts) == 1:
        return make_runs(parts[0])
    varied = [key for key in parts[0] if any(parts[0][key] is not part.get(key) for part in parts)]
    runs: dict[str, Run] = {}
    known: dict[str, str] = {}
    for part in parts:
        where = ", ".join(f"{key}={part[key]!s:.60}" for key in varied if key in part)
        try:
            made = {run.digest: run for run in make_runs(with_source(part, sources))}
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        if made.keys() <= runs.keys():
            warn(f"gradskew: {where} is the same as another value: it is played once")
            continue
        first = known.setdefault(federation_key(next(iter(made.values())).content), where)
        check(first is where, f"{where} and {first} have the same names, and cannot be told apart in tables")
        for digest, run in made.items():
            runs.setdefault(digest, run)
    return list(runs.values())


def federations(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the options of each federation, one for each combination of the values of `LISTED` options.

    A value is one, a list, or a text with commas. The last option varies fastest. InputError for an empty list, and
    for a value that is given twice. beta=iid is the partition iid.
    """
    chosen = by_name(given)
    lists = {key: values_of(key, chosen[key]) for key in chosen if key in LISTED}
    varied = [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]
    return [_evenly({**chosen, **values}) for values in varied]


def values_of(key: str, given: Any) -> Sequence[Any]:
    """Return the values of an option that one value, a list or a text with commas gives."""
    if isinstance(given, str):
        parts = _split_datasets(given) if key == "dataset" else split_list(given, key) if "," in given else [given]
        return parts if len(parts) > 1 else [given]
    if isinstance(given, np.ndarray) and given.ndim == 1 and key not in ("dataset", "model"):
        given = given.tolist()
    listed = isinstance(given, (list, tuple, range))
    if key == "dataset":  # arrays (X, y) and items are one data set
        listed = isinstance(given, list) and all(isinstance(each, (str, data.Source)) for each in given)
    if not listed:
        return [given]
    check(len(given) > 0, f"{key} is an empty list")
    for number, value in enumerate(given):
        check(value is not None, f"{key} has None in its list: name the value")
        twice = any(value is other or _equal(value, other) for other in given[:number])
        check(not twice, f"a value is given twice in {key}: {value!r:.80}")
    return list(given)


def _equal(first: Any, second: Any) -> bool:
    plain = (int, float, str)
    return isinstance(first, plain) and isinstance(second, plain) and first == second


def _split_datasets(text: str) -> list[str]:
    """Return the data sets in a text. A path may have commas: it ends with its quotes, its options or a prefix."""
    names: list[str] = []
    for part in split_outside(text, ","):
        open_path = bool(names) and bool(split_prefix(names[-1])[0]) and not names[-1].endswith((")", '"', "'"))
        if open_path and not split_prefix(part)[0]:
            names[-1] += f",{part}"
        else:
            names.append(part.strip())
    check(all(names), f"empty entry in dataset: {text[:80]!r}")
    check(len(set(names)) == len(names), f"an entry is given twice in dataset: {text[:80]!r}")
    return names


def _evenly(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a federation with beta=iid as the partition iid, to which min_samples does not apply."""
    beta = options.get("beta")
    if not isinstance(beta, str) or beta.lower() not in WORDS["beta"]:
        return options
    given = options.get("partition", "dirichlet")
    key = parse_one(given, "partition")[0] if isinstance(given, str) else getattr(given, "key", "")
    check(key in ("dirichlet", "iid"), f"beta=iid stands for partition=iid, but partition is {given!s:.80}")
    others = {name: value for name, value in options.items() if name not in ("beta", "min_samples")}
    return {**others, "partition": "iid"}


def with_source(options: Mapping[str, Any], sources: dict[Any, data.Source]) -> dict[str, Any]:
    """Return the options with their data set as an object; those of one name share it, so that it is read once."""
    dataset, folder = options.get("dataset", COMMON["dataset"]), options.get("data")
    key = dataset if isinstance(dataset, str) else id(dataset)
    if key not in sources:
        folder = None if folder is None else Path(folder)
        sources[key] = data.make(dataset, folder=folder, download=options.get("download", False))
    return {
        **{name: value for name, value in options.items() if name not in ("data", "download")},
        "dataset": sources[key],
    }


def data_notes(runs: Sequence[Run]) -> list[str]:
    """Return what is said of each data set of the runs: sizes, balance, scaling; of own data how they were read."""
    about = dict.fromkeys(_about(source) for source in dict.fromkeys(run.source for run in runs))
    sentences = [sentence for of_source in about for sentence in of_source]
    of_own = [run for run in runs if isinstance(run.partition, ByWriter)]
    dealt = dict.fromkeys((run.source, run.clients, run.root_examples, run.validation) for run in of_own)
    for source, clients, root_examples, validation in dealt:
        pool, _, _ = hold_out(source.load(), root_examples, validation)
        whole = ByWriter().writers(pool)
        if clients < whole:
            some = f"{clients} of the {whole} clients of {source.name} take part, the first by their ids"
            sentences.append(f"{some}; the training inputs of the others are nobody's")
    return sentences


def _about(source: data.Source) -> tuple[str, ...]:
    """Return what is said of a data set; the notes of own data have its sizes, for others these come first."""
    loaded = source.load()
    if loaded.notes and not source.scaling:
        return tuple(loaded.notes)
    return ", ".join(filter(None, (f"{source.name}: {_sizes(loaded)}", source.scaling))), *loaded.notes


def _sizes(dataset: data.Dataset) -> str:
    """Return the sizes of the parts and the balance of the classes as text."""
    sizes = f"{len(dataset.train):,} training and {len(dataset.test):,} test inputs"
    shares = dataset.train.labels.bincount(minlength=dataset.num_classes) * (100 / len(dataset.train))
    return f"{sizes}, {dataset.num_classes} classes of {float(shares.min()):.1f} to {float(shares.max()):.1f} %"
