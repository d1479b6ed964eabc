"""What the fuzzer does to a user's own data: tables, arrays and folders of images, and the options that read them."""

import io
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow
import pyarrow.parquet
from data_files import encoded, pixels, write_parquet
from mutations import NUMBERS, TEXTS, damaged, garbled, near, pick

from gradskew import data
from gradskew.core.names import options
from gradskew.data import cache

ROWS = 24
SOUND = {  # options with which the sound files are read
    "csv": {"label": "y", "client": "c"},
    "npz": {"client": "c"},
    "parquet": {"label": "y", "client": "c"},
    "images": {"size": 4},
    "text": {"length": 5},
}
VALUES = {
    "features": ("a", "(a,t)", "(a,a)", "()", "''", "y"),
    "drop": ("a", "(a,t)", "(a,b,t,c)", "'Unnamed: 0'"),
    "categories": ("b", "(b,t)", "y"),
    "missing": ("drop", "mean", "refuse"),
    "test": ("0.1", "0.5", "0.6", "FILE"),
    "shape": ("3", "(1,3)", "(3,1,1)", "(10,10)"),
    "min_rows": ("2", "9", "100"),
    "standardise": ("True", "False", "2"),
    "sep": ("','", "';'", "5", "'|'"),
    "decimal": ("','", "'.'", "'\"'"),
    "encoding": ("latin1", "utf16", "ascii", "base64"),
    "images": ("image", "a"),
    "inputs": ("X", "Z", "y"),
    "labels": ("y", "c", "X"),
    "length": ("3", "0", "40", "1000"),
}
CELLS = (*TEXTS, *map(str, NUMBERS), "1,5", "2024-01-01", "true", "12:30", "NA", '"', '"a""b"', "\t")
TYPES = ("f8", "f4", "f2", "i8", "u1", "?", "U3", "S2", "c8", "O", "M8[s]", "m8[s]")


def _column(rng, kind: str) -> list[str]:
    """The texts of a column: numbers, few numbers, few texts; a few of them hostile."""
    number = rng.integers(0, {"a": 100, "b": 3, "t": 3, "c": 3, "y": 2}[kind], ROWS)
    cells = ["xyz"[i] if kind in "tc" else str(i) for i in number]
    for _ in range(int(rng.choice([0, 0, 0, 0, 0, 0, 0, 1, 3]))):
        cells[int(rng.integers(ROWS))] = pick(rng, CELLS)
    return cells


def _csv(rng, path: Path) -> None:
    names = ["a", "b", "t", "c", "y"]
    columns = [_column(rng, name) for name in names]
    if rng.random() < 0.3:
        place = int(rng.integers(len(names) + 1))
        names.insert(place, pick(rng, ("", "Unnamed: 0", "a", "y", " b ", "x" * 300, "=1", "\u202e")))
        columns.insert(place, [str(row) for row in range(ROWS)])
    sep = pick(rng, (",", ",", ";", "\t", "|"))
    text = "\n".join(sep.join(row) for row in (names, *zip(*columns, strict=True))) + "\n"
    text = garbled(rng, text) if rng.random() < 0.3 else text
    path.write_bytes(text.encode("utf16" if rng.random() < 0.05 else "utf8", "surrogatepass"))


def _changed(rng, array):
    """An array of another shape or type, or with hostile entries."""
    match int(rng.integers(6)):
        case 0:
            return array[: ROWS // 2]
        case 1:
            return array[..., None]
        case 2:
            return array.reshape(-1)
        case 3:
            return np.array(pick(rng, NUMBERS[:-20]))
        case 4:
            return np.where(rng.random(array.shape) < 0.1, pick(rng, (np.nan, np.inf, 1e300, 1e-300)), array)
        case _:
            return array.astype(pick(rng, TYPES))


def _npz(rng, path: Path) -> None:
    arrays = {
        "X": rng.normal(size=(ROWS, *pick(rng, ((3,), (3,), (3,), (2, 2), (4, 4, 3), (0,), ())))),
        "y": rng.integers(0, 2, ROWS),
        "c": rng.integers(0, 3, ROWS),
    }
    for _ in range(int(rng.choice([0, 0, 1]))):
        name = pick(rng, list(arrays))
        try:
            with np.errstate(all="ignore"):
                arrays[name] = _changed(rng, arrays[name])
        except (ValueError, TypeError, OverflowError):
            del arrays[name]
    if rng.random() < 0.1:
        file = io.BytesIO()
        np.save(file, pick(rng, list(arrays.values())) if arrays else np.zeros(3))
        path.write_bytes(file.getvalue())
        return
    if rng.random() < 0.1 and {"X", "y"} <= arrays.keys():
        arrays = {"x_train": arrays["X"], "y_train": arrays["y"], "x_test": arrays["X"], "y_test": arrays["y"]}
    with path.open("wb") as file:
        np.savez(file, **arrays)


def _parquet(rng, path: Path) -> None:
    if rng.random() < 0.2:
        write_parquet(path, list(pixels(6, 4, 4)), [0, 1] * 3, label="y", c=list("xyzxyz"), a=list(range(6)))
        return
    columns: dict[str, object] = {}
    for name in ("a", "b", "t", "c", "y"):
        cells = _column(rng, name)
        plain = name in "tc" or not all(cell.isascii() and cell.isdigit() and len(cell) < 18 for cell in cells)
        columns[name] = [cell.encode("utf8", "replace").decode() for cell in cells] if plain else [*map(int, cells)]
    if rng.random() < 0.3:
        name = pick(rng, list(columns))
        nested = pyarrow.array([[row] for row in range(ROWS)])
        codes = pyarrow.array(list("xyzw") * (ROWS // 4)).dictionary_encode()
        floats = pyarrow.array([None, float("nan"), float("inf"), 1e300] * (ROWS // 4))
        dates = pyarrow.array([86400 * 10**6] * ROWS, pyarrow.timestamp("us"))
        columns[name] = pick(rng, (nested, codes, floats, dates, pyarrow.nulls(ROWS), [b"\xff"] * ROWS))
    pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=int(rng.choice([5, 100])))


def _images(rng, path: Path) -> None:
    path.mkdir()
    for number in range(8):
        image = pixels(*((1, 300) if rng.random() < 0.01 else pick(rng, ((4, 4, 3), (5, 7, 3), (4, 4)))))
        place = path / "ab"[number % 2] / f"{number}{pick(rng, ('.png', '.png', '.PNG', '.jpg', '.txt'))}"
        place.parent.mkdir(exist_ok=True)
        content = encoded(image)
        place.write_bytes(damaged(rng, content) if rng.random() < 0.05 else content)


def _text(rng, path: Path) -> None:
    path.mkdir()
    for number in range(int(rng.choice([1, 3, 3, 3]))):
        words = [pick(rng, ("no", "yes", "\n", "\0", "\u00e9", *TEXTS)) for _ in range(int(rng.integers(60)))]
        content = " ".join(words).encode("utf16" if rng.random() < 0.05 else "utf8", "surrogatepass")
        (path / f"{number}{pick(rng, ('.txt', '.txt', '.txt', '.md'))}").write_bytes(content)


WRITERS = {"csv": _csv, "npz": _npz, "parquet": _parquet, "images": _images, "text": _text}


def _options(rng, key: str) -> str:
    given = {option: str(value) for option, value in SOUND[key].items() if rng.random() < 0.95}
    known = [field.name for field in options(data.SOURCES.classes[key]) if field.repr or rng.random() < 0.1]
    for _ in range(int(rng.choice([0, 0, 1, 2]))):
        option = pick(rng, known)
        values = VALUES.get(option, ("1", "None", "x"))
        given[option] = near(rng, pick(rng, values)) if rng.random() < 0.1 else pick(rng, values)
    return f"({','.join(f'{option}={value}' for option, value in given.items())})"


def own(rng, folder: Path) -> None:
    """A user's data: refused in one sentence, or finite, of their classes, the same again, and told in sentences."""
    key = pick(rng, tuple(WRITERS))
    path = folder / f"{key}{int(rng.integers(1 << 60))}"
    WRITERS[key](rng, path)
    if path.is_file() and rng.random() < 0.1:
        path.write_bytes(damaged(rng, path.read_bytes()))
    source = data.make(f"{key}:{path}{_options(rng, key)}")
    with patch.object(cache, "root", _no_home):
        first = source.read()
        assert first.digest == source.read().digest
    for split in (first.train, first.test):
        assert len(split.inputs) == len(split.labels) > 0
        assert 0 <= split.labels.min() <= split.labels.max() < first.num_classes
        assert first.inputs(split.inputs).isfinite().all()
    assert first.notes
    assert all(note.isprintable() and len(note) <= 10_000 for note in first.notes)


def _no_home():
    raise RuntimeError("no cache: each case is read from its own files")
