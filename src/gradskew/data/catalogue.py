"""The tables of data sets and of partitions, and the way from a name to a data set."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.catalogue import Catalogue
from ..core.errors import InputError, check
from ..core.grammar import parse_one, split_prefix

if TYPE_CHECKING:
    from .base import Source

OWN = ("csv", "npz", "parquet", "images", "text", "hf")  # of the user's
TABLES = {"txt": "csv", "tsv": "csv", "dat": "csv", "data": "csv", "xls": "csv", "xlsx": "csv", "pq": "parquet"}
PACKED = (".gz", ".bz2", ".zst", ".xz", ".zip")
FIRST = (
    *("digits", *OWN, "mnist", "fashion_mnist", "emnist", "cifar10", "cifar100", "svhn", "imagenet12", "imagenette"),
    *("femnist", "shakespeare", "sent140"),
)

SOURCES: Catalogue[Source] = Catalogue("dataset", __package__, "Source", first=FIRST)
"""All data sets by name."""
PARTITIONS: Catalogue[Any] = Catalogue("partition", __package__, "Partition", first=("iid", "dirichlet", "writer"))
"""All partitions by name; `partition.make` makes one."""


def make(name: Any, *, folder: Path | None = None, download: bool = False) -> Source:
    """Return the data set with this name: `digits`, `cifar10(train_size=10000)`, `package.module:MySource(size=3)`,
    `csv:FILE(label=COLUMN)`.

    A data set that is an object is returned as it is; arrays and frames in memory become one: see `source`. folder:
    where its files are. download: get them from the Hugging Face hub, or use what was got before.
    """
    from .file_source import FileSource
    from .own_source import OwnSource

    if not isinstance(name, str):
        from .user import source as in_memory

        check(folder is None and not download, "a data set that is an object has its own folder")
        return in_memory(name)
    file, _, given = name.partition("(")
    prefix = "" if ":" in file else _prefix_of(file)
    if prefix:
        written = f"({given}" if given else "" if prefix == "npz" else "(label=COLUMN)"
        raise InputError(f"{file!r} is a file: write {prefix}:{file}{written}")
    key, options = parse_one(name, "dataset")
    kind = split_prefix(key)[0] or key
    if kind in OWN:
        paths = [option for option in ("folder", "rest", "test_file") if option in options]
        written = f"{kind} has no option {''.join(paths[:1])}: {kind}:PATH or --data names the path"
        check(not paths, written + (", test=PATH that of a test part" if kind != "hf" else ""))
    try:
        source = SOURCES.make(key, options, defaults={} if folder is None else {"folder": folder})
    except InputError as error:
        prefix, colon, _ = file.partition(":")
        near = difflib.get_close_matches(prefix, OWN, n=1) if colon and prefix not in OWN else []
        if near:
            raise InputError(f"{error}; did you mean {near[0]}:?") from error
        raise
    if folder is not None or download:
        known = isinstance(source, FileSource) or (hasattr(source, "folder") and not download)
        own = isinstance(source, OwnSource)
        check(kind != "hf" or known, "hf downloads what is not here: leave --download out")
        check(known or not own, f"{source.key} reads files of your own: there is nothing to download")
        check(known, f"the {source.key} are embedded or made: they are read from no folder")
    if download and isinstance(source, FileSource):
        from . import hub

        check(source.folder is None, "give a folder or have the data downloaded, not both")
        check(bool(source.hub), f"{source.key} cannot be downloaded. {source.advice}")
        return replace(source, folder=hub.fetch(source.hub))
    return source


def _prefix_of(file: str) -> str:
    """Return the prefix that reads a file, by the ends of its name; "" for a name that is none of a file."""
    ends = [end.removeprefix(".") for end in Path(file.lower()).suffixes if end not in PACKED]
    return TABLES.get(ends[-1], ends[-1] if ends[-1] in OWN else "") if ends else ""
