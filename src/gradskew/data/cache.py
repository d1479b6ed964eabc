"""Decoded data sets on disk, so that a second run starts at once and all workers share the memory.

The folder is `$GRADSKEW_CACHE`, else `gradskew` in `$XDG_CACHE_HOME` or `~/.cache`; it may be deleted at any time. An
entry is a folder of .npy files, named by the SHA-256 of the data set's name and of the files it was decoded from. It is
written under another name and then renamed, so that no reader finds half of it. `index` keeps the SHA-256 of files
by their sizes and times, so that unchanged files are not read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from ..core.errors import check, warn
from ..core.files import is_sha256, write
from .arrays import from_arrays, to_arrays
from .base import Dataset

FORMAT = 6  # to be raised when entries are written or data sets are decoded in another way
MAX_AGE = 86_400.0  # seconds: an older temporary folder was left by a process that was killed
ABOUT = "dataset.json"


def root() -> Path:
    """Return the folder of the cache; RuntimeError if the user has no home."""
    if own := os.environ.get("GRADSKEW_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gradskew"


def load_or_make(name: str, folder: Path, files: Sequence[Path], make: Callable[[], Dataset]) -> Dataset:
    """Return the data set `name` from the cache; if it has none, make it and store it.

    files: the files in `folder` that `make` reads. If the cache cannot be written, a warning says so. InputError if a
    file changes while it is read.
    """
    before = list(map(_size_and_time, files))
    try:
        cache = root()
    except RuntimeError:
        return _unchanged(make(), files, before)
    content = _content_digest(cache, folder, files)
    entry = cache / hashlib.sha256(f"{FORMAT}\n{name}\n{content}".encode()).hexdigest()
    stored = _load(entry)
    if stored is not None:
        return stored
    dataset = _unchanged(make(), files, before)
    try:
        _store(dataset, name, entry)
    except OSError as error:
        reason = error.strerror or error
        warn(f"gradskew: cannot write the cache {str(cache)!r} ({reason}): decoded for this run only")
    return _load(entry) or dataset  # the stored one, as its memory is shared


def _unchanged(dataset: Dataset, files: Sequence[Path], before: Sequence[Sequence[int]]) -> Dataset:
    """Return the data set; InputError unless its files have the sizes and times from before they were read."""
    for path, stamp in zip(files, before, strict=True):
        same = path.exists() and _size_and_time(path) == stamp
        check(same, f"{str(path)!r} changed while it was read: run again when nothing writes to it")
    return dataset


def _content_digest(cache: Path, folder: Path, files: Sequence[Path]) -> str:
    """Return the SHA-256 of the files' paths in the folder, sizes and contents, from the index if it has them."""
    stamps = [[str(path.relative_to(folder)), *_size_and_time(path)] for path in files]
    key = hashlib.sha256(json.dumps([str(folder.resolve()), stamps]).encode()).hexdigest()
    indexed = cache / "index" / key
    with suppress(OSError, ValueError):
        if is_sha256(digest := indexed.read_text("ascii")):  # after a power cut it may hold zeros
            return digest
    total = hashlib.sha256()
    for path, (relative, size, _) in zip(files, stamps, strict=True):
        total.update(os.fsencode(f"{relative}\n{size}\n"))
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    with suppress(OSError), _temporary_folder(cache) as new:
        (new / key).write_text(total.hexdigest())
        indexed.parent.mkdir(exist_ok=True)
        (new / key).replace(indexed)
    return total.hexdigest()


def _size_and_time(path: Path) -> list[int]:
    """Return a file's size in bytes and the time of its last change in nanoseconds."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


@contextmanager
def _temporary_folder(cache: Path) -> Iterator[Path]:
    """Make a folder in the cache and remove it afterwards, together with those that killed processes left."""
    cache.mkdir(parents=True, exist_ok=True)
    for old in cache.glob(".new-*"):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > MAX_AGE:
                shutil.rmtree(old)
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=cache))
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _store(dataset: Dataset, name: str, entry: Path) -> None:
    """Write the entry, whole or not at all."""
    with _temporary_folder(entry.parent) as new:
        written = new / "entry"
        written.mkdir()
        arrays, about = to_arrays(dataset)
        stamps = {}
        for kind, values in arrays.items():
            path = written / f"{kind}.npy"
            with path.open("wb") as file:
                np.save(file, values)
                file.flush()
                os.fsync(file.fileno())
            stamps[path.name] = _size_and_time(path)
        about |= {"name": name, "files": stamps}
        write(written / ABOUT, json.dumps({"about": about, "sha256": _checksum(about)}, indent=1))
        try:
            written.rename(entry)
        except OSError:
            if not entry.is_dir():  # else another process was faster
                raise


def _load(entry: Path) -> Dataset | None:
    """Return the data set of an entry, its arrays mapped copy-on-write; None if it is missing or damaged.

    A damaged entry is removed.
    """
    if not entry.is_dir():
        return None
    try:
        content = json.loads((entry / ABOUT).read_text())
        about = content["about"]
        good = content["sha256"] == _checksum(about)
        good = good and all(_size_and_time(entry / name) == stamp for name, stamp in about["files"].items())
        if not good:
            raise ValueError("changed since it was written")
        arrays = {name.removesuffix(".npy"): np.load(entry / name, mmap_mode="c") for name in about["files"]}
        return from_arrays(arrays, about)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        with suppress(OSError), _temporary_folder(entry.parent) as new:
            entry.rename(new / "damaged")
        return None


def _checksum(about: object) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
