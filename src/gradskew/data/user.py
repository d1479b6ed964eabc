"""Data that a user has in memory: arrays, tensors, frames, tables and data sets of other libraries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from ..core.errors import InputError, check, check_choice, unknown
from ..core.given import check_unmasked
from . import array_rows, cache
from .base import Array, Dataset, Source, widened
from .columns import MISSING, NoLabel
from .image_columns import ImageColumns
from .images import of_bytes
from .own_source import recipe_for
from .preparation import Examples, Preparation

OPTIONS = [field.name for field in fields(Preparation)]
KNOWN = [field.name for field in fields(ImageColumns)]


@dataclass(frozen=True, kw_only=True)
class InMemory(Source):
    """A data set that this process has in memory. sha256: its digest. natural: whether clients are known.

    Other processes read it from the cache, where it is put when it is first sent to one.
    """

    key: ClassVar[str] = "memory"
    min_samples: ClassVar[int] = 2
    sha256: str = field(repr=False)
    natural: bool = field(repr=False, compare=False)
    dataset: Dataset | None = field(repr=False, compare=False)

    @property
    def partition(self) -> str:  # type: ignore[override]
        return "writer" if self.natural else "dirichlet"

    @property
    def recipe(self) -> Mapping[str, Any]:  # type: ignore[override]
        return recipe_for(self.load())

    def read(self) -> Dataset:
        def gone() -> Dataset:
            raise InputError("the data set is no longer in the cache: run again")

        return self._cached(gone) if self.dataset is None else self.dataset

    def _cached(self, make: Callable[[], Dataset]) -> Dataset:
        return cache.load_or_make(f"{self.key} {self.sha256}", Path(), [], make)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields, without the data where the cache has them."""
        dataset = self.load()
        stored = self._cached(lambda: dataset)
        return {**vars(self), "dataset": dataset if stored is dataset else None}


def source(
    data: Any,
    *,
    label: str | None = None,
    client: Any = None,
    images: str | None = None,
    size: int | None = None,
    missing: str = "refuse",
    regression: bool = False,
    **options: Any,
) -> Source:
    """Return data in memory as a source, for `gs.bench(dataset=...)` and `Run(source=...)`.

    data: a `Dataset`; arrays or tensors `(X, y)`, or `(X, y, clients)`; a frame or table with the column `label` (of
    pandas, polars or pyarrow, a `datasets.Dataset`; `images` names a column of images there, `size` their side); a data
    set of which item i is (input, label), such as torchvision's; or `{"train": ..., "test": ...}` of any of these.
    label and images need no name where a `datasets.Dataset` declares one such column only. client: the column of the
    clients' ids, or an array of them; then each client has its own rows. missing: as in `csv:`. regression: labels are
    numbers to predict, with `loss="squared"`. options: test, seed, min_rows, shape, standardise, train_size and
    test_size of `csv:`, and for columns features, drop, categories, text, length and colour.
    """
    check_choice("missing", missing, MISSING)
    check_choice("regression", regression, (False, True))
    if isinstance(data, Source):
        return data
    check(not isinstance(data, str), f"source takes data in memory: dataset={str(data)[:80]!r} is enough for a name")
    if isinstance(data, Dataset):
        return _held(data)
    check(not isinstance(options.get("test"), str), "test is a share: a test part of its own is {'test': ...}")
    own = {name: options.pop(name) for name in OPTIONS if name in options}
    named = {"label": label, "client": client, "images": images, "size": size, "missing": missing}
    named |= {"regression": regression, **options}
    return _held(Preparation(**own).dataset(_examples(data, named)))


def _held(dataset: Dataset) -> InMemory:
    return InMemory(sha256=dataset.digest, natural=dataset.train.writers is not None, dataset=dataset)


def _examples(data: Any, named: Mapping[str, Any]) -> Examples:
    """Return the rows of data of any kind. named: the options of `source` that say which column is which."""
    parts = [data]
    if isinstance(data, Mapping):
        test = next((name for name in ("test", "validation", "val") if name in data), None)
        divided = "a mapping has train and test (or validation), or it is a frame: see gradskew.source"
        check("train" in data and test is not None, divided)
        parts = [data["train"], data[test]]
    tables = [_table(part) for part in parts]
    for option in named:
        if option not in KNOWN:
            raise unknown("option of source", option, [*OPTIONS, *KNOWN])
    if all(table is not None for table in tables):
        client = named["client"]
        check(client is None or isinstance(client, str), "client names the column of the clients' ids")
        try:
            return ImageColumns(**named).of_tables(*tables)
        except NoLabel as error:
            raise InputError(str(error).replace("label=COLUMN", "gradskew.source(data, label=COLUMN)", 1)) from None
    common = ("client", "missing", "regression")
    given = [option for option, value in named.items() if value is not None and option not in common]
    check(not given, f"{''.join(given[:1])} is of a frame or a table: {type(parts[0]).__name__} has no columns")
    rows, client = [_arrays(part) for part in parts], named["client"]
    if client is not None:
        check(len(rows) == 1, "the clients of two parts are the third array of each: (X, y, clients)")
        check(rows[0][2] is None, "the clients are given twice")
        rows = [(*rows[0][:2], _array(client, "client"))]
    return array_rows.of_parts(rows, named["missing"], named["regression"])


def _table(data: Any) -> Any:
    """Return data with named columns as a table of pyarrow, without the import of their library; None for others."""
    if hasattr(data, "with_format") and hasattr(data, "features"):  # of `datasets`
        return data.with_format("arrow")[:]
    if hasattr(data, "to_arrow"):  # of polars
        return data.to_arrow()
    if hasattr(data, "column_names") and hasattr(data, "to_batches"):  # of pyarrow
        return data
    if hasattr(data, "columns") and hasattr(data, "dtypes"):  # of pandas
        import pyarrow

        try:
            return pyarrow.Table.from_pandas(data, preserve_index=False)
        except pyarrow.ArrowException as error:
            raise InputError(f"a column of the frame has values of several types: {str(error)[:200]}") from None
    return None


def _arrays(data: Any) -> array_rows.Part:
    """Return inputs, labels and clients (None if not given) of arrays, or of a data set that is read item by item."""
    if isinstance(data, tuple):
        check(len(data) in (2, 3), f"arrays are (X, y) or (X, y, clients), not {len(data)} of them")
        inputs, labels, *clients = map(_array, data, ("inputs", "labels", "clients"))
        return inputs, labels, clients[0] if clients else None
    readable = hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, (str, np.ndarray))
    readable = readable and not isinstance(data, torch.Tensor)
    wanted = "a dataset is a name, a Source, arrays (X, y), a frame with label=, or items (input, label)"
    check(readable, f"{wanted}, not of type {type(data).__name__}")
    items = [data[i] for i in range(len(data))]
    check(len(items) > 0, "the data set has no items")
    pairs = all(isinstance(item, (tuple, list)) and len(item) == 2 for item in items)
    check(pairs, f"each item must be (input, label), not of type {type(items[0]).__name__}")
    each_input = [_array(x) for x, _ in items]
    shapes = {each.shape for each in each_input}
    check(len(shapes) == 1, f"the inputs have different shapes, such as {' and '.join(map(str, sorted(shapes)[:2]))}")
    return np.stack(each_input), np.array([_array(y).item() for _, y in items]), None


def _array(values: Any, name: str = "an item") -> Array:
    """Return a tensor, an image of Pillow, a series or a list as an array. name: for the message."""
    check_unmasked(name, values)
    if isinstance(values, torch.Tensor):
        try:
            return widened(values).detach().cpu().numpy()
        except (TypeError, RuntimeError) as error:  # sparse, quantised, without data, ...
            raise InputError(f"{name}: a tensor that NumPy does not take ({str(error).splitlines()[0]:.120})") from None
    if hasattr(values, "getbands"):
        image = of_bytes(values)
        if image is None:
            raise InputError(f"an image of mode {values.mode}: nothing says which number is white")
        return np.asarray(image if image.mode == "L" else image.convert("RGB"))
    try:
        return np.asarray(values)
    except ValueError:
        raise InputError(f"{type(values).__name__} with rows of different lengths: no array") from None
