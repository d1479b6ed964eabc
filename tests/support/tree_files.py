"""A tiny folder tree of images by class."""

import numpy as np
from data_files import encoded

CLASSES = [f"n{number:08}" for number in range(10)]


def write_tree(folder, *, classes=CLASSES, test="val", suffix=".JPEG"):
    """One plain image a class to train, and one to test: class k is grey 20 k, and 20 k + 10."""
    for part, more in (("train", 0), (test, 10)):
        for label, name in enumerate(classes):
            home = folder / part / name
            home.mkdir(parents=True)
            image = np.full((8, 8, 3), 20 * label + more, np.uint8)
            (home / f"{name}_1{suffix}").write_bytes(encoded(image, "PNG" if suffix == ".png" else "JPEG"))
    return folder
