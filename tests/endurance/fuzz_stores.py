"""What the fuzzer puts in the way of a sweep: a folder of results in which nothing is what it should be."""

import contextlib
import errno
import functools
import io
import os
import shutil
from pathlib import Path

from fuzz_results import ODD
from mutations import damaged, pick
from tiny_runs import RUNS

from gradskew import Record, Store, simulate, sweep
from gradskew.core.errors import InputError

RUN = RUNS["mean"]
NAMES = (
    *("record.json", "record.second.json", "record.damaged", "timing.json", "timing.damaged", "pictures.json"),
    *("checkpoint.safetensors", "checkpoint.damaged", ".x", "x"),
)


@functools.cache
def _sound() -> dict[str, bytes]:
    """What a run writes: its record and a checkpoint."""
    kept: list[bytes] = []
    result = simulate(RUN, on_snapshot=lambda snapshot: kept.append(snapshot.to_bytes(RUN.digest)))
    return {"record.json": Record.of(result).to_json().encode(), "checkpoint.safetensors": kept[1]}


def ready() -> None:
    """Play the run whose files the cases change."""
    _sound()


def _put(rng, path: Path, outside: Path) -> None:
    """Something odd under this name: nothing of it may be followed or waited for."""
    kind = int(rng.integers(9))
    if kind < len(ODD):
        ODD[kind](path, outside)
    elif kind == 5:
        path.mkdir()
        (path / "kept").write_text("a stranger's")
    elif kind == 6:
        path.symlink_to(pick(rng, (outside, outside / "nothing", path.name)))
    elif kind == 7:
        path.write_bytes(rng.bytes(int(rng.integers(600))))
    else:
        path.write_bytes(damaged(rng, pick(rng, list(_sound().values()))))


def stores(rng, folder: Path) -> None:
    """A sweep in such a folder ends with the right record, or with one line; and so it does again."""
    home, outside = folder / "results", folder / "outside"
    for each in (home, outside):
        shutil.rmtree(each, ignore_errors=True)
    outside.mkdir()
    (outside / "record.json").write_bytes(_sound()["record.json"])
    store = Store(home)
    own = store.runs / RUN.digest
    store.runs.mkdir(parents=True)
    if rng.random() < 0.1:
        _put(rng, pick(rng, (store.runs / "lock", own)), outside)
    if not os.path.lexists(own):
        own.mkdir()
        for name in sorted({pick(rng, NAMES) for _ in range(int(rng.integers(1, 5)))}):
            _put(rng, own / name, outside)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            for _ in range(2):
                (record,) = sweep([RUN], home)
                assert record.to_json().encode() == _sound()["record.json"]
        assert not (own / "checkpoint.safetensors").is_file()
    except OSError as error:
        if error.errno == errno.ELOOP:  # the run's folder is a link
            raise InputError(str(error)) from None
        raise
    finally:
        assert [path.name for path in outside.iterdir()] == ["record.json"]
        assert (outside / "record.json").read_bytes() == _sound()["record.json"]
        assert all(line.startswith("gradskew: ") for line in said.getvalue().splitlines())
