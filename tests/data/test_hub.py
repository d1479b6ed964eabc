"""Data sets of the Hugging Face hub and of its library, without a network: what is read, and what is refused."""

import json
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from data_files import encoded, pixels

import gradskew as gs
from gradskew import data
from gradskew.core.errors import InputError
from gradskew.data import base
from gradskew.runs.settings import make_runs

datasets = pytest.importorskip("datasets", reason="needs datasets: pip install 'gradskew[hf]'")
hub = pytest.importorskip("huggingface_hub")

COMMIT, OTHER = "5f" * 20, "ab" * 20
X = np.arange(40.0).reshape(20, 2)
Y = np.array([1, 0] * 10)
SITES = ["b", "a", "c", "a"] * 5
NAMES = ["well", "ill"]  # not in alphabetical order: 0 is well
TABLE = datasets.Features(
    {
        **dict.fromkeys(("x0", "x1"), datasets.Value("float32")),
        "site": datasets.Value("string"),
        "state": datasets.ClassLabel(names=NAMES),
    }
)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Own caches, no bars, no network, and no data set that an earlier test has loaded from the same path."""
    monkeypatch.setenv("GRADSKEW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "huggingface"))
    monkeypatch.setattr(base, "_loaded", {})
    monkeypatch.setattr(hub.HfApi, "dataset_info", unreachable)
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity_error()


def unreachable(*args, **kwargs):
    raise ConnectionError("no route to the hub\nand much more")


def table(rows=slice(None), features=TABLE, **changes):
    columns = {"x0": X[rows, 0], "x1": X[rows, 1], "site": SITES[rows], "state": Y[rows]}
    return datasets.Dataset.from_dict({**columns, **changes}, features=features)


def divided(*names, at=12):
    parts = dict(zip(names, (table(slice(0, at)), table(slice(at, None))), strict=True))
    return datasets.DatasetDict(parts)


def load(name):
    return data.make(name).load()


def rows_of(*splits):
    """Return the rows as sorted (inputs, label, client)."""
    rows = []
    for split in splits:
        owners = [None] * len(split) if split.writers is None else split.writers.tolist()
        rows += zip(split.inputs.tolist(), split.labels.tolist(), owners, strict=True)
    return sorted(rows, key=str)


def test_a_table_that_save_to_disk_has_written(tmp_path):
    table().save_to_disk(tmp_path / "saved")
    source = data.make(f"hf:{tmp_path / 'saved'}(client=site,standardise=False)")
    read = source.load()
    owners = ["abc".index(site) for site in SITES]
    wanted = sorted(zip(X.tolist(), Y.tolist(), owners, strict=True), key=str)
    assert rows_of(read.train, read.test) == wanted
    assert source.name == "hf(client=site,standardise=False)"
    assert source.partition == "writer"
    for said in ("read from the part 'train'", "label=state, as the data set declares"):
        assert said in read.notes
    assert "state 'well', 'ill' are classes 0 to 1" in read.notes


@pytest.mark.parametrize(
    ("parts", "options", "train", "test"),
    [
        (("train", "test"), "", slice(0, 12), slice(12, 20)),
        (("validation", "train"), "", slice(12, 20), slice(0, 12)),
        (("one", "two"), "train=two,test=one", slice(12, 20), slice(0, 12)),
        (("test", "train"), "train=test,test=train", slice(0, 12), slice(12, 20)),
        (("train", "extra"), "test=0.5", slice(0, 12), slice(0, 0)),
        (("train", "test"), "test=0.5", slice(0, 12), slice(0, 0)),
    ],
)
def test_parts(tmp_path, parts, options, train, test):
    divided(*parts).save_to_disk(tmp_path / "saved")
    read = load(f"hf:{tmp_path / 'saved'}(features=(x0,x1),standardise=False,{options})")
    rows = [rows_of(read.train, read.test)] if "0.5" in options else [rows_of(read.train), rows_of(read.test)]
    wanted = [sorted(zip(X[at].tolist(), Y[at].tolist(), [None] * 20, strict=False), key=str) for at in (train, test)]
    assert rows == wanted[: len(rows)]


def test_a_row_without_a_class_has_the_label_minus_one(tmp_path):
    table(state=[-1, -1, *Y[2:]]).save_to_disk(tmp_path / "saved")
    with pytest.raises(InputError, match=r"2 of 20 rows have no value in 'state' \(2\), the first of them row 1: miss"):
        load(f"hf:{tmp_path / 'saved'}")
    read = load(f"hf:{tmp_path / 'saved'}(missing=drop,features=(x0,x1),standardise=False)")
    assert rows_of(read.train, read.test) == sorted(
        zip(X[2:].tolist(), Y[2:].tolist(), [None] * 18, strict=True), key=str
    )


def test_texts(tmp_path):
    kinds = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    written = datasets.Dataset.from_dict({"text": ["bad", "good"] * 10, "label": [0, 1] * 10}, features=kinds)
    written.save_to_disk(tmp_path / "saved")
    read = load(f"hf:{tmp_path / 'saved'}(text=text,length=4)")
    assert read.tokens
    assert {bytes(row) for row in read.train.inputs.numpy()} == {b"bad\0", b"good"}
    with pytest.raises(InputError, match="drop=text leaves it out; text=text makes the texts the inputs"):
        load(f"hf:{texts_of_ids(tmp_path / 'ids')}(label=label)")


def texts_of_ids(folder):
    rows = {"text": [f"text {i}" for i in range(300)], "label": [0, 1] * 150}
    datasets.Dataset.from_dict(rows).save_to_disk(folder)
    return folder


def images(count, sizes):
    return [encoded(pixels(1, *sizes, seed=i)[0]) for i in range(count)]


def test_images_in_a_table_and_beside_it(tmp_path):
    """Those beside a table are in no Arrow file: one that changes makes another data set."""
    files, folder = images(8, (5, 5, 3)), tmp_path / "own"
    kinds = datasets.Features({"picture": datasets.Image(), "kind": datasets.ClassLabel(names=["cat", "dog"])})
    inside = [{"bytes": content, "path": "0.png"} for content in files]
    written = datasets.Dataset.from_dict({"picture": inside, "kind": [0, 1] * 4}, features=kinds)
    written.save_to_disk(tmp_path / "saved")
    for i, content in enumerate(files):
        path = folder / "train" / ["cat", "dog"][i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    wanted = {pixels(1, 5, 5, 3, seed=i)[0].transpose(2, 0, 1).tobytes(): i % 2 for i in range(8)}
    read = [load(f"hf:{each}") for each in (tmp_path / "saved", folder)]
    for each in read:
        assert "images=picture, as the data set declares" in each.notes or each is read[1]
        pairs = [
            (image, label)
            for split in (each.train, each.test)
            for image, label in zip(split.inputs, split.labels, strict=True)
        ]
        assert {image.numpy().tobytes(): int(label) for image, label in pairs} == wanted
    assert load(f"hf:{folder}(size=4,colour=False)").shape == (4, 4)
    path.write_bytes(encoded(pixels(1, 5, 5, 3, seed=99)[0]))
    assert data.make(f"hf:{folder}").read().digest != read[1].digest


def test_the_content_counts_and_not_the_folder(tmp_path):
    divided("train", "test").save_to_disk(tmp_path / "first")
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    first, second = (
        gs.Run(source=f"hf:{tmp_path / name}(client=site)", clients=3, byzantine=1) for name in ("first", "second")
    )
    assert first.digest == second.digest
    assert str(tmp_path) not in json.dumps(first.content)
    divided("train", "test", at=13).save_to_disk(tmp_path / "third")
    assert load(f"hf:{tmp_path / 'third'}(client=site)").digest != first.source.load().digest


def test_a_second_run_reads_the_cache_alone(tmp_path, monkeypatch):
    table().save_to_disk(tmp_path / "saved")
    first = data.make(f"hf:{tmp_path / 'saved'}").read()
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert data.make(f"hf:{tmp_path / 'saved'}").read().digest == first.digest


def test_files_that_load_dataset_takes(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    for name, rows in (("train", slice(0, 12)), ("test", slice(12, 20))):
        lines = [f"{x[0]},{x[1]},{NAMES[y]}" for x, y in zip(X[rows], Y[rows], strict=True)]
        (folder / f"{name}.csv").write_text("\n".join(["x0,x1,state", *lines]))
    read = load(f"hf:{folder}(label=state,standardise=False)")
    assert read.test.inputs.tolist() == X[12:].tolist()
    assert read.test.labels.tolist() == (1 - Y[12:]).tolist()  # texts, in alphabetical order


def test_what_datasets_has_in_memory():
    both = divided("train", "validation")
    read = gs.source(both, client="site", standardise=False).load()
    assert read.test.inputs.tolist() == X[12:].tolist()
    assert "state 'well', 'ill' are classes 0 to 1" in read.notes
    backwards = table().select(range(19, -1, -1))
    wanted = gs.source(table(), test=0.5, features=("x0", "x1"), standardise=False).load()
    read = gs.source(backwards, test=0.5, features=("x0", "x1"), standardise=False).load()
    assert rows_of(read.train, read.test) == rows_of(wanted.train, wanted.test)
    assert read.train.inputs.tolist()[0] > read.train.inputs.tolist()[-1]


def test_class_names_of_a_parquet_file(tmp_path):
    table().to_parquet(tmp_path / "own.parquet")
    assert "state 'well', 'ill' are classes 0 to 1" in load(f"parquet:{tmp_path / 'own.parquet'}(label=state)").notes


def downloaded():
    """Put a data set where `datasets` keeps what it downloaded from the hub; return its folder."""
    files = Path(datasets.config.HF_DATASETS_CACHE).parent / "made"
    files.mkdir(exist_ok=True)
    table(slice(0, 12)).to_parquet(files / "train.parquet")
    table(slice(12, 20)).to_parquet(files / "test.parquet")
    made = Path(datasets.load_dataset(str(files))["train"].cache_files[0]["filename"]).parent
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "own___visits" / "default" / "0.0.0" / COMMIT
    shutil.copytree(made, folder)
    for path in folder.glob("*.arrow"):
        path.rename(folder / path.name.replace("made", "visits"))
    return folder


def test_a_data_set_of_the_hub(monkeypatch):
    """As `datasets` gives it; other processes get the names of its files, and ask nobody."""
    folder, asked = downloaded(), []

    def load_dataset(*names, revision, keep_in_memory):
        asked.append((*names, revision))
        return {part: datasets.Dataset.from_file(str(folder / f"visits-{part}.arrow")) for part in ("train", "test")}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(hub.HfApi, "dataset_info", lambda *args, **kwargs: None)
    source = data.make("hf:own/visits(client=site,config=all,revision=v1,standardise=False)")
    assert source.name == "hf(client=site,standardise=False,hub=own/visits,config=all,revision=v1)"
    assert data.make(source.name) == source
    read = source.load()
    assert asked == [("own/visits", "all", "v1")]
    assert read.notes[0] == f"own/visits, revision={COMMIT}"
    assert read.test.inputs.tolist() == X[12:].tolist()
    assert gs.Run(source=source, clients=3, byzantine=1).content["dataset"] == source.name
    sent = pickle.loads(pickle.dumps(source))
    assert sent.read().digest == read.digest
    assert len(asked) == 1
    folder = folder.rename(folder.parent / OTHER)  # where another machine has it, which asks for itself
    assert sent.read().digest == read.digest
    assert len(asked) == 2


def test_without_the_hub_what_was_downloaded_before_is_read():
    downloaded()
    assert load("hf:own/visits").notes[0] == f"own/visits, revision={COMMIT}"
    assert load(f"hf:own/visits(revision={COMMIT})").notes[0] == f"own/visits, revision={COMMIT}"
    cannot = f"hf: revision={OTHER} of own/visits cannot be had, and {COMMIT} was downloaded before: ConnectionError"
    with pytest.raises(InputError, match=cannot):
        load(f"hf:own/visits(revision={OTHER})")
    with pytest.raises(InputError, match=r"^hf: cannot load own/visits: .*\['default'\] \(config=NAME names a"):
        load("hf:own/visits(config=all)")
    assert not datasets.config.HF_HUB_OFFLINE


@pytest.mark.parametrize(
    ("error", "says"),
    [
        ("RepositoryNotFoundError", "the Hugging Face hub has no data set 'own/visits' that it shows you: hf:OWNER/NA"),
        ("RevisionNotFoundError", "own/visits has no revision 'v1' on the Hugging Face hub"),
    ],
)
def test_what_the_hub_does_not_have(monkeypatch, error, says):
    kind = getattr(hub.errors, error)

    def refuse(*args, **kwargs):
        raise kind.__new__(kind)

    monkeypatch.setattr(hub.HfApi, "dataset_info", refuse)
    with pytest.raises(InputError, match=f"^hf: {says}"):
        load("hf:own/visits(revision=v1)")


def saved(folder):
    divided("train", "test").save_to_disk(folder)
    return folder


def differently_named(folder):
    other = datasets.Features({**TABLE, "state": datasets.ClassLabel(names=NAMES[::-1])})
    parts = {"train": table(slice(0, 12)), "test": table(slice(12, 20), other)}
    datasets.DatasetDict(parts).save_to_disk(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "hf:own/visits",
            "cannot reach the Hugging Face hub .*, and own/visits was not downloaded before: where it can",
        ),
        (
            "hf:own/visits(config=all)",
            r"load_dataset\('own/visits', 'all'\).save_to_disk\('FOLDER'\)\" writes a folder that hf:FOLDER reads$",
        ),
        ("hf:{tmp}/nowhere", "there is no folder '.*nowhere'; names on the hub are OWNER/NAME"),
        ("hf", r"no data set is given: write hf:OWNER/NAME\(label=COLUMN\), or name a folder with --data"),
        ("hf:own/visits(hub=a/b)", "the name is given twice: 'own/visits' and 'a/b'"),
        ("hf:{tmp}(hub=a/b)", "the hub's a/b and the folder '.*' are both given"),
        ("hf:{tmp}(revision=main)", "revision is of the hub, and a folder has none"),
        ("hf:{tmp}", "the folder '.*' is empty"),
        ("hf:{saved}(config=all)", "config is of files, and save_to_disk has written '.*saved'"),
        ("hf:{saved}(train=trian)", "there is no part 'trian': train=NAME names one of 'train', 'test'"),
        ("hf:{saved}(test=validation)", "there is no part 'validation': test=NAME names one of 'train', 'test'"),
        ("hf:{saved}(test=train)", "train and test both name the part 'train'"),
        ("hf:{saved}(label=stat)", "there is no column 'stat', which label names; there are 'x0', 'x1', 'site', 'sta"),
        ("hf:{saved}(size=8)", "size is of images: images names their column"),
        ("hf:{saved}(images=x0)", "the column 'x0' must hold encoded images as {bytes, path}, not float"),
        ("hf:{named}", "the parts of the data number the classes in 'state' differently"),
        ("hf:{files}(config=all)", r"cannot load '.*files': BuilderConfig 'all' not found.*\(config=NAME names a conf"),
        ("hf:{broken}", "cannot load '.*broken': "),
        ("hf:{saved}(folder=x)", r"hf has no option folder: hf:PATH or --data names the path$"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, name, says):
    made = {"tmp": tmp_path / "empty", "saved": saved(tmp_path / "saved"), "named": tmp_path / "named"}
    made |= {"files": tmp_path / "files", "broken": tmp_path / "broken"}
    for each in ("tmp", "files", "broken"):
        made[each].mkdir()
    (made["files"] / "own.csv").write_text("x,y\n1,2\n")
    (made["broken"] / "train.parquet").write_bytes(b"PAR1 and no more")
    if "named" in name:
        differently_named(made["named"])
    with pytest.raises(InputError, match=says) as caught:
        load(name.format(**made))
    assert "\n" not in str(caught.value)


def test_a_missing_library_is_named_with_its_command(tmp_path, monkeypatch):
    saved(tmp_path / "saved")
    monkeypatch.setitem(sys.modules, "datasets", None)
    for name in ("hf:own/visits", f"hf:{tmp_path / 'saved'}"):
        with pytest.raises(InputError, match=r"^hf: it needs the package datasets: .* install 'gradskew\[hf\]'$"):
            load(name)


def test_the_command_and_python(call, tmp_path):
    saved(tmp_path / "saved")
    given = {"attacks": "none", "rules": "mean", "byzantine": 0, "dataset": f"hf:{tmp_path / 'saved'}(client=site)"}
    words = [word for key, value in given.items() for word in (f"--{key}", value)]
    planned = call("bench", *words, "--dry-run")
    assert planned.code == 0
    assert "hf(client=site)" in planned.out + planned.err
    (run,), (same,) = make_runs(given), make_runs({**given, "dataset": "hf(client=site)", "data": tmp_path / "saved"})
    assert run.digest == same.digest
    assert (run.partition.key, run.clients) == ("writer", 3)
    wrong = call("bench", *words[:-1], "hf:own/visits", "--download")
    assert "hf downloads what is not here: leave --download out" in wrong.error()
