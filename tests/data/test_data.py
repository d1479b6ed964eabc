"""Data sets: the digits, IDX files made here, the checks of a data set and its digest."""

import gzip
from dataclasses import replace

import numpy as np
import pytest
import torch
from idx_files import IMAGES, idx, write_fashion

from gradskew import data
from gradskew.core.errors import InputError
from gradskew.data import DEBIAN_FASHION, Dataset, Digits, FashionMNIST, Split, read_idx


def tiny(**changes):
    """A data set of three images with two pixels."""
    parts = {
        "train": Split(torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]), torch.tensor([0, 1, 2])),
        "test": Split(torch.tensor([[6.0, 7.0]]), torch.tensor([2])),
        "num_classes": 3,
    }
    return Dataset(**{**parts, **changes})


def test_digits_sizes_classes_and_range():
    digits = Digits().load()
    assert (len(digits.train), len(digits.test), digits.num_classes, digits.shape) == (1437, 360, 10, (8, 8))
    assert digits.train.inputs.dtype == torch.uint8
    assert set(digits.train.labels.tolist()) == set(digits.test.labels.tolist()) == set(range(10))
    inputs = digits.inputs(digits.train.inputs)  # pixels are 0 to 16
    assert inputs.dtype == torch.float32
    assert (inputs.min(), inputs.max()) == (0, 1)


def test_digits_split_is_fixed_and_together_the_original():
    from sklearn.datasets import load_digits

    first, again = Digits().read(), Digits().read()
    torch.manual_seed(99)
    third = Digits().read()
    for other in (again, third):
        assert torch.equal(first.train.inputs, other.train.inputs)
        assert torch.equal(first.test.labels, other.test.labels)
    bunch = load_digits()
    wanted = sorted((*image, label) for image, label in zip(bunch.data.tolist(), bunch.target.tolist(), strict=True))
    got = []
    for split in (first.train, first.test):
        flat = split.inputs.flatten(1).tolist()
        got += [(*image, label) for image, label in zip(flat, split.labels.tolist(), strict=True)]
    assert sorted(got) == wanted


def test_train_and_test_do_not_move_together():
    digits = Digits().read()
    images, labels = digits.test.inputs.clone(), digits.test.labels.clone()
    digits.train.inputs.fill_(7)
    digits.train.labels.fill_(1)
    assert torch.equal(digits.test.inputs, images)
    assert torch.equal(digits.test.labels, labels)


def test_inputs_may_be_called_images():
    split = Digits().load().test
    assert split.images is split.inputs


def test_a_source_is_loaded_once():
    assert Digits().load() is Digits().load()


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_read(tmp_path, packed):
    content = idx(IMAGES)
    (tmp_path / ("x.gz" if packed else "x")).write_bytes(gzip.compress(content, mtime=0) if packed else content)
    got = read_idx(tmp_path, "x", 3)
    assert got.dtype == torch.uint8
    assert got.tolist() == IMAGES.tolist()
    got[0, 0, 0] = 5  # writable, without a warning


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x", b"", "not an IDX file"),
        ("x", idx(IMAGES)[:10], "not an IDX file"),
        ("x", idx(IMAGES)[:-1], "holds 29 bytes, its header says 30"),
        ("x", idx(IMAGES) + b"!", "holds 31 bytes, its header says 30"),
        ("x", idx(IMAGES, sizes=(2**32 - 1,) * 3), "holds 30 bytes"),
        ("x", idx(IMAGES, magic=b"\0\0\x0d\3"), "not an IDX file of bytes with 3 dimensions"),
        ("x", idx(IMAGES.reshape(5, 6)), "not an IDX file of bytes with 3 dimensions"),
        ("x.gz", idx(IMAGES), "cannot read"),
        ("x.gz", b"", "not an IDX file"),
        ("x.gz", gzip.compress(idx(IMAGES), mtime=0)[:-9], "cannot read"),
        ("x.gz", gzip.compress(idx(IMAGES), mtime=0)[:12] + b"\xff" * 30, "cannot read"),
        ("y", idx(IMAGES), "x.gz is missing"),
    ],
)
def test_bad_idx_files_give_one_error(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        read_idx(tmp_path, "x", 3)
    assert str(tmp_path) in str(caught.value)


def test_a_folder_in_place_of_an_idx_file(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(InputError, match="cannot read"):
        read_idx(tmp_path, "x", 3)


@pytest.mark.parametrize("inside", ["raw", "FashionMNIST/raw"])
def test_the_folder_of_torchvision(tmp_path, inside):
    write_fashion(tmp_path / inside)
    assert FashionMNIST(folder=tmp_path).load().digest == FashionMNIST(folder=tmp_path / inside).load().digest
    (tmp_path / inside / "train-labels-idx1-ubyte.gz").unlink(missing_ok=True)
    (tmp_path / inside / "train-labels-idx1-ubyte").unlink(missing_ok=True)
    with pytest.raises(InputError, match=rf"train-labels-idx1-ubyte.gz is missing in '.*{inside}'"):
        FashionMNIST(folder=tmp_path).layout()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", [str, type(DEBIAN_FASHION)])
def test_fashion_mnist_from_any_folder(tmp_path, packed, kind):
    folder = write_fashion(tmp_path / "files", packed=packed)
    dataset = FashionMNIST(folder=kind(folder), train_size=2).load()
    assert (len(dataset.train), len(dataset.test), dataset.num_classes) == (2, 5, 10)
    labels = [0, 1, 2, 3, 9]
    rows = [labels.index(label) for label in dataset.train.labels.tolist()]
    assert rows == sorted(rows)
    assert dataset.train.inputs.tolist() == IMAGES[rows].tolist()
    assert dataset.test.labels.tolist() == [0, 1, 2, 3, 9]
    white = dataset.inputs(torch.full((1, 2, 3), 255, dtype=torch.uint8))
    assert white[0, 0, 0].item() == pytest.approx((1 - 0.2860) / 0.3530)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": (0, 1, 2, 3, 10)}, "labels run from 0 to 10: 0 to 9"),
        ({"labels": (0, 1)}, "5 images and 2 labels"),
        ({"images": IMAGES[:0], "labels": ()}, "training part of the data set is empty"),
    ],
)
def test_bad_fashion_files_give_one_error(tmp_path, changes, says):
    with pytest.raises(InputError, match=says):
        FashionMNIST(folder=write_fashion(tmp_path / "files", **changes)).load()


def test_a_missing_folder_or_file_says_where_to_get_it(tmp_path):
    with pytest.raises(InputError, match=r"no folder .*nowhere.*dataset-fashion-mnist.*--data"):
        FashionMNIST(folder=tmp_path / "nowhere").load()
    folder = write_fashion(tmp_path / "files")
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(InputError, match=r"t10k-labels-idx1-ubyte\.gz is missing"):
        FashionMNIST(folder=folder).load()
    with pytest.raises(InputError, match="train_size = 6, but that part has only 5 inputs"):
        FashionMNIST(folder=write_fashion(tmp_path / "more"), train_size=6).load()


@pytest.mark.parametrize("size", [0, -1, 1.5, True, 10**400 * -1])
@pytest.mark.parametrize("option", ["train_size", "test_size"])
def test_sizes_are_positive_whole_numbers(size, option):
    for cls in data.SOURCES.classes.values():
        if cls is not Digits:
            with pytest.raises(InputError, match=option):
                cls(**{option: size})


@pytest.mark.skipif(not DEBIAN_FASHION.is_dir(), reason="Fashion-MNIST's files are not here")
def test_the_real_fashion_mnist():
    dataset = FashionMNIST().load()
    assert (len(dataset.train), len(dataset.test), dataset.shape) == (60000, 10000, (28, 28))
    assert dataset.train.labels.bincount().tolist() == [6000] * 10
    pixels = dataset.train.inputs.double() / 255
    assert pixels.mean().item() == pytest.approx(0.2860, abs=1e-4)
    assert pixels.std().item() == pytest.approx(0.3530, abs=1e-4)


def test_the_digest_covers_content_not_the_folder(tmp_path):
    first = FashionMNIST(folder=write_fashion(tmp_path / "a")).read().digest
    assert FashionMNIST(folder=write_fashion(tmp_path / "b", packed=False)).read().digest == first
    changed = IMAGES.copy()
    changed[4, 1, 2] ^= 1
    assert FashionMNIST(folder=write_fashion(tmp_path / "c", images=changed)).read().digest != first


def test_the_digest_covers_everything_that_a_run_sees():
    base = tiny()
    others = [
        tiny(num_classes=4),
        tiny(scale=torch.tensor(2.0)),
        tiny(shift=torch.tensor(1.0)),
        tiny(train=replace(base.train, labels=torch.tensor([0, 2, 1]))),
        tiny(train=replace(base.train, inputs=base.train.inputs.double())),
        tiny(train=replace(base.train, writers=torch.tensor([0, 0, 1]))),
        tiny(test=replace(base.test, inputs=base.test.inputs + 1)),
    ]
    assert len({dataset.digest for dataset in [base, *others]}) == 8
    transposed = base.train.inputs.t().contiguous().t()
    assert tiny(train=replace(base.train, inputs=transposed)).digest == base.digest  # the layout in memory is nothing


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train": Split(torch.empty(0, 2), torch.empty(0, dtype=torch.int64))}, "training part .* is empty"),
        ({"test": Split(torch.empty(0, 2), torch.empty(0, dtype=torch.int64))}, "test part .* is empty"),
        ({"test": Split(torch.tensor([[0.0, torch.nan]]), torch.tensor([0]))}, "test inputs have non-finite"),
        ({"test": Split(torch.tensor([[0.0, torch.inf]]), torch.tensor([0]))}, "test inputs have non-finite"),
        ({"test": Split(torch.zeros(1, 2), torch.tensor([3]))}, "test labels run from 3 to 3: 0 to 2"),
        ({"test": Split(torch.zeros(1, 2), torch.tensor([-1]))}, "test labels run from -1 to -1"),
        ({"test": Split(torch.zeros(2, 2), torch.tensor([0]))}, "test part has 2 inputs and 1 labels"),
        ({"test": Split(torch.zeros(1, 3), torch.tensor([0]))}, r"shape \(2,\), test inputs \(3,\)"),
        ({"test": Split(torch.zeros(1, 2), torch.tensor([0.5]))}, "whole numbers .* not float32"),
        ({"test": Split(torch.zeros(1, 2), torch.tensor([torch.nan]))}, "whole numbers .* not float32"),
        ({"test": Split(torch.zeros(1, 2), torch.tensor([1j]))}, "whole numbers .* not complex64"),
        ({"test": Split(torch.zeros(1, 2).cfloat(), torch.tensor([0]))}, "test inputs are complex"),
        (
            {"test": Split(torch.tensor([[0, 1e39]], dtype=torch.float64), torch.tensor([0]))},
            "some that float32 does not have",
        ),
        ({"test": Split(torch.tensor([[0, 2**24 + 1]]), torch.tensor([0]))}, r"float32 changes those beyond 2\^24"),
        ({"test": Split(torch.zeros(1, 2), torch.tensor([[0]]))}, r"not int64 of shape \(1, 1\)"),
        ({"test": Split(torch.zeros(1, 2), torch.tensor(0))}, r"not int64 of shape \(\)"),
        ({"train": Split(torch.zeros(1, 0), torch.tensor([0]))}, "no entries"),
        ({"test": Split(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([0.0]))}, "test writers must be int64"),
        (
            {"test": Split(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([0, 1]))},
            r"of shape \(1,\), one per input",
        ),
        ({"test": Split(torch.zeros(1, 2), torch.tensor([0]), torch.tensor([-1]))}, "writers must be numbered from 0"),
        ({"num_classes": 1}, "num_classes must be at least 2"),
        ({"num_classes": 3.0}, "num_classes must be a whole number"),
    ],
)
def test_a_wrong_data_set_is_refused(changes, says):
    with pytest.raises(InputError, match=says):
        tiny(**changes)


def test_names_of_sources(tmp_path):
    embedded, own = ["digits"], ["csv", "npz", "parquet", "images", "text", "hf"]
    images = ["mnist", "fashion_mnist", "emnist", "cifar10", "cifar100", "svhn", "imagenet12", "imagenette", "femnist"]
    assert list(data.SOURCES) == [*embedded, *own, *images, "shakespeare", "sent140"]
    assert data.make("imagenette(size=64,test_size=5)", folder=tmp_path).name == "imagenette(test_size=5,size=64)"
    assert data.make("digits") == Digits()
    assert data.make("fashion-mnist(train_size=100)", folder=tmp_path) == FashionMNIST(train_size=100, folder=tmp_path)
    assert data.make("fashion_mnist", folder=tmp_path).name == "fashion_mnist"  # the folder is no hyperparameter
    with pytest.raises(InputError, match="digits are embedded"):
        data.make("digits", folder=tmp_path)
    with pytest.raises(InputError, match="did you mean 'digits'"):
        data.make("digit")


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.float16, np.int32, np.uint8, np.int64])
def test_whole_numbers_of_any_type_are_labels(kind):
    """NumPy arrays become tensors; 2^24 is the largest token that float32 has."""
    labels = np.array([2, 0, 1], kind)
    for given in (labels, torch.from_numpy(labels)):
        split = Split(np.array([[1, 2**24]] * 3), given, np.array([0, 1, 0]))
        assert split.labels.dtype == torch.int64
        assert split.labels.tolist() == [2, 0, 1]
        dataset = Dataset(split, split, np.int64(3), scale=1, shift=np.float64(0))
        assert (type(dataset.num_classes), dataset.scale.dtype) == (int, torch.float32)
        assert dataset.digest == Dataset(split, split, 3).digest
        assert dataset.inputs(dataset.train.inputs)[0].tolist() == [1, 2**24]
