"""What the fuzzer does to what a user writes: names, lists, config files, data sets and matrices."""

import functools
import gzip
import io
import json
import struct
from pathlib import Path
from unittest.mock import patch

import cifar10_files
import click
import idx_files
import leaf_files
import numpy as np
import pyarrow
import safetensors.numpy
import scipy.io
import torch
import tree_files
from data_files import encoded, pixels, write_parquet
from mutations import NUMBERS, changed, damaged, garbled, near, pick

from gradskew import aggregators, attacks, data, models
from gradskew.cli.bench import bench
from gradskew.core.errors import InputError
from gradskew.core.grammar import split_list
from gradskew.core.names import canonical, describe, options
from gradskew.core.presets import PRESETS
from gradskew.data import cache, partition
from gradskew.runs import settings
from gradskew.skew.matrices import read_matrix

KINDS = {
    "aggregator": (aggregators.make, [*aggregators.RULES.classes.values()]),
    "attack": (attacks.make, [*attacks.ATTACKS.classes.values()]),
    "partition": (partition.make, [*partition.PARTITIONS.classes.values()]),
    "model": (models.make, [*models.MODELS.classes.values()]),
    "dataset": (data.make, [*data.SOURCES.classes.values()]),
}
WORDS = (
    *[
        "midpoint",
        "lower",
        "upper",
        "n-f-1",
        "n-f",
        "f/s",
        "one",
        "std",
        "sign",
        "unit",
        "zero",
        "mean",
        "batch",
        "group",
        "True",
        "None",
        "'x'",
        "(1,2)",
        "(200,100)",
        "()",
    ],
    *["multikrum(m=1)", "nnm + median", "a(b=c(d=1)+e)", '"a,b)"', r"'it\'s'", "npz:/a-b(1)", "own.module:Name(x=1)"],
    *["1e400", "-1", "0x10", "1_0", "inf", "1j", "[1]", "{}", "b'x'", "lambda:0"],
)


def _written(rng, cls) -> str:
    """A name with options, some of them right."""
    fields = [field for field in options(cls) if field.repr]
    given = []
    for field in fields:
        if rng.random() < 0.4:
            default = field.default
            value = pick(rng, (default, near(rng, default), pick(rng, WORDS), pick(rng, NUMBERS[:-20])))
            given.append(f"{field.name}={value}")
    key = cls.key.upper().replace("_", "-") if rng.random() < 0.1 else cls.key
    return f"{key}({','.join(given)})" if given else key


def _name(rng, kind: str) -> str:
    name = _written(rng, pick(rng, KINDS[kind][1]))
    if kind == "aggregator":
        for _ in range(int(rng.choice([0, 0, 1, 2, 30]))):
            name = _written(rng, pick(rng, list(aggregators.MIXINGS.classes.values()))) + "+" + name
    return garbled(rng, name) if rng.random() < 0.5 else name


def names(rng, folder: Path) -> None:
    """What is accepted has a name that says the same."""
    kind = pick(rng, list(KINDS))
    make = KINDS[kind][0]
    text = _name(rng, kind)
    if kind in ("model", "dataset", "partition"):
        text = text.replace(":", "")  # the path of a user's own module: it would be imported
    presets = kind in ("aggregator", "attack")
    made = make(text, preset=pick(rng, list(PRESETS))) if presets else make(text)
    again = make(made.name)
    assert again.name == made.name
    assert canonical(describe(again)) == canonical(describe(made)), f"{text!r} is not what its name {made.name!r} says"
    assert made.name.isprintable()


def lists(rng, folder: Path) -> None:
    """Lists, seeds and pictures: their parts are those of the text."""
    text = garbled(
        rng, pick(rng, ("0,1,2", "3", "7,", "none", "mean,lie(z=1.0,sign=-1)", "0,30", "10000")), "0123456789,() -+"
    )
    reader = int(rng.integers(3))
    if reader == 0:
        parts = split_list(text)
        assert all(parts)
        assert split_list(",".join(parts)) == parts
    elif reader == 1:
        seeds = settings.make_methods({"seeds": text})[2]
        assert seeds
        assert len(set(seeds)) == len(seeds)
        assert all(type(seed) is int and 0 <= seed < 10**20 for seed in seeds)
    else:
        rounds = settings._pictures(text)
        assert all(type(round) is int and round >= 0 for round in rounds)
        assert rounds or text == "none"


CONFIG = {
    "dataset": "digits",
    "partition": "dirichlet",
    "preset": "byzfl",
    "model": "linear",
    "attacks": ["none", "lie(z=1.0)"],
    "aggregators": "mean,nnm+median",
    "clients": 6,
    "sampled": 5,
    "byzantine": 0.2,
    "min_samples": 2,
    "beta": 0.5,
    "rounds": 3,
    "evaluate_every": 1,
    "epochs": 1,
    "batch": 64,
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "clip": 2.0,
    "knowledge": 1.0,
    "told": "actual",
    "engine": "auto",
    "precision": "float32",
    "device": "cpu",
    "workers": 1,
    "threads": 1,
    "seeds": 1,
    "lens": True,
    "pictures": "0",
    "out": "x",
}


def _toml(value) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))} = {_toml(entry)}" for key, entry in value.items()) + "}"
    if value is None or isinstance(value, bool | str):
        return json.dumps(value)
    return repr(value)


def config(rng, folder: Path) -> None:
    """A config file as `gradskew bench` takes it, up to the runs that it asks for."""
    chosen = {key: value for key, value in CONFIG.items() if rng.random() < 0.3}
    for _ in range(int(rng.integers(3))):
        key = pick(rng, list(CONFIG))
        if key not in ("model", "threads", "device"):  # what may really be had: gigabytes, threads
            chosen = {**chosen, key: CONFIG[key]}
            chosen = changed(rng, chosen)
            if not isinstance(chosen, dict):
                return
    text = "\n".join(f"{json.dumps(str(key))} = {_toml(value)}" for key, value in chosen.items()) + "\n"
    content = text.encode("utf-8", "surrogatepass")
    path = folder / "config.toml"
    path.write_bytes(damaged(rng, content) if rng.random() < 0.4 else content)
    try:
        given = bench.make_context("bench", [str(path)]).params
    except click.ClickException as error:
        raise InputError(error.format_message()) from None
    given = {"dataset": "digits", **given, "device": "cpu"}
    if str(given.get("model") or "linear") not in ("linear", "mlp", "cnn") or ":" in str(given.get("model")):
        given["model"] = "linear"
    for key in ("out", "workers"):
        given.pop(key)
    for run in settings.make_runs(given)[:3]:
        assert run.rounds >= 1
        assert run.digest == run.digest
        assert attacks.make(run.attack.name) == run.attack
        assert aggregators.make(run.aggregator.name) == run.aggregator
        assert len(run.partition(run.source.load(), run.clients, run.seed)) == run.clients


def _fashion(folder):
    idx_files.write_fashion(folder, packed=False)
    return data.FashionMNIST(folder=folder)


def _fashion_packed(folder):
    idx_files.write_fashion(folder)
    return data.FashionMNIST(folder=folder)


def _mnist(folder):
    idx_files.write_fashion(folder / "MNIST" / "raw", packed=False)
    return data.MNIST(folder=folder)


def _hundred(folder):
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        rows = [bytes([19, label]) + pixels(3, 32, 32).tobytes() for label in (0, 50, 99)]
        (folder / f"{part}.bin").write_bytes(b"".join(rows))
    return data.CIFAR100(folder=folder)


def _svhn(folder):
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        content = {"X": pixels(32, 32, 3, 4), "y": np.array([[1], [2], [9], [10]], np.uint8)}
        scipy.io.savemat(folder / f"{part}_32x32.mat", content)
    return data.SVHN(folder=folder)


def _leaf(folder):
    for part, writers in (
        ("train", {"f1": leaf_files.rows(1, 2), "f2": leaf_files.rows(2, 2)}),
        ("test", {"f1": leaf_files.rows(1, 1)}),
    ):
        leaf_files.write_leaf(folder / part / "a.json", writers)
    return data.FEMNIST(folder=folder)


def _letters(folder):
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        for kind, array in (("images-idx3", pixels(3, 28, 28)), ("labels-idx1", [1, 5, 26])):
            (folder / f"emnist-letters-{part}-{kind}-ubyte").write_bytes(idx_files.idx(array))
    return data.EMNIST(folder=folder, split="letters")


def _written_letters(folder):
    folder.mkdir(parents=True)
    rows = {"images": pixels(3, 784), "labels": np.array([[1], [5], [26]]), "writers": np.array([[9], [8], [9]])}
    scipy.io.savemat(folder / "emnist-letters.mat", {"dataset": {"train": rows, "test": rows}})
    return data.EMNIST(folder=folder, split="letters")


def _strings(folder):
    role = {"x": [chr(97 + i) * 80 for i in range(3)], "y": ["a", "}", "\n"]}
    leaf_files.write_leaf(folder / "train" / "a.json", {"f1": role, "f2": role})
    return data.Shakespeare(folder=folder)


def _tweets(folder):
    tweets = [["1", "Sat", "NO_QUERY", "f1", f"tweet {i}"] for i in range(3)]
    user = {"x": tweets, "y": [0, 1, 1]}
    leaf_files.write_leaf(folder / "train" / "a.json", {"f1": user, "f2": user})
    return data.Sent140(folder=folder, length=9)


def _binary(folder):
    cifar10_files.write_binary(folder)
    return data.CIFAR10(folder=folder)


def _python(folder):
    cifar10_files.write_python(folder)
    return data.CIFAR10(folder=folder)


def _tree(folder):
    tree_files.write_tree(folder)
    return data.Imagenette(folder=folder, size=4)


def _parquet(folder):
    images = list(pixels(4, 28, 28))
    for part in ("train", "test"):
        write_parquet(folder / f"{part}-00000-of-00001.parquet", images, [0, 1, 2, 9])
    return data.FashionMNIST(folder=folder)


def _written_parquet(folder):
    write_parquet(
        folder / "train.parquet",
        list(pixels(4, 28, 28)),
        [0, 1, 2, 61],
        label="character",
        writer_id=["a", "a", "b", "b"],
    )
    return data.FEMNIST(folder=folder)


LAYOUTS = (
    _fashion,
    _fashion_packed,
    _mnist,
    _hundred,
    _svhn,
    _letters,
    _written_letters,
    _leaf,
    _strings,
    _tweets,
    _binary,
    _python,
    _tree,
    _parquet,
    _written_parquet,
)


@functools.cache
def _sound(folder: Path, layout):
    """A sound data set in a folder, its source, and its files."""
    home = folder / layout.__name__
    source = layout(home)
    with patch.object(cache, "root", _no_home):
        source.read()
    return source, sorted(path for path in home.rglob("*") if path.is_file())


def _worse(rng, path: Path, content: bytes) -> bytes:
    """The content of a data file, damaged: as the format has it where that is known, else byte by byte."""
    if rng.random() < 0.4:
        return damaged(rng, content)
    if path.suffix == ".json":
        return json.dumps(changed(rng, json.loads(content))).encode("utf-8", "surrogatepass")
    if path.suffix == ".gz":
        return gzip.compress(damaged(rng, gzip.decompress(content)))
    if path.name.endswith("ubyte"):
        sizes = [int(pick(rng, (0, 1, 2, 5, 2**16, 2**31, 2**32 - 1))) for _ in range(content[3])]
        return content[:4] + struct.pack(f">{len(sizes)}I", *sizes) + content[4 + 4 * len(sizes) :]
    if path.suffix in (".JPEG", ".png"):
        shape = pick(rng, ((1, 1, 3), (1, 300, 3), (8, 8), (30, 20, 4)))
        return encoded(pixels(*shape), "PNG")
    if path.suffix == ".bin":
        return content[: int(rng.integers(len(content)))] + content
    return damaged(rng, content)


def _rewritten(rng, path: Path) -> None:
    """A sound parquet file with wrong columns."""
    labels = pick(rng, ([0, 1], [0, -1], [0, 10**12], [0.5, 1.0], ["0", "1"], [None, 1], [True, False], [0, 99]))
    images = pick(
        rng,
        (
            list(pixels(2, 28, 28)),
            [None, None],
            [b"", b"x"],
            list(pixels(2, 1, 1)),
            [encoded(pixels(28, 28), "GIF")] * 2,
        ),
    )
    writers = pick(rng, (["a", "a"], ["a", None], ["x" * 500, "y"], [1, 2], ["", ""], ["\0", "\0"]))
    try:
        write_parquet(
            path,
            images,
            labels,
            label=pick(rng, ("label", "character", "x")),
            image=pick(rng, ("image", "x")),
            writer_id=writers,
        )
    except (pyarrow.ArrowException, OverflowError):
        path.write_bytes(b"")


def loaders(rng, folder: Path) -> None:
    """A data set with a damaged file: refused in one sentence, or what is read is sound and the same again."""
    source, files = _sound(folder, pick(rng, LAYOUTS))
    path = pick(rng, files)
    before = path.read_bytes()
    try:
        if path.suffix == ".parquet" and rng.random() < 0.3:
            _rewritten(rng, path)
        elif rng.random() < 0.03:
            path.unlink()
        else:
            path.write_bytes(_worse(rng, path, before))
        with patch.object(cache, "root", _no_home):
            first = source.read()
            assert first.digest == source.read().digest
    finally:
        path.write_bytes(before)
    for split in (first.train, first.test):
        assert split.inputs.dtype == torch.uint8
        assert len(split.inputs) == len(split.labels) > 0
        assert 0 <= split.labels.min() <= split.labels.max() < first.num_classes
        assert first.inputs(split.inputs).isfinite().all()


def _no_home():
    raise RuntimeError("no cache: each case is read from its own files")


def _npy(rng) -> bytes:
    kind = pick(rng, ("<f4", "<f8", "<f2", ">f4", "<i4", "<c8", "O", "<U3", "V4"))
    shape = pick(rng, ((3, 4), (1, 1), (0, 4), (4, 0), (12,), (2, 2, 3), ()))
    file = io.BytesIO()
    array = np.ones(shape, kind if kind not in ("O", "V4") else "<f4")
    np.save(file, np.asfortranarray(array) if rng.random() < 0.2 else array)
    content = file.getvalue()
    if rng.random() < 0.4:
        old, new = pick(
            rng,
            (
                ("<f4", "|O8"),
                ("(3, 4)", "(3,-4)"),
                ("(3, 4)", "(9,99)"),
                ("False", "True "),
                ("{", "("),
                ("'descr'", "'dexcr'"),
            ),
        )
        content = content.replace(old.encode(), new.encode())
    return content


def _safetensors(rng) -> bytes:
    tensors = (
        {"a": np.ones((3, 4), "<f4")} if rng.random() < 0.6 else {"w": np.ones((2, 2), "<f4"), "b": np.ones(2, "<f8")}
    )
    content = safetensors.numpy.save(tensors)
    length = int.from_bytes(content[:8], "little")
    if rng.random() < 0.6:
        header = json.dumps(changed(rng, json.loads(content[8 : 8 + length]))).encode()
        return len(header).to_bytes(8, "little") + header + content[8 + length :]
    return content


def matrices(rng, folder: Path) -> None:
    """What `gradskew skew` takes: the matrix is of floats, no larger than its files, and readable."""
    suffix, make = pick(rng, ((".npy", _npy), (".safetensors", _safetensors)))
    several = rng.random() < 0.2
    home = folder / "clients"
    home.mkdir(exist_ok=True)
    for old in home.iterdir():
        old.unlink()
    paths = [home / f"client{number}{suffix}" for number in range(2 if several else 1)]
    for path in paths:
        content = make(rng)
        path.write_bytes(damaged(rng, content) if rng.random() < 0.5 else content)
    rows = read_matrix(home if several else paths[0])
    assert rows.dtype in (torch.float32, torch.float64)
    assert rows.ndim == 2
    assert rows.numel() > 0
    assert 2 * rows.numel() <= sum(path.stat().st_size for path in paths), "more numbers than 16 bits each would hold"
    assert rows.clone().shape == rows.shape  # every entry can be read
