"""Results on disk: each run stored once, atomically, under the digest of its spec."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch

from ..core.errors import InputError, check, warn
from ..core.files import is_sha256, make_folder, read, write
from ..core.machine import peak
from ..core.names import canonical
from ..federation.memory import estimate
from ..federation.rounds import Result
from ..federation.run import Run
from ..federation.schema import TIMING
from ..federation.snapshot import Snapshot
from ..skew import Picture
from .lock import locked
from .record import Record

LARGEST = 256 << 20  # bytes of a record that we are willing to read
LARGEST_CHECKPOINT = 16 << 30
LARGEST_TIMING = 1 << 20
RECORD, SECOND, CHECKPOINT = "record.json", "record.second.json", "checkpoint.safetensors"


class Store:
    """A folder of records: `<folder>/runs/<digest>/record.json`. It may be another person's.

    Beside it, and never compared: `timing.json`, and with the lens `pictures.json`, which depends on scikit-learn too.
    """

    def __init__(self, folder: Path | str):
        self.runs = Path(folder) / "runs"

    def prepare(self) -> None:
        """Make the folder; one clear error if nothing can be written there."""
        try:
            make_folder(self.runs)
            with tempfile.TemporaryFile(dir=self.runs):
                pass
        except OSError as error:
            raise InputError(
                f"cannot write to {str(self.runs)!r}: {error.strerror}; --out names another folder"
            ) from None
        self._check()

    def load(self, digest: str) -> Record | None:
        """The stored record, or None. A damaged one is set aside, so that it will be computed again."""
        path = self.runs / digest / RECORD
        try:
            record = Record.from_json(read(path, LARGEST).decode("ascii"))
            if record.digest != digest:
                raise ValueError("its spec does not belong to its folder")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            _set_aside(path, error)
            return None
        return record

    def save(self, result: Result, seconds: float) -> Record:
        """Store a finished run; returns the record that is stored. See `adopt`."""
        files = {"timing.json": json.dumps(_timing(result.run, seconds), indent=1) + "\n"}
        if result.pictures:
            files["pictures.json"] = canonical([picture.to_json() for picture in result.pictures]) + "\n"
        record = Record.of(result)
        return self._keep(result.run.digest, record, {**files, RECORD: record.to_json()})

    def files(self, digest: str) -> dict[str, str]:
        """What is stored of a finished run, for `adopt` of another store; the record comes last."""
        paths = [self.runs / digest / name for name in ("timing.json", "pictures.json", RECORD)]
        return {path.name: path.read_text(encoding="utf-8") for path in paths if path.exists()}

    def adopt(self, digest: str, files: Mapping[str, str]) -> Record:
        """Store the files of a finished run, of which the record is the last: it appears whole or not at all.

        The first record stays, should two processes have executed the run: they are equal, or a line says that they are
        not. Returns the record that is stored.
        """
        return self._keep(digest, Record.from_json(files[RECORD]), files)

    def _keep(self, digest: str, record: Record, files: Mapping[str, str]) -> Record:
        folder = self.runs / digest
        size = len(files[RECORD]) >> 20
        check(size < LARGEST >> 20, f"its record has {size} MB, too many to be read again: fewer rounds, or no lens")
        make_folder(folder)
        first = self.load(digest)
        if first is None:
            if self._written(folder, files):
                return record
            first = self.load(digest)
        if first is None:
            raise InputError(f"{str(folder / RECORD)!r} is in the way of the record: remove it")
        if first.to_json() != files[RECORD]:
            write(folder / SECOND, files[RECORD])
            differ = f"{folder} was run twice, with different results (on another kind of processor?)"
            warn(f"gradskew: {differ}: the first stays, the second is in {SECOND}")
        return first

    def _written(self, folder: Path, files: Mapping[str, str]) -> bool:
        """Write the files of a run; whether the record is ours, and not another's."""
        try:
            for name, text in files.items():
                path = folder / name
                if name != RECORD and path.is_dir():
                    _set_aside(path, ValueError("it is a folder"))
                written = write(path, text, first=name == RECORD)
        except FileNotFoundError:  # whoever was first has tidied up
            if not (folder / RECORD).exists():
                raise
            return False
        return written

    def save_checkpoint(self, digest: str, snapshot: Snapshot) -> None:
        """Store how far a run is, in place of what was stored before."""
        folder = self.runs / digest
        make_folder(folder)
        write(folder / CHECKPOINT, snapshot.to_bytes(digest))

    def load_checkpoint(self, digest: str) -> Snapshot | None:
        """How far a run was, or None. A damaged checkpoint is set aside: the run starts anew."""
        path = self.runs / digest / CHECKPOINT
        try:
            return Snapshot.from_bytes(read(path, LARGEST_CHECKPOINT), digest)
        except FileNotFoundError:
            return None
        except ValueError as error:
            _set_aside(path, error)
            return None

    def refuse_checkpoint(self, digest: str, error: ValueError) -> None:
        """Set a checkpoint aside that turned out not to be of this run."""
        _set_aside(self.runs / digest / CHECKPOINT, error)

    def tidy(self, digest: str) -> None:
        """Remove the checkpoint of a finished run, and what processes that were killed have left half written."""
        folder = self.runs / digest
        for path in (folder / CHECKPOINT, *folder.glob(".*")):
            with suppress(OSError):  # what is no file stays
                path.unlink()

    def locked(self, digest: str, *, wait: bool = False) -> AbstractContextManager[bool]:
        """Lock a run, of all processes on this host that share the store: see `lock.locked`."""
        return locked(self.runs, digest, wait=wait)

    def timing(self, digest: str) -> dict[str, Any]:
        """Return what was noted on the execution of a run: seconds, memory, host; empty if that is lost."""
        content = self._beside(digest, "timing.json", LARGEST_TIMING)
        known = content if isinstance(content, dict) else {}
        return {key: known[key] for key, kind in TIMING.items() if key in known and kind(known[key])}

    def pictures(self, digest: str) -> list[Picture]:
        """The rows of some of a run's rounds in the plane; empty if there are none, or they are damaged."""
        try:
            drawn = [Picture.from_json(entry) for entry in self._beside(digest, "pictures.json", LARGEST) or []]
        except (ValueError, TypeError):
            return []
        return drawn if len({(picture.round, picture.method) for picture in drawn}) == len(drawn) else []

    def _beside(self, digest: str, name: str, most: int) -> Any:
        try:
            return json.loads(read(self.runs / digest / name, most))
        except (FileNotFoundError, ValueError, RecursionError):
            return None

    def all(self) -> Iterator[Record]:
        """Every sound record, in the order of their digests. A link is passed over, wherever it leads."""
        self._check()
        for folder in sorted(self.runs.iterdir() if self.runs.is_dir() else []):
            if is_sha256(folder.name) and not folder.is_symlink():
                record = self.load(folder.name)
                if record is not None:
                    yield record

    def _check(self) -> None:
        check(not self.runs.is_symlink(), f"{str(self.runs)!r} must not be a link: link the folder that holds it")


def _set_aside(path: Path, error: ValueError) -> None:
    """Rename a damaged file and say so, once; where that is impossible, it is passed over."""
    kind = {RECORD: "record", CHECKPOINT: "checkpoint"}.get(path.name, "file")
    done = "set aside"
    try:
        aside = path.with_suffix(".damaged")
        taken = path.is_dir() or aside.is_dir()  # a folder and a file do not replace each other
        path.replace(path.with_suffix(f".{secrets.token_hex(4)}.damaged") if taken else aside)
    except FileNotFoundError:
        pass  # another process was faster
    except OSError:
        done = "passed over"
    warn(f"gradskew: {done} a damaged {kind}, {path}: {error}")


def _timing(run: Run, seconds: float) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "rounds_per_second": run.rounds / seconds,
        "peak_memory_mb": peak() / 2**20,
        "estimated_memory_mb": estimate(run).total / 2**20,
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "device": torch.cuda.get_device_name(run.device) if run.device.startswith("cuda") else _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        "gradskew": _version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    """The processor's name where the system tells it, else its kind."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@cache
def _version() -> str:
    return importlib.metadata.version("gradskew")
