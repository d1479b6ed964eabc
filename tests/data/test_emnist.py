"""EMNIST: upright images, classes and writers from its IDX and MATLAB files, and one line for what is wrong."""

import gzip

import numpy as np
import pytest
import scipy.io
from data_files import pixels
from idx_files import idx

from gradskew import data, simulate
from gradskew.core.errors import InputError
from gradskew.data import EMNIST
from gradskew.data.partition import ByWriter
from gradskew.runs.settings import make_runs

IMAGES = pixels(6, 28, 28)  # upright
LABELS, WRITERS = np.array([3, 1, 26, 1, 4, 7]), np.array([70, 8, 70, 8, 9, 8])
PARTS = {"train": slice(0, 4), "test": slice(4, 6)}


def by_columns(images):
    """Return images (N, 28, 28) as the files have them: pixel (row, column) is at place 28 column + row."""
    return np.stack([image.reshape(-1, order="F") for image in images])


def write_idx(folder, split="letters", packed=False):
    folder.mkdir(parents=True, exist_ok=True)
    for part, rows in PARTS.items():
        arrays = {"images-idx3": by_columns(IMAGES[rows]).reshape(-1, 28, 28), "labels-idx1": LABELS[rows]}
        for kind, array in arrays.items():
            content = idx(array)
            path = folder / f"emnist-{split}-{part}-{kind}-ubyte{'.gz' * packed}"
            path.write_bytes(gzip.compress(content, mtime=0) if packed else content)


def write_mat(folder, split="letters", **changes):
    folder.mkdir(parents=True, exist_ok=True)
    content = {"mapping": np.array([[1, 65, 97]])}
    for part, rows in PARTS.items():
        columns = {"labels": LABELS[rows, None].astype(np.uint8), "writers": WRITERS[rows, None].astype(np.uint16)}
        content[part] = {"images": by_columns(IMAGES[rows]), **columns, **changes}
    scipy.io.savemat(folder / f"emnist-{split}.mat", {"dataset": content})


@pytest.mark.parametrize(
    ("inside", "packed"), [("", True), ("gzip", True), ("raw", False), ("EMNIST/raw", False), ("EMNIST/raw", True)]
)
def test_images_are_upright_and_letters_are_numbered_from_0(tmp_path, inside, packed):
    write_idx(tmp_path / inside, packed=packed)
    write_idx(tmp_path / inside, "digits")
    dataset = EMNIST(folder=tmp_path, split="letters").load()
    assert dataset.train.inputs.tolist() == IMAGES[:4].tolist()
    assert dataset.test.inputs.tolist() == IMAGES[4:].tolist()
    assert (dataset.train.labels.tolist(), dataset.test.labels.tolist()) == ([2, 0, 25, 0], [3, 6])
    assert (dataset.num_classes, dataset.train.writers) == (26, None)
    assert dataset.inputs(dataset.train.inputs)[0, 0, 0] == pytest.approx(IMAGES[0, 0, 0] / 255)


@pytest.mark.parametrize(
    ("split", "classes"), [("byclass", 62), ("bymerge", 47), ("balanced", 47), ("digits", 10), ("mnist", 10)]
)
def test_each_split_has_its_files_and_its_classes(tmp_path, monkeypatch, split, classes):
    monkeypatch.setitem(globals(), "LABELS", np.array([3, 1, 9, 1, 4, 7]))
    write_idx(tmp_path, split)
    dataset = EMNIST(folder=tmp_path, split=split).load()
    assert (dataset.num_classes, dataset.train.labels.tolist()) == (classes, [3, 1, 9, 1])
    assert data.make(f"emnist(split={split})", folder=tmp_path).num_classes == classes


@pytest.mark.parametrize("inside", ["", "matlab"])
def test_the_matlab_file_knows_the_writers(tmp_path, inside):
    write_mat(tmp_path / inside)
    write_idx(tmp_path)
    dataset = EMNIST(folder=tmp_path, split="letters").load()
    assert dataset.train.inputs.tolist() == IMAGES[:4].tolist()
    assert (dataset.train.labels.tolist(), dataset.test.labels.tolist()) == ([2, 0, 25, 0], [3, 6])
    assert (dataset.train.writers.tolist(), dataset.test.writers.tolist()) == ([2, 0, 2, 0], [1, 0])
    assert [part.tolist() for part in ByWriter()(dataset, 2, 0)] == [[1, 3], [0, 2]]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: write_mat(folder, writers=np.zeros((3, 1))), "must have images .N, 784. of bytes, labels"),
        (lambda folder: write_mat(folder, images=np.zeros((4, 784))), "must have images .N, 784. of bytes"),
        (lambda folder: (folder / "emnist-letters.mat").write_bytes(b"x"), "is no MATLAB file with images, labels, wr"),
        (
            lambda folder: scipy.io.savemat(folder / "emnist-letters.mat", {"dataset": {"train": {"images": 1}}}),
            "is no MATLAB file with images, labels, writers in dataset.train and dataset.test, or damaged",
        ),
        (
            lambda folder: (folder / "emnist-letters-test-labels-idx1-ubyte").unlink(),
            "emnist-letters-test-labels-idx1-ubyte.gz is missing in",
        ),
        (
            lambda folder: (folder / "emnist-letters-test-labels-idx1-ubyte").write_bytes(idx(np.array([1]))),
            "the part 'emnist-letters-test' has 2 images and 1 labels",
        ),
        (
            lambda folder: (folder / "emnist-letters-test-labels-idx1-ubyte").write_bytes(idx(np.array([0, 27]))),
            "the test labels run from -1 to 26: 0 to 25 is allowed",
        ),
    ],
)
def test_wrong_files_are_one_line(tmp_path, spoil, says):
    write_idx(tmp_path)
    spoil(tmp_path)
    with pytest.raises(InputError, match=f"^emnist: .*{says}") as caught:
        EMNIST(folder=tmp_path, split="letters").load()
    assert "\n" not in str(caught.value)


def test_wrong_names_are_one_line(tmp_path):
    with pytest.raises(InputError, match="emnist: split must be one of byclass, bymerge, balanced, letters, digits, "):
        data.make("emnist(split=words)", folder=tmp_path)
    write_idx(tmp_path, "digits")
    with pytest.raises(InputError, match=r"emnist: the folder .* has none of its files\. .*https://www\.nist\.gov"):
        data.make("emnist", folder=tmp_path).load()
    with pytest.raises(InputError, match="emnist cannot be downloaded"):
        data.make("emnist", download=True)


def test_a_federation_of_writers(tmp_path):
    write_mat(tmp_path)
    given = {"dataset": "emnist(split=letters)", "data": tmp_path, "partition": "writer", "model": "linear"}
    (run,) = make_runs({**given, "byzantine": 1, "attacks": "ipm", "rules": "mean", "rounds": 1, "pictures": "none"})
    assert run.clients == 2
    assert simulate(run).rounds[0]["stepped"]
