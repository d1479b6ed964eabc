"""ImageNet's subsets: folder trees, the cut from the middle, and what is wrong with bad ones."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from data_files import encoded, pixels, write_parquet
from PIL import Image
from tree_files import CLASSES, write_tree

from gradskew.core.errors import InputError
from gradskew.data import ImageNet12, Imagenette


@pytest.mark.parametrize("test", ["val", "validation", "test"])
@pytest.mark.parametrize("suffix", [".JPEG", ".jpg", ".png"])
def test_a_folder_tree_is_read(tmp_path, test, suffix):
    dataset = Imagenette(folder=write_tree(tmp_path, test=test, suffix=suffix), size=4).load()
    assert dataset.train.labels.tolist() == dataset.test.labels.tolist() == list(range(10))
    assert (dataset.shape, dataset.num_classes) == ((3, 4, 4), 10)
    for split, more in ((dataset.train, 0), (dataset.test, 10)):
        for label, image in enumerate(split.inputs):
            assert abs(image.double() - (20 * label + more)).max() <= 1  # what JPEG does to a plain image


def test_the_folder_above_an_archive(tmp_path):
    write_tree(tmp_path / "imagenette2-320")
    assert Imagenette(folder=tmp_path, size=4).load().train.labels.tolist() == list(range(10))
    write_tree(tmp_path / "imagenette2-160")
    with pytest.raises(InputError, match="has imagenette2-160, imagenette2-320: name one of them"):
        Imagenette(folder=tmp_path).layout()


def test_images_are_in_the_order_of_classes_then_names(tmp_path):
    write_tree(tmp_path, suffix=".png")
    home = tmp_path / "train" / CLASSES[3]
    for name, value in (("b.png", 7), ("a.png", 8)):
        (home / name).write_bytes(encoded(np.full((8, 8), value, np.uint8)))
    (home / "README.txt").write_text("no image")
    (tmp_path / "train" / ".DS_Store").mkdir()
    (tmp_path / "train" / "notes.txt").write_text("no class")
    train = Imagenette(folder=tmp_path, size=4).load().train
    assert train.labels.tolist() == [0, 1, 2, 3, 3, 3, 4, 5, 6, 7, 8, 9]
    assert train.inputs[:, 0, 0, 0].tolist() == [0, 20, 40, 8, 7, 60, 80, 100, 120, 140, 160, 180]


def test_hidden_files_are_no_images(tmp_path):
    write_tree(tmp_path)
    for part in ("train", "val"):
        (tmp_path / part / CLASSES[2] / "._n00000002_1.JPEG").write_bytes(b"\0\5\x16\7 what a Mac notes of a file")
    assert len(Imagenette(folder=tmp_path, size=4).load().train) == 10


def test_twelve_classes(tmp_path):
    classes = [f"class {number:02}" for number in range(12)]
    dataset = ImageNet12(folder=write_tree(tmp_path, classes=classes), size=8).load()
    assert dataset.num_classes == 12
    assert dataset.test.labels.tolist() == list(range(12))


@pytest.mark.parametrize("size", [8, 21, 64, 224])
@pytest.mark.parametrize(("width", "height"), [(500, 375), (40, 90), (256, 256), (7, 5)])
def test_images_are_resized_and_cut_out_of_the_middle(tmp_path, size, width, height):
    image = pixels(1, height, width, 3)[0]
    write_parquet(tmp_path / "train.parquet", [image], [0])
    write_parquet(tmp_path / "validation.parquet", [image], [0])
    got = Imagenette(folder=tmp_path, size=size).load().train.inputs[0].numpy().transpose(1, 2, 0)
    short = {8: 9, 21: 24, 64: 73, 224: 256}[size]  # 8 * 256 / 224 = 9.14, 21 -> 24, 64 -> 73.14
    wide, high = (short * width // height, short) if width > height else (short, short * height // width)
    resized = np.asarray(Image.fromarray(image).resize((wide, high), Image.Resampling.BILINEAR))
    places = [
        (top, left)
        for top in ((high - size) // 2, (high - size + 1) // 2)  # half a pixel may go either way
        for left in ((wide - size) // 2, (wide - size + 1) // 2)
    ]
    assert any(np.array_equal(got, resized[top : top + size, left : left + size]) for top, left in places)


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "1", "LA"])
def test_odd_pictures_become_colour(tmp_path, mode):
    write_tree(tmp_path, suffix=".png")
    path = tmp_path / "train" / CLASSES[0] / "odd.jpg"
    picture = Image.new("RGB", (9, 9), (255, 255, 255)).convert(mode)
    picture.save(path, "JPEG" if mode == "CMYK" else "PNG")
    images = Imagenette(folder=tmp_path, size=4).load().train.inputs
    assert images[1].tolist() == [[[255] * 4] * 4] * 3


def test_the_size_counts_in_the_name():
    assert Imagenette(size=64).name == "imagenette(size=64)"
    assert ImageNet12(train_size=3, folder=Path("x")).name == "imagenet12(train_size=3)"


@pytest.mark.parametrize("size", [0, -1, 1025, 3.5, True, None])
def test_a_wrong_size(size):
    with pytest.raises(InputError, match="size must be"):
        Imagenette(size=size)


def drop(*parts):
    return lambda folder: shutil.rmtree(folder.joinpath(*parts))


def add(*parts):
    return lambda folder: folder.joinpath(*parts).mkdir()


def put(*parts, content=b"\xff\xd8\xff\xe0 no JPEG"):
    return lambda folder: folder.joinpath(*parts).write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (drop("train", CLASSES[4]), "train' has 9 folders, one per class: there must be 10"),
        (add("train", "one more"), "train' has 11 folders, one per class: there must be 10"),
        (drop("val"), "val' must have the same folders as '.*train', one per class"),
        (drop("val", CLASSES[1]), "val' must have the same folders"),
        (add("val", "one more"), "val' must have the same folders"),
        (drop("train"), "has none of its files. Unpack imagenette2-320.tgz from https://"),
        (lambda folder: (folder / "train" / CLASSES[4] / f"{CLASSES[4]}_1.JPEG").unlink(), "n00000004' has no JPEG"),
        (put("train", CLASSES[4], "x.JPEG"), "n00000004/x.JPEG' does not decode: it is damaged, or not an image"),
        (put("val", CLASSES[4], "x.JPEG", content=b""), "n00000004/x.JPEG' does not decode"),
        (put("val", CLASSES[4], "y.jpg", content=encoded(pixels(1, 9, 9)[0], "JPEG")[:-20]), "y.jpg' does not decode"),
        (
            put("val", CLASSES[4], "thin.png", content=encoded(pixels(1, 1, 101)[0])),
            "thin.png' is too narrow .* 101 x 1 ",
        ),
        (add("val", CLASSES[4], "x.JPEG"), "cannot read '.*x.JPEG'"),
    ],
)
def test_bad_trees_give_one_line(tmp_path, spoil, says):
    spoil(write_tree(tmp_path))
    with pytest.raises(InputError, match=f"imagenette: .*{says}") as caught:
        Imagenette(folder=tmp_path, size=4).load()
    assert "\n" not in str(caught.value)
