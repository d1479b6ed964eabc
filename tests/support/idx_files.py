"""Write tiny IDX files in the layout of Fashion-MNIST."""

import gzip
import struct

import numpy as np


def idx(array, *, magic=None, sizes=None):
    """Return an IDX file: two zeros, type 8 (bytes), the number of dimensions, big-endian sizes, the content."""
    array = np.asarray(array, dtype=np.uint8)
    sizes = array.shape if sizes is None else sizes
    head = bytes([0, 0, 8, array.ndim]) if magic is None else magic
    return head + struct.pack(f">{len(sizes)}I", *sizes) + array.tobytes()


IMAGES = np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3)


def write_fashion(folder, *, images=IMAGES, labels=(0, 1, 2, 3, 9), packed=True):
    """Write four IDX files under the names of Fashion-MNIST."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "t10k"):
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            content = idx(array)
            (folder / (name + ".gz" * packed)).write_bytes(gzip.compress(content, mtime=0) if packed else content)
    return folder
