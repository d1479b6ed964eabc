"""Write tiny data sets in the layouts of the real ones, and locate the real ones."""

import io
import os
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

REAL = Path(os.environ.get("GRADSKEW_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")


def real(name):
    """Return the folder of a real data set; skip the test without it."""
    if not (REAL / name).is_dir():
        pytest.skip(f"{name} is not in {REAL}")
    return REAL / name


def pixels(count, *shape, seed=0):
    """Return uniform noise (count, *shape), uint8."""
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (count, *shape), dtype=np.uint8)


def encoded(image, kind="PNG"):
    """Return the bytes of the image file of an array (H, W) or (H, W, 3 or 4)."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


def write_parquet(path, images, labels, *, image="image", label="label", row_group=2, **columns):
    """Write a parquet file in the layout of the Hugging Face hub. images: (N, H, W[, 3]), or bytes."""
    files = [content if isinstance(content, bytes | None) else encoded(content) for content in images]
    rows = [None if file is None else {"bytes": file, "path": f"{number}.png"} for number, file in enumerate(files)]
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table({image: pyarrow.array(rows, kind), label: labels, **columns})
    pyarrow.parquet.write_table(table, path, row_group_size=row_group)
    return path
