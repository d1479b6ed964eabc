"""Data in memory: arrays, tensors, tables and data sets of other libraries, known by what they can do."""

import pickle
import types

import numpy as np
import pyarrow
import pytest
import torch
from data_files import encoded, pixels
from PIL import Image

import gradskew as gs
from gradskew import data
from gradskew.core.errors import InputError
from gradskew.data import InMemory, cache

X = np.arange(60.0).reshape(20, 3)
Y = np.array([0, 1] * 10)
SITES = np.array(["b", "a", "c", "a"] * 5)
TABLE = pyarrow.table({**{f"x{i}": X[:, i] for i in range(3)}, "site": SITES, "y": Y})

LISTS = pyarrow.table({"x0": X[:, 0], "y": pyarrow.DictionaryArray.from_arrays(Y, pyarrow.array([[1], [2]]))})


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADSKEW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Items:
    """A data set of items (input, label), as torch and torchvision have them."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        if not 0 <= i < len(self):
            raise IndexError(i)
        return self.items[i]


class HubSet:
    """What `datasets.Dataset` can do, as far as it matters here."""

    features = types.MappingProxyType({})

    def __init__(self, table):
        self.table, self.column_names = table, table.column_names

    def with_format(self, name):
        assert name == "arrow"
        return _Whole(self.table)


class _Whole:
    def __init__(self, table):
        self.table = table

    def __getitem__(self, rows):
        assert rows == slice(None)
        return self.table


class PolarsFrame:
    """What a polars frame can do."""

    def __init__(self, table):
        self.columns, self.dtypes, self.table = table.column_names, table.schema.types, table

    def to_arrow(self):
        return self.table


def rows_of(source):
    dataset = source.load()
    rows = []
    for split in (dataset.train, dataset.test):
        owners = [None] * len(split) if split.writers is None else split.writers.tolist()
        rows += zip(map(str, split.inputs.tolist()), split.labels.tolist(), owners, strict=True)
    return sorted(rows, key=str)


WANTED = sorted(zip(map(str, X.tolist()), Y.tolist(), [None] * 20, strict=True), key=str)
BY_SITE = sorted(zip(map(str, X.tolist()), Y.tolist(), ["abc".index(s) for s in SITES], strict=True), key=str)
ITEMS = [(torch.from_numpy(x), int(y)) for x, y in zip(X, Y, strict=True)]

PLAIN = {
    "arrays": (X, Y),
    "tensors": (torch.from_numpy(X), torch.from_numpy(Y)),
    "lists": (X.tolist(), Y.tolist()),
    "items": Items(ITEMS),
    "pairs": ITEMS,
    "torch": torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)),
}


@pytest.mark.parametrize("given", PLAIN.values(), ids=PLAIN)
def test_arrays_and_items(given):
    assert rows_of(gs.source(given, standardise=False)) == WANTED
    assert gs.source(given).partition == "dirichlet"


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ((X, Y, SITES), {}),
        ((X, Y), {"client": SITES}),
        (Items(ITEMS), {"client": list(SITES)}),
        (TABLE, {"label": "y", "client": "site"}),
        (HubSet(TABLE), {"label": "y", "client": "site"}),
        (PolarsFrame(TABLE), {"label": "y", "client": "site"}),
    ],
    ids=["arrays", "apart", "items", "pyarrow", "datasets", "polars"],
)
def test_clients(given, options):
    source = gs.source(given, standardise=False, **options)
    assert source.partition == "writer"
    assert rows_of(source) == BY_SITE


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float8_e5m2])
def test_floats_that_numpy_does_not_have(kind):
    inputs, labels = torch.from_numpy(X / 4).to(kind), torch.from_numpy(Y).to(kind)
    wanted = (inputs.double().numpy(), Y)  # float64 has all of them
    for given in ((inputs, labels), list(zip(inputs, labels, strict=True))):
        assert rows_of(gs.source(given, standardise=False)) == rows_of(gs.source(wanted, standardise=False))
    split = gs.Split(inputs, labels)
    held = data.make(gs.Dataset(split, split, num_classes=2)).load()
    assert held.train.inputs.tolist() == wanted[0].tolist()


def test_numbers_among_objects_stay_numbers():
    """10 comes after 9 as a number, and before it as a text."""
    labels = np.array([9, 10] * 10, object)
    assert rows_of(gs.source((X, labels, labels), standardise=False)) == sorted(
        zip(map(str, X.tolist()), [0, 1] * 10, [0, 1] * 10, strict=True), key=str
    )


def test_a_frame_of_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({**{f"x{i}": X[:, i] for i in range(3)}, "site": SITES, "y": Y})
    assert rows_of(gs.source(frame, label="y", client="site", standardise=False)) == BY_SITE
    with pytest.raises(InputError, match=r"^gradskew.source\(data, label=COLUMN\) names the column"):
        data.make(frame)
    with pytest.raises(InputError, match=r"there is no column 'z', which label names; there are 'x0'.*'y'$"):
        gs.source(frame, label="z")
    with pytest.raises(InputError, match=r"dataset='csv:h[.]csv' is enough for a name"):
        gs.source("csv:h.csv")


@pytest.mark.parametrize(
    "parts",
    [
        {"train": (X[:15], Y[:15]), "test": (X[15:], Y[15:])},
        {"train": Items(ITEMS[:15]), "validation": Items(ITEMS[15:])},
        {"train": (X[:15], Y[:15], SITES[:15]), "test": (X[15:], Y[15:], SITES[15:])},
    ],
)
def test_parts_that_are_divided(parts):
    dataset = gs.source(parts, standardise=False).load()
    assert dataset.train.inputs.tolist() == X[:15].tolist()
    assert dataset.test.inputs.tolist() == X[15:].tolist()


def test_a_test_part_without_clients():
    """c has two training rows, fewer than three, so that min_rows leaves it out; all test rows stay."""
    tables = {"train": TABLE.slice(0, 10), "test": TABLE.slice(10).drop_columns("site")}
    sources = [
        gs.source({"train": (X[:10], Y[:10], SITES[:10]), "test": (X[10:], Y[10:])}, min_rows=3, standardise=False),
        gs.source(tables, label="y", client="site", min_rows=3, standardise=False),
    ]
    for source in sources:
        dataset = source.load()
        assert source.partition == "writer"
        assert dataset.train.inputs.tolist() == [
            x for x, site in zip(X[:10].tolist(), SITES, strict=False) if site != "c"
        ]
        assert dataset.train.writers.tolist() == ["ab".index(site) for site in SITES[:10] if site != "c"]
        assert dataset.test.inputs.tolist() == X[10:].tolist()
        assert dataset.test.writers is None
    with pytest.raises(InputError, match="the test part has clients, and the training part has none"):
        gs.source({"train": (X[:10], Y[:10]), "test": (X[10:], Y[10:], SITES[10:])})


def test_tables_that_are_divided():
    parts = {"train": HubSet(TABLE.slice(0, 15)), "test": HubSet(TABLE.slice(15))}
    dataset = gs.source(parts, label="y", drop="site", standardise=False).load()
    assert dataset.test.inputs.tolist() == X[15:].tolist()


def test_images_of_pillow_and_of_a_table():
    images = pixels(12, 5, 5, 3)
    wanted = {image.transpose(2, 0, 1).tobytes(): label for image, label in zip(images, Y[:12], strict=True)}
    of_items = Items([(Image.fromarray(image), label) for image, label in zip(images, Y[:12], strict=True)])
    column = [{"bytes": encoded(image), "path": None} for image in images]
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    table = pyarrow.table({"picture": pyarrow.array(column, kind), "label": Y[:12]})
    of_table = gs.source(HubSet(table), label="label", images="picture")
    for source in (gs.source(of_items), of_table):
        dataset = source.load()
        assert dataset.train.inputs.dtype == torch.uint8
        for split in (dataset.train, dataset.test):
            for image, label in zip(split.inputs.numpy(), split.labels.tolist(), strict=True):
                assert wanted[image.tobytes()] == label
    assert gs.source(HubSet(table), label="label", images="picture", size=4).load().shape == (3, 4, 4)


def test_a_data_set_and_a_source_are_taken_as_they_are():
    digits = gs.Digits()
    assert data.make(digits) is digits
    held = data.make(digits.load())
    assert held.load() is digits.load()


def test_equal_arrays_are_equal_sources_under_one_name():
    first, again, other = gs.source((X, Y)), gs.source((X.copy(), Y)), gs.source((X + 1.5 * X, Y[::-1].copy()))
    assert first == again != other
    assert hash(first) == hash(again)
    assert first.name == "memory"
    runs = [gs.Run(source=source) for source in (first, again, other)]
    assert runs[0].digest == runs[1].digest != runs[2].digest


def test_other_processes_read_it_from_the_cache(home, monkeypatch, capsys):
    source = gs.source((X, Y, SITES))
    sent = pickle.dumps(source)
    assert len(sent) < 2000
    got = pickle.loads(sent)
    assert got == source
    assert isinstance(got, InMemory)
    assert got.read().digest == source.sha256
    assert got.partition == "writer"
    for entry in home.glob("[0-9a-f]*"):
        for path in entry.iterdir():
            path.unlink()
    with pytest.raises(InputError, match="no longer in the cache"):
        got.read()
    monkeypatch.setattr(cache, "_store", lambda *args: (_ for _ in ()).throw(OSError("full")))
    whole = pickle.loads(pickle.dumps(gs.source((X + 3, Y))))  # without a cache it is sent itself
    assert torch.equal(whole.dataset.test.labels, gs.source((X + 3, Y)).load().test.labels)
    assert "cannot write the cache" in capsys.readouterr().err


def test_bench_takes_arrays(tmp_path, capsys):
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(300, 4))
    labels = np.array(["low", "high"])[(inputs[:, 0] > 0).astype(int)]
    given = {"attacks": "none,strike", "rules": "mean,median", "rounds": 2, "clients": 5, "out": tmp_path / "out"}
    table = gs.bench(dataset=(inputs, labels), **given)
    assert "memory, mlp(hidden=100)" in table.federation
    assert "labels 'high', 'low' are classes 0 to 1" in table.data
    err = capsys.readouterr().err
    assert "  labels 'high', 'low' are classes 0 to 1\n" in err
    quiet = gs.bench(dataset=(inputs, labels), **given, progress=False)
    assert quiet.data == table.data  # from the stored records
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("given", "options", "says"),
    [
        (3, {}, r"a dataset is a name, a Source, arrays \(X, y\), .* not of type int"),
        (X, {}, "a dataset is a name, a Source, arrays"),
        ((X,), {}, r"arrays are \(X, y\) or \(X, y, clients\), not 1 of them"),
        ((X, Y[:3]), {}, "one label for each input"),
        ([1, 2], {}, r"each item must be \(input, label\), not of type int"),
        ([], {}, "the data set has no items"),
        (Items([([1.0], 0), ([1.0, 2.0], 1)]), {}, "the inputs have different shapes"),
        ((X, Y), {"label": "y"}, "label is of a frame or a table: tuple has no columns"),
        ((X, Y), {"test": "file.csv"}, "test is a share"),
        ((X, Y), {"min_row": 0.1}, "unknown option of source 'min_row'; did you mean 'min_rows'"),
        ((X, Y, SITES), {"client": SITES}, "the clients are given twice"),
        (TABLE, {"label": "died"}, "there is no column 'died', which label names"),
        (TABLE, {"label": "y", "client": SITES}, "client names the column"),
        (TABLE, {"label": "y", "images": "x0"}, "the column 'x0' must hold encoded images"),
        (LISTS, {"label": "y", "features": "x0"}, "the column 'y' holds list<.*>: a label, a client or a category is"),
        (LISTS, {"label": "x0"}, "the column 'y' holds list<.*>, neither numbers nor texts: drop=y"),
        ({"train": (X, Y)}, {}, "a mapping has train and test"),
        ((X, Y), {"missing": "no"}, "missing must be one of refuse, drop, mean"),
        (([[1.0], [1.0, 2.0]], [0, 1]), {}, "rows of different lengths"),
        ((X, ["a", None] * 10), {}, "10 of 20 labels are missing, the first is row 2"),
        ((X, np.array([0, 1, 1, np.nan] * 5, object)), {}, "5 of 20 labels are missing, the first is row 4"),
        ((X, ["a", np.nan] * 10), {}, "10 of 20 labels are missing"),
        ((X, Y, np.array(["a", None] * 10)), {}, "10 of 20 clients are missing"),
        ((np.ma.masked_equal(X, 3), Y), {}, "inputs has masked entries"),
        ((X, np.ma.masked_equal(Y, 1)), {}, "labels has masked entries"),
        ((X, Y, np.ma.masked_equal(SITES, "a")), {}, "clients has masked entries"),
        ((X, Y), {"client": np.ma.masked_equal(SITES, "a")}, "client has masked entries"),
        ({"train": (X, Y), "test": (np.ma.masked_equal(X, 3), Y)}, {}, "inputs has masked entries"),
        ((torch.from_numpy(X).to_sparse(), Y), {}, r"inputs: a tensor that NumPy does not take \(.*to_dense"),
        ((X, torch.zeros(20, device="meta")), {}, "labels: a tensor that NumPy does not take"),
        ([(np.ma.masked_equal(x, 3), y) for x, y in zip(X, Y, strict=True)], {}, "an item has masked entries"),
    ],
)
def test_what_is_wrong_is_one_line(given, options, says):
    with pytest.raises(InputError, match=says) as caught:
        gs.source(given, **options)
    assert "\n" not in str(caught.value)


def test_an_object_has_no_folder(tmp_path):
    with pytest.raises(InputError, match="an object has its own folder"):
        data.make((X, Y), folder=tmp_path)
