"""A user's .npz, Parquet and folders of images: what is read, how it is divided, and one line for what is wrong."""

import pickle
import zipfile

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from data_files import encoded, pixels, write_parquet
from PIL import Image

from gradskew import data
from gradskew.core.errors import InputError

X = np.arange(60.0).reshape(20, 3)
Y = np.array([0, 1] * 10)
NAMES = np.array(["no", "yes"])[Y]
SITES = np.array(["b", "a", "c", "a"] * 5)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADSKEW_CACHE", str(tmp_path / "cache"))


def npz(folder, name="own.npz", **arrays):
    np.savez(folder / name, **arrays)
    return folder / name


def load(path, options="", prefix="npz"):
    return data.make(f"{prefix}:{path}{options}").load()


def rows_of(dataset):
    """Return all rows as sorted (inputs, label, client)."""
    rows = []
    for split in (dataset.train, dataset.test):
        clients = [None] * len(split) if split.writers is None else split.writers.tolist()
        rows += zip(map(str, split.inputs.tolist()), split.labels.tolist(), clients, strict=True)
    return sorted(rows)


WANTED = sorted(zip(map(str, X.tolist()), Y.tolist(), [None] * 20, strict=True))
BY_SITE = sorted(zip(map(str, X.tolist()), Y.tolist(), ["abc".index(site) for site in SITES], strict=True))


@pytest.mark.parametrize(
    ("arrays", "options"),
    [
        ({"X": X, "y": Y}, ""),
        ({"x": X, "labels": Y[:, None]}, ""),
        ({"images": X.astype(np.float32), "y": NAMES}, ""),
        ({"X": X.astype(int), "y": Y.astype(float)}, ""),
        ({"a": X, "b": Y, "X": X[:1]}, "inputs=a,labels=b,"),
        ({"X": X, "y": Y.astype(object).astype("S1")}, ""),
    ],
)
def test_arrays_are_read(tmp_path, arrays, options):
    dataset = load(npz(tmp_path, **arrays), f"({options}standardise=False)")
    assert [(row.replace(".0", ""), label) for row, label, _ in rows_of(dataset)] == [
        (row.replace(".0", ""), label) for row, label, _ in WANTED
    ]


def test_clients_of_an_array(tmp_path):
    path = npz(tmp_path, X=X, y=Y, hospital=SITES)
    dataset = load(path, "(client=hospital,standardise=False)")
    assert rows_of(dataset) == BY_SITE
    assert data.make(f"npz:{path}(client=hospital)").partition == "writer"
    assert data.make(f"npz:{path}").partition == "dirichlet"


@pytest.mark.parametrize(
    "names", ["x_train y_train x_test y_test", "train_images train_labels test_images test_labels"]
)
def test_files_that_are_divided(tmp_path, names):
    arrays = dict(zip(names.split(), (X[:15], Y[:15, None], X[15:], Y[15:, None]), strict=True))
    dataset = load(npz(tmp_path, **arrays), "(standardise=False)")
    assert dataset.train.inputs.tolist() == X[:15].tolist()
    assert dataset.test.inputs.tolist() == X[15:].tolist()
    assert "the test part is the data's own" in dataset.notes


def test_a_test_file_of_arrays(tmp_path):
    test = npz(tmp_path, "test.npz", X=X[15:], y=Y[15:])
    dataset = load(npz(tmp_path, X=X[:15], y=Y[:15]), f"(standardise=False,test={test})")
    assert dataset.test.inputs.tolist() == X[15:].tolist()


def test_images_with_the_channels_last_are_moved(tmp_path):
    images = pixels(20, 6, 5, 3)
    dataset = load(npz(tmp_path, images=images, y=Y))
    assert dataset.shape == (3, 6, 5)
    assert dataset.train.inputs.dtype == torch.uint8
    moved = images.transpose(0, 3, 1, 2).tolist()
    assert all(image in moved for image in dataset.train.inputs.tolist())
    assert any("channels last" in note for note in dataset.notes)
    seen = dataset.inputs(dataset.train.inputs).double()
    assert seen.mean((0, 2, 3)).tolist() == pytest.approx([0] * 3, abs=1e-5)
    assert seen.std((0, 2, 3), correction=0).tolist() == pytest.approx([1] * 3, abs=1e-5)
    assert data.make(f"npz:{npz(tmp_path, 'b.npz', X=pixels(20, 20, 20), y=Y)}").recipe["model"] == "cnn(stride=2)"
    assert data.make(f"npz:{tmp_path / 'own.npz'}").recipe["model"] == "mlp"  # 6 x 5 is too small


def test_gaps_in_arrays(tmp_path):
    holes = X.copy()
    holes[3, 1] = np.nan
    path = npz(tmp_path, X=holes, y=Y, c=SITES)
    with pytest.raises(
        InputError, match="npz: 1 of 20 rows have inputs that are NaN, the first of them row 4: missing=d"
    ):
        load(path)
    dropped = load(path, "(client=c,missing=drop,standardise=False)")
    assert rows_of(dropped) == sorted(row for row in BY_SITE if row[0] != str(X[3].tolist()))
    assert len(rows_of(load(path, "(missing=mean)"))) == 20


def object_array(folder):
    return npz(folder, X=np.array([{}, 1] * 10, dtype=object), y=Y)


def lone(folder, array=X):
    with (folder / "own.npz").open("wb") as file:
        np.save(file, array)
    return folder / "own.npz"


def cut(path, old, new):
    """Change the headers in the file, and write it again."""
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name).replace(old, new) for name in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return path


def other(folder, content):
    (folder / "own.npz").write_bytes(content)
    return folder / "own.npz"


@pytest.mark.parametrize(
    ("make", "options", "says"),
    [
        (
            lambda folder: npz(folder, a=X, y=Y),
            "",
            "no array X, x, images, inputs or data for the inputs; there are a, y: i",
        ),
        (
            lambda folder: npz(folder, X=X, b=Y),
            "",
            "no array y, labels or targets for the labels; there are X, b: labels=",
        ),
        (lambda folder: npz(folder, X=X, y=Y), "(inputs=Z)", "no array Z for the inputs"),
        (lambda folder: npz(folder, X=X, x=X, y=Y), "", "there are the arrays X and x: inputs=NAME names the inputs"),
        (lambda folder: npz(folder, X=X, y=Y), "(client=site)", "there is no array 'site'; there are X, y"),
        (lambda folder: npz(folder, X=X, y=Y[:5]), "", "one label for each input"),
        (lambda folder: npz(folder, X=X, y=np.eye(2)[Y]), "", r"one label for each input, .* not \(20, 2\) labels"),
        (lambda folder: npz(folder, X=X, y=Y, c=SITES[:3]), "(client=c)", "one client for each input"),
        (lambda folder: npz(folder, X=X[:, 0], y=Y), "", "a row for each input, not the shape"),
        (lambda folder: npz(folder, X=X + 1j, y=Y), "", "holds complex numbers, not numbers"),
        (lambda folder: npz(folder, X=X.astype(str), y=Y), "", "holds texts, not numbers"),
        (object_array, "", "holds Python objects, not numbers"),
        (
            lambda folder: npz(folder, X=np.where(X == 7, np.inf, X), y=Y),
            "",
            "1 rows have infinite inputs, the first is row 3",
        ),
        (
            lambda folder: npz(folder, X=X, y=np.where(Y == 1, np.nan, Y)),
            "",
            "labels must be numbers or texts, .* none missing",
        ),
        (lambda folder: npz(folder, X=X[:0], y=Y[:0]), "", "there are no rows"),
        (lambda folder: other(folder, b"PK\3\4 no zip"), "", "cannot read '.*own.npz': it is no .npz file of numpy"),
        (lambda folder: other(folder, b""), "", "cannot read '.*own.npz'"),
        (lone, "", r"own.npz' holds one array: numpy.savez\('own.npz', X=X, y=y\) writes inputs and labels"),
        (lambda folder: npz(folder, X=3.0, y=Y), "", r"a row for each input, not the shape \(\)"),
        (lambda folder: npz(folder, X=np.ones((20, 3, 0)), y=Y), "", r"inputs of the shape \(3, 0\) have no entries"),
        (lambda folder: cut(npz(folder, X=X, y=Y), b"'descr'", b"'descr'("), "", "cannot read '.*own.npz': it is no"),
        (lambda folder: npz(folder, X=X, y=1.0), "", r"one label for each input, .* not \(\) labels"),
        (lambda folder: npz(folder, X=X, y=Y, c=1), "(client=c)", r"one client for each input, and not \(\)"),
        (
            lambda folder: npz(folder, x_train=3.0, y_train=Y, x_test=3.0, y_test=Y),
            "",
            r"a row for each input, not the shape \(\)",
        ),
        (lambda folder: other(folder, pickle.dumps([1])), "", "cannot read '.*own.npz': it is no .npz file of numpy"),
        (lambda folder: other(folder, b"a,b\n1,2\n"), "", "cannot read '.*own.npz': it is no .npz file of numpy"),
        (lambda folder: lone(folder, np.array([{}, 1])), "", "holds Python objects, not numbers"),
        (
            lambda folder: npz(folder, x_train=X, y_train=Y, x_test=X[:, :2], y_test=Y),
            "",
            "training inputs have the shape",
        ),
        (lambda folder: npz(folder, x_train=X, y_train=Y, x_test=X, y_test=Y), "(test=0.1)", "test part of their own"),
        (lambda folder: npz(folder, x_train=X, y_train=Y, x_test=X, y_test=Y), "(seed=1)", "seed draws a test part"),
    ],
)
def test_wrong_arrays_are_one_line(tmp_path, make, options, says):
    with pytest.raises(InputError, match=says) as caught:
        load(make(tmp_path), options)
    assert str(caught.value).startswith("npz: ")
    assert "\n" not in str(caught.value)


def table(rows=slice(None)):
    columns = {f"x{i}": X[rows, i] for i in range(3)}
    return pyarrow.table({**columns, "site": SITES[rows], "died": NAMES[rows]})


def test_a_table_in_parquet(tmp_path):
    pyarrow.parquet.write_table(table(), tmp_path / "own.parquet")
    for label in ("labels", "label"):
        dataset = load(tmp_path / "own.parquet", f"({label}=died,client=site,standardise=False)", "parquet")
        assert rows_of(dataset) == BY_SITE


def test_a_folder_of_parquet_is_all_rows_or_two_parts(tmp_path):
    for i, rows in enumerate((slice(0, 8), slice(8, 20))):
        pyarrow.parquet.write_table(table(rows), tmp_path / f"part-{i}.parquet")
    assert rows_of(load(tmp_path, "(labels=died,client=site,standardise=False)", "parquet")) == BY_SITE
    divided = tmp_path / "divided"
    divided.mkdir()
    for name, rows in (("train-00000-of-00001", slice(0, 15)), ("test-00000-of-00001", slice(15, 20))):
        pyarrow.parquet.write_table(table(rows), divided / f"{name}.parquet")
    dataset = load(divided, "(labels=died,client=site,standardise=False)", "parquet")
    assert dataset.test.inputs.tolist() == X[15:].tolist()


@pytest.mark.parametrize("size", [None, 4])
def test_images_in_parquet(tmp_path, size):
    images = pixels(12, 8, 8, 3)
    write_parquet(tmp_path / "own.parquet", images, list(Y[:12]), writer=list(SITES[:12]))
    options = f"(images=image,labels=label,client=writer,size={size})"
    dataset = load(tmp_path / "own.parquet", options, "parquet")
    assert dataset.shape == ((3, 8, 8) if size is None else (3, 4, 4))
    wanted = [Image.fromarray(image).resize((size or 8,) * 2, Image.Resampling.BILINEAR) for image in images]
    wanted = [np.asarray(image).transpose(2, 0, 1).tolist() for image in wanted]
    found = [wanted.index(image) for split in (dataset.train, dataset.test) for image in split.inputs.tolist()]
    assert sorted(found) == list(range(12))
    owners = torch.cat([dataset.train.writers, dataset.test.writers]).tolist()
    assert ["abc"[owner] for owner in owners] == [SITES[row] for row in found]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("(client=site)", "label=COLUMN names the column of the classes"),
        ("(labels=dead)", "no column 'dead', which label names"),
        ("(labels=died,images=picture)", "no column 'picture', which images names"),
        ("(labels=died,images=site)", "'site' of '.*' must hold encoded images as {bytes, path}, not string"),
        ("(labels=died,images=x0,text=site)", "images and text both name the inputs: give one"),
        ("(labels=died,label=died)", "labels and label are the same option"),
        ("(labels=died,size=4)", "size is of images"),
        ("(labels=died,colour=False)", "colour is of images"),
        ("(labels=died,images=site,colour=grey)", "colour must be one of False, True, not 'grey'"),
        ("(labels=died,client=died)", "label and client both name the column 'died'"),
    ],
)
def test_wrong_options_of_parquet(tmp_path, options, says):
    pyarrow.parquet.write_table(table(), tmp_path / "own.parquet")
    with pytest.raises(InputError, match=says) as caught:
        load(tmp_path / "own.parquet", options, "parquet")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("options", ["(labels=kinds)", "(labels=died,client=kinds)"])
@pytest.mark.parametrize("values", [[[i] for i in Y], [{"a": i} for i in Y]], ids=["lists", "structs"])
def test_a_label_or_a_client_is_one_value(tmp_path, options, values):
    pyarrow.parquet.write_table(table().append_column("kinds", pyarrow.array(values)), tmp_path / "own.parquet")
    with pytest.raises(InputError, match=r"^parquet: the column 'kinds' holds .*: a label, a client or a cat"):
        load(tmp_path / "own.parquet", options.replace(")", ",features=x0)"), "parquet")


def test_wrong_files_of_parquet(tmp_path):
    (tmp_path / "own.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(InputError, match=r"parquet: cannot read '.*own.parquet': is the download complete"):
        load(tmp_path / "own.parquet", "(labels=y)", "parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"parquet: the folder '.*empty' has no parquet files"):
        load(tmp_path / "empty", "(labels=y)", "parquet")


@pytest.mark.parametrize("option", ["features", "drop", "categories"])
def test_images_are_the_only_inputs(tmp_path, option):
    path, images = tmp_path / "own.parquet", pixels(12, 4, 4, 3)
    write_parquet(path, images, list(Y[:12]), age=list(range(12)))
    says = f"{option} is of columns that are inputs, and the inputs are the images"
    with pytest.raises(InputError, match=f"^parquet: {says}"):
        load(path, f"(images=image,labels=label,{option}=age)", "parquet")
    with pytest.raises(InputError, match=f"^{says}"):
        data.source(pyarrow.parquet.read_table(path), label="label", images="image", **{option: "age"})


def tree(folder, names=("cat", "dog"), count=4, size=(6, 6), seed=0):
    images = pixels(count * len(names), *size, 3, seed=seed)
    for i, image in enumerate(images):
        path = folder / names[i % len(names)] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(image))
    return {image.transpose(2, 0, 1).tobytes(): i % len(names) for i, image in enumerate(images)}


def test_a_folder_for_each_class(tmp_path):
    wanted = tree(tmp_path / "own images, all")
    dataset = load(tmp_path / "own images, all", "(test=0.25)", "images")
    assert (len(dataset.train), len(dataset.test), dataset.shape) == (6, 2, (3, 6, 6))
    for split in (dataset.train, dataset.test):
        for image, label in zip(split.inputs.numpy(), split.labels.tolist(), strict=True):
            assert wanted[image.tobytes()] == label
    assert "folders 'cat', 'dog' are classes 0 to 1" in dataset.notes


def test_a_tree_that_is_divided(tmp_path):
    train, test = tree(tmp_path / "train"), tree(tmp_path / "val", count=2, seed=1)
    dataset = load(tmp_path, "", "images")
    for split, wanted in ((dataset.train, train), (dataset.test, test)):
        found = {
            image.tobytes(): label for image, label in zip(split.inputs.numpy(), split.labels.tolist(), strict=True)
        }
        assert found == wanted


def test_images_of_any_size_in_grey(tmp_path):
    tree(tmp_path, size=(9, 12))
    dataset = load(tmp_path, "(size=5,colour=False)", "images")
    assert dataset.shape == (5, 5)
    assert data.make(f"images:{tmp_path}(size=5,colour=False)").name == "images(size=5,colour=False)"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: tree(folder, size=(6, 7)), r"has 7 x 6 pixels: size=N makes squares of N x N"),
        (lambda folder: (folder / "bird").mkdir(), "'.*bird' has no JPEG or PNG files"),
        (lambda folder: (folder / "cat" / "0.png").write_bytes(b"x"), "0.png' does not decode"),
        (
            lambda folder: (folder / "dog" / "9.png").write_bytes(encoded(pixels(1, 5, 5, 3)[0])),
            "5 x 5 pixels, not 6 x 6",
        ),
    ],
)
def test_wrong_folders_are_one_line(tmp_path, spoil, says):
    tree(tmp_path / "own")
    spoil(tmp_path / "own")
    with pytest.raises(InputError, match=says) as caught:
        load(tmp_path / "own", "", "images")
    assert str(caught.value).startswith("images: ")


def test_wrong_options_of_folders(tmp_path):
    tree(tmp_path / "own")
    for value in ("grey", "None", "2"):
        with pytest.raises(InputError, match=r"^images: colour must be one of False, True, not"):
            load(tmp_path / "own", f"(colour={value})", "images")


def test_folders_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match=r"images: there is no folder '.*nowhere'"):
        load(tmp_path / "nowhere", "", "images")
    (tmp_path / "flat").mkdir()
    with pytest.raises(InputError, match=r"images: '.*flat' has no folders, one for each class"):
        load(tmp_path / "flat", "", "images")
    tree(tmp_path / "one", names=("cat",))
    with pytest.raises(InputError, match="images: the folder has one class only, 'cat'"):
        load(tmp_path / "one", "", "images")
