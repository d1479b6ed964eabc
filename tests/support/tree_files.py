"""Write a tiny folder tree of images by class."""

import numpy as np
from data_files import encoded

CLASSES = [f"n{number:08}" for number in range(10)]


def write_tree(folder, *, classes=CLASSES, test="val", suffix=".JPEG"):
    """Write one training image of grey 20 k and one test image of grey 20 k + 10 for each class k."""
    for part, offset in (("train", 0), (test, 10)):
        for label, name in enumerate(classes):
            home = folder / part / name
            home.mkdir(parents=True)
            image = np.full((8, 8, 3), 20 * label + offset, np.uint8)
            (home / f"{name}_1{suffix}").write_bytes(encoded(image, "PNG" if suffix == ".png" else "JPEG"))
    return folder
