"""MNIST, CIFAR-100 and SVHN in the layouts in which people have them."""

import gzip

import numpy as np
import pytest
import scipy.io
from cifar10_files import number, text
from data_files import pixels, write_parquet
from idx_files import idx

from gradskew import data
from gradskew.core.errors import InputError
from gradskew.data import CIFAR100, MNIST, SVHN

GREY, COLOUR = pixels(6, 28, 28), pixels(6, 3, 32, 32)
LABELS = [3, 0, 9, 1, 4, 7]


def write_mnist(folder, sep="-", packed=False):
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", slice(0, 4)), ("t10k", slice(4, 6))):
        for kind, array in (("images{}idx3", GREY[rows]), ("labels{}idx1", np.array(LABELS[rows], np.uint8))):
            content = idx(array, magic=bytes([0, 0, 8, array.ndim]))
            path = folder / f"{name}-{kind.format(sep)}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize(
    ("inside", "sep", "packed"), [("", "-", True), ("", ".", False), ("raw", "-", False), ("MNIST/raw", "-", False)]
)
def test_mnist(tmp_path, inside, sep, packed):
    write_mnist(tmp_path / inside, sep, packed)
    dataset = MNIST(folder=tmp_path).load()
    assert dataset.train.inputs.tolist() == GREY[:4].tolist()
    assert dataset.test.labels.tolist() == LABELS[4:]
    assert dataset.inputs(dataset.train.inputs)[0, 0, 0] == pytest.approx((GREY[0, 0, 0] / 255 - 0.1307) / 0.3081)


def test_mnist_in_parquet(tmp_path):
    write_mnist(tmp_path / "idx")
    for name, rows in (("train", slice(0, 4)), ("test", slice(4, 6))):
        write_parquet(tmp_path / "hub" / f"{name}-00000-of-00001.parquet", GREY[rows], LABELS[rows])
    assert MNIST(folder=tmp_path / "hub").load().digest == MNIST(folder=tmp_path / "idx").load().digest


def pickled(rows):
    """Return Python 2's pickle of a part: fine and coarse labels as lists, images as an array."""
    listed = b"](" + b"".join(map(number, [LABELS[row] for row in rows])) + b"e"
    coarse = b"](" + b"".join(map(number, [19] * len(rows))) + b"e"
    images = COLOUR[rows].reshape(len(rows), 3072)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + number(0) + b"\x85" + text(b"b") + b"tR("
        + number(1) + number(len(rows)) + number(3072) + b"\x86cnumpy\ndtype\n(" + text(b"u1") + number(0) + number(1)
        + b"tR(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb\x89"
        + text(images.tobytes()) + b"tb"
    )  # fmt: skip
    items = text(b"fine_labels") + listed + text(b"coarse_labels") + coarse + text(b"data") + array
    return b"\x80\x02}(" + items + b"u."


def write_cifar100(folder, version):
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", [0, 1, 2, 3]), ("test", [4, 5])):
        if version == "python":
            (folder / name).write_bytes(pickled(rows))
        else:
            content = b"".join(bytes([19, LABELS[row]]) + COLOUR[row].tobytes() for row in rows)
            (folder / f"{name}.bin").write_bytes(content)


@pytest.mark.parametrize(
    ("inside", "version"),
    [("", "python"), ("cifar-100-python", "python"), ("", "binary"), ("cifar-100-binary", "binary")],
)
def test_cifar100(tmp_path, inside, version):
    write_cifar100(tmp_path / inside, version)
    dataset = CIFAR100(folder=tmp_path).load()
    assert dataset.num_classes == 100
    assert dataset.train.inputs.tolist() == COLOUR[:4].tolist()
    assert dataset.train.labels.tolist() == LABELS[:4]
    assert dataset.test.labels.tolist() == LABELS[4:]


def test_cifar100_in_parquet(tmp_path):
    write_cifar100(tmp_path / "binary", "binary")
    for name, rows in (("train", slice(0, 4)), ("test", slice(4, 6))):
        images = COLOUR[rows].transpose(0, 2, 3, 1)
        path = tmp_path / "hub" / f"{name}-00000-of-00001.parquet"
        write_parquet(path, images, LABELS[rows], image="img", label="fine_label", coarse_label=[19] * len(images))
    digests = {CIFAR100(folder=tmp_path / name).load().digest for name in ("binary", "hub")}
    assert len(digests) == 1


def test_cifar100_that_is_not_whole(tmp_path):
    write_cifar100(tmp_path, "binary")
    (tmp_path / "test.bin").unlink()
    with pytest.raises(InputError, match=r"cifar100: test.bin missing in"):
        CIFAR100(folder=tmp_path).load()


def write_svhn(folder, **changes):
    for name, rows in (("train", slice(0, 4)), ("test", slice(4, 6))):
        labels = np.array([[10 if label == 0 else label] for label in LABELS[rows]], np.uint8)
        content = {"X": COLOUR[rows].transpose(2, 3, 1, 0), "y": labels, **changes}
        scipy.io.savemat(folder / f"{name}_32x32.mat", content)


def test_svhn(tmp_path):
    write_svhn(tmp_path)
    dataset = SVHN(folder=tmp_path).load()
    assert dataset.train.inputs.tolist() == COLOUR[:4].tolist()
    assert dataset.train.labels.tolist() == LABELS[:4]  # the digit 0 is 10 in the file
    assert dataset.test.labels.tolist() == LABELS[4:]


def test_svhn_in_parquet(tmp_path):
    write_svhn(tmp_path)
    for name, rows in (("train", slice(0, 4)), ("test", slice(4, 6))):
        path = tmp_path / "hub" / "cropped_digits" / f"{name}-00000-of-00001.parquet"
        write_parquet(path, COLOUR[rows].transpose(0, 2, 3, 1), LABELS[rows])
    assert SVHN(folder=tmp_path / "hub").load().digest == SVHN(folder=tmp_path).load().digest


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "test_32x32.mat").unlink(), "test_32x32.mat missing in"),
        (lambda folder: (folder / "test_32x32.mat").write_bytes(b"x"), "is no MATLAB file with X and y, or damaged"),
        (lambda folder: write_svhn(folder, X=np.zeros((3, 3))), "must have images X"),
        (lambda folder: write_svhn(folder, y=np.array([[0.5]] * 4)), "must have images X|labels y"),
    ],
)
def test_svhn_that_is_wrong(tmp_path, spoil, says):
    write_svhn(tmp_path)
    spoil(tmp_path)
    with pytest.raises(InputError, match=says) as caught:
        SVHN(folder=tmp_path).load()
    assert str(caught.value).startswith("svhn: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["mnist", "cifar100", "svhn"])
def test_a_missing_folder_says_what_to_get(tmp_path, name):
    with pytest.raises(InputError, match=rf"{name}: .*has none of its files.*https?://.*--data"):
        data.make(name, folder=tmp_path).load()
