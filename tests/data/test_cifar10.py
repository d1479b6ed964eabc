"""CIFAR-10's original batches, binary and pickled by Python 2, and what is wrong with bad ones."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from cifar10_files import IMAGES, LABELS, python2, write_binary, write_python

from gradskew.core.errors import InputError
from gradskew.data import CIFAR10


def python3(data, labels):
    return pickle.dumps({b"data": data, b"labels": labels}, protocol=4)


def test_the_pickle_made_here_is_one_that_numpy_reads():
    content = pickle.loads(python2(IMAGES[:2].reshape(2, 3072), [3, 4]), encoding="bytes")
    assert content[b"labels"] == [3, 4]
    assert content[b"data"].tolist() == IMAGES[:2].reshape(2, 3072).tolist()


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: write_binary(folder),
        lambda folder: write_binary(folder / "cifar-10-batches-bin"),
        lambda folder: write_python(folder),
        lambda folder: write_python(folder / "cifar-10-batches-py"),
        lambda folder: write_python(folder, python3),
    ],
    ids=["binary", "binary in its folder", "python", "python in its folder", "python 3"],
)
def test_batches_are_read(tmp_path, write):
    write(tmp_path)
    dataset = CIFAR10(folder=tmp_path).load()
    assert dataset.train.inputs.dtype == torch.uint8
    assert dataset.train.inputs.tolist() == IMAGES[:10].tolist()
    assert dataset.test.inputs.tolist() == IMAGES[10:].tolist()
    assert dataset.train.labels.tolist() == LABELS[:10]
    assert dataset.test.labels.tolist() == LABELS[10:]


def test_all_layouts_give_one_data_set(tmp_path):
    from data_files import write_parquet

    hwc = IMAGES.transpose(0, 2, 3, 1)
    write_parquet(tmp_path / "parquet" / "train.parquet", hwc[:10], LABELS[:10], image="img")
    write_parquet(tmp_path / "parquet" / "test.parquet", hwc[10:], LABELS[10:], image="img")
    folders = [write_binary(tmp_path / "binary"), write_python(tmp_path / "python"), tmp_path / "parquet"]
    assert len({CIFAR10(folder=folder).load().digest for folder in folders}) == 1


def spoil(name, content):
    return lambda folder: (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "data_batch_3.bin").unlink(), "data_batch_3.bin missing in .*download complete"),
        (spoil("data_batch_2.bin", b"\0" * 3072), "data_batch_2.bin' holds 3072 bytes, not a whole number of images"),
        (spoil("test_batch.bin", b""), "test_batch.bin' holds 0 bytes"),
        (spoil("data_batch_5.bin", b"\x0a" + b"\0" * 3072), "training labels run from 0 to 10: 0 to 9 is allowed"),
    ],
)
def test_bad_binary_batches(tmp_path, spoil, says):
    spoil(write_binary(tmp_path))
    with pytest.raises(InputError, match=f"cifar10: .*{says}") as caught:
        CIFAR10(folder=tmp_path).load()
    assert "\n" not in str(caught.value)


GOOD = python2(IMAGES[:2].reshape(2, 3072), [3, 4])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is not a Python batch"),
        (b"<html>", "is not a Python batch"),
        (GOOD[:-100], "is not a Python batch"),
        (GOOD[:300], "is not a Python batch"),
        (pickle.dumps([1, 2]), "is not a Python batch"),
        (pickle.dumps({b"labels": [1]}), "is not a Python batch"),
        (python3([[0] * 3072], [1]), "is not a Python batch"),
        (python3(np.zeros((2, 3072), np.uint8), [1]), "is not a Python batch"),
        (python3(np.zeros((1, 3071), np.uint8), [1]), "is not a Python batch"),
        (python3(np.zeros((1, 3072)), [1]), "is not a Python batch"),
        (python3(np.zeros((1, 3072), np.uint8), ["cat"]), "is not a Python batch"),
        (python3(np.zeros((1, 3072), np.uint8), [[1], [2, 3]]), "is not a Python batch"),
        (python3(np.zeros((1, 3072), np.uint8), [1.5]), "is not a Python batch"),
        (python3(np.zeros((1, 3072), np.uint8), [10]), "labels run from 0 to 10"),
        (b"\x80\x02cnumpy\nndarray\n(J\xff\xff\xff\x7fJ\xff\xff\xff\x7fttR.", "is not a Python batch"),
        (b"\x80\x04" + b"(" * 5000 + b"t" * 5000 + b".", "is not a Python batch"),
    ],
)
def test_bad_python_batches(tmp_path, content, says):
    (write_python(tmp_path) / "data_batch_4").write_bytes(content)
    with pytest.raises(InputError, match=f"cifar10: .*{says}") as caught:
        CIFAR10(folder=tmp_path).load()
    assert "\n" not in str(caught.value)


class Reduced:
    """Unpickles as the call and the state that it is given."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


@pytest.mark.processes
def test_bytes_are_never_taken_for_addresses(tmp_path):
    """A type that hides its objects: NumPy would follow whatever the file says, and crash at best."""
    fields = {"a": (np.dtype("O"), 0)}
    kind = Reduced(np.dtype, ("V8", False, True), (3, "|", None, ("a",), fields, 8, 1, 0))
    make = np.empty(0).__reduce__()[0]
    data = Reduced(make, (np.ndarray, (0,), b"b"), (1, (2, 3072), kind, False, b"A" * 8 * 2 * 3072))
    (write_python(tmp_path) / "data_batch_4").write_bytes(python3(data, data))
    path = str(tmp_path / "data_batch_4")
    code = f"import pathlib, gradskew.data.cifar_batches as batches; batches.read_python(pathlib.Path({path!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1
    assert "is not a Python batch" in done.stderr


@pytest.mark.parametrize("kind", ["<i8", ">i4", "|i1", "|u1", ">u2"])
def test_labels_may_be_an_array(tmp_path, kind):
    write_python(tmp_path, lambda data, labels: python3(np.asfortranarray(data), np.array(labels, kind)))
    dataset = CIFAR10(folder=tmp_path).load()
    assert dataset.train.labels.tolist() == LABELS[:10]
    assert dataset.test.inputs.tolist() == IMAGES[10:].tolist()


class Call:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("evil", "named"),
    [
        (lambda path: Call(os.system, f"touch {path}"), r"(posix|os|nt)\.system"),
        (lambda path: Call(eval, f"open({path!r}, 'w')"), r"(builtins|__builtin__)\.eval"),
        (lambda path: Call(np.save, path, 1), r"numpy\.save"),
        (lambda path: Call(getattr, np.ndarray, "tofile"), r"(builtins|__builtin__)\.getattr"),
    ],
)
@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("inside", [False, True])
def test_a_pickle_calls_nothing(tmp_path, evil, named, protocol, inside):
    made = tmp_path / "made.npy"
    content = evil(str(made))
    pickled = pickle.dumps({"labels": [content]} if inside else content, protocol)
    (write_python(tmp_path / "files") / "data_batch_1").write_bytes(pickled)
    with pytest.raises(InputError, match=rf"data_batch_1': it asks for '{named}'; only arrays and plain containers"):
        CIFAR10(folder=tmp_path / "files").load()
    assert not made.exists()
