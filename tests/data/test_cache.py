"""The cache: the same data set either way, nothing decoded twice, nothing half-written, nothing damaged."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from idx_files import IMAGES, write_fashion

from gradskew import data
from gradskew.core.errors import InputError
from gradskew.data import FashionMNIST, Imagenette, Split, cache
from gradskew.data.base import Dataset
from gradskew.data.file_source import Layout


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("GRADSKEW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    return write_fashion(tmp_path / "files")


@pytest.fixture
def decoded(monkeypatch):
    """How often a data set was decoded."""
    times = []
    decode = FashionMNIST.decode
    monkeypatch.setattr(FashionMNIST, "decode", lambda self, layout: times.append(1) or decode(self, layout))
    return times


def age(path, seconds):
    """Make a file so much older; by 2 seconds it changes on every file system, however coarse its clock."""
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - seconds))


def entries(home):
    return [path for path in home.iterdir() if len(path.name) == 64]


def left(home):
    """What is in the cache besides entries and the index."""
    return sorted(path.name for path in home.iterdir() if len(path.name) != 64 and path.name != "index")


def same(first, second):
    assert (first.digest, first.num_classes) == (second.digest, second.num_classes)
    for part in ("train", "test"):
        a, b = getattr(first, part), getattr(second, part)
        assert torch.equal(a.inputs, b.inputs)
        assert torch.equal(a.labels, b.labels)
    assert torch.equal(first.scale, second.scale)
    assert torch.equal(first.shift, second.shift)


def test_the_second_start_decodes_nothing_and_has_the_same(folder, home, decoded):
    first, second = FashionMNIST(folder=folder).read(), FashionMNIST(folder=folder).read()
    assert len(decoded) == 1
    assert len(entries(home)) == 1
    assert left(home) == []
    same(first, second)
    plain = FashionMNIST(folder=folder).decode(FashionMNIST(folder=folder).layout())
    assert "digest" not in vars(plain)
    same(plain, second)  # its digest is computed, the others' were read


def test_writers_and_channels_survive(home, tmp_path):
    written = Dataset(
        Split(torch.arange(24, dtype=torch.uint8).reshape(2, 3, 2, 2), torch.tensor([1, 0]), torch.tensor([5, 2])),
        Split(torch.zeros(1, 3, 2, 2, dtype=torch.uint8), torch.tensor([1]), torch.tensor([7])),
        3,
        scale=torch.tensor([0.1, 1 / 3, 1e-30]).reshape(3, 1, 1),
        shift=torch.tensor([-0.1, 2.0, 1e30]).reshape(3, 1, 1),
    )
    (tmp_path / "x").write_text("x")
    read = cache.load_or_make("any", tmp_path, [tmp_path / "x"], lambda: written)
    assert read is not written
    same(written, read)
    assert read.train.writers.tolist() == [5, 2]
    assert read.test.writers.tolist() == [7]


def test_arrays_are_mapped_and_private(folder, home):
    dataset = FashionMNIST(folder=folder).read()
    before = dataset.train.inputs[0, 0, 0].item()
    dataset.train.inputs[0, 0, 0] = before + 1  # writable, without a warning; the file stays as it is
    assert FashionMNIST(folder=folder).read().train.inputs[0, 0, 0].item() == before
    with open("/proc/self/maps") as maps:
        assert str(entries(home)[0]) in maps.read()


def test_other_content_options_or_names_are_other_entries(folder, home, tmp_path, decoded):
    first = FashionMNIST(folder=folder).read()
    FashionMNIST(folder=folder, train_size=2).read()
    FashionMNIST(folder=folder, test_size=2).read()
    changed = IMAGES.copy()
    changed[0, 0, 0] ^= 1
    assert FashionMNIST(folder=write_fashion(tmp_path / "other", images=changed)).read().digest != first.digest
    FashionMNIST(folder=write_fashion(tmp_path / "unpacked", packed=False)).read()
    assert len(decoded) == len(entries(home)) == 5


def test_the_same_files_elsewhere_are_the_same_entry(folder, home, tmp_path, decoded):
    FashionMNIST(folder=folder).read()
    FashionMNIST(folder=write_fashion(tmp_path / "copy")).read()
    assert len(decoded) == len(entries(home)) == 1


def test_known_files_are_not_hashed_again(folder, monkeypatch, decoded):
    FashionMNIST(folder=folder).read()
    monkeypatch.setattr(cache.hashlib, "file_digest", None)
    FashionMNIST(folder=folder).read()
    FashionMNIST(folder=folder, train_size=2).read()  # nor for other options
    assert len(decoded) == 2


def test_a_changed_file_is_seen(folder, decoded):
    first = FashionMNIST(folder=folder).read()
    changed = write_fashion(folder, labels=(9, 1, 2, 3, 0))
    for path in folder.iterdir():
        age(path, -2)
    assert FashionMNIST(folder=changed).read().train.labels.tolist() == [9, 1, 2, 3, 0] != first.train.labels.tolist()


DAMAGE = {
    "truncated": lambda entry: os.truncate(entry / "train_inputs.npy", 100),
    "empty": lambda entry: (entry / "test_labels.npy").write_bytes(b""),
    "changed": lambda entry: flip(entry / "train_inputs.npy"),
    "missing": lambda entry: (entry / "train_labels.npy").unlink(),
    "no description": lambda entry: (entry / "dataset.json").unlink(),
    "cut description": lambda entry: os.truncate(entry / "dataset.json", 40),
    "other description": lambda entry: rewrite(entry / "dataset.json", num_classes=11),
    "list": lambda entry: (entry / "dataset.json").write_text("[]"),
    "null": lambda entry: (entry / "dataset.json").write_text("null"),
    "deep": lambda entry: (entry / "dataset.json").write_text("[" * 10**5),
    "binary": lambda entry: (entry / "dataset.json").write_bytes(b"\xff\xfe"),
    "nothing": lambda entry: [path.unlink() for path in entry.iterdir()],
    "folder": lambda entry: [(entry / "dataset.json").unlink(), (entry / "dataset.json").mkdir()],
}


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    age(path, -2)


def rewrite(path, **changes):
    content = json.loads(path.read_text())
    content["about"].update(changes)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_made_again(folder, home, damage, decoded):
    first = FashionMNIST(folder=folder).read()
    wanted = FashionMNIST(folder=folder).decode(FashionMNIST(folder=folder).layout())
    damage(entries(home)[0])
    decoded.clear()
    same(wanted, FashionMNIST(folder=folder).read())
    same(wanted, FashionMNIST(folder=folder).read())
    assert len(decoded) == 1
    assert left(home) == []
    assert first.num_classes == 10


@pytest.mark.parametrize("content", [b"\xff", b"\0" * 64], ids=["a byte", "the zeros of a power cut"])
def test_a_damaged_index_is_ignored(folder, home, decoded, content):
    FashionMNIST(folder=folder).read()
    for note in (home / "index").iterdir():
        note.write_bytes(content)
    FashionMNIST(folder=folder).read()
    assert len(decoded) == 1


@pytest.mark.parametrize("kind", ["full", "a file", "interrupted"])
def test_a_cache_that_cannot_be_written(folder, home, kind, monkeypatch, capsys, decoded):
    if kind == "a file":
        home.write_text("in the way")
    else:
        error = KeyboardInterrupt() if kind == "interrupted" else OSError(errno.ENOSPC, "No space left on device")

        def save(file, array):
            file.write(b"half")
            raise error

        monkeypatch.setattr(cache.np, "save", save)
    if kind == "interrupted":
        with pytest.raises(KeyboardInterrupt):
            FashionMNIST(folder=folder).read()
    else:
        dataset = FashionMNIST(folder=folder).read()
        assert dataset.train.inputs.tolist() == IMAGES.tolist()
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        assert ("No space left on device" if kind == "full" else "File exists") in line
        assert str(home) in line
    if kind != "a file":
        assert entries(home) == left(home) == []


def test_an_error_leaves_nothing(tmp_path, home):
    with pytest.raises(InputError):
        FashionMNIST(folder=write_fashion(tmp_path / "files", labels=(0, 1, 2, 3, 10))).read()
    assert entries(home) == left(home) == []


@pytest.mark.parametrize(("source", "option"), [(FashionMNIST, "train_size"), (Imagenette, "train_size or size")])
def test_memory_that_runs_out_names_an_option(folder, home, source, option, monkeypatch):
    def decode(self, layout):
        raise MemoryError

    monkeypatch.setattr(source, "decode", decode)
    monkeypatch.setattr(source, "find", lambda self, folder: Layout(folder, [], lambda: None))
    with pytest.raises(InputError, match=f"out of memory while decoding: a smaller {option} needs less$"):
        source(folder=folder).read()
    assert entries(home) == left(home) == []


def test_what_a_killed_process_left_goes_in_time(folder, home):
    home.mkdir()
    for name in (".new-old", ".new-young"):
        (home / name).mkdir()
        (home / name / "half").write_text("x")
    age(home / ".new-old", 100_000)
    FashionMNIST(folder=folder).read()
    assert left(home) == [".new-young"]


def test_another_process_was_first(folder, home, monkeypatch, decoded):
    decode = FashionMNIST.decode

    def slow(self, layout):
        dataset = decode(self, layout)
        monkeypatch.setattr(FashionMNIST, "decode", decode)
        FashionMNIST(folder=folder).read()  # meanwhile
        return dataset

    monkeypatch.setattr(FashionMNIST, "decode", slow)
    dataset = FashionMNIST(folder=folder).read()
    same(dataset, FashionMNIST(folder=folder).read())
    assert len(entries(home)) == 1
    assert left(home) == []


@pytest.mark.processes
def test_processes_at_once_agree(folder, home):
    code = f"from gradskew.data import FashionMNIST; print(FashionMNIST(folder={str(folder)!r}).load().digest)"
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = {process.communicate(timeout=300)[0].strip() for process in started}
    assert outputs == {FashionMNIST(folder=folder).read().digest}
    assert len(entries(home)) == 1
    assert left(home) == []


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({"GRADSKEW_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"GRADSKEW_CACHE": "", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/gradskew"),
        ({"GRADSKEW_CACHE": "", "XDG_CACHE_HOME": "", "HOME": "/c"}, "/c/.cache/gradskew"),
    ],
)
def test_where_the_cache_is(monkeypatch, environment, wanted):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(cache.root()) == wanted


def test_embedded_data_need_no_cache(home):
    data.make("digits").read()
    assert not home.exists()


def test_a_changed_data_set_has_another_digest(folder):
    dataset = FashionMNIST(folder=folder).read()
    labels = torch.from_numpy(np.array([1, 1, 2, 3, 9]))
    assert replace(dataset, train=replace(dataset.train, labels=labels)).digest != dataset.digest
