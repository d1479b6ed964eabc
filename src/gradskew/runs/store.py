"""Results on disk: each run stored once, atomically, under the digest of its spec."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import msgspec

from ..core.errors import InputError, check, warn
from ..core.files import is_sha256, make_folder, read, why_not_writable, write
from ..core.names import canonical
from ..federation.metrics import Metrics
from ..federation.schema import TIMING
from ..federation.simulation import Result
from ..federation.snapshot import Snapshot
from ..skew import Picture
from .columns import StoredRounds
from .lock import locked
from .record import Record
from .timing import timing
from .versions import newest

LARGEST = 256 << 20  # largest number of bytes of a record, which may be from an untrusted source
LARGEST_CHECKPOINT = 16 << 30
LARGEST_TIMING = 1 << 20
RECORD, SECOND, CHECKPOINT = "record.json", "record.second.json", "checkpoint.safetensors"


class Store:
    """A folder of records, `<folder>/runs/<digest>/record.json`, which may come from another person.

    Beside each record lie `timing.json`, and with the lens `pictures.json`, whose points depend on NumPy's build;
    these are never compared.
    """

    def __init__(self, folder: Path | str):
        self.runs = Path(folder) / "runs"

    def prepare(self) -> None:
        """Make the folder; InputError if it is not writable."""
        try:
            make_folder(self.runs)
            with tempfile.TemporaryFile(dir=self.runs):
                pass
        except OSError as error:
            raise self._unwritable(error.strerror) from None
        self._check()

    def check_place(self) -> None:
        """Raise InputError where `prepare` would not be allowed to make the folder. Makes none."""
        if reason := why_not_writable(self.runs):
            raise self._unwritable(reason)

    def _unwritable(self, reason: str | None) -> InputError:
        return InputError(f"cannot write to {str(self.runs)!r}: {reason}; --out names another folder")

    def load(self, digest: str) -> Record | None:
        """Return the stored record, or None. A damaged record is renamed, so that the run is executed again."""
        try:
            return self._read_record(digest)
        except ValueError as error:
            _set_aside(self.runs / digest / RECORD, error)
            return None

    def has(self, digest: str) -> bool:
        """Return whether a valid record is stored; a damaged one is left as it is."""
        with suppress(ValueError):
            return self._read_record(digest) is not None
        return False

    def _read_record(self, digest: str) -> Record | None:
        """Return the stored record, or None; ValueError for a damaged one."""
        try:
            record = Record.from_json(read(self.runs / digest / RECORD, LARGEST).decode("ascii"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        if record.digest != digest:
            raise ValueError("its spec does not belong to its folder")
        return record

    def save(self, result: Result, seconds: float) -> Record:
        """Store a finished run and return the stored record, which is the first one of this run: see `adopt`."""
        files = {"timing.json": json.dumps(timing(result.run, seconds), indent=1) + "\n"}
        if result.pictures:
            files["pictures.json"] = canonical([picture.to_json() for picture in result.pictures]) + "\n"
        record = Record.of(result)
        return self._keep(result.run.digest, record, {**files, RECORD: record.to_json()})

    def files(self, digest: str) -> dict[str, str]:
        """Return the stored files of a finished run, text by name, for `adopt` of another store; the record is last."""
        paths = [self.runs / digest / name for name in ("timing.json", "pictures.json", RECORD)]
        return {path.name: path.read_text(encoding="utf-8") for path in paths if path.exists()}

    def adopt(self, digest: str, files: Mapping[str, str]) -> Record:
        """Store the files of a finished run, the record last and atomically, and return the stored record.

        If two processes have executed the run, the first record stays; a warning is printed if the records differ.
        """
        return self._keep(digest, Record.from_json(files[RECORD]), files)

    def _keep(self, digest: str, record: Record, files: Mapping[str, str]) -> Record:
        folder = self.runs / digest
        size = len(files[RECORD]) >> 20
        check(size < LARGEST >> 20, f"its record has {size} MB, too many to be read again: fewer rounds, or no lens")
        make_folder(folder)
        first = self.load(digest)
        if first is None:
            if self._write_files(folder, files):
                return record
            first = self.load(digest)
        if first is None:
            raise InputError(f"{str(folder / RECORD)!r} is in the way of the record: remove it")
        if not first.agrees(record):
            write(folder / SECOND, files[RECORD])
            differ = f"{folder} was run twice, with different results (on another kind of processor?)"
            warn(f"gradskew: {differ}: the first stays, the second is in {SECOND}")
        return first

    def _write_files(self, folder: Path, files: Mapping[str, str]) -> bool:
        """Write the files of a run; return False if another process has stored its record first."""
        try:
            for name, text in files.items():
                path = folder / name
                if name != RECORD and path.is_dir():
                    _set_aside(path, ValueError("it is a folder"))
                written = write(path, text, first=name == RECORD)
        except FileNotFoundError:  # the other process has removed temporary files in `tidy`
            if not (folder / RECORD).exists():
                raise
            return False
        return written

    def save_checkpoint(self, digest: str, snapshot: Snapshot) -> None:
        """Store a snapshot of a run as its checkpoint, in place of the last one."""
        folder = self.runs / digest
        make_folder(folder)
        write(folder / CHECKPOINT, snapshot.to_bytes(digest))

    def load_checkpoint(self, digest: str) -> Snapshot | None:
        """Return the snapshot in a run's checkpoint; None without one. A damaged checkpoint is renamed."""
        path = self.runs / digest / CHECKPOINT
        try:
            return Snapshot.from_bytes(read(path, LARGEST_CHECKPOINT), digest)
        except FileNotFoundError:
            return None
        except ValueError as error:
            _set_aside(path, error)
            return None

    def refuse_checkpoint(self, digest: str, error: ValueError) -> None:
        """Rename a checkpoint that is not of this run."""
        _set_aside(self.runs / digest / CHECKPOINT, error)

    def tidy(self, digest: str) -> None:
        """Remove the checkpoint of a finished run, and temporary files of killed processes."""
        folder = self.runs / digest
        for path in (folder / CHECKPOINT, *folder.glob(".*")):
            with suppress(OSError):  # a folder, for example
                path.unlink()

    def locked(self, digest: str, *, wait: bool = False) -> AbstractContextManager[bool]:
        """Lock a run against other processes on this host that share the store: see `lock.locked`."""
        return locked(self.runs, digest, wait=wait)

    def timing(self, digest: str) -> dict[str, Any]:
        """Return the valid entries of a run's `timing.json`: seconds, memory, host; empty without the file."""
        content = self._read_json(digest, "timing.json", LARGEST_TIMING)
        known = content if isinstance(content, dict) else {}
        return {key: known[key] for key, kind in TIMING.items() if key in known and kind(known[key])}

    def finished(self, digest: str) -> str:
        """Return when a run ended, as text in the order of time; empty if it is not known."""
        return str(self.timing(digest).get("finished", ""))

    def pictures(self, digest: str) -> list[Picture]:
        """Return the embeddings of the rows of some rounds in the plane; empty if none are stored, or damaged."""
        try:
            drawn = [Picture.from_json(entry) for entry in self._read_json(digest, "pictures.json", LARGEST) or []]
        except (ValueError, TypeError):
            return []
        return drawn if len({(picture.round, picture.method) for picture in drawn}) == len(drawn) else []

    def _read_json(self, digest: str, name: str, most: int) -> Any:
        """Return the content of a JSON file of at most `most` bytes beside a record; None if it cannot be read."""
        try:
            return json.loads(read(self.runs / digest / name, most))
        except (FileNotFoundError, ValueError, RecursionError):
            return None

    def all(self) -> Iterator[Record]:
        """Yield all valid records in the order of their digests. Links are ignored.

        The columns of KEPT are in memory, and other metrics of a round are read again when they are asked for.
        """
        self._check()
        deals: dict[bytes, Any] = {}  # the runs of one seed have equal class counts
        for folder in sorted(self.runs.iterdir() if self.runs.is_dir() else []):
            if is_sha256(folder.name) and not folder.is_symlink():
                record = self.load(folder.name)
                if record is not None:
                    counts = deals.setdefault(msgspec.json.encode(record.class_counts), record.class_counts)
                    again = partial(_rounds_again, self, folder.name, record.params_sha256)
                    yield replace(record, rounds=StoredRounds(record.rounds, again), class_counts=counts)

    def find(self, prefix: str) -> Record:
        """Return the valid record whose digest begins with `prefix`; InputError unless there is exactly one."""
        self._check()
        names = [folder.name for folder in self.runs.glob("*") if is_sha256(folder.name) and not folder.is_symlink()]
        digests = [name for name in names if name.startswith(prefix)]
        many = f"{len(digests)} runs in {str(self.runs)!r} begin with {prefix!r}: give more of the digest"
        check(len(digests) < 2, many)
        record = self.load(digests[0]) if digests else None
        if record is None:
            raise InputError(f"no record of a run {prefix!r} in {str(self.runs)!r}")
        return record

    def newest(self) -> list[Record]:
        """Return all valid records but those of an earlier version of a user's code; a line says what is left out."""
        records = {record.digest: record for record in self.all()}
        return newest(records, {digest: self.finished(digest) for digest in records})

    def _check(self) -> None:
        check(not self.runs.is_symlink(), f"{str(self.runs)!r} must not be a link: link the folder that holds it")


@lru_cache(maxsize=4)
def _rounds_again(store: Store, digest: str, params_sha256: str) -> Sequence[Metrics]:
    """Return the rounds of a record that was read before; InputError if it is no longer there."""
    with suppress(ValueError):
        record = store._read_record(digest)
        if record is not None and record.params_sha256 == params_sha256:
            return record.rounds
    raise InputError(f"{str(store.runs / digest / RECORD)!r} was changed or removed since it was read")


def _set_aside(path: Path, error: ValueError) -> None:
    """Rename a damaged file, or leave it if that fails, and warn."""
    kind = {RECORD: "record", CHECKPOINT: "checkpoint"}.get(path.name, "file")
    done = "set aside"
    try:
        aside = path.with_suffix(".damaged")
        taken = path.is_dir() or aside.is_dir()  # a rename cannot replace a folder by a file, or a file by a folder
        path.replace(path.with_suffix(f".{secrets.token_hex(4)}.damaged") if taken else aside)
    except FileNotFoundError:
        pass  # another process was faster
    except OSError:
        done = "passed over"
    warn(f"gradskew: {done} a damaged {kind}, {path}: {error}")
