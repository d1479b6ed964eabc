"""The tables of data sets and of partitions, and the way from a name to a data set."""

from __future__ import annotations

import difflib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.catalogue import Catalogue
from ..core.errors import InputError, check
from ..core.grammar import parse_one, split_prefix

if TYPE_CHECKING:
    from .base import Source

OWN = ("csv", "npz", "parquet", "images", "text", "hf")  # of the user's
TABLES = {"txt": "csv", "tsv": "csv", "dat": "csv", "data": "csv", "pq": "parquet"}
EXCEL = ("xls", "xlsx", "ods")
COMPRESSED, ARCHIVES = ("gz", "bz2", "zst"), ("xz", "zip", "7z", "rar", "tar", "tgz")
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
        return SOURCES.with_own_key(in_memory(name))
    check_prefix(name)
    key, options = parse_one(name, "dataset")
    kind = split_prefix(key)[0] or key
    if kind in OWN:
        paths = [option for option in ("folder", "rest", "test_file") if option in options]
        written = f"{kind} has no option {''.join(paths[:1])}: {kind}:PATH or --data names the path"
        check(not paths, written + (", test=PATH that of a test part" if kind != "hf" else ""))
    try:
        source = SOURCES.make(key, options, defaults={} if folder is None else {"folder": folder})
    except InputError as error:
        prefix, colon, _ = name.partition("(")[0].partition(":")
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


def check_prefix(name: str) -> None:
    """Raise InputError for the path of a file or folder that has no prefix, with the prefix that reads it."""
    file, _, given = name.partition("(")
    if ":" in file or file in SOURCES:
        return
    ends = [end.removeprefix(".") for end in Path(file.lower()).suffixes]
    end = next((end for end in reversed(ends) if end not in COMPRESSED), "")
    archive = bool(ends) and ends[-1] in ARCHIVES
    check(not archive, f"{file!r} is packed: unpack it, and put a prefix in front, such as csv: or images:")
    check(end not in EXCEL, f"{file!r} is a file of Excel: save the table as CSV, and write csv:FILE(label=COLUMN)")
    prefix = TABLES.get(end, end if end in OWN else "")
    written = f"({given}" if given else "" if prefix == "npz" else "(label=COLUMN)"
    also = f", or text:{file} for plain text" if end == "txt" else ""
    check(not prefix, f"{file!r} is a file: write {prefix}:{file}{written}{also}")
    path = os.path.expanduser(file)
    if os.path.exists(path) and file not in SOURCES.registered():  # False for a name that is too long
        kind = "folder" if os.path.isdir(path) else "file"
        raise InputError(f"{file!r} is a {kind}: put a prefix in front, such as csv:, parquet:, text:, images: or hf:")
