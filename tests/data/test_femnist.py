"""FEMNIST: LEAF's JSON and parquet, writers, the test part that is held out, and what is wrong with bad files."""

import json

import numpy as np
import pyarrow
import pytest
import torch
from data_files import pixels, real, write_parquet
from leaf_files import rows, write_leaf

from gradskew.core.errors import InputError
from gradskew.data import FEMNIST
from gradskew.data.partition import ByWriter


def values(split):
    """(writer, pixel, label) of each image, which must be plain."""
    assert torch.equal(split.inputs, split.inputs[:, :1, :1].expand_as(split.inputs))
    return list(zip(split.writers.tolist(), split.inputs[:, 0, 0].tolist(), split.labels.tolist(), strict=True))


@pytest.fixture
def leaf(tmp_path):
    """Writers f2 (3 images) and f1 (2) in one file, f0 (1) in another; a test part with f1 and a stranger, f3."""
    write_leaf(tmp_path / "data" / "train" / "b.json", {"f0": rows(9, 1, first=50)})
    write_leaf(tmp_path / "data" / "train" / "a.json", {"f2": rows(2, 3), "f1": rows(1, 2, first=60)})
    write_leaf(tmp_path / "data" / "test" / "a.json", {"f3": rows(3, 1), "f1": rows(1, 1)})
    return tmp_path


TRAIN = [(2, 14, 0), (2, 15, 1), (2, 16, 2), (1, 7, 60), (1, 8, 61), (0, 63, 50)]


@pytest.mark.parametrize("inside", ["", "data"])
def test_leaf_files_are_read(leaf, inside):
    dataset = FEMNIST(folder=leaf / inside).load()
    assert (dataset.num_classes, dataset.shape, dataset.train.inputs.dtype) == (62, (28, 28), torch.uint8)
    assert values(dataset.train) == TRAIN
    assert values(dataset.test) == [(3, 21, 0), (1, 7, 0)]
    assert dataset.train.writers.dtype == torch.int64


def test_labels_may_be_floats(tmp_path):
    write_leaf(tmp_path / "train" / "a.json", {"f0": {**rows(9, 2), "y": [50.0, 61.0]}})
    assert FEMNIST(folder=tmp_path).load().test.labels.tolist() == [61]


def test_hidden_files_are_not_read(leaf):
    (leaf / "data" / "train" / "._a.json").write_bytes(b"\0\5\x16\7 what a Mac notes of a file")
    assert values(FEMNIST(folder=leaf).load().train) == TRAIN


def test_networks_see_the_numbers_of_leaf_paper_is_1(tmp_path):
    given = pixels(1, 784)[0]
    given[0] = 255
    data = {"x": [(given / 255).tolist()] * 2, "y": [0, 1]}
    write_leaf(tmp_path / "train" / "all.json", {"f0": data})
    dataset = FEMNIST(folder=tmp_path).load()
    seen = dataset.inputs(dataset.train.inputs)[0]
    assert seen[0, 0] == 1
    assert torch.allclose(seen, torch.from_numpy(given / 255).float().reshape(28, 28), atol=1e-7)


def test_without_a_test_file_the_last_tenth_is_held_out(tmp_path):
    counts = {"b": 20, "c": 2, "a": 11}
    write_leaf(tmp_path / "train" / "all.json", {name: rows(n, k) for n, (name, k) in enumerate(counts.items())})
    dataset = FEMNIST(folder=tmp_path).load()
    assert values(dataset.test) == [(1, 18, 18), (1, 19, 19), (2, 8, 1), (0, 23, 9), (0, 24, 10)]
    assert len(dataset.train) == 18 + 1 + 9
    assert list(dataset.notes) == ["the test part is the last tenth of each writer's inputs, rounded up"]
    assert [label for writer, _, label in values(dataset.train) if writer == 0] == list(range(9))


def test_a_writer_in_pieces_is_one_writer(tmp_path):
    for shard in range(3):
        write_leaf(tmp_path / "train" / f"{shard}.json", {"f": rows(0, 4, first=4 * shard), f"g{shard}": rows(1, 2)})
    dataset = FEMNIST(folder=tmp_path).load()
    assert [label for writer, _, label in values(dataset.train) if writer == 0] == list(range(10))
    assert [label for writer, _, label in values(dataset.test) if writer == 0] == [10, 11]


def write_hub(path, writers, *, first=0, label="character", **changes):
    """Parquet with a plain image of the value `first` + row for each row."""
    images = [np.full((28, 28), first + row, np.uint8) for row in range(len(writers))]
    columns = {"writer_id": writers, "hsf_id": [0] * len(writers)}
    return write_parquet(path, images, list(range(len(writers))), label=label, **{**columns, **changes})


def test_parquet_is_read_and_the_last_tenth_held_out(tmp_path):
    write_hub(tmp_path / "data" / "train-00000-of-00001.parquet", ["w2", "w10", "w2", "w10", "w2"])
    dataset = FEMNIST(folder=tmp_path).load()
    assert values(dataset.train) == [(1, 0, 0), (0, 1, 1), (1, 2, 2)]
    assert values(dataset.test) == [(0, 3, 3), (1, 4, 4)]


def test_parquet_with_a_test_part(tmp_path):
    write_hub(tmp_path / "train-00000-of-00001.parquet", ["b", "a"])
    write_hub(tmp_path / "test-00000-of-00001.parquet", ["c"], first=9)
    dataset = FEMNIST(folder=tmp_path).load()
    assert (values(dataset.train), values(dataset.test)) == ([(1, 0, 0), (0, 1, 1)], [(2, 9, 0)])


def test_a_draw_keeps_images_labels_and_writers_together(leaf):
    drawn = FEMNIST(folder=leaf, train_size=4, test_size=1).load()
    names = sorted({*drawn.train.writers.tolist(), *drawn.test.writers.tolist()})
    assert names == list(range(len(names)))
    pairs = [(pixel, label) for _, pixel, label in values(drawn.train)]
    everything = [(pixel, label) for _, pixel, label in TRAIN]
    assert len(pairs) == 4
    assert pairs == [pair for pair in everything if pair in pairs]
    known = dict(zip(everything, (writer for writer, _, _ in TRAIN), strict=True))
    order = [(known[pixel, label], writer) for writer, pixel, label in values(drawn.train)]
    assert all((a < b) == (x < y) for a, x in order for b, y in order)


def test_clients_are_writers(leaf):
    dataset = FEMNIST(folder=leaf).load()
    assert FEMNIST.partition == ByWriter.key
    assert ByWriter().writers(dataset) == 3
    assert [part.tolist() for part in ByWriter()(dataset, 3, 0)] == [[5], [3, 4], [0, 1, 2]]


def edit(change):
    """A spoiler that changes what a.json of the training part says."""

    def spoil(folder):
        path = folder / "data" / "train" / "a.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return spoil


def row(content, writer="f2"):
    return content["user_data"][writer]


def long_id(content):
    content["users"].append("f" * 201)
    content["user_data"]["f" * 201] = rows(1, 2)


def change_pixel(value):
    return edit(lambda content: row(content)["x"][1].__setitem__(5, value))


def change_label(value):
    return edit(lambda content: row(content)["y"].__setitem__(1, value))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (edit(lambda content: row(content)["x"][1].pop()), "image 1 of the writer 'f2' in .*a.json' has 783 values"),
        (edit(lambda content: row(content)["x"][2].append(1.0)), "image 2 of the writer 'f2' .* has 785 values"),
        (edit(lambda content: row(content)["x"].__setitem__(0, 1.0)), "image 0 of the writer 'f2' .* has 0 values"),
        (edit(lambda content: row(content)["y"].pop()), "the writer 'f2' in .* has 3 inputs and 2 labels"),
        (edit(lambda content: row(content).pop("y")), "the writer 'f2' in .* has no lists x and y"),
        (edit(lambda content: row(content).update(x=None)), "the writer 'f2' in .* has no lists x and y"),
        (edit(lambda content: content["user_data"].update(f2=[])), "the writer 'f2' in .* has no lists x and y"),
        (edit(lambda content: content["user_data"].pop("f1")), "a.json' has 1 of .* users without data: f1"),
        (edit(lambda content: content["users"].append("f1")), "a.json' names a user twice"),
        (edit(lambda content: long_id(content)), "a.json' has a writer whose id has 201 characters: at most 200"),
        (edit(lambda content: content.pop("users")), "is not LEAF's: it needs"),
        (edit(lambda content: content.update(users=3)), "is not LEAF's: it needs"),
        (lambda folder: (folder / "data" / "train" / "b.json").write_text("[]"), "b.json' is not LEAF's"),
        (lambda folder: (folder / "data" / "train" / "b.json").write_text("{"), "b.json' is not JSON: .*complete"),
        (lambda folder: (folder / "data" / "train" / "b.json").write_bytes(b"\xff"), "b.json' is not JSON"),
        (lambda folder: (folder / "data" / "test" / "a.json").write_text("[" * 10**5), "a.json' is not JSON"),
        (lambda folder: (folder / "data" / "train" / "c.json").mkdir(), "cannot read '.*c.json': Is a directory"),
        (change_pixel(1.5), "images with values outside 0 to 1"),
        (change_pixel(-0.1), "images with values outside 0 to 1"),
        (change_pixel(float("nan")), "images with values outside 0 to 1"),
        (change_pixel(0.501), "values that are not a byte / 255"),
        (change_pixel("black"), "images that are not numbers"),
        (change_pixel("0.5"), "images that are not numbers"),
        (change_pixel(None), "images that are not numbers"),
        (change_pixel([0.5]), "images that are not numbers"),
        (change_label("cat"), "labels that are not whole numbers"),
        (change_label(1.5), "labels that are not whole numbers"),
        (change_label(2**70), "labels that are not whole numbers"),
        (change_label(62), "training labels run from 0 to 62: 0 to 61 is allowed"),
        (change_label(-1), "training labels run from -1 to 61"),
        (lambda folder: [path.unlink() for path in (folder / "data" / "train").iterdir()], "train' has no JSON files"),
        (lambda folder: (folder / "data" / "test" / "a.json").unlink(), "the writer 'f0' has one input"),
        (lambda folder: write_leaf(folder / "data" / "test" / "a.json", {}), "no writers in .*test/a.json'"),
        (lambda folder: write_leaf(folder / "data" / "test" / "a.json", {"f": rows(0, 0)}), "test part .* is empty"),
    ],
)  # fmt: skip
def test_bad_leaf_files_give_one_line(leaf, spoil, says):
    spoil(leaf)
    with pytest.raises(InputError, match=f"femnist: .*{says}") as caught:
        FEMNIST(folder=leaf).load()
    assert "\n" not in str(caught.value)


def not_text(count):
    """A column of strings that are not UTF-8."""
    ends = np.arange(count + 1, dtype=np.int32).tobytes()
    return pyarrow.Array.from_buffers(
        pyarrow.string(), count, [None, pyarrow.py_buffer(ends), pyarrow.py_buffer(b"\xff" * count)]
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"writer_id": ["a", "a", "b"]}, "the writer 'b' has one input: it cannot be divided into training and test"),
        ({"writer_id": ["a", None, "a"]}, "'writer_id' of '.*' must have one string per row"),
        ({"writer_id": ["a", "a", "b" * 201]}, "has a writer whose id has 201 characters: at most 200"),
        ({"writer_id": not_text(3)}, "cannot read '.*': is the download complete"),
        ({"writer_id": [1, 2, 3]}, "'writer_id' of '.*' must have one string per row"),
        ({"writer_id": ["a"] * 3, "label": "letter"}, "has no column 'character'"),
    ],
)
def test_bad_parquet_gives_one_line(tmp_path, changes, says):
    write_hub(tmp_path / "train-00000-of-00001.parquet", ["a", "a", "a"], **changes)
    with pytest.raises(InputError, match=f"femnist: .*{says}"):
        FEMNIST(folder=tmp_path).load()


def test_the_real_sample():
    dataset = FEMNIST(folder=real("femnist-sample"), train_size=300, test_size=60).load()
    assert (len(dataset.train), len(dataset.test), dataset.num_classes) == (300, 60, 62)
    assert set(dataset.train.writers.tolist()) == set(range(12))
    assert dataset.train.labels.max() <= 9  # digits alone
    seen = dataset.inputs(dataset.train.inputs)
    assert (seen.max(), seen.median()) == (1, 1)  # white paper
    assert seen.min() < 0.1


def test_the_real_sample_holds_out_the_last_tenth_of_each_writer():
    import pyarrow.parquet

    folder = real("femnist-sample")
    ids = pyarrow.parquet.read_table(next(folder.iterdir()), columns=["writer_id"])["writer_id"].to_pylist()
    counts = sorted((writer, ids.count(writer)) for writer in set(ids))
    train, test = FEMNIST(folder=folder).layout().read()
    assert [np.sum(train.writers == writer) for writer, _ in counts] == [9 * count // 10 for _, count in counts]
    assert [np.sum(test.writers == writer) for writer, _ in counts] == [(count + 9) // 10 for _, count in counts]
