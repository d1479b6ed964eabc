"""A results folder of another person's: nothing in it is followed, waited for, or read without a bound."""

import json
import os
import shutil
from pathlib import Path

import pytest
from tiny_runs import RUNS

from gradskew import Record, simulate
from gradskew.cli import main
from gradskew.core.errors import InputError
from gradskew.core.files import read
from gradskew.runs.store import LARGEST_TIMING, Store

RUN = RUNS["mean"]


@pytest.fixture(scope="module")
def result():
    return simulate(RUN)


@pytest.fixture
def store(tmp_path: Path, result) -> Store:
    store = Store(tmp_path / "results")
    store.save(result, 1.0)
    return store


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read(path, 5) == b"12345"
    with pytest.raises(ValueError, match="too large"):
        read(path, 4)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none", 5)


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")  # without a writer, to open it would wait for ever
    for name in ("link", "dangling", "device", "folder", "pipe"):
        with pytest.raises(ValueError, match="it is not a file, but a link, a folder or a pipe"):
            read(tmp_path / name, 100)
    (tmp_path / "home").symlink_to(tmp_path)
    with pytest.raises(OSError, match="it is a link, not a folder"):
        read(tmp_path / "home" / "file", 100)


def test_a_link_to_a_run_elsewhere_is_passed_over(store: Store, tmp_path: Path) -> None:
    outside = store.runs.rename(tmp_path / "outside") / RUN.digest
    before = sorted(path.name for path in outside.iterdir())
    store.runs.mkdir()
    (store.runs / RUN.digest).symlink_to(outside)
    assert list(store.all()) == []
    with pytest.raises(OSError, match="it is a link"):
        store.load(RUN.digest)
    assert sorted(path.name for path in outside.iterdir()) == before


def test_a_record_that_is_a_link_is_set_aside_and_its_target_untouched(store: Store, tmp_path: Path, capsys) -> None:
    path, outside = store.runs / RUN.digest / "record.json", tmp_path / "outside.json"
    path.rename(outside)
    path.symlink_to(outside)
    assert list(store.all()) == []
    assert "it is not a file" in capsys.readouterr().err
    assert Record.from_json(outside.read_text()).digest == RUN.digest


def test_runs_must_not_be_a_link(store: Store, tmp_path: Path) -> None:
    store.runs.rename(tmp_path / "elsewhere")
    store.runs.symlink_to(tmp_path / "elsewhere")
    for use in (lambda: list(store.all()), store.prepare):
        with pytest.raises(InputError, match="must not be a link"):
            use()


@pytest.mark.parametrize("name", ["x", "..x", "A" * 64, "0" * 63, "0" * 65, "=1+1"])
def test_a_folder_that_is_no_digest_is_ignored(store: Store, name: str, capsys) -> None:
    (record,) = store.all()
    (store.runs / RUN.digest).rename(store.runs / name)
    assert list(store.all()) == []
    assert capsys.readouterr().err == ""
    assert record.digest == RUN.digest


def test_a_pipe_in_place_of_any_file_is_not_waited_for(store: Store, capsys) -> None:
    for name in ("record.json", "timing.json", "pictures.json", "checkpoint.safetensors"):
        path = store.runs / RUN.digest / name
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    assert store.load(RUN.digest) is None
    assert store.load_checkpoint(RUN.digest) is None
    assert (store.timing(RUN.digest), store.pictures(RUN.digest)) == ({}, [])
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_damaged_record_that_cannot_be_set_aside_is_passed_over(store: Store, capsys, monkeypatch) -> None:
    """As on a read-only folder."""
    path = store.runs / RUN.digest / "record.json"
    path.write_text("{}")

    def refuse(self, target):
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "replace", refuse)
    assert list(store.all()) == []
    assert capsys.readouterr().err.splitlines() == [
        f"gradskew: passed over a damaged record, {path}: not a record: KeyError('sha256')"
    ]


def test_a_report_of_a_folder_with_damaged_records_says_so_and_goes_on(store: Store, tmp_path: Path, capsys) -> None:
    damaged = store.runs / ("0" * 64)
    shutil.copytree(store.runs / RUN.digest, damaged)
    with pytest.raises(SystemExit) as ended:
        main(["report", str(store.runs.parent), "--out", str(tmp_path / "out")])
    said = capsys.readouterr().err.splitlines()
    assert (ended.value.code, len(said)) == (0, 1)
    assert "its spec does not belong to its folder" in said[0]
    assert (tmp_path / "out" / "report.html").is_file()


def test_only_what_can_be_shown_of_a_timing_is_read(store: Store) -> None:
    path = store.runs / RUN.digest / "timing.json"
    wrong = {"seconds": 10**400, "rounds_per_second": -1, "peak_memory_mb": True, "device": ["x"], "torch": "\n"}
    path.write_text(json.dumps({**wrong, "python": "3.11", "more": 1}))
    assert store.timing(RUN.digest) == {"python": "3.11"}
    path.write_text('{"seconds": NaN, "python": "3"}')
    assert store.timing(RUN.digest) == {"python": "3"}
    path.write_text('"' + "x" * LARGEST_TIMING + '"')
    assert store.timing(RUN.digest) == {}


def test_damaged_pictures_are_none(store: Store) -> None:
    path = store.runs / RUN.digest / "pictures.json"
    drawn = json.loads(path.read_text())
    assert len(store.pictures(RUN.digest)) == len(drawn) > 0
    far = {**drawn[0], "mean": [1e308, -1e308]}
    many = {**drawn[0], "honest": [[0, 0]] * 1001, "skewed": [True] * 1001}
    for wrong in ([far], [many], [drawn[0], drawn[0]], {"x": 1}, [1], "x"):
        path.write_text(json.dumps(wrong))
        assert store.pictures(RUN.digest) == []
