"""Decoded data sets on disk, so that a second start waits for nothing and all workers share the memory.

The folder is `$GRADSKEW_CACHE`, else `gradskew` in `$XDG_CACHE_HOME` or `~/.cache`; it may be deleted at any time. An
entry is a folder of .npy files under the SHA-256 of what it was made from; `index` knows the files seen before by size
and time. Every entry appears at once and whole.
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

from ..core.errors import warn
from ..core.files import is_sha256, write
from .arrays import put_together, take_apart
from .base import Dataset

FORMAT = 2  # counts up when an entry would look different, or be decoded differently
FORGOTTEN = 86_400.0  # seconds after which an unfinished entry is nobody's
ABOUT = "dataset.json"


def root() -> Path:
    """The folder of the cache."""
    if own := os.environ.get("GRADSKEW_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gradskew"


def through(name: str, folder: Path, files: Sequence[Path], make: Callable[[], Dataset]) -> Dataset:
    """The data set `name` from the cache, or else made and put there; files: what it is made from, in `folder`."""
    try:
        cache = root()
    except RuntimeError:  # no home
        return make()
    content = _content(cache, folder, files)
    entry = cache / hashlib.sha256(f"{FORMAT}\n{name}\n{content}".encode()).hexdigest()
    found = _load(entry)
    if found is not None:
        return found
    dataset = make()
    try:
        _store(dataset, name, entry)
    except OSError as error:
        reason = error.strerror or error
        warn(f"gradskew: cannot write the cache {str(cache)!r} ({reason}): decoded for this run only")
    return _load(entry) or dataset


def _content(cache: Path, folder: Path, files: Sequence[Path]) -> str:
    """SHA-256 of the files' names within the folder and their contents."""
    seen = [[str(path.relative_to(folder)), *_stamp(path)] for path in files]
    known = hashlib.sha256(json.dumps([str(folder.resolve()), seen]).encode()).hexdigest()
    note = cache / "index" / known
    with suppress(OSError, ValueError):
        if is_sha256(digest := note.read_text("ascii")):  # a power cut may have left zeros
            return digest
    total = hashlib.sha256()
    for path, (relative, size, _) in zip(files, seen, strict=True):
        total.update(os.fsencode(f"{relative}\n{size}\n"))
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    with suppress(OSError), _fresh(cache) as new:
        (new / known).write_text(total.hexdigest())
        note.parent.mkdir(exist_ok=True)
        (new / known).replace(note)
    return total.hexdigest()


def _stamp(path: Path) -> list[int]:
    """What changes when a file does: its size in bytes and its time in nanoseconds."""
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


@contextmanager
def _fresh(cache: Path) -> Iterator[Path]:
    """A new folder in the cache, gone afterwards. Old ones of processes that were killed go too."""
    cache.mkdir(parents=True, exist_ok=True)
    for old in cache.glob(".new-*"):
        with suppress(OSError):
            if time.time() - old.stat().st_mtime > FORGOTTEN:
                shutil.rmtree(old)
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=cache))
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _store(dataset: Dataset, name: str, entry: Path) -> None:
    """Write the entry, whole or not at all."""
    with _fresh(entry.parent) as new:
        made = new / "entry"
        made.mkdir()
        arrays, about = take_apart(dataset)
        stamps = {}
        for kind, values in arrays.items():
            path = made / f"{kind}.npy"
            with path.open("wb") as file:
                np.save(file, values)
                file.flush()
                os.fsync(file.fileno())
            stamps[path.name] = _stamp(path)
        about |= {"name": name, "files": stamps}
        write(made / ABOUT, json.dumps({"about": about, "sha256": _checksum(about)}, indent=1))
        try:
            made.rename(entry)
        except OSError:
            if not entry.is_dir():  # else another process was first
                raise


def _load(entry: Path) -> Dataset | None:
    """The entry, its arrays mapped into memory copy-on-write; None if there is none. A damaged one is discarded."""
    if not entry.is_dir():
        return None
    try:
        content = json.loads((entry / ABOUT).read_text())
        about = content["about"]
        good = content["sha256"] == _checksum(about)
        good = good and all(_stamp(entry / name) == stamp for name, stamp in about["files"].items())
        if not good:
            raise ValueError("not as it was written")
        arrays = {name.removesuffix(".npy"): np.load(entry / name, mmap_mode="c") for name in about["files"]}
        return put_together(arrays, about)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        with suppress(OSError), _fresh(entry.parent) as new:
            entry.rename(new / "damaged")
        return None


def _checksum(about: object) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
