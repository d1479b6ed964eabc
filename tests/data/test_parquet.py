"""Parquet as the hub has it: which files, which columns, pictures, and what is wrong with bad ones."""

import io
import shutil
import sys
import types

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from data_files import encoded, pixels, real, write_parquet
from PIL import Image

from gradskew import data
from gradskew.core.errors import InputError
from gradskew.data import CIFAR10, FashionMNIST, Imagenette

IMAGES = pixels(7, 32, 32, 3)
LABELS = [3, 1, 4, 1, 5, 9, 2]
TRAIN, TEST = "train-00000-of-00001.parquet", "test-00000-of-00001.parquet"


def write_cifar(folder, *, train=TRAIN, test=TEST, images=IMAGES, labels=LABELS, **columns):
    """Five images to train and two to test."""
    write_parquet(folder / train, images[:5], labels[:5], image="img", **columns)
    write_parquet(folder / test, images[5:], labels[5:], image="img", **columns)
    return folder


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (TRAIN, TEST),
        ("data/" + TRAIN, "data/" + TEST),
        ("plain_text/train-00000-of-00001-ab12cd.parquet", "plain_text/test-00000-of-00001-ab12cd.parquet"),
        ("train.parquet", "test.parquet"),
        ("default/train/0000.parquet", "default/test/0000.parquet"),
    ],
)
def test_the_files_are_found(tmp_path, train, test):
    dataset = CIFAR10(folder=write_cifar(tmp_path, train=train, test=test)).load()
    assert dataset.train.inputs.dtype == torch.uint8
    assert dataset.train.inputs.tolist() == IMAGES[:5].transpose(0, 3, 1, 2).tolist()
    assert dataset.test.inputs.tolist() == IMAGES[5:].transpose(0, 3, 1, 2).tolist()
    assert dataset.train.labels.tolist() == LABELS[:5]
    assert dataset.test.labels.tolist() == LABELS[5:]
    assert (dataset.num_classes, dataset.shape) == (10, (3, 32, 32))


def test_shards_are_read_in_order(tmp_path):
    for shard, rows in enumerate((slice(0, 2), slice(2, 3), slice(3, 5))):
        write_parquet(tmp_path / f"train-{shard:05}-of-00003.parquet", IMAGES[rows], LABELS[rows], image="img")
    write_parquet(tmp_path / TEST, IMAGES[5:], LABELS[5:], image="img")
    dataset = CIFAR10(folder=tmp_path).load()
    assert dataset.train.labels.tolist() == LABELS[:5]
    assert dataset.train.inputs.tolist() == IMAGES[:5].transpose(0, 3, 1, 2).tolist()


def test_networks_see_normalised_channels(tmp_path):
    dataset = CIFAR10(folder=write_cifar(tmp_path)).load()
    seen = dataset.inputs(torch.tensor([0, 255, 51], dtype=torch.uint8).reshape(1, 3, 1, 1)).flatten()
    wanted = [(0 - 0.4914) / 0.2023, (1 - 0.4822) / 0.1994, (0.2 - 0.4465) / 0.2010]
    assert seen.tolist() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(("train", "test"), [(1, None), (3, 1), (5, 2), (None, 1)])
def test_a_size_draws_images_with_their_labels(tmp_path, train, test):
    source = CIFAR10(folder=write_cifar(tmp_path), train_size=train, test_size=test)
    for split, first, count, size in ((source.read().train, 0, 5, train), (source.read().test, 5, 2, test)):
        rows = [
            first + np.flatnonzero((IMAGES[first:].transpose(0, 3, 1, 2) == image).all((1, 2, 3)))[0]
            for image in split.inputs.numpy()
        ]
        assert rows == sorted(set(rows))
        assert len(rows) == (size or count)
        assert split.labels.tolist() == [LABELS[row] for row in rows]


def test_only_chosen_images_are_decoded(tmp_path):
    chosen = CIFAR10(folder=write_cifar(tmp_path / "good"), train_size=2).load().train.inputs.numpy()
    files = [
        encoded(image) if (image.transpose(2, 0, 1) == chosen).all((1, 2, 3)).any() else b"x" for image in IMAGES[:5]
    ]
    assert files.count(b"x") == 3
    bad = write_cifar(tmp_path / "bad", images=[*files, *IMAGES[5:]])
    assert CIFAR10(folder=bad, train_size=2).load().train.inputs.numpy().tolist() == chosen.tolist()
    with pytest.raises(InputError, match="does not decode"):
        CIFAR10(folder=bad).load()


def test_a_larger_draw_has_the_smaller_one_in_it(tmp_path):
    folder = write_cifar(tmp_path)
    small, large = (CIFAR10(folder=folder, train_size=size).load().train.inputs.tolist() for size in (2, 4))
    assert all(image in large for image in small)


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        (np.full((32, 32), 200, np.uint8), [200, 200, 200]),
        (np.tile(np.array([10, 20, 30, 40], np.uint8), (32, 32, 1)), [10, 20, 30]),
        (np.tile(np.array([10, 20, 30], np.uint8), (32, 32, 1)), [10, 20, 30]),
        (np.ones((32, 32), bool), [255, 255, 255]),
    ],
    ids=["grey", "transparent", "colour", "black and white"],
)
def test_every_kind_of_picture_becomes_colour(tmp_path, image, wanted):
    folder = write_cifar(tmp_path, images=[encoded(image), *IMAGES[1:]])
    assert CIFAR10(folder=folder).load().train.inputs[0, :, 7, 9].tolist() == wanted


@pytest.mark.parametrize("kind", ["float64", "float32", "uint8", "int64"])
def test_labels_are_whole_numbers_of_any_type(tmp_path, kind):
    folder = write_cifar(tmp_path, labels=pyarrow.array(LABELS, kind))
    assert CIFAR10(folder=folder).load().train.labels.tolist() == LABELS[:5]


def test_fashion_mnist_from_parquet_is_what_it_is_from_idx(tmp_path):
    from test_data import write_fashion

    images, labels = pixels(5, 28, 28), (0, 1, 2, 3, 9)
    for name in (TRAIN, TEST):
        write_parquet(tmp_path / "parquet" / "fashion_mnist" / name, images, labels)
    idx = FashionMNIST(folder=write_fashion(tmp_path / "idx", images=images, labels=labels)).load()
    assert FashionMNIST(folder=tmp_path / "parquet").load().digest == idx.digest


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def rewrite(path, change):
    """Write a file again, its table changed."""
    pyarrow.parquet.write_table(change(pyarrow.parquet.read_table(path)), path)


def as_text(table):
    """Images as the paths of files in place of their bytes."""
    return table.set_column(0, "img", pyarrow.array([{"bytes": "/tmp/x.png"}] * len(table)))


def jpeg_cut_off():
    return encoded(pixels(1, 32, 32, 3)[0], "JPEG")[:-200]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda folder: cut(folder / TRAIN),
            r"cannot read '.*train-00000-of-00001.parquet': is the download complete\?",
        ),
        (lambda folder: (folder / TEST).write_bytes(b""), "cannot read '.*test-00000-of-00001.parquet'"),
        (lambda folder: (folder / TEST).unlink(), r"has no parquet files of the test part: is the download complete\?"),
        (lambda folder: (folder / TRAIN).unlink(), "has no parquet files of the training part"),
        (
            lambda folder: (folder / TRAIN).rename(folder / "train-00001-of-00002.parquet"),
            "has 1 of the 2 parquet files of the part 'train'",
        ),
        (
            lambda folder: shutil.copy(folder / TRAIN, folder / "train-00000-of-00001-ab12cd.parquet"),
            "has more than one version of the part 'train': keep one",
        ),
        (
            lambda folder: [
                shutil.move(folder / TRAIN, folder / "train-00001-of-00002-ab.parquet"),
                shutil.copy(folder / "train-00001-of-00002-ab.parquet", folder / "train-00001-of-00002-cd.parquet"),
            ],
            "has more than one version of the part 'train': keep one",
        ),
        (
            lambda folder: rewrite(folder / TEST, lambda table: table.append_column("label", table["label"])),
            "test-.*' has more than one column 'label'",
        ),
        (lambda folder: rewrite(folder / TEST, as_text), "column 'img' of '.*test-.*' must hold encoded images"),
        (lambda folder: write_cifar(folder / "more"), "both have a part 'train': name one of the folders"),
        (lambda folder: write_cifar(folder, label="lable"), "has no column 'label'; it has img, lable"),
        (lambda folder: write_cifar(folder, labels=list("abcdefg")), "'label' of '.*' must have one integer per row"),
        (lambda folder: write_cifar(folder, labels=[0.5, *LABELS[1:]]), "'label' .* must have one integer per row"),
        (lambda folder: write_cifar(folder, labels=[1, None, *LABELS[2:]]), "'label' .* must have one integer per row"),
        (
            lambda folder: write_cifar(folder, labels=pyarrow.array([2**63, *LABELS[1:]], "uint64")),
            "'label' .* must have one integer per row",
        ),
        (lambda folder: write_cifar(folder, labels=[10, *LABELS[1:]]), "training labels run from 1 to 10: 0 to 9"),
        (lambda folder: write_cifar(folder, labels=[*LABELS[:6], -1]), "test labels run from -1 to 9"),
        (
            lambda folder: write_cifar(folder, images=[*IMAGES[:3], b"GIF89a", *IMAGES[4:]]),
            "row 3 of .*does not decode",
        ),
        (lambda folder: write_cifar(folder, images=[*IMAGES[:6], jpeg_cut_off()]), "row 1 of '.*test.*does not decode"),
        (lambda folder: write_cifar(folder, images=[None, *IMAGES[1:]]), "row 0 of '.*train-.*' has no image"),
        (lambda folder: write_cifar(folder, images=[b"", *IMAGES[1:]]), "row 0 of '.*train-.*' has no image"),
        (
            lambda folder: write_cifar(folder, images=[*IMAGES[:4], pixels(1, 32, 31)[0], *IMAGES[5:]]),
            "row 4 of '.*train-.*' has 31 x 32 pixels, not 32 x 32",
        ),
        (
            lambda folder: write_parquet(folder / TEST, pixels(1, 32, 32), [1], image="image"),
            "has no column 'img'; it has image, label",
        ),
        (
            lambda folder: pyarrow.parquet.write_table(pyarrow.table({"img": [b"x"], "label": [1]}), folder / TEST),
            "'img' of '.*' must hold encoded images as {bytes, path}, not binary",
        ),
        (
            lambda folder: write_parquet(folder / TEST, [], pyarrow.array([], "int64"), image="img"),
            "test part .* is empty",
        ),
    ],
)
def test_bad_files_give_one_line(tmp_path, spoil, says):
    spoil(write_cifar(tmp_path))
    with pytest.raises(InputError, match=says) as caught:
        CIFAR10(folder=tmp_path).load()
    assert str(caught.value).startswith("cifar10: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["cifar10", "imagenet12", "imagenette", "femnist", "fashion_mnist"])
def test_a_missing_folder_says_what_to_get_and_where_to_put_it(tmp_path, name):
    for folder, says in ((tmp_path / "nowhere", "there is no folder"), (tmp_path, "has none of its files")):
        with pytest.raises(InputError, match=rf"{name}: .*{says}.*https://.*--data") as caught:
            data.make(name, folder=folder).load()
        assert str(folder) in str(caught.value)
    if name != "fashion_mnist":
        with pytest.raises(InputError, match=rf"{name}: no folder is given\. .*--data"):
            data.make(name).load()


def fake_hub(monkeypatch, download):
    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=download))


@pytest.mark.parametrize(
    ("name", "repository", "pattern"),
    [
        ("cifar10", "uoft-cs/cifar10", "*.parquet"),
        ("femnist", "flwrlabs/femnist", "*.parquet"),
        ("fashion_mnist", "zalando-datasets/fashion_mnist", "*.parquet"),
        ("imagenette(size=64)", "frgfm/imagenette", "320px/*.parquet"),
    ],
)
def test_a_download_asks_the_hub(monkeypatch, tmp_path, name, repository, pattern):
    asked = []

    def download(repo_id, *, repo_type, allow_patterns):
        asked.append((repo_id, repo_type, allow_patterns))
        (tmp_path / "320px").mkdir()
        (tmp_path / "320px" / TRAIN).write_bytes(b"")
        return str(tmp_path)

    fake_hub(monkeypatch, download)
    source = data.make(name, download=True)
    assert asked == [(repository, "dataset", [pattern])]
    assert source.folder == tmp_path / pattern.removesuffix("*.parquet")
    assert source.name == name


def test_what_is_downloaded_is_read(monkeypatch, tmp_path):
    fake_hub(monkeypatch, lambda repo_id, **options: str(write_cifar(tmp_path, train=f"plain_text/{TRAIN}")))
    assert data.make("cifar10", download=True).load().train.labels.tolist() == LABELS[:5]


def test_what_a_download_cannot_do(monkeypatch, tmp_path):
    def offline(repo_id, **options):
        raise ConnectionError("no route to huggingface.co\nand much more")

    fake_hub(monkeypatch, offline)
    with pytest.raises(InputError, match=r"cannot download uoft-cs/cifar10 .*: no route to huggingface\.co$"):
        data.make("cifar10", download=True)
    fake_hub(monkeypatch, lambda repo_id, **options: str(tmp_path))
    with pytest.raises(
        InputError, match="hub has no parquet files in frgfm/imagenette/320px: get the data another way"
    ):
        data.make("imagenette", download=True)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"needs the package huggingface_hub: .* -m pip install 'gradskew\[hub\]'"):
        data.make("cifar10", download=True)
    with pytest.raises(InputError, match=r"imagenet12 cannot be downloaded\. .*image-net\.org.*imagenette"):
        data.make("imagenet12", download=True)
    with pytest.raises(InputError, match="digits are embedded"):
        data.make("digits", download=True)
    with pytest.raises(InputError, match="give a folder or have the data downloaded, not both"):
        data.make("cifar10", folder=tmp_path, download=True)


def test_the_real_cifar10():
    folder = real("cifar10")
    dataset = CIFAR10(folder=folder, train_size=40, test_size=20).load()
    assert (len(dataset.train), len(dataset.test)) == (40, 20)
    rows = pyarrow.parquet.read_table(folder / TEST, columns=["img", "label"]).to_pylist()
    chosen = {label: [] for label in range(10)}
    for image, label in zip(dataset.test.inputs, dataset.test.labels.tolist(), strict=True):
        chosen[label].append(image.numpy().transpose(1, 2, 0).tobytes())
    for row in rows:  # each chosen image is found again under its own label
        content = Image.open(io.BytesIO(row["img"]["bytes"])).convert("RGB").tobytes()
        if content in chosen[row["label"]]:
            chosen[row["label"]].remove(content)
    assert not any(chosen.values())


def test_the_real_imagenette():
    dataset = Imagenette(folder=real("imagenette72"), size=32, train_size=30, test_size=10).load()
    assert dataset.train.inputs.shape == (30, 3, 32, 32)
    assert dataset.test.inputs.shape == (10, 3, 32, 32)
    assert 0.2 < dataset.train.inputs.double().mean() / 255 < 0.7
